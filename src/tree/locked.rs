//! The writer's hold on the shards a transaction touches.

use std::sync::atomic::Ordering;

use parking_lot::RwLockWriteGuard;
use smallvec::SmallVec;

use super::acl_table::AclId;
use super::node::Znode;
use super::shard::Nodes;
use super::tree::{DataTree, DigestAt};
use crate::base::{StatPersisted, Thin, Zxid, path};

/// Which shards to take.
#[derive(Debug, Default)]
pub(crate) struct LockSet {
    indexes: SmallVec<[usize; 8]>,
    all: bool,
}

impl LockSet {
    /// Adds the shard of a stored path.
    pub(crate) fn add(&mut self, tree: &DataTree, stored_path: &str) {
        self.indexes
            .push(DataTree::shard_of(tree.hash(stored_path)));
    }

    /// Takes every shard.
    pub(crate) fn add_all(&mut self) {
        self.all = true;
    }
}

/// Write locks on some shards, taken in index order (rule R2), and what one transaction does to
/// the tree-wide sums. Dropping it unlocks.
pub(crate) struct Locked<'t> {
    pub(crate) tree: &'t DataTree,
    guards: SmallVec<[(usize, RwLockWriteGuard<'t, Nodes>); 4]>,
    /// Change of the tree digest so far; not kept when the transaction brings its digest along.
    digest_delta: u64,
    track_digest: bool,
}

impl<'t> Locked<'t> {
    /// Locks the shards of `set`.
    pub(crate) fn new(tree: &'t DataTree, mut set: LockSet, track_digest: bool) -> Self {
        if set.all {
            set.indexes = (0..tree.shards.len()).collect();
        } else {
            set.indexes.sort_unstable();
            set.indexes.dedup();
        }
        let guards = set
            .indexes
            .iter()
            .map(|&i| (i, tree.shards[i].nodes.write()))
            .collect();
        let track_digest = track_digest && tree.options.digest;
        Self {
            tree,
            guards,
            digest_delta: 0,
            track_digest,
        }
    }

    /// Locks everything.
    pub(crate) fn all(tree: &'t DataTree) -> Self {
        Self::new(
            tree,
            LockSet {
                all: true,
                ..LockSet::default()
            },
            true,
        )
    }

    fn nodes(&mut self, hash: u64) -> &mut Nodes {
        let shard = DataTree::shard_of(hash);
        let at = match self.guards.len() {
            n if n == self.tree.shards.len() => shard,
            _ => self
                .guards
                .iter()
                .position(|(i, _)| *i == shard)
                .expect("the transaction's lock set covers every path it touches"),
        };
        &mut self.guards[at].1
    }

    pub(crate) fn get(&mut self, stored_path: &str) -> Option<&mut Znode> {
        let hash = self.tree.hash(stored_path);
        self.nodes(hash).get_mut(hash, stored_path.as_bytes())
    }

    fn digest_of(&self, node: &Znode) -> u64 {
        if !self.track_digest {
            return 0;
        }
        node.digest()
    }

    /// Changes a node and keeps the digest true. `None` when there is none.
    pub(crate) fn update<T>(
        &mut self,
        stored_path: &str,
        change: impl FnOnce(&mut Znode) -> T,
    ) -> Option<T> {
        let hash = self.tree.hash(stored_path);
        let track = self.track_digest;
        let sum = |n: &Znode| match track {
            true => n.digest(),
            false => 0,
        };
        let node = self.nodes(hash).get_mut(hash, stored_path.as_bytes())?;
        let before = sum(node);
        let result = change(node);
        let after = sum(node);
        self.digest_delta = self.digest_delta.wrapping_sub(before).wrapping_add(after);
        Some(result)
    }

    /// Enters a node that is not there and links it to its parent, which is.
    pub(crate) fn put(
        &mut self,
        p: Thin,
        data: Option<Thin>,
        acl: AclId,
        stat: &StatPersisted,
    ) -> bool {
        let tree = self.tree;
        let hash = tree.hash(p.text());
        if !p.is_empty() {
            let parent = path::parent(p.text());
            let state = &tree.state;
            let parent_hash = tree.hash(parent);
            let Some(q) = self
                .nodes(parent_hash)
                .get_mut(parent_hash, parent.as_bytes())
            else {
                return false;
            };
            q.children_mut().insert(hash, p.clone(), state);
        }
        let size = p.len() + data.as_ref().map_or(0, |d| d.len());
        let node = Znode::new(p.clone(), data, acl, stat);
        self.digest_delta = self.digest_delta.wrapping_add(self.digest_of(&node));
        tree.owned.add(node.owner(), &p);
        tree.nodes.fetch_add(1, Ordering::Relaxed);
        tree.data_size.fetch_add(size as i64, Ordering::Relaxed);
        self.nodes(hash).insert(hash, Box::new(node), &tree.state);
        true
    }

    /// Takes a node out and unlinks it from its parent, if either is there.
    pub(crate) fn take(&mut self, stored_path: &str) -> Option<Box<Znode>> {
        let tree = self.tree;
        let hash = tree.hash(stored_path);
        let parent = path::parent(stored_path);
        let parent_hash = tree.hash(parent);
        if let Some(q) = self
            .nodes(parent_hash)
            .get_mut(parent_hash, parent.as_bytes())
        {
            q.remove_child(hash, stored_path.as_bytes());
        }
        let node = self
            .nodes(hash)
            .remove(hash, stored_path.as_bytes(), &tree.state)?;
        self.digest_delta = self.digest_delta.wrapping_sub(self.digest_of(&node));
        tree.owned.remove(node.owner(), &node.path);
        tree.acls.release(node.acl);
        tree.nodes.fetch_sub(1, Ordering::Relaxed);
        let size = node.path.len() + node.data_len();
        tree.data_size.fetch_sub(size as i64, Ordering::Relaxed);
        Some(node)
    }

    /// Replaces data outside any transaction: quota bookkeeping.
    pub(crate) fn overwrite(&mut self, stored_path: &str, data: Thin) {
        let Some(node) = self.get(stored_path) else {
            return;
        };
        let change = data.len() as i64 - node.data_len() as i64;
        node.data = Some(data);
        self.tree.data_size.fetch_add(change, Ordering::Relaxed);
    }

    /// Nodes and bytes of a subtree, its root included. Needs every shard.
    pub(crate) fn usage(&mut self, stored_root: &str) -> (i64, i64) {
        let (mut count, mut bytes) = (0, 0);
        let mut left = vec![Thin::new(stored_root.as_bytes())];
        while let Some(p) = left.pop() {
            let Some(node) = self.get(p.text()) else {
                continue;
            };
            count += 1;
            bytes += node.data_len() as i64;
            left.extend(node.children().into_iter().flat_map(|c| c.iter().cloned()));
        }
        (count, bytes)
    }

    /// Makes the transaction's end visible: the digest, then the zxid (rule R2). The caller unlocks
    /// by dropping.
    pub(crate) fn publish(&mut self, zxid: Zxid, known_digest: Option<u64>) {
        let before = self.tree.digest().digest;
        let digest = known_digest.unwrap_or_else(|| before.wrapping_add(self.digest_delta));
        self.digest_delta = 0;
        self.tree.set_digest(DigestAt { zxid, digest });
        self.tree.log_digest(DigestAt { zxid, digest });
        self.tree.publish(zxid);
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if self.digest_delta != 0 {
            let at = self.tree.digest();
            let digest = at.digest.wrapping_add(self.digest_delta);
            self.tree.set_digest(DigestAt { digest, ..at });
        }
    }
}
