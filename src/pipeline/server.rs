//! The server as one state machine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::hash::{Map, Set};
use crate::base::{SessionId, Zxid};
use crate::proto::{Code, OpCode};
use crate::session::{SessionTracker, first_session_id};
use crate::telemetry::metrics::METRICS;
use crate::tree::{DataTree, Inbox, Item};
use crate::zab::{Broadcast, QuorumVerifier};

use super::event::{Effects, Input, LogOp, Now, Owner, Request, Role, ServerOptions, SnapshotJob};
use super::learner::Upstream;
use super::owners::OwnerNotes;
use super::prep::{Prep, Refused};
use super::reaper::Reaper;
use super::roll::RollClock;
use super::throttle::{Throttler, Verdict};

/// Numbers of the server that its commands show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounters {
    /// Proposals on their way to commit.
    pub outstanding: usize,
    /// Paths with changes on their way.
    pub changes: usize,
}

/// What a proposal remembers until it commits.
#[derive(Debug)]
pub(super) enum Pending {
    /// A transaction in the log.
    Txn {
        bytes: Arc<[u8]>,
        origin: Option<Arc<Inbox>>,
        xid: i32,
        op: OpCode,
        received_ms: i64,
        prepared_ms: i64,
    },
    /// An answer that must not overtake the ones before it.
    Answer {
        origin: Option<Arc<Inbox>>,
        xid: i32,
        code: Code,
    },
    /// The end of a local session, behind everything that came before it.
    CloseLocal {
        origin: Option<Arc<Inbox>>,
        session: SessionId,
        xid: i32,
    },
}

/// Prepares, proposes, commits and applies; see the module.
pub struct Server {
    pub(super) tree: Arc<DataTree>,
    pub(super) sessions: Arc<SessionTracker>,
    pub(super) prep: Prep,
    pub(super) zab: Broadcast<Pending>,
    /// Connection of each session that has one.
    pub(super) bound: Map<SessionId, Arc<Inbox>>,
    /// Sessions whose createSession has not been applied.
    pub(super) opening: Set<SessionId>,
    pub(super) next_session: SessionId,
    pub(super) options: ServerOptions,
    /// What is under way to a leader; empty unless this server learns.
    pub(super) upstream: Upstream,
    pub(super) throttler: Throttler,
    /// New requests while a leader prepares none.
    pub(super) held: Option<VecDeque<Request>>,
    /// What is told, or was, of the sessions' owners when leadership moves.
    pub(super) owners: OwnerNotes,
    pub(super) reaper: Reaper,
    roll: RollClock,
    snapshot_running: bool,
    last_snapshot: Option<Arc<AtomicBool>>,
}

impl Server {
    /// A server over a recovered tree. `sessions` holds the recovered sessions.
    pub fn new(
        tree: Arc<DataTree>,
        sessions: Arc<SessionTracker>,
        options: ServerOptions,
        now: Now,
    ) -> Self {
        let history = tree.applied();
        // Who serves has everything that a snapshot may have held too early.
        tree.trust_digests();
        Self {
            prep: Prep::new(tree.clone(), sessions.clone(), options.clone()),
            zab: match options.role {
                Role::Alone => Broadcast::standalone(options.server_id, history),
                Role::Leader | Role::Learner | Role::ReadOnly => {
                    Broadcast::new(QuorumVerifier::alone(options.server_id), history)
                }
            },
            upstream: Upstream::default(),
            bound: Map::default(),
            opening: Set::default(),
            next_session: first_session_id(options.server_id, now.mono_ms),
            throttler: Throttler::new(options.throttle.clone(), sessions.clone()),
            held: None,
            owners: OwnerNotes::default(),
            reaper: Reaper::new(&options, now),
            roll: RollClock::new(options.snap_count, options.snap_size, options.seed),
            snapshot_running: false,
            last_snapshot: None,
            tree,
            sessions,
            options,
        }
    }

    /// Takes one input at `now` and adds what must be done to `out`.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Request(request) => self.submit(request, now, out),
            Input::Connect(request) => self.connect(request, now, out),
            Input::Gone(inbox, session) => self.gone(&inbox, session),
            Input::Durable(zxid) => self.zab.ack(self.options.server_id, zxid),
            Input::Decided(bytes) => self.decided(&bytes, now, out),
            Input::Synced => self.synced(out),
            Input::Revalidated(session, valid) => self.revalidated(session, valid, now, out),
            Input::SnapshotDone => self.snapshot_running = false,
            Input::Tick => {}
        }
        // Whatever comes in, time has passed: a server that is never idle must expire sessions too.
        if self.next_tick().is_some_and(|due| due <= now.mono_ms) {
            self.tick(now, out);
        }
        loop {
            while let Some(proposal) = self.zab.take_committed() {
                self.commit(proposal, now, out);
            }
            // What is answered makes room for what waits, and some of that is answered at once.
            let Some(verdict) = self.throttler.next(now.mono_ms) else {
                break;
            };
            self.carry_out(verdict, now, out);
        }
    }

    /// Transactions replayed at the start count towards the next snapshot, so that restarts do not
    /// let the logs behind the last one grow without end.
    pub fn note_replayed(&mut self, txns: u64) {
        self.roll.replayed(txns);
    }

    /// Orders writes, and so ends sessions and reaps.
    fn rules(&self) -> bool {
        matches!(self.options.role, Role::Alone | Role::Leader)
    }

    /// When [`Input::Tick`] is due at the latest, monotonic ms. Only the leader ends sessions that
    /// are not local.
    pub fn next_tick(&self) -> Option<i64> {
        let local = self.sessions.next_local_deadline();
        if !self.rules() {
            return local;
        }
        self.sessions
            .next_deadline()
            .into_iter()
            .chain(local)
            .chain([self.reaper.next()])
            .chain(self.throttler.deadline())
            .min()
    }

    /// Numbers for the commands that show them.
    pub fn counters(&self) -> ServerCounters {
        ServerCounters {
            outstanding: self.zab.len()
                + self.upstream.len()
                + self.held.as_ref().map_or(0, VecDeque::len),
            changes: self.prep.outstanding.len(),
        }
    }

    /// A request of a client or of the server itself; the former may have to wait. A learner has
    /// nothing to prepare, so that nothing waits here.
    pub(super) fn submit(&mut self, request: Request, now: Now, out: &mut Effects) {
        match self.options.role {
            Role::Learner => return self.submit_to_leader(request, out),
            Role::ReadOnly => return self.submit_read_only(request, out),
            Role::Alone | Role::Leader => {}
        }
        METRICS.prep_processor_request_queued.inc();
        if request.origin.is_none() {
            self.prepare(request, now, out);
        } else if self.throttler.is_on() {
            self.throttler.put(request, now.mono_ms);
        } else {
            let waited = now.mono_ms - request.received_ms;
            METRICS.prep_processor_queue_time_ms.record(waited);
            let verdict = self.throttler.enter(request, 0, now.mono_ms);
            self.carry_out(verdict, now, out);
        }
    }

    fn carry_out(&mut self, verdict: Verdict, now: Now, out: &mut Effects) {
        match verdict {
            Verdict::Enter(request) => self.prepare(request, now, out),
            Verdict::TooLate(request) => self.refuse(request, Code::ThrottledOp),
            Verdict::Drop(request) => {
                if let Some(inbox) = request.origin {
                    inbox.set_invalid();
                    self.push(&inbox, Item::Close(self.tree.applied()), out);
                }
            }
        }
    }

    /// Prepares a request and proposes its transaction.
    pub(super) fn prepare(&mut self, request: Request, now: Now, out: &mut Effects) {
        if let Some(held) = &mut self.held {
            return held.push_back(request);
        }
        if request.op == OpCode::Sync {
            return self.sync_here(request, out);
        }
        // What is held is held as it came: no session is known before its opening is proposed.
        if self.next_zxid().is_none() {
            return self.exhausted(request, now, out);
        }
        let Some(request) = self.screen_local(request, now, out) else {
            return;
        };
        // The opening of its session may have taken the last one.
        let Some(zxid) = self.next_zxid() else {
            return self.exhausted(request, now, out);
        };
        self.track_forwarded(&request, now);
        self.owners.note(request.session);
        match self.prep.prepare(&request, zxid, now) {
            Ok(bytes) => self.propose(zxid, bytes, request, now, out),
            Err(Refused::Undecodable) => self.refuse(request, Code::MarshallingError),
            Err(Refused::Error(code)) => self.refuse(request, code),
        }
    }

    /// A leader never uses the last counter of its epoch: the next leader begins a new one.
    fn next_zxid(&self) -> Option<Zxid> {
        let alone = self.options.role == Role::Alone;
        let next = self.zab.next_zxid();
        next.filter(|z| alone || z.counter() != u32::MAX)
    }

    /// The epoch has no zxid left for this request.
    fn exhausted(&mut self, request: Request, now: Now, out: &mut Effects) {
        if self.options.role == Role::Alone {
            return self.refuse(request, Code::RuntimeInconsistency);
        }
        out.exhausted = true;
        self.hold();
        self.prepare(request, now, out);
    }

    fn refuse(&mut self, request: Request, code: Code) {
        self.zab.wait(Pending::Answer {
            origin: request.origin,
            xid: request.xid,
            code,
        });
    }

    fn propose(
        &mut self,
        zxid: Zxid,
        bytes: Arc<[u8]>,
        request: Request,
        now: Now,
        out: &mut Effects,
    ) {
        out.log.push(LogOp::Append(zxid, bytes.clone()));
        let due = self.roll.appended(bytes.len());
        let (xid, op, origin) = (request.xid, request.op, request.origin);
        let received_ms = request.received_ms;
        self.zab.propose(
            zxid,
            Pending::Txn {
                bytes,
                origin,
                xid,
                op,
                received_ms,
                prepared_ms: now.mono_ms,
            },
        );
        METRICS.proposal_count.inc();
        if due {
            self.roll_over(out);
        }
    }

    /// A learner hands a transaction to its log; the same rules say when the log rolls.
    pub fn note_logged(&mut self, bytes: usize, out: &mut Effects) {
        if self.roll.appended(bytes) {
            self.roll_over(out);
        }
    }

    fn roll_over(&mut self, out: &mut Effects) {
        out.log.push(LogOp::Roll);
        self.start_snapshot(out);
    }

    /// At most one snapshot runs; the roll stays also when there is none. It holds no session that
    /// the log may not have: after a crash nobody would know of it.
    fn start_snapshot(&mut self, out: &mut Effects) {
        if std::mem::replace(&mut self.snapshot_running, true) {
            return;
        }
        let job = self.snapshot_job();
        self.last_snapshot = Some(job.cancelled.clone());
        out.snapshot = Some(job);
    }

    /// A snapshot of what is applied now.
    pub fn snapshot_job(&self) -> SnapshotJob {
        SnapshotJob::new(self.tree.clone(), &self.live_sessions())
    }

    /// Sessions that were opened and not closed, as far as everything is applied.
    pub(super) fn live_sessions(&self) -> BTreeMap<i64, i32> {
        let all = self.sessions.all().into_iter();
        all.filter(|(s, _)| !self.opening.contains(s))
            .map(|(s, t)| (s.0, t))
            .collect()
    }

    /// The role ends: nobody is served any more, and no snapshot may be finished that could see
    /// what comes into the tree from now on. The sessions that live.
    pub fn end(&mut self) -> BTreeMap<i64, i32> {
        for inbox in self.bound.values() {
            inbox.dismiss();
        }
        if let Some(cancelled) = self.last_snapshot.take() {
            cancelled.store(true, Ordering::Release);
        }
        self.live_sessions()
    }

    fn tick(&mut self, now: Now, out: &mut Effects) {
        let mut expired = self.sessions.expire_local(now.mono_ms);
        if self.rules() {
            expired.append(&mut self.sessions.expire(now.mono_ms));
        }
        for session in expired {
            if let Some(s) = self.sessions.get(session) {
                tracing::info!(
                    target: "o.a.z.s.ZooKeeperServer",
                    "Expiring session {session}, timeout of {}ms exceeded", s.timeout()
                );
            }
            METRICS.stale_sessions_expired.inc();
            self.submit(
                internal(session, OpCode::CloseSession, Box::default(), now),
                now,
                out,
            );
        }
        if !self.rules() {
            return;
        }
        for p in self.reaper.due(&self.tree, now) {
            let mut body = Vec::new();
            crate::jute::Output::string(&mut body, Some(p.text()));
            let request = internal(SessionId::NONE, OpCode::DeleteContainer, body.into(), now);
            self.submit(request, now, out);
        }
    }
}

/// A request the server makes of itself.
pub(super) fn internal(session: SessionId, op: OpCode, body: Box<[u8]>, now: Now) -> Request {
    Request {
        owner: Owner::Here,
        session,
        xid: 0,
        op,
        body,
        ids: Arc::new([]),
        origin: None,
        received_ms: now.mono_ms,
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
