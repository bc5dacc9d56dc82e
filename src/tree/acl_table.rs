//! ACL lists and their ids (Apache: `ReferenceCountedACLCache`).

use std::sync::Arc;

use parking_lot::RwLock;

use crate::base::hash::Map;
use crate::base::{Acl, Perms};

/// Number of an ACL list; snapshots store it, and a node holds it in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AclId(pub(crate) u32);

impl AclId {
    /// `world:anyone` with all permissions, without an entry in the table; -1 on disk.
    pub const OPEN: Self = Self(0);
    /// A snapshot named a list it does not hold. Nobody is allowed anything until the log repairs
    /// it: fail closed.
    pub const UNRESOLVED: Self = Self(u32::MAX);

    /// The id as snapshots store it.
    pub fn stored(self) -> i64 {
        match self {
            Self::OPEN => -1,
            Self(n) => i64::from(n),
        }
    }
}

/// A shared ACL list.
pub type AclList = Arc<[Acl]>;

#[derive(Debug)]
struct Row {
    list: AclList,
    uses: u64,
    /// Permissions that `world:anyone` has here.
    world: Perms,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: Map<AclId, Row>,
    by_list: Map<AclList, AclId>,
    last: u32,
}

/// Every ACL list in use. Written by the sequencer only, read by everyone.
#[derive(Debug)]
pub(crate) struct AclTable {
    rows: RwLock<Rows>,
    open: AclList,
}

impl Default for AclTable {
    fn default() -> Self {
        Self {
            rows: RwLock::default(),
            open: Acl::open().into(),
        }
    }
}

fn world_perms(list: &[Acl]) -> Perms {
    let anyone = |a: &&Acl| a.id.scheme == "world" && a.id.id == "anyone";
    Perms(list.iter().filter(anyone).fold(0, |all, a| all | a.perms.0))
}

impl AclTable {
    /// The id of `list`, with one more use; a new list gets the next number.
    pub(crate) fn add(&self, list: &[Acl]) -> AclId {
        let mut rows = self.rows.write();
        if let Some(&id) = rows.by_list.get(list) {
            if let Some(row) = rows.by_id.get_mut(&id) {
                row.uses += 1;
            }
            return id;
        }
        rows.last += 1;
        let id = AclId(rows.last);
        rows.insert(id, list.into(), 1);
        id
    }

    /// Enters a list under the id a snapshot gives it, without a use.
    pub(crate) fn load(&self, stored: i64, list: &[Acl]) -> Option<AclId> {
        let id = AclId(
            u32::try_from(stored)
                .ok()
                .filter(|&n| n != 0 && n != u32::MAX)?,
        );
        let mut rows = self.rows.write();
        rows.last = rows.last.max(id.0);
        rows.insert(id, list.into(), 0);
        Some(id)
    }

    /// The id a snapshot's node names, with one more use.
    pub(crate) fn resolve(&self, stored: i64) -> AclId {
        if stored == -1 {
            return AclId::OPEN;
        }
        let known = u32::try_from(stored).ok().map(AclId);
        let mut rows = self.rows.write();
        match known.and_then(|id| rows.by_id.get_mut(&id).map(|row| (id, row))) {
            Some((id, row)) => {
                row.uses += 1;
                id
            }
            None => AclId::UNRESOLVED,
        }
    }

    /// One use less; a list without uses goes.
    pub(crate) fn release(&self, id: AclId) {
        if id == AclId::OPEN {
            return;
        }
        let mut rows = self.rows.write();
        let Some(row) = rows.by_id.get_mut(&id) else {
            return;
        };
        row.uses = row.uses.saturating_sub(1);
        if row.uses == 0 {
            rows.remove(id);
        }
    }

    /// Drops the lists a snapshot brought and no node uses.
    pub(crate) fn purge_unused(&self) {
        let mut rows = self.rows.write();
        let unused: Vec<AclId> = rows
            .by_id
            .iter()
            .filter(|(_, r)| r.uses == 0)
            .map(|(id, _)| *id)
            .collect();
        for id in unused {
            rows.remove(id);
        }
    }

    /// The list of an id; `None` for an unresolved one.
    pub(crate) fn list(&self, id: AclId) -> Option<AclList> {
        if id == AclId::OPEN {
            return Some(self.open.clone());
        }
        self.rows.read().by_id.get(&id).map(|r| r.list.clone())
    }

    /// True when anyone at all has one of `wanted`; spares most callers the list.
    pub(crate) fn world_has(&self, id: AclId, wanted: Perms) -> bool {
        id == AclId::OPEN
            || self
                .rows
                .read()
                .by_id
                .get(&id)
                .is_some_and(|r| r.world.intersects(wanted))
    }

    /// Every list with its id, ascending.
    pub(crate) fn all(&self) -> Vec<(AclId, AclList)> {
        let rows = self.rows.read();
        let mut all: Vec<_> = rows
            .by_id
            .iter()
            .map(|(id, r)| (*id, r.list.clone()))
            .collect();
        all.sort_by_key(|(id, _)| *id);
        all
    }
}

impl Rows {
    fn insert(&mut self, id: AclId, list: AclList, uses: u64) {
        let world = world_perms(&list);
        self.by_list.entry(list.clone()).or_insert(id);
        self.by_id.insert(id, Row { list, uses, world });
    }

    fn remove(&mut self, id: AclId) {
        let Some(row) = self.by_id.remove(&id) else {
            return;
        };
        if self.by_list.get(&row.list) == Some(&id) {
            self.by_list.remove(&row.list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_share_an_id_while_used() {
        let t = AclTable::default();
        let a = t.add(&Acl::read_only());
        assert_eq!(t.add(&Acl::read_only()), a);
        assert!(t.world_has(a, Perms::READ) && !t.world_has(a, Perms::WRITE));
        t.release(a);
        assert!(t.list(a).is_some());
        t.release(a);
        assert!(t.list(a).is_none());
        assert_ne!(
            t.add(&Acl::read_only()),
            a,
            "ids are not used twice in one run"
        );
    }

    #[test]
    fn a_missing_list_denies() {
        let t = AclTable::default();
        assert_eq!(t.load(7, &Acl::open()), Some(AclId(7)));
        assert_eq!((t.resolve(7), t.resolve(8)), (AclId(7), AclId::UNRESOLVED));
        assert!(!t.world_has(AclId::UNRESOLVED, Perms::READ));
        t.release(AclId(7));
        assert_eq!(
            t.add(&Acl::read_only()),
            AclId(8),
            "numbering goes on behind the highest"
        );
    }
}
