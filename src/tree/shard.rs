//! One lock's worth of the tree.

use hashbrown::HashTable;
use parking_lot::{Mutex, RwLock};

use super::node::Znode;
use super::watch::WatchTable;
use crate::base::hash::{PathState, hash_bytes};

/// The nodes of one shard, by path.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    table: HashTable<Box<Znode>>,
}

impl Nodes {
    pub(crate) fn get(&self, hash: u64, path: &[u8]) -> Option<&Znode> {
        self.table
            .find(hash, |n| n.path.bytes() == path)
            .map(|n| &**n)
    }

    pub(crate) fn get_mut(&mut self, hash: u64, path: &[u8]) -> Option<&mut Znode> {
        self.table
            .find_mut(hash, |n| n.path.bytes() == path)
            .map(|n| &mut **n)
    }

    /// Makes room for `more` nodes at once.
    pub(crate) fn reserve(&mut self, more: usize, state: &PathState) {
        self.table.reserve(more, |n| hash_bytes(state, &n.path));
    }

    /// Adds a node that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, node: Box<Znode>, state: &PathState) {
        self.table
            .insert_unique(hash, node, |n| hash_bytes(state, &n.path));
    }

    pub(crate) fn remove(
        &mut self,
        hash: u64,
        path: &[u8],
        state: &PathState,
    ) -> Option<Box<Znode>> {
        let found = self
            .table
            .find_entry(hash, |n| n.path.bytes() == path)
            .ok()?;
        let (node, _) = found.remove();
        // Give memory back when most of a once large shard is gone.
        if self.table.capacity() > 4096 && self.table.len() < self.table.capacity() / 8 {
            self.table
                .shrink_to(self.table.len() * 2, |n| hash_bytes(state, &n.path));
        }
        Some(node)
    }
}

/// A shard: nodes, and the watches on paths that belong to it (whether or not a node is there).
/// The watch lock is taken only under the node lock.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    pub(crate) nodes: RwLock<Nodes>,
    pub(crate) watches: Mutex<WatchTable>,
}
