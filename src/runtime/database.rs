//! What recovery rebuilds: the tree and the sessions (Apache: `ZKDatabase.loadDataBase`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::{Acl, SessionId, StatPersisted, Zxid};
use crate::conn::Clock;
use crate::proto::txn::{Entry, Txn, TxnHeader};
use crate::store::{Recovery, Refused, SnapshotDigest, SnapshotInfo, SnapshotVisitor};
use crate::telemetry::metrics::METRICS;
use crate::tree::apply::apply;
use crate::tree::loader::Loader;
use crate::tree::{DataTree, TreeOptions};
use crate::zab::{CommittedLog, Logged};

/// Transactions of the replay that are kept (Apache: `commitLogCount`).
const RECENT_MAX: usize = 500;

enum Filling {
    Snapshot(Box<Loader>),
    Tree(Box<DataTree>),
}

/// A database being rebuilt.
pub struct Database {
    filling: Filling,
    sessions: BTreeMap<i64, i32>,
    options: TreeOptions,
    /// The digest the snapshot foretells; until then the tree is a mixture of times.
    foretold: Option<SnapshotDigest>,
    mismatches: u64,
    clock: Option<Arc<dyn Clock>>,
    /// The transactions replayed last, and the zxid before the first of them, if any were dropped.
    recent: VecDeque<Logged>,
    keeps_recent: bool,
    dropped: Option<Zxid>,
    /// When this attempt began, and when its snapshot was loaded; monotonic ms.
    times: (i64, i64),
}

impl Database {
    /// An empty one.
    pub fn new(options: TreeOptions) -> Self {
        Self {
            clock: None,
            times: (0, 0),
            filling: Filling::Snapshot(Box::new(Loader::new(options))),
            sessions: BTreeMap::new(),
            options,
            foretold: None,
            mismatches: 0,
            recent: VecDeque::new(),
            keeps_recent: false,
            dropped: None,
        }
    }

    /// Measures how long it takes to load.
    pub fn timed_by(mut self, clock: Arc<dyn Clock>) -> Self {
        let now = clock.mono_ms();
        self.times = (now, now);
        self.clock = Some(clock);
        self
    }

    /// As a member of an ensemble wants it: see [`Database::take_recent`].
    pub fn keeping_recent(mut self) -> Self {
        self.keeps_recent = true;
        self
    }

    fn now(&self) -> i64 {
        self.clock.as_ref().map_or(0, |c| c.mono_ms())
    }

    /// How long the snapshot took to load, and everything since, ms.
    pub fn load_times(&self) -> (i64, i64) {
        let (began, loaded) = self.times;
        (loaded - began, self.now() - loaded)
    }

    /// What a member of an ensemble keeps of the replay, to bring others up to date: the last
    /// transactions, without a hole. The snapshot was taken at `start`.
    pub fn take_recent(&mut self, start: Zxid, count_min: usize, bytes_max: usize) -> CommittedLog {
        let base = self.dropped.unwrap_or(start);
        let mut recent = CommittedLog::new(base, count_min, bytes_max);
        for (zxid, bytes) in std::mem::take(&mut self.recent) {
            if zxid > recent.last() {
                recent.push(zxid, bytes);
            }
        }
        recent
    }

    fn keep(&mut self, zxid: Zxid, bytes: &[u8]) {
        if let Some((last, _)) = self.recent.back() {
            let follows = last.next() == Some(zxid) || zxid.epoch() > last.epoch();
            if !follows {
                self.dropped = Some(*last);
                self.recent.clear();
            }
        }
        self.recent.push_back((zxid, bytes.into()));
        if self.recent.len() > RECENT_MAX
            && let Some((zxid, _)) = self.recent.pop_front()
        {
            self.dropped = Some(zxid);
        }
    }

    /// The tree and the sessions as they are, for a member of an ensemble: ephemerals whose session
    /// nobody knows go by a transaction of the leader.
    pub fn finish_member(self, last: Zxid) -> (DataTree, BTreeMap<i64, i32>) {
        let tree = match self.filling {
            Filling::Tree(tree) => *tree,
            Filling::Snapshot(_) => DataTree::empty(self.options),
        };
        tree.set_loaded(last.max(tree.applied()));
        (tree, self.sessions)
    }

    /// The tree and the sessions with their timeouts, ms. Ephemerals of sessions that are not in
    /// the table go, without a transaction, as at every start of Apache standalone.
    pub fn finish(self, last: Zxid) -> (DataTree, BTreeMap<i64, i32>) {
        let tree = match self.filling {
            Filling::Tree(tree) => *tree,
            // Recovery ends a snapshot or begins empty; untrusted, it does neither.
            Filling::Snapshot(_) => DataTree::empty(self.options),
        };
        tree.set_loaded(last.max(tree.applied()));
        for session in tree.ephemeral_sessions() {
            if !self.sessions.contains_key(&session.0) {
                tracing::info!(
                    target: "o.a.z.s.ZooKeeperServer",
                    "Removing the ephemeral nodes of session {session}, which is no longer known"
                );
                end_session(&tree, session);
            }
        }
        (tree, self.sessions)
    }

    fn tree(&mut self) -> Result<&DataTree, Refused> {
        match &self.filling {
            Filling::Tree(tree) => Ok(tree),
            Filling::Snapshot(_) => Err(Refused::new("a transaction before the snapshot's end")),
        }
    }

    /// Compares what the digest should be with what it is, outside the snapshot's fuzzy range.
    fn compare(&mut self, entry: &Entry<'_>, digest: u64) {
        let zxid = entry.zxid();
        let expected = match &self.foretold {
            Some(at) if zxid < at.zxid => return,
            Some(at) if zxid == at.zxid => Some(at.digest),
            _ => entry.digest.as_ref().map(|d| d.digest as u64),
        };
        if let Filling::Tree(tree) = &self.filling {
            tree.trust_digests();
        }
        if expected.is_some_and(|e| e != digest) {
            METRICS.digest_mismatches_count.inc();
            self.mismatches += 1;
            if self.mismatches == 1 {
                tracing::error!(
                    target: "o.a.z.s.DataTree",
                    "Digests are not matching. Value is Zxid. {zxid}"
                );
            }
        }
    }
}

/// Deletes what a session owns, under the zxid the tree has.
fn end_session(tree: &DataTree, session: SessionId) {
    let header = TxnHeader {
        client_id: session.0,
        zxid: tree.applied().0,
        op: crate::proto::OpCode::CloseSession as i32,
        ..TxnHeader::default()
    };
    apply(
        tree,
        &Entry {
            header,
            txn: Txn::CloseSession(None),
            digest: None,
        },
        false,
        &mut vec![],
    );
}

impl SnapshotVisitor for Database {
    fn session(&mut self, id: i64, timeout: i32) -> Result<(), Refused> {
        self.sessions.insert(id, timeout);
        Ok(())
    }

    fn acl(&mut self, id: i64, acl: Option<Vec<Acl>>) -> Result<(), Refused> {
        if let Filling::Snapshot(loader) = &mut self.filling {
            loader.acl(id, &acl.unwrap_or_else(Acl::open));
        }
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), Refused> {
        match &mut self.filling {
            Filling::Snapshot(loader) => {
                loader.node(path, data, acl_id, &stat);
                Ok(())
            }
            Filling::Tree(_) => Err(Refused::new("a node behind the snapshot's end")),
        }
    }

    fn end(&mut self, info: &SnapshotInfo) -> Result<(), Refused> {
        let done = Filling::Snapshot(Box::new(Loader::new(self.options)));
        if let Filling::Snapshot(loader) = std::mem::replace(&mut self.filling, done) {
            let tree = loader.finish(Zxid::ZERO);
            self.filling = Filling::Tree(Box::new(tree.map_err(|e| Refused::new(e.to_string()))?));
        }
        self.times.1 = self.now();
        self.foretold = info.digest.filter(|d| d.zxid != Zxid::ZERO);
        if let (Filling::Tree(tree), Some(_)) = (&self.filling, &self.foretold) {
            tree.doubt_digests();
        }
        Ok(())
    }
}

impl Recovery for Database {
    fn begin_empty(&mut self) {
        self.filling = Filling::Tree(Box::new(DataTree::fresh(self.options)));
    }

    fn txn(&mut self, entry: &Entry<'_>, bytes: &[u8]) -> Result<(), Refused> {
        match &entry.txn {
            Txn::CreateSession(t) => {
                self.sessions.insert(entry.session().0, t.timeout);
            }
            Txn::CloseSession(_) => {
                self.sessions.remove(&entry.session().0);
            }
            _ => {}
        }
        let tree = self.tree()?;
        apply(tree, entry, false, &mut Vec::new());
        let digest = tree.digest().digest;
        if self.options.digest {
            self.compare(entry, digest);
        }
        if self.keeps_recent {
            self.keep(entry.zxid(), bytes);
        }
        Ok(())
    }
}
