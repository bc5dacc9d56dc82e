//! A committed transaction changes the tree (Apache: `DataTree.processTxn`).
//!
//! Apply never fails once a transaction is in the log: what cannot be done is an error code in the
//! outcome, as replay over a fuzzy snapshot needs it.

use std::sync::Arc;

use super::inbox::Inbox;
use super::locked::{LockSet, Locked};
use super::quota;
use super::tree::DataTree;
use super::watch::WatchTable;
use crate::base::{Acl, OwnerKind, SessionId, Stat, StatPersisted, Thin, Zxid, path};
use crate::jute::{Input, Str};
use crate::proto::txn::{Entry, SubTxn, Txn};
use crate::proto::{Code, OpCode};
use crate::telemetry::metrics::METRICS;

/// What one operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubOutcome {
    /// Type of the transaction.
    pub op: i32,
    /// `Ok`, or why nothing happened.
    pub err: i32,
    /// The final path of a create.
    pub path: Option<Thin>,
    /// Statistics afterwards, where the reply carries them.
    pub stat: Option<Stat>,
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The operation itself; of a multi only `op` and `err` say something.
    pub result: SubOutcome,
    /// The parts of a multi.
    pub multi: Vec<SubOutcome>,
}

impl SubOutcome {
    fn of(op: i32, err: Code) -> Self {
        Self {
            op,
            err: err as i32,
            path: None,
            stat: None,
        }
    }
}

/// Applies `entry`: changes the nodes, pushes the watch events, publishes the zxid, in that order
/// under the locks of everything it touches. Connections to wake are added to `wakes`.
///
/// `trusted` says that the entry's digest was computed by this server for exactly this tree, so that
/// it need not be computed a second time.
pub fn apply(
    tree: &DataTree,
    entry: &Entry<'_>,
    trusted: bool,
    wakes: &mut Vec<Arc<Inbox>>,
) -> Outcome {
    let known = entry
        .digest
        .as_ref()
        .filter(|_| trusted)
        .map(|d| d.digest as u64);
    let parts: Vec<Option<Txn<'_>>> = match &entry.txn {
        Txn::Multi(m) => m.txns.iter().flatten().map(sub_txn).collect(),
        _ => vec![],
    };
    let locked = Locked::new(tree, lock_set(tree, entry, &parts), known.is_none());
    let mut applier = Applier {
        locked,
        recursive: tree.recursive.read(),
        session: entry.session(),
        zxid: entry.zxid(),
        time: entry.header.time,
        wakes,
    };
    let outcome = applier.entry(entry, &parts);
    // A replayed or repeated older transaction never moves the zxid back.
    let upto = entry.zxid().max(tree.applied());
    applier.locked.publish(upto, known);
    outcome
}

/// Every shard the transaction may touch.
fn lock_set(tree: &DataTree, entry: &Entry<'_>, parts: &[Option<Txn<'_>>]) -> LockSet {
    let mut set = LockSet::default();
    add_locks(tree, &mut set, &entry.txn);
    match &entry.txn {
        Txn::CloseSession(_) => {
            for p in tree.ephemerals_of(entry.session()) {
                add_path(tree, &mut set, p.text());
            }
        }
        Txn::Multi(_) => {
            for txn in parts.iter().flatten() {
                add_locks(tree, &mut set, txn);
            }
        }
        _ => {}
    }
    set
}

fn add_path(tree: &DataTree, set: &mut LockSet, p: &str) {
    let p = path::stored(p);
    set.add(tree, p);
    set.add(tree, path::parent(p));
    if let Some(root) = tree.quotas.read().root_of(p) {
        set.add(tree, &quota::stats_path(root));
    }
}

fn add_locks(tree: &DataTree, set: &mut LockSet, txn: &Txn<'_>) {
    // The usage of a new quota is counted over its whole subtree, and a quota that comes or goes
    // changes which stats the operations behind it in a multi are charged to.
    let one = |p: &Str<'_>, set: &mut LockSet| {
        let p = p.as_deref().unwrap_or_default();
        if p.starts_with(quota::PREFIX) {
            set.add_all();
        }
        add_path(tree, set, p);
    };
    match txn {
        Txn::Create(t) => one(&t.path, set),
        Txn::CreateContainer(t) => one(&t.path, set),
        Txn::CreateTtl(t) => one(&t.path, set),
        Txn::Delete(t) => one(&t.path, set),
        Txn::SetData(t) => one(&t.path, set),
        Txn::SetAcl(t) => one(&t.path, set),
        Txn::CloseSession(Some(t)) => {
            t.paths.iter().flatten().for_each(|p| one(p, set));
        }
        Txn::CloseSession(None)
        | Txn::Check(_)
        | Txn::Multi(_)
        | Txn::CreateSession(_)
        | Txn::Error(_) => {}
    }
}

/// The body of a multi's part; `None` when it cannot be one, which ends the multi silently.
fn sub_txn<'a>(sub: &SubTxn<'a>) -> Option<Txn<'a>> {
    let allowed = matches!(
        OpCode::of(sub.op)?,
        OpCode::Create
            | OpCode::Create2
            | OpCode::CreateContainer
            | OpCode::CreateTtl
            | OpCode::Delete
            | OpCode::DeleteContainer
            | OpCode::SetData
            | OpCode::Check
            | OpCode::Error
    );
    let body = sub.data.filter(|_| allowed)?;
    Txn::decode(sub.op, &mut Input::trusted(body)).ok()
}

/// A transaction being applied.
pub(super) struct Applier<'t, 'w> {
    pub(super) locked: Locked<'t>,
    pub(super) recursive: parking_lot::RwLockReadGuard<'t, WatchTable>,
    session: SessionId,
    pub(super) zxid: Zxid,
    time: i64,
    pub(super) wakes: &'w mut Vec<Arc<Inbox>>,
}

impl Applier<'_, '_> {
    fn entry(&mut self, entry: &Entry<'_>, parts: &[Option<Txn<'_>>]) -> Outcome {
        let op = entry.header.op;
        match &entry.txn {
            Txn::Multi(m) => self.multi(op, m.txns.as_deref().unwrap_or_default(), parts),
            Txn::CloseSession(t) => {
                let listed = t
                    .as_ref()
                    .and_then(|t| t.paths.as_deref())
                    .unwrap_or_default();
                self.close_session(listed);
                Outcome {
                    result: SubOutcome::of(op, Code::Ok),
                    multi: vec![],
                }
            }
            txn => Outcome {
                result: self.one(op, txn),
                multi: vec![],
            },
        }
    }

    fn one(&mut self, op: i32, txn: &Txn<'_>) -> SubOutcome {
        match txn {
            Txn::Create(t) => {
                let kind = match t.ephemeral {
                    true => OwnerKind::Ephemeral(self.session),
                    false => OwnerKind::Persistent,
                };
                self.create(
                    op,
                    &t.path,
                    t.data,
                    t.acl.as_deref(),
                    kind,
                    t.parent_cversion,
                )
            }
            Txn::CreateContainer(t) => {
                let kind = OwnerKind::Container;
                self.create(
                    op,
                    &t.path,
                    t.data,
                    t.acl.as_deref(),
                    kind,
                    t.parent_cversion,
                )
            }
            Txn::CreateTtl(t) => {
                let kind = OwnerKind::Ttl(t.ttl);
                self.create(
                    op,
                    &t.path,
                    t.data,
                    t.acl.as_deref(),
                    kind,
                    t.parent_cversion,
                )
            }
            Txn::Delete(t) => {
                let code = self.delete(path::stored(t.path.as_deref().unwrap_or_default()));
                SubOutcome::of(op, code)
            }
            Txn::SetData(t) => self.set_data(op, &t.path, t.data, t.version),
            Txn::SetAcl(t) => self.set_acl(op, &t.path, t.acl.as_deref(), t.version),
            Txn::Error(t) => SubOutcome {
                err: t.err,
                ..SubOutcome::of(op, Code::Ok)
            },
            Txn::Check(_) | Txn::CreateSession(_) | Txn::CloseSession(_) | Txn::Multi(_) => {
                SubOutcome::of(op, Code::Ok)
            }
        }
    }

    /// `parts` are the bodies of `subs`.
    fn multi(&mut self, op: i32, subs: &[SubTxn<'_>], parts: &[Option<Txn<'_>>]) -> Outcome {
        let failed = subs.iter().any(|s| s.op == OpCode::Error as i32);
        let mut outcome = Outcome {
            result: SubOutcome::of(op, Code::Ok),
            multi: Vec::with_capacity(parts.len()),
        };
        for (sub, txn) in subs.iter().zip(parts) {
            let Some(txn) = txn else { break };
            let part = match txn {
                Txn::Error(t) => SubOutcome {
                    err: t.err,
                    ..SubOutcome::of(-1, Code::Ok)
                },
                _ if failed => SubOutcome::of(-1, Code::Ok),
                txn => self.one(sub.op, txn),
            };
            outcome.multi.push(part);
        }
        outcome
    }

    fn create(
        &mut self,
        op: i32,
        p: &Str<'_>,
        data: Option<&[u8]>,
        acl: Option<&[Acl]>,
        kind: OwnerKind,
        parent_cversion: i32,
    ) -> SubOutcome {
        let p = path::stored(p.as_deref().unwrap_or_default());
        let parent = path::parent(p);
        let (tree, zxid) = (self.locked.tree, self.zxid);
        if p.is_empty() {
            return SubOutcome::of(op, Code::NoNode);
        }
        let hash = tree.hash(p);
        if self.locked.find(hash, p).is_some() {
            if self.locked.get(parent).is_none() {
                return SubOutcome::of(op, Code::NoNode);
            }
            let acl = acl.map_or(super::AclId::OPEN, |list| tree.acls.add(list));
            return self.create_over(op, p, parent, acl, parent_cversion);
        }
        let thin = Thin::new(p.as_bytes());
        let parent_acl = self.locked.link(parent, hash, &thin, |q| {
            q.child_created(parent_cversion, zxid.0);
            q.acl
        });
        if parent_acl.is_none() {
            return SubOutcome::of(op, Code::NoNode);
        }
        let acl = acl.map_or(super::AclId::OPEN, |list| tree.acls.add(list));
        let stat = StatPersisted::created(zxid, self.time, kind);
        self.locked
            .enter(hash, thin.clone(), data.map(Thin::new), acl, &stat);
        note_write(p, data.map_or(0, <[u8]>::len));
        if matches!(kind, OwnerKind::Ttl(_)) {
            METRICS.ttl_node_created_count.inc();
        }
        self.quota_after_create(p, data.map_or(0, |d| d.len() as i64));
        self.trigger_created(p, parent, acl, parent_acl);
        let visible = stat.visible(data.map_or(0, <[u8]>::len), 0);
        SubOutcome {
            path: Some(thin),
            stat: Some(visible),
            ..SubOutcome::of(op, Code::Ok)
        }
    }

    /// Replay meets a node that a fuzzy snapshot already holds: its ACL may name a list the snapshot
    /// lacks, and its parent may be older than the node.
    fn create_over(
        &mut self,
        op: i32,
        p: &str,
        parent: &str,
        acl: super::AclId,
        parent_cversion: i32,
    ) -> SubOutcome {
        let zxid = self.zxid;
        if let Some(old) = self
            .locked
            .update(p, |n| std::mem::replace(&mut n.acl, acl))
        {
            self.locked.tree.acls.release(old);
        }
        if op == OpCode::Create as i32 {
            self.locked
                .update(parent, |q| q.child_created(parent_cversion, zxid.0));
        }
        SubOutcome::of(op, Code::NodeExists)
    }

    fn delete(&mut self, p: &str) -> Code {
        let zxid = self.zxid;
        let parent = path::parent(p);
        let raised = self.locked.update(parent, |q| {
            q.child_deleted(zxid.0);
            q.acl
        });
        let Some(parent_acl) = raised.filter(|_| !p.is_empty()) else {
            return Code::NoNode;
        };
        let acl = self.locked.get(p).map(|n| n.acl);
        // The ACL list is looked up before its last use goes with the node.
        let list = acl.and_then(|a| self.locked.tree.acls.list(a));
        let Some(node) = self.locked.take(p) else {
            return Code::NoNode;
        };
        note_write(p, 0);
        if matches!(node.owner(), OwnerKind::Ttl(_)) {
            METRICS.ttl_node_deleted_count.inc();
        }
        self.quota_after_delete(p, node.data_len() as i64);
        self.trigger_deleted(p, parent, list.as_ref(), parent_acl);
        Code::Ok
    }

    fn set_data(&mut self, op: i32, p: &Str<'_>, data: Option<&[u8]>, version: i32) -> SubOutcome {
        let p = path::stored(p.as_deref().unwrap_or_default());
        let (zxid, time) = (self.zxid, self.time);
        let thin = data.map(Thin::new);
        let new_len = data.map_or(0, <[u8]>::len);
        let changed = self.locked.update(p, |n| {
            let old_len = n.data_len();
            n.set_data(thin, version, zxid.0, time);
            (n.visible(), n.acl, new_len as i64 - old_len as i64)
        });
        let Some((stat, acl, delta)) = changed else {
            return SubOutcome::of(op, Code::NoNode);
        };
        self.locked
            .tree
            .data_size
            .fetch_add(delta, std::sync::atomic::Ordering::Relaxed);
        note_write(p, new_len);
        self.quota_after_set(p, delta);
        self.trigger_data_changed(p, acl);
        SubOutcome {
            stat: Some(stat),
            ..SubOutcome::of(op, Code::Ok)
        }
    }

    fn set_acl(&mut self, op: i32, p: &Str<'_>, acl: Option<&[Acl]>, version: i32) -> SubOutcome {
        let p = path::stored(p.as_deref().unwrap_or_default());
        let tree = self.locked.tree;
        if self.locked.get(p).is_none() {
            return SubOutcome::of(op, Code::NoNode);
        }
        let id = acl.map_or(super::AclId::OPEN, |list| tree.acls.add(list));
        let changed = self.locked.update(p, |n| {
            let old = n.acl;
            n.set_acl(id, version);
            (old, n.visible())
        });
        let Some((old, stat)) = changed else {
            return SubOutcome::of(op, Code::NoNode);
        };
        tree.acls.release(old);
        SubOutcome {
            stat: Some(stat),
            ..SubOutcome::of(op, Code::Ok)
        }
    }

    /// The listed paths first, then whatever the session still owns.
    fn close_session(&mut self, listed: &[Str<'_>]) {
        for p in listed {
            self.delete(path::stored(p.as_deref().unwrap_or_default()));
        }
        for p in self.locked.tree.ephemerals_of(self.session) {
            self.delete(p.text());
        }
    }
}

/// `write_per_namespace` (Apache: `DataTree.updateWriteStat`).
fn note_write(p: &str, bytes: usize) {
    if let Some(namespace) = path::top_name(p) {
        let set = &METRICS.write_per_namespace;
        set.with(namespace).record_len(p.len() + bytes);
    }
}
