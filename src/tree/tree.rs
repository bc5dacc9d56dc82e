//! The data tree (Apache: `DataTree`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::acl_table::{AclId, AclList, AclTable};
use super::ephemerals::Owned;
use super::inbox::Inbox;
use super::locked::Locked;
use super::node::Znode;
use super::quota::QuotaRoots;
use super::shard::Shard;
use super::watch::RecursiveTable;
use crate::base::hash::{PathState, hash_bytes};
use crate::base::limits::TREE_SHARDS;
use crate::base::{Acl, OwnerKind, SessionId, StatPersisted, Thin, Zxid, path};

/// Switches of the tree.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Keep the tree digest (`zookeeper.digest.enabled`).
    pub digest: bool,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { digest: true }
    }
}

/// The digest after some transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestAt {
    /// The transaction; zero when none was applied since the start.
    pub zxid: Zxid,
    /// Wrapping sum over all nodes.
    pub digest: u64,
}

/// What preparing a request must know of a node.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Stored statistics.
    pub stat: StatPersisted,
    /// Children now.
    pub children: usize,
    /// ACL.
    pub acl: AclId,
    /// Length of the data, bytes.
    pub data_len: usize,
    /// CRC of path and data.
    pub content_crc: u32,
}

/// The whole tree. See the module for who may do what.
#[derive(Debug)]
pub struct DataTree {
    pub(crate) shards: Box<[Shard]>,
    pub(crate) state: PathState,
    pub(crate) recursive: RecursiveTable,
    pub(crate) acls: AclTable,
    pub(crate) owned: Owned,
    pub(crate) quotas: RwLock<QuotaRoots>,
    pub(crate) options: TreeOptions,
    applied: AtomicI64,
    digest: Mutex<DigestAt>,
    digest_log: Mutex<VecDeque<DigestAt>>,
    /// The tree is a mixture of times: its digests are nobody's, and not remembered.
    mixed: AtomicBool,
    /// Znodes, the two names of the root counted as Apache does.
    pub(crate) nodes: AtomicUsize,
    pub(crate) data_size: AtomicI64,
    pub(crate) watches: AtomicI64,
}

/// The three nodes every fresh tree has below the root, with their fixed ACLs.
const RESERVED: [&str; 3] = ["/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

impl DataTree {
    /// A tree without any node, to be filled from a snapshot.
    pub fn empty(options: TreeOptions) -> Self {
        Self {
            shards: (0..TREE_SHARDS).map(|_| Shard::default()).collect(),
            state: PathState::default(),
            recursive: RecursiveTable::default(),
            acls: AclTable::default(),
            owned: Owned::default(),
            quotas: RwLock::default(),
            options,
            applied: AtomicI64::new(0),
            digest: Mutex::default(),
            digest_log: Mutex::default(),
            mixed: AtomicBool::new(false),
            nodes: AtomicUsize::new(1),
            // The second name of the root.
            data_size: AtomicI64::new(1),
            watches: AtomicI64::new(0),
        }
    }

    /// A tree as Apache makes it for an empty data directory.
    pub fn fresh(options: TreeOptions) -> Self {
        let tree = Self::empty(options);
        let zero = StatPersisted::default();
        let empty = Some(Thin::new(b""));
        let mut locked = Locked::all(&tree);
        locked.put(Thin::new(b""), empty.clone(), AclId::OPEN, &zero);
        locked.put(
            Thin::new(RESERVED[0].as_bytes()),
            empty.clone(),
            AclId::OPEN,
            &zero,
        );
        locked.put(
            Thin::new(RESERVED[1].as_bytes()),
            empty.clone(),
            AclId::OPEN,
            &zero,
        );
        let read_only = tree.acls.add(&Acl::read_only());
        let config = StatPersisted {
            aversion: -1,
            ..zero
        };
        locked.put(Thin::new(RESERVED[2].as_bytes()), empty, read_only, &config);
        drop(locked);
        tree
    }

    /// Paths that cannot be deleted (Apache: the special nodes of `PrepRequestProcessor`).
    pub fn is_reserved(p: &str) -> bool {
        p == "/" || RESERVED.contains(&p)
    }

    pub(crate) fn hash(&self, stored_path: &str) -> u64 {
        hash_bytes(&self.state, stored_path.as_bytes())
    }

    /// The shard of a hash. Neither the top seven bits, which tables use as tags, nor the low ones,
    /// which they use as positions: else everything in a shard would look alike to its table.
    pub(crate) fn shard_of(hash: u64) -> usize {
        (hash >> 44) as usize % TREE_SHARDS
    }

    pub(crate) fn shard(&self, hash: u64) -> &Shard {
        &self.shards[Self::shard_of(hash)]
    }

    /// The zxid of the last transaction applied.
    pub fn applied(&self) -> Zxid {
        Zxid(self.applied.load(Ordering::Acquire))
    }

    /// Publishes a zxid: by the writer, under the locks of what it changed.
    pub(crate) fn publish(&self, zxid: Zxid) {
        self.applied.store(zxid.0, Ordering::Release);
    }

    /// Sets the zxid a loaded snapshot stands at.
    pub fn set_loaded(&self, zxid: Zxid) {
        self.publish(zxid);
    }

    /// Runs `f` on a node under its shard's read lock.
    pub(crate) fn with_node<T>(&self, p: &str, f: impl FnOnce(&Znode) -> T) -> Option<T> {
        let p = path::stored(p);
        let hash = self.hash(p);
        self.shard(hash).nodes.read().get(hash, p.as_bytes()).map(f)
    }

    /// What the sequencer needs to prepare a request on a path.
    pub fn facts(&self, p: &str) -> Option<NodeFacts> {
        self.with_node(p, |n| NodeFacts {
            stat: n.stat(),
            children: n.num_children(),
            acl: n.acl,
            data_len: n.data_len(),
            content_crc: n.content_crc(),
        })
    }

    /// The list of an ACL id; `None` when a snapshot did not bring it.
    pub fn acl_list(&self, id: AclId) -> Option<AclList> {
        self.acls.list(id)
    }

    /// True when `world:anyone` has one of the wanted permissions.
    pub fn world_has(&self, id: AclId, wanted: crate::base::Perms) -> bool {
        self.acls.world_has(id, wanted)
    }

    /// Ephemerals of a session, sorted by path.
    pub fn ephemerals_of(&self, s: SessionId) -> Vec<Thin> {
        self.owned.of_session(s)
    }

    /// Sessions that own ephemerals, sorted.
    pub fn ephemeral_sessions(&self) -> Vec<SessionId> {
        self.owned.sessions()
    }

    /// How many ephemerals there are.
    pub fn ephemeral_count(&self) -> usize {
        self.owned.count()
    }

    /// Containers and TTL nodes that the reaper would delete at wall time `now` (Apache:
    /// `ContainerManager`). `never_used_ms` 0 leaves containers alone that never had a child.
    pub fn reapable(&self, now: i64, never_used_ms: i64) -> Vec<Thin> {
        let due = |p: &Thin| {
            self.with_node(p.text(), |n| {
                n.num_children() == 0 && is_reapable(&n.stat(), now, never_used_ms)
            })
            .unwrap_or(false)
        };
        self.owned.reaped().into_iter().filter(due).collect()
    }

    /// Znodes, counting the root twice as Apache does.
    pub fn node_count(&self) -> usize {
        self.nodes.load(Ordering::Relaxed)
    }

    /// Bytes of all paths and data.
    pub fn approximate_data_size(&self) -> i64 {
        self.data_size.load(Ordering::Relaxed)
    }

    /// Entries in the watch tables, data and child.
    pub fn watch_count(&self) -> i64 {
        self.watches.load(Ordering::Relaxed)
    }

    /// The digest after the last transaction.
    pub fn digest(&self) -> DigestAt {
        *self.digest.lock()
    }

    pub(crate) fn set_digest(&self, at: DigestAt) {
        *self.digest.lock() = at;
    }

    /// What was loaded may hold more than its zxid says, as it was written while transactions were
    /// applied. Until [`DataTree::trust_digests`] no digest is remembered (Apache:
    /// `DataTree.digestFromLoadedSnapshot`).
    pub fn doubt_digests(&self) {
        self.mixed.store(true, Ordering::Relaxed);
    }

    /// The tree is what its zxid says.
    pub fn trust_digests(&self) {
        if self.mixed.swap(false, Ordering::Relaxed) {
            self.log_digest(self.digest());
        }
    }

    /// Remembers the digest at every 128th zxid, the last 1024 of them (`hash`).
    pub(crate) fn log_digest(&self, at: DigestAt) {
        // Before the first transaction behind a snapshot the digest has no zxid.
        let due = at.zxid.0 > 0 && at.zxid.0 & 127 == 0 && self.options.digest;
        if due && !self.mixed.load(Ordering::Relaxed) {
            let mut log = self.digest_log.lock();
            if log.len() == 1024 {
                log.pop_front();
            }
            log.push_back(at);
        }
    }

    /// The digests remembered, oldest first.
    pub fn digest_log(&self) -> Vec<DigestAt> {
        self.digest_log.lock().iter().copied().collect()
    }

    /// A connection is gone: forgets its watches.
    pub fn forget_watches(&self, inbox: &Arc<Inbox>) {
        let watched = std::mem::take(&mut *inbox.watched.lock());
        for (p, modes) in watched {
            let hash = self.hash(p.text());
            self.shard(hash).watches.lock().remove(&p, inbox.id, modes);
            if modes.has(super::watch::Modes::RECURSIVE) {
                self.recursive.write().remove(&p, inbox.id, modes);
            }
            self.watches
                .fetch_sub(modes.table_entries(), Ordering::Relaxed);
        }
    }
}

/// Whether the reaper may take a childless node with these statistics at wall time `now`.
pub fn is_reapable(stat: &StatPersisted, now: i64, never_used_ms: i64) -> bool {
    let idle = now.saturating_sub(stat.mtime);
    match OwnerKind::of(stat.ephemeral_owner) {
        OwnerKind::Ttl(ttl) => idle > ttl,
        OwnerKind::Container if stat.cversion > 0 => true,
        OwnerKind::Container => never_used_ms != 0 && idle > never_used_ms,
        OwnerKind::Persistent | OwnerKind::Ephemeral(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_leave_the_bits_of_their_tables_alone() {
        let one_shard = (0..1_000_000_u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .filter(|h| DataTree::shard_of(*h) == 7);
        let mut tags = [0_u32; 128];
        one_shard.for_each(|h| tags[(h >> 57) as usize] += 1);
        assert!(tags.iter().all(|n| *n > 0), "{tags:?}");
    }

    #[test]
    fn a_fresh_tree_is_apaches() {
        let t = DataTree::fresh(TreeOptions::default());
        assert_eq!(t.node_count(), 5);
        assert_eq!(t.digest().digest, 1_371_985_504);
        let root = t.with_node("/", Znode::visible).unwrap();
        assert_eq!((root.cversion, root.num_children), (-1, 1));
        let zk = t.with_node("/zookeeper", Znode::visible).unwrap();
        assert_eq!((zk.cversion, zk.num_children), (-2, 2));
        let config = t.facts("/zookeeper/config").unwrap();
        assert_eq!(config.stat.aversion, -1);
        assert_eq!(t.acl_list(config.acl).unwrap()[..], Acl::read_only()[..]);
    }
}
