//! The writer's hold on the shards a transaction touches.

use std::sync::atomic::Ordering;

use parking_lot::RwLockWriteGuard;
use smallvec::SmallVec;

use super::acl_table::AclId;
use super::node::Znode;
use super::shard::Nodes;
use super::tree::{DataTree, DigestAt};
use crate::base::limits::TREE_SHARDS;
use crate::base::{StatPersisted, Thin, Zxid, path};

const WORDS: usize = TREE_SHARDS.div_ceil(64);

/// Which shards to take, a bit for each: a multi may name thousands of paths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LockSet {
    bits: [u64; WORDS],
}

impl LockSet {
    /// Adds the shard of a stored path.
    pub(crate) fn add(&mut self, tree: &DataTree, stored_path: &str) {
        self.add_shard(DataTree::shard_of(tree.hash(stored_path)));
    }

    /// Takes every shard.
    pub(crate) fn add_all(&mut self) {
        (0..TREE_SHARDS).for_each(|shard| self.add_shard(shard));
    }

    fn add_shard(&mut self, shard: usize) {
        self.bits[shard / 64] |= 1 << (shard % 64);
    }

    /// The shards, ascending.
    fn iter(&self) -> impl Iterator<Item = usize> {
        let mut bits = self.bits;
        std::iter::from_fn(move || {
            let word = bits.iter().position(|w| *w != 0)?;
            let bit = bits[word].trailing_zeros() as usize;
            bits[word] &= bits[word] - 1;
            Some(word * 64 + bit)
        })
    }

    fn has(&self, shard: usize) -> bool {
        self.bits[shard / 64] & (1 << (shard % 64)) != 0
    }

    /// How many of its shards are before this one, which is one of them.
    fn rank(&self, shard: usize) -> Option<usize> {
        let below = self.bits[shard / 64] & ((1 << (shard % 64)) - 1);
        let words = self.bits[..shard / 64].iter().chain([&below]);
        self.has(shard)
            .then(|| words.map(|w| w.count_ones() as usize).sum())
    }
}

/// Write locks on some shards, taken in index order (rule R2), and what one transaction does to
/// the tree-wide sums. Dropping it unlocks.
pub(crate) struct Locked<'t> {
    pub(crate) tree: &'t DataTree,
    set: LockSet,
    /// One for each shard of the set, in its order.
    guards: SmallVec<[RwLockWriteGuard<'t, Nodes>; 4]>,
    /// Change of the tree digest so far; not kept when the transaction brings its digest along.
    digest_delta: u64,
    track_digest: bool,
}

impl<'t> Locked<'t> {
    /// Locks the shards of `set`.
    pub(crate) fn new(tree: &'t DataTree, set: LockSet, track_digest: bool) -> Self {
        let guards = set.iter().map(|i| tree.shards[i].nodes.write()).collect();
        let track_digest = track_digest && tree.options.digest;
        Self {
            tree,
            set,
            guards,
            digest_delta: 0,
            track_digest,
        }
    }

    /// Locks everything.
    pub(crate) fn all(tree: &'t DataTree) -> Self {
        let mut set = LockSet::default();
        set.add_all();
        Self::new(tree, set, true)
    }

    fn nodes(&mut self, hash: u64) -> &mut Nodes {
        let at = self
            .set
            .rank(DataTree::shard_of(hash))
            .expect("the transaction's lock set covers every path it touches");
        &mut self.guards[at]
    }

    pub(crate) fn get(&mut self, stored_path: &str) -> Option<&mut Znode> {
        self.find(self.tree.hash(stored_path), stored_path)
    }

    /// As [`Locked::get`], by the path's hash and the path.
    pub(crate) fn find(&mut self, hash: u64, stored_path: &str) -> Option<&mut Znode> {
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

    /// Enters a node that is not there and links it to its parent; false when there is none.
    pub(crate) fn put(
        &mut self,
        p: Thin,
        data: Option<Thin>,
        acl: AclId,
        stat: &StatPersisted,
    ) -> bool {
        let hash = self.tree.hash(p.text());
        let linked = |l: &mut Self| l.link(path::parent(p.text()), hash, &p, |_| ()).is_some();
        if !p.is_empty() && !linked(self) {
            return false;
        }
        self.enter(hash, p, data, acl, stat);
        true
    }

    /// Changes the parent of a node to be entered, whose path has this hash, and links the node to
    /// it. `None` when there is no parent.
    pub(crate) fn link<T>(
        &mut self,
        parent: &str,
        hash: u64,
        p: &Thin,
        change: impl FnOnce(&mut Znode) -> T,
    ) -> Option<T> {
        let state = &self.tree.state;
        self.update(parent, |q| {
            q.children_mut().insert(hash, p.clone(), state);
            change(q)
        })
    }

    /// Enters a node whose path has this hash, is not there, and is linked to its parent.
    pub(crate) fn enter(
        &mut self,
        hash: u64,
        p: Thin,
        data: Option<Thin>,
        acl: AclId,
        stat: &StatPersisted,
    ) {
        let tree = self.tree;
        let size = p.len() + data.as_ref().map_or(0, |d| d.len());
        let node = Znode::new(p, data, acl, stat);
        self.digest_delta = self.digest_delta.wrapping_add(self.digest_of(&node));
        tree.owned.add(node.owner(), &node.path);
        tree.nodes.fetch_add(1, Ordering::Relaxed);
        tree.data_size.fetch_add(size as i64, Ordering::Relaxed);
        self.nodes(hash).insert(hash, Box::new(node), &tree.state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_set_knows_its_order() {
        let mut set = LockSet::default();
        let shards = [0, 5, 63, 64, 200, TREE_SHARDS - 1];
        shards.iter().for_each(|s| set.add_shard(*s));
        assert!(set.iter().eq(shards));
        for (rank, shard) in shards.into_iter().enumerate() {
            assert_eq!(set.rank(shard), Some(rank));
        }
        assert_eq!(set.rank(6), None);
        set.add_all();
        assert_eq!(set.rank(TREE_SHARDS - 1), Some(TREE_SHARDS - 1));
    }
}
