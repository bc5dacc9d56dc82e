//! The side of ZAB that follows: followers and observers (Apache: `Learner`, `Follower`,
//! `Observer`).
//!
//! A pure state machine. It never promises or acknowledges before the input that says it is durable:
//!
//! `Hello` (our info is sent) -> `Accepting` (the new epoch is being written) -> `Promised`
//! (ACKEPOCH is sent) -> `Syncing` -> `Handover` (what came before NEWLEADER becomes durable, then
//! our epoch, then the acknowledgement) -> `Caught` (waits for UPTODATE) -> `Serving`.

mod stream;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use super::leader::{History, LearnerKind};
use super::link::Logged;
use crate::base::{Epoch, Id, ServerId, SessionId, Zxid};
use crate::config::Ensemble;
use crate::proto::quorum::payload::{Owners, encode_int, encode_touches};
use crate::proto::quorum::{
    Capabilities, LearnerInfo, LearnerRequest, PacketType, QuorumPacket, RevalidateRequest,
};

/// What must be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum LearnerEffect {
    /// Send it to the leader.
    Send(QuorumPacket),
    /// Tell the leader that this transaction is durable here.
    Acknowledge(Zxid, Arc<[u8]>),
    /// Write `acceptedEpoch` durably, then call [`Learner::epoch_accepted`].
    AcceptEpoch(Epoch),
    /// Write `currentEpoch` durably, then call [`Learner::epoch_entered`].
    EnterEpoch(Epoch),
    /// Cut the log behind this zxid and rebuild the database from disk, then call
    /// [`Learner::truncated`].
    Truncate(Zxid),
    /// Write a snapshot of the database durably, in the place of everything logged, then call
    /// [`Learner::snapshot_saved`].
    SaveSnapshot,
    /// Log it; [`Learner::logged`] says when it is durable.
    Log(Zxid, Arc<[u8]>),
    /// Apply it.
    Apply(Zxid, Arc<[u8]>),
    /// A configuration was proposed: store it as the last seen one, before anything that follows.
    Seen(Box<Ensemble>),
    /// The leader's last seen configuration: ours from now on, also when ours is newer, for that one
    /// was never decided. Store it likewise.
    LeaderSeen(Box<Ensemble>),
    /// A configuration is committed: act by it.
    Activate {
        /// The configuration.
        config: Box<Ensemble>,
        /// The server that leads from now on, if the leader named one.
        designated: Option<ServerId>,
        /// The reconfiguration.
        zxid: Zxid,
    },
    /// Take clients.
    Serve,
    /// Answer the oldest waiting sync.
    Synced,
    /// The leader's word on a session.
    Revalidated(SessionId, bool),
    /// Where the clients of some sessions are: this server is to lead.
    Owners(Owners),
    /// Send the sessions that showed life, with [`Learner::ping`].
    Ping(Zxid),
    /// The log cannot be cut as the leader wants: connect to it again, and ask for everything.
    StartOver,
    /// The reign is over, and everything of it is applied: this server leads next, and it may be
    /// us.
    Moved(ServerId),
    /// Back to election.
    Leave(&'static str),
    /// The histories cannot be reconciled: end the process with this exit code.
    Fatal(i32, &'static str),
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Our info is sent.
    Hello,
    /// `acceptedEpoch` is being written.
    Accepting,
    /// ACKEPOCH is sent.
    Promised,
    /// The log is being cut.
    Truncating,
    /// The leader's history comes in.
    Syncing,
    /// NEWLEADER came; a step of taking over is under way.
    Handover(Step),
    /// NEWLEADER is acknowledged.
    Caught,
    /// Serves clients.
    Serving,
    /// Left.
    Ended,
}

/// The steps of taking over, in the order that makes them safe (ZOOKEEPER-4643, 4646, 4785).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The snapshot is being written.
    Snapshot,
    /// Committed transactions are being logged.
    Log,
    /// `currentEpoch` is being written.
    Epoch,
}

/// What the configuration says.
#[derive(Clone, Copy, Debug)]
pub struct LearnerOptions {
    /// Own id.
    pub me: ServerId,
    /// Voter or observer.
    pub kind: LearnerKind,
    /// `tickTime`, ms.
    pub tick_ms: i64,
    /// `initLimit`, ticks.
    pub init_limit: i64,
    /// `syncLimit`, ticks.
    pub sync_limit: i64,
    /// Version of the configuration we know.
    pub config_version: i64,
    /// `reconfigEnabled`.
    pub reconfig: bool,
    /// Ask a leader that has our promise for a snapshot.
    pub whole: bool,
}

/// A decision that waits for our own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decided {
    Commit(Zxid),
    /// A commit that makes a configuration the one in use, under this leader.
    Activate(Zxid, ServerId),
    Sync,
    /// The reign ends here; who leads next, and the last transaction.
    Handover(ServerId, Zxid),
}

impl Decided {
    /// What it commits.
    fn zxid(self) -> Option<Zxid> {
        match self {
            Self::Commit(z) | Self::Activate(z, _) => Some(z),
            Self::Sync | Self::Handover(..) => None,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Learner {
    options: LearnerOptions,
    history: History,
    phase: Phase,
    epoch: Epoch,
    /// When the leader's first word came, monotonic ms.
    since_ms: i64,
    /// The leader must be heard of before this, monotonic ms.
    deadline_ms: i64,
    /// Proposed and not applied, in order.
    pending: VecDeque<Logged>,
    /// The last of them that is handed to the log.
    logging: Zxid,
    /// Durable in our log up to here.
    durable: Zxid,
    /// The last one acknowledged.
    acked: Zxid,
    /// The last transaction received, whatever became of it.
    last_queued: Zxid,
    decided: VecDeque<Decided>,
    /// A snapshot must be written before NEWLEADER is acknowledged; until then transactions go to
    /// the database alone.
    direct: bool,
    /// The log is being cut.
    cutting: bool,
    /// What came with NEWLEADER; in use from UPTODATE on.
    leader_config: Option<Ensemble>,
    /// Packets that came while a completion was awaited.
    waiting: VecDeque<QuorumPacket>,
    out: Vec<LearnerEffect>,
}

impl Learner {
    /// A link to the leader is there: introduces itself.
    pub fn new(options: LearnerOptions, history: History, now: i64) -> Self {
        let mut learner = Self {
            phase: Phase::Hello,
            epoch: Epoch(-1),
            since_ms: now,
            deadline_ms: now + options.init_limit * options.tick_ms,
            pending: VecDeque::new(),
            logging: history.last,
            durable: history.last,
            acked: history.last,
            last_queued: Zxid::ZERO,
            decided: VecDeque::new(),
            direct: false,
            cutting: false,
            leader_config: None,
            waiting: VecDeque::new(),
            out: Vec::new(),
            options,
            history,
        };
        let kind = match options.kind {
            LearnerKind::Follower => PacketType::FollowerInfo,
            LearnerKind::Observer => PacketType::ObserverInfo,
        };
        let info = LearnerInfo::new(options.me, options.config_version);
        let zxid = Zxid::of(history.accepted, 0);
        let mut data = info.encode();
        Capabilities::OURS.append(&mut data);
        learner.send(QuorumPacket::new(kind, zxid).with_data(data));
        learner
    }

    /// What to do; empties the list.
    pub fn take_effects(&mut self) -> Vec<LearnerEffect> {
        std::mem::take(&mut self.out)
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Epoch of the leader, once known.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the leader proposed and is not applied, in order, if it is in our log.
    pub fn logged_and_pending(&self) -> Vec<Logged> {
        let logged = self.pending.iter().filter(|(z, _)| *z <= self.logging);
        logged.cloned().collect()
    }

    /// True while the database and our disk differ: it holds a leader's state that is not saved, or
    /// the log is being cut under it. It must not be used again when this role ends
    /// (ZOOKEEPER-3642, 5094).
    pub fn is_unsaved(&self) -> bool {
        self.direct || self.cutting
    }

    /// True when the leader has named another one: its link may end.
    pub fn is_moving(&self) -> bool {
        let named = |d: &Decided| matches!(d, Decided::Handover(..));
        self.decided.back().is_some_and(named)
    }

    /// When [`Learner::tick`] is due.
    pub fn next_deadline(&self) -> i64 {
        self.deadline_ms
    }

    /// Time passed.
    pub fn tick(&mut self, now: i64) {
        if now >= self.deadline_ms {
            self.leave("nothing was heard of the leader in time");
        }
    }

    fn send(&mut self, packet: QuorumPacket) {
        self.out.push(LearnerEffect::Send(packet));
    }

    fn leave(&mut self, why: &'static str) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.out.push(LearnerEffect::Leave(why));
        }
    }

    fn fatal(&mut self, code: i32, why: &'static str) {
        self.phase = Phase::Ended;
        self.out.push(LearnerEffect::Fatal(code, why));
    }

    /// A packet from the leader.
    pub fn packet(&mut self, now: i64, packet: QuorumPacket) {
        let ticks = match self.phase {
            Phase::Caught | Phase::Serving => self.options.sync_limit,
            _ => self.options.init_limit,
        };
        self.deadline_ms = now + ticks * self.options.tick_ms;
        self.waiting.push_back(packet);
        self.work(now);
    }

    /// Takes packets for as long as no completion is awaited.
    fn work(&mut self, now: i64) {
        while !matches!(
            self.phase,
            Phase::Accepting | Phase::Truncating | Phase::Handover(_) | Phase::Ended
        ) && let Some(packet) = self.waiting.pop_front()
        {
            self.take(now, packet);
        }
    }

    fn take(&mut self, now: i64, packet: QuorumPacket) {
        match (self.phase, PacketType::from_i32(packet.kind)) {
            (Phase::Hello, Some(PacketType::LeaderInfo)) => {
                self.since_ms = now;
                self.leader_info(&packet);
            }
            (Phase::Hello, _) => self.leave("First packet should have been LEADERINFO"),
            (Phase::Promised, Some(kind)) => self.how(now, kind, &packet),
            (Phase::Promised, None) => self.fatal(13, "an unknown answer to ACKEPOCH"),
            (Phase::Syncing | Phase::Caught, Some(kind)) => self.history_packet(now, kind, packet),
            (Phase::Serving, Some(kind)) => self.live(kind, packet),
            _ => tracing::warn!(
                target: "o.a.z.s.q.Learner",
                "Unknown packet type: {}", packet.kind
            ),
        }
    }

    fn leader_info(&mut self, packet: &QuorumPacket) {
        self.epoch = packet.zxid.epoch();
        if self.epoch < self.history.accepted {
            return self.leave("Leaders epoch is less than accepted epoch");
        }
        if self.epoch == self.history.accepted {
            // Promised before: it does not count a second time, and so the zxid is free to say what
            // we need.
            if self.options.whole {
                self.history.last = Zxid(-1);
            }
            return self.ack_epoch(-1);
        }
        self.phase = Phase::Accepting;
        self.out.push(LearnerEffect::AcceptEpoch(self.epoch));
    }

    /// `acceptedEpoch` is durable.
    pub fn epoch_accepted(&mut self, now: i64) {
        if self.phase == Phase::Accepting {
            self.history.accepted = self.epoch;
            self.ack_epoch(self.history.current.0);
            self.work(now);
        }
    }

    fn ack_epoch(&mut self, current: i32) {
        self.phase = Phase::Promised;
        let data = encode_int(current);
        let packet = QuorumPacket::new(PacketType::AckEpoch, self.history.last).with_data(data);
        self.send(packet);
    }

    /// A client's write, for the leader.
    pub fn forward(&mut self, request: &LearnerRequest<'_>, ids: Option<Vec<Id>>) {
        let data = request.encode();
        let mut packet = QuorumPacket::new(PacketType::Request, Zxid(-1)).with_data(data);
        packet.auth = ids;
        self.send(packet);
    }

    /// What an observer that we serve asks of the leader.
    pub fn relay(&mut self, packet: QuorumPacket) {
        self.send(packet);
    }

    /// A client wants to resume a session.
    pub fn revalidate(&mut self, session: SessionId, timeout: i32) {
        let data = RevalidateRequest { session, timeout }.encode();
        self.send(QuorumPacket::new(PacketType::Revalidate, Zxid(-1)).with_data(data));
    }

    /// The answer to [`LearnerEffect::Ping`]; never without data, which Apache's leader cannot bear.
    pub fn ping(&mut self, zxid: Zxid, touches: &[(SessionId, i32)]) {
        let data = encode_touches(touches.iter().copied());
        self.send(QuorumPacket::new(PacketType::Ping, zxid).with_data(data));
    }
}
