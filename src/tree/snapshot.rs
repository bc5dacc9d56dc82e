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
        let known = |id: i64| {
            id == -1
                || start
                    .acls
                    .binary_search_by_key(&id, |(known, _)| *known)
                    .is_ok()
        };
        let mut left = vec![Thin::new(b"")];
        while let Some(p) = left.pop() {
            let seen = self.with_node(p.text(), |n| {
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
            if !known(image.acl) {
                image.acl = start.nothing;
            }
            f(&image)?;
            for part in 0..parts {
                self.with_node(p.text(), |n| {
                    if let Some(c) = n.children() {
                        left.extend(c.part(part, parts).cloned());
                    }
                });
            }
        }
        Ok(())
    }
}
