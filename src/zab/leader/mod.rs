//! The leader's side of ZAB (Apache: `Leader`, `LearnerHandler`).
//!
//! A pure state machine: packets, completions and the time come in, effects go out in the order in
//! which they must happen. It never sends a promise before the input that says it is durable:
//!
//! `Discovery` (who promised what) -> `Accepting` (our own promise is being written) -> `Promises`
//! (a quorum answers ours) -> `Entering` (our epoch is being written) -> `Syncing` (a quorum takes
//! over our history) -> `Active`.

mod confirm;
mod handler;
mod handover;
mod proposals;
mod quorum_wait;
mod reconfig;
mod sync;
mod syncs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::committed_log::CommittedLog;
use super::link::{LinkId, Logged};
use super::quorum::JointQuorum;
use super::reconfig::Views;
use crate::base::{Epoch, ServerId, SessionId, Zxid};
use crate::config::Ensemble;
use crate::proto::quorum::payload::decode_touches;
use crate::proto::quorum::{
    LearnerRequest, PacketType, QuorumPacket, RevalidateAnswer, RevalidateRequest,
};
use crate::telemetry::metrics::METRICS;

use confirm::Confirmation;
use handover::Handover;

pub use handler::{Handler, LearnerKind};
pub use handover::{ANSWER_MS, HOLD_MS, NOT_CAUGHT_UP, NOT_SETTLED};
use proposals::Proposals;
pub(super) use sync::is_whole;
use syncs::WaitingSync;

/// Connections that have not said who they are.
pub(super) const UNKNOWN_MAX: usize = 128;

/// Learners at once, without the voters.
const LEARNERS_MAX: usize = 1024;

/// No member has accepted an epoch so far from ours: each took an election. With what a liar says
/// epochs could come to their end.
const EPOCHS_AHEAD_MAX: i32 = 1 << 24;

/// What a server has on stable storage when it starts a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last transaction, logged or in a snapshot; -1 when data may have been lost.
    pub last: Zxid,
    /// `acceptedEpoch`.
    pub accepted: Epoch,
    /// `currentEpoch`.
    pub current: Epoch,
}

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct LeaderOptions {
    /// `tickTime`, ms.
    pub tick_ms: i64,
    /// `initLimit`, ticks.
    pub init_limit: i64,
    /// `syncLimit`, ticks.
    pub sync_limit: i64,
    /// `reconfigEnabled`.
    pub reconfig: bool,
    /// `forceSnapshotSync`.
    pub force_snapshot: bool,
    /// Counter at which an epoch opens; 0 but in tests (`testingonly.initialZxid`).
    pub initial_counter: u32,
    /// A sync is answered only when a quorum has confirmed that we lead.
    pub linearizable_sync: bool,
}

/// A request that came from a learner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedRequest {
    /// Which link it came on: the owner of its session.
    pub link: LinkId,
    /// The server at the other end; negative if it told no id.
    pub sid: ServerId,
    /// Whose request.
    pub session: SessionId,
    /// The client's xid.
    pub cxid: i32,
    /// Operation code.
    pub op: i32,
    /// The request as the client sent it, without its header.
    pub body: Box<[u8]>,
    /// Identities of the client.
    pub ids: Vec<crate::base::Id>,
}

/// What must be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaderEffect {
    /// Send it.
    Send(LinkId, QuorumPacket),
    /// Send the database as it is now, behind everything sent so far.
    SendSnapshot(LinkId),
    /// Read transactions `from..=upto` from the log, then call [`Leader::log_read`].
    ReadLog {
        /// For whom.
        link: LinkId,
        /// The learner's last transaction, which must be there too.
        from: Zxid,
        /// The last one wanted.
        upto: Zxid,
    },
    /// Close it.
    Close(LinkId, &'static str),
    /// Write `acceptedEpoch` durably, then call [`Leader::epoch_accepted`].
    AcceptEpoch(Epoch),
    /// Write `currentEpoch` durably, then call [`Leader::epoch_entered`].
    EnterEpoch(Epoch),
    /// A quorum follows: take clients. The first transaction is 1 of this epoch.
    Serve(Epoch),
    /// Everything up to here is committed, and durable here: apply it.
    Commit(Zxid),
    /// The last seen configuration changed: store it, before anything that follows is done.
    Seen(Box<Ensemble>),
    /// A configuration is committed: act by it.
    Activate {
        /// The configuration.
        config: Box<Ensemble>,
        /// The server that leads from now on; when it is another one, nothing more is committed
        /// here.
        designated: ServerId,
        /// The end of the history that is handed over.
        zxid: Zxid,
    },
    /// A learner's client wants this.
    Request(ForwardedRequest),
    /// A learner's client showed a sign of life.
    Touch(SessionId, i32),
    /// Answer with [`Leader::revalidated`].
    Revalidate(LinkId, SessionId, i32),
    /// Answer the oldest sync of our own clients.
    Synced,
    /// Tell some more owners of sessions with [`Leader::owners`].
    TellOwners,
    /// Prepare no new writes, but keep them; then call [`Leader::holding`].
    Hold,
    /// The handover is given up for this reason: prepare what was kept.
    Resume(&'static str),
    /// The reign is over with everything applied; this server leads next, and it may be us.
    HandedOver(ServerId),
    /// No longer leader.
    StepDown(&'static str),
}

/// How far the leadership has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for FOLLOWERINFO from a quorum.
    Discovery,
    /// `acceptedEpoch` is being written.
    Accepting,
    /// Waits for ACKEPOCH from a quorum.
    Promises,
    /// `currentEpoch` is being written.
    Entering,
    /// Waits until a quorum has acknowledged NEWLEADER.
    Syncing,
    /// Leads.
    Active,
    /// Stepped down.
    Ended,
}

/// See the module.
#[derive(Debug)]
pub struct Leader {
    me: ServerId,
    options: LeaderOptions,
    /// The configurations, and who decides by them.
    views: Views,
    quorum: Arc<JointQuorum>,
    history: History,
    phase: Phase,
    /// The last time that was told, monotonic ms.
    now_ms: i64,
    /// A reconfiguration was the last thing committed here: another server leads (Apache:
    /// `allowedToCommit`).
    retired: bool,
    /// When the current wait or reign began, monotonic ms.
    since_ms: i64,
    next_ping_ms: i64,
    next_tick_ms: i64,
    epoch: Epoch,
    handlers: BTreeMap<LinkId, Handler>,
    proposals: Proposals,
    cache: CommittedLog,
    /// Everything up to here is applied to our database.
    applied: Zxid,
    /// Our own log is durable up to here.
    durable: Zxid,
    syncs: VecDeque<WaitingSync>,
    confirmation: Confirmation,
    handover: Option<Handover>,
    out: Vec<LeaderEffect>,
}

impl Leader {
    /// Leads with `history`, whose last transactions are in `cache`.
    pub fn new(
        me: ServerId,
        options: LeaderOptions,
        views: Views,
        history: History,
        cache: CommittedLog,
        now: i64,
    ) -> Self {
        let mut leader = Self {
            me,
            quorum: Arc::new(views.quorum()),
            views,
            history,
            phase: Phase::Discovery,
            now_ms: now,
            retired: false,
            since_ms: now,
            next_ping_ms: now + options.tick_ms / 2,
            next_tick_ms: now + options.tick_ms,
            epoch: Epoch(-1),
            handlers: BTreeMap::new(),
            proposals: Proposals::new(history.last),
            applied: history.last,
            durable: history.last,
            cache,
            syncs: VecDeque::new(),
            confirmation: Confirmation::default(),
            handover: None,
            out: Vec::new(),
            options,
        };
        leader.try_new_epoch(now);
        leader
    }

    /// What to do; empties the list.
    pub fn take_effects(&mut self) -> Vec<LeaderEffect> {
        std::mem::take(&mut self.out)
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The epoch it leads, once known.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Learners as they are now.
    pub fn handlers(&self) -> impl Iterator<Item = &Handler> {
        self.handlers.values()
    }

    /// The committed transactions kept, for the next role.
    pub fn into_cache(self) -> (CommittedLog, Vec<Logged>) {
        (self.cache, self.proposals.into_entries())
    }

    /// Who is on a link; `None` when nobody is any more, or has told no id.
    pub fn sid_on(&self, link: LinkId) -> Option<ServerId> {
        let sid = self.handlers.get(&link).map(|h| h.sid);
        sid.filter(|sid| sid.0 >= 0)
    }

    /// Own id.
    pub fn me(&self) -> ServerId {
        self.me
    }

    /// What is committed and kept behind `zxid`.
    pub fn committed_after(&self, zxid: Zxid) -> Vec<Logged> {
        self.cache.after(zxid)
    }

    /// A learner asked for what it must not.
    pub fn refuse(&mut self, link: LinkId, why: &'static str) {
        self.close(link, why);
    }

    /// The last zxid proposed.
    pub fn last_proposed(&self) -> Zxid {
        self.proposals.last()
    }

    /// Does it vote?
    pub fn votes(&self, server: ServerId) -> bool {
        self.quorum.is_voter(server)
    }

    /// Syncs that wait for a commit.
    pub fn pending_syncs(&self) -> usize {
        self.syncs.len()
    }

    /// How many proposals are not committed.
    pub fn outstanding(&self) -> usize {
        self.proposals.len()
    }

    /// True when `handler` is in time: heard of within the limit.
    pub fn is_synced(&self, handler: &Handler, now: i64) -> bool {
        handler.is_acked() && now <= handler.deadline_ms
    }

    /// When [`Leader::tick`] is due.
    pub fn next_deadline(&self) -> i64 {
        let handover = self.handover.as_ref().map(|h| h.until_ms);
        let ticks = self.next_ping_ms.min(self.next_tick_ms);
        handover.map_or(ticks, |at| at.min(ticks))
    }

    fn init_ms(&self) -> i64 {
        self.options.init_limit * self.options.tick_ms
    }

    fn sync_ms(&self) -> i64 {
        self.options.sync_limit * self.options.tick_ms
    }

    fn step_down(&mut self, why: &'static str) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.out.push(LeaderEffect::StepDown(why));
        }
    }

    /// A learner connected. Of too many that have not said who they are the oldest goes.
    pub fn connected(&mut self, now: i64, link: LinkId) {
        let unknown = self.handlers.values().filter(|h| !h.is_known());
        let unknown: Vec<_> = unknown.map(|h| h.link).collect();
        if let Some(oldest) = unknown.first().filter(|_| unknown.len() >= UNKNOWN_MAX) {
            self.close(*oldest, "too many connections say nothing");
        }
        let patience = self.init_ms() + self.sync_ms();
        self.handlers
            .insert(link, Handler::new(link, now + patience));
    }

    /// A learner is gone. What it logged stays logged: its acknowledgements count on.
    pub fn gone(&mut self, link: LinkId) {
        self.handlers.remove(&link);
        self.syncs.retain(|s| s.link != Some(link));
        self.heir_gone(link);
        self.try_retire();
    }

    fn close(&mut self, link: LinkId, why: &'static str) {
        self.gone(link);
        self.out.push(LeaderEffect::Close(link, why));
    }

    fn send(&mut self, link: LinkId, packet: QuorumPacket) {
        self.out.push(LeaderEffect::Send(link, packet));
    }

    /// A packet from a learner.
    pub fn packet(&mut self, now: i64, link: LinkId, packet: QuorumPacket) {
        self.now_ms = now;
        if self.phase == Phase::Ended {
            return;
        }
        let Some(handler) = self.handlers.get_mut(&link) else {
            return;
        };
        handler.heard(now, self.options.sync_limit * self.options.tick_ms);
        let Some(kind) = PacketType::from_i32(packet.kind) else {
            if !handler.is_known() {
                self.close(link, "the first packet is no FOLLOWERINFO");
            }
            return;
        };
        if !handler.is_known() {
            return self.introduce(now, link, kind, &packet);
        }
        match kind {
            PacketType::AckEpoch => self.ack_epoch(now, link, &packet),
            PacketType::Ack => self.ack_packet(now, link, packet.zxid),
            PacketType::Ping => {
                self.pong(link);
                self.ping_answer(link, &packet);
            }
            PacketType::Request => self.request(link, packet),
            PacketType::Revalidate => self.revalidate(link, &packet),
            PacketType::HandoverReady => self.heir_ready(link),
            PacketType::HandoverOwners => self.heir_listens(link),
            // Apache logs it and goes on.
            _ => tracing::warn!(
                target: "o.a.z.s.q.LearnerHandler",
                "unexpected quorum packet, type: {}", packet.kind
            ),
        }
    }

    fn ping_answer(&mut self, link: LinkId, packet: &QuorumPacket) {
        match decode_touches(packet.data.as_deref()) {
            Ok(touches) => self.out.extend(
                touches
                    .into_iter()
                    .map(|(session, timeout)| LeaderEffect::Touch(session, timeout)),
            ),
            Err(_) => self.close(link, "a PING that cannot be read"),
        }
    }

    fn request(&mut self, link: LinkId, packet: QuorumPacket) {
        let Ok(r) = LearnerRequest::decode(packet.data.as_deref()) else {
            return self.close(link, "a REQUEST that cannot be read");
        };
        if r.op == crate::proto::OpCode::Sync as i32 {
            return self.sync(Some(link));
        }
        let request = ForwardedRequest {
            link,
            sid: self.sid_on(link).unwrap_or(ServerId(-1)),
            session: r.session,
            cxid: r.cxid,
            op: r.op,
            body: r.body.into(),
            ids: packet.auth.unwrap_or_default(),
        };
        self.out.push(LeaderEffect::Request(request));
    }

    fn revalidate(&mut self, link: LinkId, packet: &QuorumPacket) {
        METRICS.revalidate_count.inc();
        match RevalidateRequest::decode(packet.data.as_deref()) {
            Ok(r) => self
                .out
                .push(LeaderEffect::Revalidate(link, r.session, r.timeout)),
            Err(_) => self.close(link, "a REVALIDATE that cannot be read"),
        }
    }

    /// The answer to [`LeaderEffect::Revalidate`].
    pub fn revalidated(&mut self, link: LinkId, session: SessionId, valid: bool) {
        let data = RevalidateAnswer { session, valid }.encode();
        let packet = QuorumPacket::new(PacketType::Revalidate, Zxid(-1)).with_data(data);
        self.send(link, packet);
    }

    /// Time passed.
    pub fn tick(&mut self, now: i64) {
        self.now_ms = now;
        if self.phase == Phase::Ended {
            return;
        }
        if now >= self.next_ping_ms {
            self.next_ping_ms = now + self.options.tick_ms / 2;
            self.ping_all(now);
        }
        if now >= self.next_tick_ms {
            self.next_tick_ms = now + self.options.tick_ms;
            self.check_quorum(now);
        }
        self.check_handover(now);
    }

    fn ping_all(&mut self, now: i64) {
        let limit = self.sync_ms();
        // Who has just joined had no time yet to log what was outstanding, and observers log at
        // their leisure.
        let lags = |h: &&Handler| {
            let old = now - h.since_ms > limit && self.proposals.waits_for(h.sid, now - limit);
            h.kind == LearnerKind::Follower && h.is_acked() && old
        };
        let late: Vec<_> = self
            .handlers
            .values()
            .filter(lags)
            .map(|h| h.link)
            .collect();
        for link in late {
            self.close(link, "it logs its proposals too slowly");
        }
        let silent = self.handlers.values().filter(|h| now > h.deadline_ms);
        let silent: Vec<_> = silent.map(|h| h.link).collect();
        for link in silent {
            self.close(link, "nothing was heard of it in time");
        }
        let ping = QuorumPacket::new(PacketType::Ping, self.proposals.last());
        let all = self.handlers.values().filter(|h| h.forwards());
        let links: Vec<_> = all.map(|h| h.link).collect();
        for link in links {
            self.ping(link, ping.clone());
        }
    }

    /// A leader whose followers are gone must not go on answering.
    fn check_quorum(&mut self, now: i64) {
        match self.phase {
            Phase::Active => {
                let mut synced: BTreeSet<ServerId> = BTreeSet::from([self.me]);
                for h in self.handlers.values() {
                    if self.is_synced(h, now) && h.kind == LearnerKind::Follower {
                        synced.insert(h.sid);
                    }
                }
                if !self.quorum.is_quorum(|s| synced.contains(&s)) {
                    self.step_down("Not sufficient followers synced");
                }
            }
            Phase::Ended => {}
            _ if now - self.since_ms > self.init_ms() => {
                self.step_down("Timeout while waiting for a quorum of followers");
            }
            _ => {}
        }
    }
}
