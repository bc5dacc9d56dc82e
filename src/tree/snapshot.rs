//! Filling a tree from a snapshot, and walking it to write one.

use super::acl_table::AclId;
use super::locked::Locked;
use super::quota_apply;
use super::tree::{DataTree, DigestAt, TreeOptions};
use crate::base::{Acl, StatPersisted, Thin, Zxid, path};

/// Why a snapshot's nodes are no tree.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Apache: "Invalid Datatree, unable to find parent".
    #[error("Invalid Datatree, unable to find parent of path {0}")]
    NoParent(String),
    /// The same path twice.
    #[error("node {0} occurs twice")]
    Twice(String),
}

/// Enters a snapshot's ACLs and nodes into a tree of its own.
pub struct Loader {
    tree: DataTree,
    unresolved: usize,
}

impl Loader {
    /// An empty tree to fill.
    pub fn new(options: TreeOptions) -> Self {
        Self {
            tree: DataTree::empty(options),
            unresolved: 0,
        }
    }

    /// Enters an ACL list under its stored id.
    pub fn acl(&mut self, stored: i64, list: &[Acl]) {
        self.tree.acls.load(stored, list);
    }

    /// Enters a node; parents come before their children.
    ///
    /// # Errors
    /// When the parent is missing or the node is there already.
    pub fn node(
        &mut self,
        p: &str,
        data: Option<&[u8]>,
        stored_acl: i64,
        stat: &StatPersisted,
    ) -> Result<(), LoadError> {
        let acl = self.tree.acls.resolve(stored_acl);
        self.unresolved += usize::from(acl == AclId::UNRESOLVED);
        let mut set = super::locked::LockSet::default();
        set.add(&self.tree, p);
        set.add(&self.tree, path::parent(p));
        let mut locked = Locked::new(&self.tree, set, true);
        if locked.get(p).is_some() {
            return Err(LoadError::Twice(p.to_owned()));
        }
        if !locked.put(Thin::new(p.as_bytes()), data.map(Thin::new), acl, stat) {
            return Err(LoadError::NoParent(p.to_owned()));
        }
        Ok(())
    }

    /// The tree at `zxid`, with its quotas counted. A snapshot written before 3.5 has no
    /// `/zookeeper/config`; it is left absent, as Apache standalone does.
    pub fn finish(self, zxid: Zxid) -> DataTree {
        if self.unresolved > 0 {
            tracing::warn!(
                "{} nodes refer to an ACL the snapshot does not hold; the log must repair them",
                self.unresolved
            );
        }
        self.tree.acls.purge_unused();
        quota_apply::rebuild(&self.tree);
        self.tree.set_loaded(zxid);
        let digest = self.tree.digest().digest;
        self.tree.set_digest(DigestAt {
            zxid: Zxid::ZERO,
            digest,
        });
        self.tree
    }
}

/// A node as a snapshot stores it.
#[derive(Clone, Debug)]
pub struct NodeImage {
    /// Stored path.
    pub path: Thin,
    /// Data.
    pub data: Option<Thin>,
    /// ACL id as stored.
    pub acl: i64,
    /// Statistics.
    pub stat: StatPersisted,
}

/// A consistent start of a fuzzy walk: what was there when it began.
#[derive(Debug)]
pub struct WalkStart {
    /// Everything up to here is in the walk, whole.
    pub zxid: Zxid,
    /// The ACL map to store, `(stored id, list)`, ascending.
    pub acls: Vec<(i64, super::AclList)>,
    /// Stored id of a list that grants nothing: stands in for lists made after the start, which the
    /// log of that time will put right.
    nothing: i64,
}

impl DataTree {
    /// Begins a walk. Called by the writer between transactions, so that the ACL map and the zxid
    /// belong together.
    pub fn walk_start(&self) -> WalkStart {
        let mut acls: Vec<(i64, super::AclList)> = self
            .acls
            .all()
            .into_iter()
            .map(|(id, l)| (id.stored(), l))
            .collect();
        let nothing = acls.last().map_or(1, |(id, _)| id + 1);
        let none = Acl {
            perms: crate::base::Perms(0),
            id: crate::base::Id::anyone(),
        };
        let zxid = self.applied();
        acls.push((nothing, vec![none].into()));
        WalkStart {
            zxid,
            acls,
            nothing,
        }
    }

    /// Calls `f` for every node, parents first, one short read lock at a time. Nodes created after
    /// the start are left out: replay creates them.
    ///
    /// # Errors
    /// Whatever `f` returns; the walk ends there.
    pub fn walk<E>(
        &self,
        start: &WalkStart,
        mut f: impl FnMut(&NodeImage) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut walk = Walk::default();
        while let Some(image) = walk.next(self, start) {
            f(&image)?;
        }
        Ok(())
    }
}

/// A walk that goes on when it is asked to.
#[derive(Debug)]
pub struct Walk {
    left: Vec<Thin>,
}

impl Default for Walk {
    /// Before the root.
    fn default() -> Self {
        Self {
            left: vec![Thin::new(b"")],
        }
    }
}

impl Walk {
    /// The next node of [`DataTree::walk`]; `None` behind the last.
    pub fn next(&mut self, tree: &DataTree, start: &WalkStart) -> Option<NodeImage> {
        while let Some(p) = self.left.pop() {
            let seen = tree.with_node(p.text(), |n| {
                let image = NodeImage {
                    path: n.path.clone(),
                    data: n.data.clone(),
                    acl: n.acl.stored(),
                    stat: n.stat(),
                };
                (image, n.children().map_or(0, |c| c.parts()))
            });
            let Some((mut image, parts)) = seen else {
                continue;
            };
            if image.stat.czxid > start.zxid.0 {
                continue;
            }
            if !start.knows(image.acl) {
                image.acl = start.nothing;
            }
            for part in 0..parts {
                tree.with_node(p.text(), |n| {
                    if let Some(c) = n.children() {
                        self.left.extend(c.part(part, parts).cloned());
                    }
                });
            }
            return Some(image);
        }
        None
    }
}

impl WalkStart {
    /// Whether the stored ACL map has this id.
    fn knows(&self, id: i64) -> bool {
        id == -1 || self.acls.binary_search_by_key(&id, |(k, _)| *k).is_ok()
    }
}
