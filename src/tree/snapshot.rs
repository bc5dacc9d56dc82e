//! Walking a tree to write a snapshot.

use super::tree::DataTree;
use crate::base::{Acl, StatPersisted, Thin, Zxid};

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
