//! Which change tells whom (Apache: `DataTree`, `WatchManager.triggerWatch`).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::acl_table::{AclId, AclList};
use super::apply::Applier;
use super::inbox::Inbox;
use super::watch::{Modes, deliver, event_frame};
use crate::base::{Perms, path};
use crate::proto::event::EventType;
use crate::telemetry::metrics::METRICS;

type Told = SmallVec<[Arc<Inbox>; 4]>;

/// What guards the news of a change.
enum Guard {
    Everyone,
    List(AclList),
    Nobody,
}

impl Applier<'_, '_> {
    fn guard(&self, acl: AclId) -> Guard {
        let acls = &self.locked.tree.acls;
        if acls.world_has(acl, Perms::READ) {
            return Guard::Everyone;
        }
        acls.list(acl).map_or(Guard::Nobody, Guard::List)
    }

    /// data[P] NodeCreated, then child[Q] NodeChildrenChanged.
    pub(super) fn trigger_created(
        &mut self,
        p: &str,
        parent: &str,
        acl: AclId,
        parent_acl: Option<AclId>,
    ) {
        let told = self.collect_data(p);
        self.tell(&told, &[], EventType::Created, p, |a| a.guard(acl));
        self.trigger_children_changed(parent, parent_acl);
    }

    /// data[P] NodeDeleted, child[P] NodeDeleted to those not told yet, child[Q] NodeChildrenChanged.
    pub(super) fn trigger_deleted(
        &mut self,
        p: &str,
        parent: &str,
        acl: Option<&AclList>,
        parent_acl: AclId,
    ) {
        let world = |l: &&AclList| {
            l.iter().any(|a| {
                a.id.scheme == "world" && a.id.id == "anyone" && a.perms.intersects(Perms::READ)
            })
        };
        let guard = |_: &Self| match acl {
            None => Guard::Nobody,
            Some(l) if world(&l) => Guard::Everyone,
            Some(l) => Guard::List(l.clone()),
        };
        let told = self.collect_data(p);
        self.tell(&told, &[], EventType::Deleted, p, guard);
        let children = self.collect_child(p);
        self.tell(&children, &told, EventType::Deleted, p, guard);
        self.trigger_children_changed(parent, Some(parent_acl));
    }

    /// data[P] NodeDataChanged.
    pub(super) fn trigger_data_changed(&mut self, p: &str, acl: AclId) {
        let told = self.collect_data(p);
        self.tell(&told, &[], EventType::DataChanged, p, |a| a.guard(acl));
    }

    fn trigger_children_changed(&mut self, parent: &str, acl: Option<AclId>) {
        let told = self.collect_child(parent);
        self.tell(
            &told,
            &[],
            EventType::ChildrenChanged,
            parent,
            |a| match acl {
                Some(acl) => a.guard(acl),
                None => Guard::Nobody,
            },
        );
    }

    /// Everyone registered at exactly `p` in the data table, and everyone with a recursive watch on
    /// it or above; each connection once. One-shots are used up.
    fn collect_data(&mut self, p: &str) -> Told {
        let mut told = self.fire(p, Modes::DATA.with(Modes::PERSISTENT), Modes::DATA);
        if !self.recursive.is_empty() {
            for above in path::ancestors_from(p) {
                if let Some(w) = self.recursive.get(above.as_bytes()) {
                    w.for_each(|inbox, _| told.push(inbox.clone()));
                }
            }
        }
        // Each connection once; thousands may watch, so they are sorted, not compared in pairs.
        told.sort_unstable_by_key(|inbox| inbox.id);
        told.dedup_by_key(|inbox| inbox.id);
        told
    }

    fn collect_child(&mut self, p: &str) -> Told {
        self.fire(p, Modes::CHILD.with(Modes::PERSISTENT), Modes::CHILD)
    }

    fn fire(&mut self, p: &str, modes: Modes, shot: Modes) -> Told {
        let tree = self.locked.tree;
        let mut watches = tree.shard(tree.hash(p)).watches.lock();
        let mut told = Told::new();
        if watches.is_empty() {
            return told;
        }
        let mut change = 0;
        watches.fire(p.as_bytes(), modes, shot, |inbox| {
            change += inbox.unwatch(p.as_bytes(), shot);
            told.push(inbox.clone());
        });
        tree.watches.fetch_add(change, Ordering::Relaxed);
        told
    }

    /// Tells everyone in `told` who may know, except those in `but`, which is sorted by connection.
    fn tell(
        &mut self,
        told: &[Arc<Inbox>],
        but: &[Arc<Inbox>],
        kind: EventType,
        p: &str,
        guard: impl FnOnce(&Self) -> Guard,
    ) {
        if told.is_empty() {
            return;
        }
        let guard = guard(self);
        let frame = event_frame(kind, self.zxid, path::shown(p));
        for inbox in told {
            let allowed = match &guard {
                Guard::Everyone => true,
                Guard::List(acl) => inbox.may_read(acl),
                Guard::Nobody => false,
            };
            if allowed && but.binary_search_by_key(&inbox.id, |b| b.id).is_err() {
                deliver(inbox, self.zxid, &frame, self.wakes);
            }
        }
        let metric = match kind {
            EventType::Created => &METRICS.node_created_watch_count,
            EventType::Deleted => &METRICS.node_deleted_watch_count,
            EventType::DataChanged => &METRICS.node_changed_watch_count,
            EventType::ChildrenChanged => &METRICS.node_children_watch_count,
        };
        metric.record_len(told.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Acl, ConnId, Zxid};
    use crate::proto::OpCode;
    use crate::proto::txn::{CreateTxn, DeleteTxn, Entry, Txn, TxnHeader, some};
    use crate::tree::apply::apply;
    use crate::tree::{DataTree, Item, TreeOptions};

    fn entry<'a>(zxid: i64, op: OpCode, txn: Txn<'a>) -> Entry<'a> {
        let header = TxnHeader {
            zxid,
            op: op as i32,
            ..TxnHeader::default()
        };
        Entry {
            header,
            txn,
            digest: None,
        }
    }

    fn frames(inbox: &Inbox) -> usize {
        std::iter::from_fn(|| inbox.pop(Zxid(i64::MAX)))
            .filter(|item| matches!(item, Item::Event(..)))
            .count()
    }

    /// Many ways to hear of one change, and each connection hears of it once.
    #[test]
    fn each_connection_is_told_once_a_trigger() {
        let tree = DataTree::fresh(TreeOptions::default());
        let inboxes: Vec<_> = (1..=500)
            .rev()
            .map(|n| Inbox::new(ConnId(n), vec![], Arc::new(|_, _| true)))
            .collect();
        for inbox in &inboxes {
            tree.add_watch("/", inbox, true);
            tree.add_watch("/a", inbox, true);
            tree.add_watch("/a", inbox, false);
        }
        let acl = Some(Acl::open());
        let create = CreateTxn {
            path: some("/a"),
            acl,
            parent_cversion: 1,
            ..CreateTxn::default()
        };
        apply(
            &tree,
            &entry(1, OpCode::Create, Txn::Create(create)),
            false,
            &mut vec![],
        );
        assert!(inboxes.iter().all(|i| frames(i) == 1), "created");
        // Other tests count, too.
        assert!(METRICS.node_created_watch_count.totals().max >= 500);
        // The data and the child table both hear of a deletion; the second skips the first's.
        let delete = DeleteTxn { path: some("/a") };
        apply(
            &tree,
            &entry(2, OpCode::Delete, Txn::Delete(delete)),
            false,
            &mut vec![],
        );
        assert!(inboxes.iter().all(|i| frames(i) == 1), "deleted");
    }
}
