//! Reads (Apache: `FinalRequestProcessor`), on the caller's own thread.
//!
//! Every function returns what it found together with the zxid S it is tagged with, loaded under
//! the locks that guard the answer (rule R1), and sets a watch under the same locks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLockReadGuard;

use super::acl_table::{AclId, AclList};
use super::inbox::Inbox;
use super::node::Znode;
use super::shard::{Nodes, Shard};
use super::tree::DataTree;
use super::watch::{Modes, shown_key, watch_key};
use crate::base::{Acl, Perms, SessionId, Stat, Thin, Zxid, path};
use crate::proto::Code;
use crate::proto::event::EventType;
use crate::telemetry::metrics::METRICS;

/// Who asks, as far as permissions go; implemented by the session layer.
pub trait Access {
    /// True when the caller has one of `wanted` under `acl`.
    fn allows(&self, acl: &AclList, wanted: Perms) -> bool;
}

/// An answer and the zxid it is tagged with.
pub type Tagged<T> = (T, Zxid);

/// Data and statistics of a node.
pub type DataAndStat = (Option<Thin>, Stat);

impl DataTree {
    /// May the caller do `wanted` under this ACL?
    pub fn permits(&self, acl: AclId, wanted: Perms, who: &dyn Access) -> bool {
        self.world_has(acl, wanted) || self.acl_list(acl).is_some_and(|l| who.allows(&l, wanted))
    }

    fn look<T>(&self, p: &str, f: impl FnOnce(Option<&Znode>, &Shard) -> T) -> Tagged<T> {
        let p = path::stored(p);
        let hash = self.hash(p);
        let shard = self.shard(hash);
        let nodes = shard.nodes.read();
        let found = f(nodes.get(hash, p.as_bytes()), shard);
        (found, self.applied())
    }

    fn read<T>(
        &self,
        p: &str,
        who: &dyn Access,
        watch: Option<(&Arc<Inbox>, Modes)>,
        f: impl FnOnce(&Znode) -> T,
    ) -> Tagged<Result<T, Code>> {
        self.look(p, |node, shard| {
            let node = node.ok_or(Code::NoNode)?;
            if !self.permits(node.acl, Perms::READ, who) {
                return Err(Code::NoAuth);
            }
            if let Some((inbox, modes)) = watch {
                self.watch_read(shard, p, Some(node), inbox, modes);
            }
            Ok(f(node))
        })
    }

    /// Sets a watch; the caller holds the shard's node lock.
    fn register(&self, shard: &Shard, p: &Thin, inbox: &Arc<Inbox>, modes: Modes) {
        let mut watches = shard.watches.lock();
        watches.add(p, inbox, modes);
        self.watches
            .fetch_add(inbox.watch(p, modes), Ordering::Relaxed);
    }

    /// Sets the watch that a read of `p` asks for.
    fn watch_read(
        &self,
        shard: &Shard,
        p: &str,
        node: Option<&Znode>,
        inbox: &Arc<Inbox>,
        modes: Modes,
    ) {
        match node {
            Some(n) if !p.is_empty() => self.register(shard, &n.path, inbox, modes),
            _ => self.arm(p, inbox, modes),
        }
    }

    /// Sets a watch on a path of a request; the caller holds the node lock of the path's shard.
    fn arm(&self, p: &str, inbox: &Arc<Inbox>, modes: Modes) {
        let key = Thin::new(watch_key(p).as_bytes());
        self.register(self.shard(self.hash(key.text())), &key, inbox, modes);
    }

    /// exists: the watch is set whether or not the node is there.
    pub fn exists(
        &self,
        p: &str,
        who: &dyn Access,
        watch: Option<&Arc<Inbox>>,
    ) -> Tagged<Result<Stat, Code>> {
        self.look(p, |node, shard| {
            if let Some(node) = node
                && !self.permits(node.acl, Perms::READ, who)
            {
                return Err(Code::NoAuth);
            }
            if let Some(inbox) = watch {
                self.watch_read(shard, p, node, inbox, Modes::DATA);
            }
            node.map(Znode::visible).ok_or(Code::NoNode)
        })
    }

    /// getData.
    pub fn get_data(
        &self,
        p: &str,
        who: &dyn Access,
        watch: Option<&Arc<Inbox>>,
    ) -> Tagged<Result<DataAndStat, Code>> {
        let watch = watch.map(|i| (i, Modes::DATA));
        let found = self.read(p, who, watch, |n| (n.data.clone(), n.visible()));
        if let Ok((data, _)) = &found.0 {
            note_read(p, data.as_ref().map_or(0, |d| d.len()));
        }
        found
    }

    /// getChildren and getChildren2: appends the names of the children to `out` as a jute vector of
    /// strings, in no order; on errors it appends nothing.
    pub fn get_children(
        &self,
        p: &str,
        who: &dyn Access,
        watch: Option<&Arc<Inbox>>,
        out: &mut Vec<u8>,
    ) -> Tagged<Result<Stat, Code>> {
        let watch = watch.map(|i| (i, Modes::CHILD));
        let start = out.len();
        let found = self.read(p, who, watch, |n| {
            n.write_names(out);
            n.visible()
        });
        if let Ok(stat) = &found.0 {
            let lengths = size_of::<i32>() * (1 + usize::try_from(stat.num_children).unwrap_or(0));
            note_read(p, (out.len() - start).saturating_sub(lengths));
        }
        found
    }

    /// getACL: needs READ or ADMIN; who lacks ADMIN sees no digests.
    pub fn get_acl(&self, p: &str, who: &dyn Access) -> Tagged<Result<(Vec<Acl>, Stat), Code>> {
        self.look(p, |node, _| {
            let node = node.ok_or(Code::NoNode)?;
            let list = self.acl_list(node.acl).ok_or(Code::MarshallingError)?;
            let admin = self.permits(node.acl, Perms::ADMIN, who);
            if !admin && !self.permits(node.acl, Perms::READ, who) {
                return Err(Code::NoAuth);
            }
            let shown = match admin {
                true => list.to_vec(),
                false => list.iter().map(|a| a.redacted().into_owned()).collect(),
            };
            Ok((shown, node.visible()))
        })
    }

    /// getAllChildrenNumber: every descendant.
    pub fn count_descendants(&self, p: &str, who: &dyn Access) -> Tagged<Result<i32, Code>> {
        let all = self.read_all();
        let stored = path::stored(p);
        let count = match all.get(stored) {
            None => Err(Code::NoNode),
            Some(n) if !self.permits(n.acl, Perms::READ, who) => Err(Code::NoAuth),
            // Apache's table has the root under two names, and one of them is below "".
            Some(_) if p.is_empty() => Ok(self.node_count().saturating_sub(1) as i32),
            Some(_) if stored.is_empty() => Ok(self.node_count().saturating_sub(2) as i32),
            Some(n) => Ok(all.descendants(n) as i32),
        };
        (count, self.applied())
    }

    /// getEphemerals: paths of the session's own nodes that begin with `prefix`, sorted.
    pub fn ephemerals_below(&self, s: SessionId, prefix: &str) -> Tagged<Vec<Thin>> {
        let _whole = self.read_all();
        let mut found = self.ephemerals_of(s);
        found.retain(|p| p.text().starts_with(prefix));
        (found, self.applied())
    }

    /// multiRead: every path at one point of the applied state (rule R5).
    pub fn multi_read(
        &self,
        ops: &[(ReadKind, &str)],
        who: &dyn Access,
    ) -> Tagged<Vec<Result<ReadResult, Code>>> {
        let held = self.read_shards(ops.iter().map(|(_, p)| *p));
        let one = |(kind, p): &(ReadKind, &str)| {
            let node = held.get(path::stored(p)).ok_or(Code::NoNode)?;
            if !self.permits(node.acl, Perms::READ, who) {
                return Err(Code::NoAuth);
            }
            Ok(match kind {
                ReadKind::Data => ReadResult::Data(node.data.clone(), node.visible()),
                ReadKind::Children => {
                    let mut names = Vec::new();
                    node.write_names(&mut names);
                    ReadResult::Children(names)
                }
            })
        };
        (ops.iter().map(one).collect(), self.applied())
    }

    /// addWatch: always succeeds, on any path.
    pub fn add_watch(&self, p: &str, inbox: &Arc<Inbox>, recursive: bool) -> Zxid {
        if !recursive {
            return self.look(p, |_, _| self.arm(p, inbox, Modes::PERSISTENT)).1;
        }
        let key = Thin::new(watch_key(p).as_bytes());
        let mut table = self.recursive.write();
        table.add(&key, inbox, Modes::RECURSIVE);
        self.watches
            .fetch_add(inbox.watch(&key, Modes::RECURSIVE), Ordering::Relaxed);
        self.applied()
    }

    /// True when the connection has one of `modes` at exactly `p`.
    pub fn has_watch(&self, p: &str, inbox: &Inbox, modes: Modes) -> bool {
        let watched = inbox.watched.lock();
        watched
            .get(watch_key(p).as_bytes())
            .is_some_and(|m| m.has(modes))
    }

    /// removeWatches; false when there was nothing to remove.
    pub fn remove_watch(&self, p: &str, inbox: &Arc<Inbox>, modes: Modes) -> bool {
        if !self.has_watch(p, inbox, modes) {
            return false;
        }
        let p = watch_key(p);
        let _nodes = self.shard(self.hash(p)).nodes.read();
        self.shard(self.hash(p))
            .watches
            .lock()
            .remove(p.as_bytes(), inbox.id, modes);
        if modes.has(Modes::RECURSIVE) {
            self.recursive
                .write()
                .remove(p.as_bytes(), inbox.id, Modes::RECURSIVE);
        }
        self.watches
            .fetch_add(inbox.unwatch(p.as_bytes(), modes), Ordering::Relaxed);
        true
    }

    /// setWatches: re-arms what has not changed since `since` and returns what to say of the rest,
    /// in the order of the lists.
    pub fn set_watches<'p>(
        &self,
        since: Zxid,
        lists: &WatchLists<'p>,
        inbox: &Arc<Inbox>,
    ) -> Tagged<Vec<(EventType, &'p str)>> {
        // The recursive table is taken after the shards, as the writer does.
        let held = self.read_shards(lists.paths());
        let mut events = Vec::new();
        let arm = |p: &str, modes| self.arm(p, inbox, modes);
        for p in &lists.data {
            match held.get(path::stored(p)) {
                None => events.push((EventType::Deleted, *p)),
                Some(n) if n.mzxid() > since.0 => events.push((EventType::DataChanged, *p)),
                Some(_) => arm(p, Modes::DATA),
            }
        }
        for p in &lists.exist {
            match held.get(path::stored(p)) {
                Some(_) => events.push((EventType::Created, *p)),
                None => arm(p, Modes::DATA),
            }
        }
        for p in &lists.child {
            match held.get(path::stored(p)) {
                None => events.push((EventType::Deleted, *p)),
                Some(n) if n.pzxid() > since.0 => events.push((EventType::ChildrenChanged, *p)),
                Some(_) => arm(p, Modes::CHILD),
            }
        }
        lists
            .persistent
            .iter()
            .for_each(|p| arm(p, Modes::PERSISTENT));
        let mut recursive = self.recursive.write();
        for p in &lists.recursive {
            let key = Thin::new(watch_key(p).as_bytes());
            recursive.add(&key, inbox, Modes::RECURSIVE);
            self.watches
                .fetch_add(inbox.watch(&key, Modes::RECURSIVE), Ordering::Relaxed);
        }
        (events, self.applied())
    }

    fn read_all(&self) -> ReadShards<'_> {
        let guards = self
            .shards
            .iter()
            .enumerate()
            .map(|(i, s)| (i, s.nodes.read()))
            .collect();
        ReadShards { tree: self, guards }
    }

    fn read_shards<'p>(&self, paths: impl Iterator<Item = &'p str>) -> ReadShards<'_> {
        let mut indexes: Vec<usize> = paths
            .map(|p| Self::shard_of(self.hash(path::stored(p))))
            .collect();
        indexes.sort_unstable();
        indexes.dedup();
        let guards = indexes
            .into_iter()
            .map(|i| (i, self.shards[i].nodes.read()))
            .collect();
        ReadShards { tree: self, guards }
    }
}

/// Bytes that Apache counts for the statistics of every node read.
const STAT_BYTES: usize = 68;

/// `read_per_namespace` (Apache: `DataTree.updateReadStat`).
fn note_read(p: &str, bytes: usize) {
    if let Some(namespace) = path::top_name(p) {
        let set = &METRICS.read_per_namespace;
        set.with(namespace).record_len(p.len() + bytes + STAT_BYTES);
    }
}

/// What a part of a multiRead asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// getData.
    Data,
    /// getChildren.
    Children,
}

/// What a part of a multiRead found.
#[derive(Clone, Debug)]
pub enum ReadResult {
    /// Data and statistics.
    Data(Option<Thin>, Stat),
    /// Names of the children, as a jute vector of strings.
    Children(Vec<u8>),
}

/// The lists of a setWatches request.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // named as in the request
pub struct WatchLists<'p> {
    pub data: Vec<&'p str>,
    pub exist: Vec<&'p str>,
    pub child: Vec<&'p str>,
    pub persistent: Vec<&'p str>,
    pub recursive: Vec<&'p str>,
}

impl<'p> WatchLists<'p> {
    fn paths(&self) -> impl Iterator<Item = &'p str> {
        [&self.data, &self.exist, &self.child, &self.persistent]
            .into_iter()
            .flatten()
            .copied()
    }
}

/// Read locks on several shards, ascending.
struct ReadShards<'t> {
    tree: &'t DataTree,
    guards: Vec<(usize, RwLockReadGuard<'t, Nodes>)>,
}

impl ReadShards<'_> {
    fn get(&self, stored_path: &str) -> Option<&Znode> {
        let hash = self.tree.hash(stored_path);
        let at = self
            .guards
            .binary_search_by_key(&DataTree::shard_of(hash), |(i, _)| *i)
            .ok()?;
        self.guards.get(at)?.1.get(hash, stored_path.as_bytes())
    }

    fn descendants(&self, node: &Znode) -> usize {
        let mut count = 0;
        let mut left: Vec<&Thin> = node.children().into_iter().flat_map(|c| c.iter()).collect();
        while let Some(p) = left.pop() {
            count += 1;
            if let Some(c) = self.get(p.text()).and_then(Znode::children) {
                left.extend(c.iter());
            }
        }
        count
    }
}

/// Watches as the commands that list them want them: path and the connections there.
impl DataTree {
    /// Calls `f` for every path with data watches (persistent ones included) and each connection.
    pub fn for_each_data_watch(&self, mut f: impl FnMut(&str, &Arc<Inbox>)) {
        let data = Modes::DATA.with(Modes::PERSISTENT);
        for shard in &self.shards {
            for (p, w) in shard.watches.lock().iter() {
                w.for_each(|inbox, modes| {
                    if modes.has(data) {
                        f(shown_key(p.text()), inbox);
                    }
                });
            }
        }
        for (p, w) in self.recursive.read().iter() {
            w.for_each(|inbox, modes| {
                let counted = inbox
                    .watched
                    .lock()
                    .get(p.bytes())
                    .is_some_and(|m| m.has(data));
                if modes.has(Modes::RECURSIVE) && !counted {
                    f(shown_key(p.text()), inbox);
                }
            });
        }
    }
}
