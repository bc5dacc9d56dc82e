//! A follower that serves observers, so that the leader need not (Apache: `ObserverMaster`, and
//! `LearnerHandler` on it).
//!
//! A pure state machine beside the follower's [`super::learner::Learner`]: it answers the same
//! handshake as a leader, in the leader's epoch and without any waits, brings observers up to what
//! is applied here, and then tells them everything that is applied. What they ask goes on to the
//! leader among the follower's own requests, and the answers come back in the order of the asking.

mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::committed_log::CommittedLog;
use super::leader::UNKNOWN_MAX;
use super::link::LinkId;
use crate::base::{Epoch, ServerId, SessionId, Zxid};
use crate::proto::OpCode;
use crate::proto::op::Class;
use crate::proto::quorum::payload::{decode_touches, encode_int};
use crate::proto::quorum::{
    LearnerInfo, LearnerRequest, PROTOCOL_VERSION, PacketType, QuorumPacket, RevalidateAnswer,
    RevalidateRequest,
};

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct MasterOptions {
    /// `tickTime`, ms.
    pub tick_ms: i64,
    /// `initLimit`, ticks.
    pub init_limit: i64,
    /// `syncLimit`, ticks.
    pub sync_limit: i64,
    /// Text of the last configuration seen, sent with NEWLEADER.
    pub config: Arc<[u8]>,
    /// Version of the committed one.
    pub config_version: i64,
    /// `forceSnapshotSync`.
    pub force_snapshot: bool,
}

/// What must be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum MasterEffect {
    /// Send it to an observer.
    Send(LinkId, QuorumPacket),
    /// Send the database as it is now, behind everything sent so far.
    SendSnapshot(LinkId),
    /// Read what is behind `from` in the log, up to `upto`; then call [`ObserverMaster::log_read`].
    ReadLog {
        /// For whom.
        link: LinkId,
        /// The observer's last transaction.
        from: Zxid,
        /// The last one wanted.
        upto: Zxid,
    },
    /// Close an observer's link.
    Close(LinkId, &'static str),
    /// Send it to the leader.
    Forward(QuorumPacket),
}

/// How far an observer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing heard yet.
    #[default]
    Hello,
    /// LEADERINFO is sent.
    Invited,
    /// It is ahead of us: its transactions must arrive here first.
    Waiting,
    /// The log is being read for it.
    Reading,
    /// Its history and NEWLEADER are sent; live packets follow.
    Syncing,
    /// UPTODATE is sent.
    UpToDate,
}

/// One observer.
#[derive(Debug)]
struct Observer {
    sid: ServerId,
    stage: Stage,
    /// Its last transaction, from ACKEPOCH.
    last: Zxid,
    /// Until when it may wait for us to come as far, monotonic ms.
    wait_ms: i64,
    /// A packet must come before this, monotonic ms.
    deadline_ms: i64,
}

impl Observer {
    fn forwards(&self) -> bool {
        matches!(self.stage, Stage::Syncing | Stage::UpToDate)
    }
}

/// Who asked the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A client of this server.
    Own,
    /// An observer, which has the answer by now.
    Observer,
}

/// See the module.
#[derive(Debug)]
pub struct ObserverMaster {
    options: MasterOptions,
    epoch: Epoch,
    observers: BTreeMap<LinkId, Observer>,
    /// Who waits for a SYNC of the leader, in order; `None` is this server.
    syncs: VecDeque<Option<LinkId>>,
    /// Who waits for the leader's word on a session.
    revalidations: VecDeque<(SessionId, Option<LinkId>, i32)>,
    /// Sessions of observers that showed life since the leader asked last, with their timeouts.
    touched: BTreeMap<SessionId, i32>,
    next_ping_ms: i64,
    out: Vec<MasterEffect>,
}

impl ObserverMaster {
    /// Of a follower that serves in `epoch`.
    pub fn new(options: MasterOptions, epoch: Epoch, now: i64) -> Self {
        Self {
            next_ping_ms: now + options.tick_ms / 2,
            options,
            epoch,
            observers: BTreeMap::new(),
            syncs: VecDeque::new(),
            revalidations: VecDeque::new(),
            touched: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// What to do; empties the list.
    pub fn take_effects(&mut self) -> Vec<MasterEffect> {
        std::mem::take(&mut self.out)
    }

    /// How many observers get what is committed.
    pub fn synced(&self) -> usize {
        self.observers.values().filter(|o| o.forwards()).count()
    }

    /// When [`ObserverMaster::tick`] is due, monotonic ms.
    pub fn next_deadline(&self) -> i64 {
        self.next_ping_ms
    }

    fn sync_ms(&self) -> i64 {
        self.options.sync_limit * self.options.tick_ms
    }

    /// An observer connected. Of too many that have not said who they are the oldest goes.
    pub fn connected(&mut self, now: i64, link: LinkId) {
        let unknown = self
            .observers
            .iter()
            .filter(|(_, o)| o.stage == Stage::Hello);
        let unknown: Vec<_> = unknown.map(|(l, _)| *l).collect();
        if let Some(oldest) = unknown.first().filter(|_| unknown.len() >= UNKNOWN_MAX) {
            self.close(*oldest, "too many connections say nothing");
        }
        let patience = self.options.init_limit * self.options.tick_ms + self.sync_ms();
        let observer = Observer {
            sid: ServerId(-1),
            stage: Stage::Hello,
            last: Zxid::ZERO,
            wait_ms: now,
            deadline_ms: now + patience,
        };
        self.observers.insert(link, observer);
    }

    /// An observer is gone; what it asked is answered to nobody.
    pub fn gone(&mut self, link: LinkId) {
        self.observers.remove(&link);
    }

    fn close(&mut self, link: LinkId, why: &'static str) {
        self.gone(link);
        self.out.push(MasterEffect::Close(link, why));
    }

    /// Another configuration is in use. Our observers come again, and get it with NEWLEADER.
    ///
    /// Differs: Apache's passes INFORMANDACTIVATE on.
    pub fn reconfigured(&mut self, text: &str, version: i64) {
        self.options.config = Arc::from(text.as_bytes());
        self.options.config_version = version;
        let links: Vec<_> = self.observers.keys().copied().collect();
        for link in links {
            self.close(link, "another configuration is in use");
        }
    }

    fn send(&mut self, link: LinkId, packet: QuorumPacket) {
        self.out.push(MasterEffect::Send(link, packet));
    }

    /// A packet from an observer; `recent` ends with what is applied here.
    pub fn packet(&mut self, now: i64, link: LinkId, packet: QuorumPacket, recent: &CommittedLog) {
        let limit = self.sync_ms();
        let Some(observer) = self.observers.get_mut(&link) else {
            return;
        };
        observer.deadline_ms = match observer.stage {
            Stage::UpToDate => now + limit,
            _ => observer.deadline_ms.max(now + limit),
        };
        let (stage, kind) = (observer.stage, PacketType::from_i32(packet.kind));
        match (stage, kind) {
            (Stage::Hello, Some(PacketType::ObserverInfo)) => self.introduce(link, &packet),
            (Stage::Hello, _) => self.close(link, "the first packet is no OBSERVERINFO"),
            (Stage::Invited, Some(PacketType::AckEpoch)) => {
                observer.last = packet.zxid;
                observer.stage = Stage::Waiting;
                observer.wait_ms = now + limit;
                self.synchronise(now, link, recent);
            }
            (_, Some(PacketType::Ack)) => self.ack(now, link, packet.zxid),
            (_, Some(PacketType::Ping)) => self.ping_answer(link, &packet),
            (_, Some(PacketType::Request)) => self.request(link, packet),
            (_, Some(PacketType::Revalidate)) => self.revalidate(link, packet),
            // Apache logs it and goes on.
            _ => tracing::warn!(
                target: "o.a.z.s.q.LearnerHandler",
                "unexpected quorum packet, type: {}", packet.kind
            ),
        }
    }

    /// The first packet of an observer.
    fn introduce(&mut self, link: LinkId, packet: &QuorumPacket) {
        let info = LearnerInfo::decode(packet.data.as_deref());
        if info.protocol_version < PROTOCOL_VERSION {
            return self.close(link, "an observer from before ZooKeeper 3.4");
        }
        if info.config_version > self.options.config_version {
            return self.close(link, "it knows a newer configuration");
        }
        let sid = info.server.unwrap_or(ServerId(-1));
        let same = |o: &Observer| o.sid == sid && sid.0 >= 0;
        let older = self.observers.iter().filter(|(_, o)| same(o));
        let older: Vec<_> = older.map(|(l, _)| *l).collect();
        for link in older {
            self.close(link, "its server connected again");
        }
        if let Some(o) = self.observers.get_mut(&link) {
            o.sid = sid;
            o.stage = Stage::Invited;
        }
        tracing::info!(
            target: "o.a.z.s.q.LearnerHandler",
            "Observer sid: {} : info : acceptedEpoch {}", sid.0, packet.zxid.epoch().0
        );
        let version = encode_int(PROTOCOL_VERSION);
        let zxid = Zxid::of(self.epoch, 0);
        let answer = QuorumPacket::new(PacketType::LeaderInfo, zxid).with_data(version);
        self.send(link, answer);
    }

    /// The acknowledgements of NEWLEADER and UPTODATE; an observer sends no other (Apache ends the
    /// link, too).
    fn ack(&mut self, now: i64, link: LinkId, zxid: Zxid) {
        if zxid.counter() != 0 {
            return self.close(link, "an observer acknowledged a proposal");
        }
        let limit = self.sync_ms();
        let Some(o) = self.observers.get_mut(&link) else {
            return;
        };
        if o.stage != Stage::Syncing {
            return;
        }
        if zxid.epoch() != self.epoch {
            return self.close(link, "it acknowledged another epoch");
        }
        o.stage = Stage::UpToDate;
        o.deadline_ms = now + limit;
        self.send(link, QuorumPacket::new(PacketType::UpToDate, Zxid(-1)));
    }

    fn ping_answer(&mut self, link: LinkId, packet: &QuorumPacket) {
        match decode_touches(packet.data.as_deref()) {
            Ok(touches) => self.touched.extend(touches),
            Err(_) => self.close(link, "a PING that cannot be read"),
        }
    }

    fn request(&mut self, link: LinkId, packet: QuorumPacket) {
        let Ok(r) = LearnerRequest::decode(packet.data.as_deref()) else {
            return self.close(link, "a REQUEST that cannot be read");
        };
        // The leader would close our own link for a request that it does not know.
        match OpCode::of(r.op) {
            Some(OpCode::Sync) => self.syncs.push_back(Some(link)),
            Some(OpCode::CreateSession | OpCode::CloseSession) => {}
            Some(op) if op.class() == Class::Write => {}
            _ => return self.close(link, "a REQUEST that is no write"),
        }
        self.out.push(MasterEffect::Forward(packet));
    }

    fn revalidate(&mut self, link: LinkId, packet: QuorumPacket) {
        match RevalidateRequest::decode(packet.data.as_deref()) {
            Ok(r) => {
                self.revalidations
                    .push_back((r.session, Some(link), r.timeout));
                self.out.push(MasterEffect::Forward(packet));
            }
            Err(_) => self.close(link, "a REVALIDATE that cannot be read"),
        }
    }

    /// This server asks the leader for a sync.
    pub fn own_sync(&mut self) {
        self.syncs.push_back(None);
    }

    /// This server asks the leader about a session.
    pub fn own_revalidation(&mut self, session: SessionId) {
        self.revalidations.push_back((session, None, 0));
    }

    /// The leader answered the oldest sync, and everything before is applied.
    pub fn sync_answered(&mut self) -> Asker {
        match self.syncs.pop_front() {
            Some(Some(link)) => {
                if self.observers.get(&link).is_some_and(Observer::forwards) {
                    self.send(link, QuorumPacket::new(PacketType::Sync, Zxid::ZERO));
                }
                Asker::Observer
            }
            Some(None) | None => Asker::Own,
        }
    }

    /// The leader's word on a session. A session that lives has shown life.
    pub fn revalidated(&mut self, session: SessionId, valid: bool) -> Asker {
        let asked = self.revalidations.iter().position(|(s, ..)| *s == session);
        let asked = asked.and_then(|i| self.revalidations.remove(i));
        let Some((_, Some(link), timeout)) = asked else {
            return Asker::Own;
        };
        if valid {
            self.touched.insert(session, timeout);
        }
        if self.observers.get(&link).is_some_and(Observer::forwards) {
            let data = RevalidateAnswer { session, valid }.encode();
            let packet = QuorumPacket::new(PacketType::Revalidate, Zxid(-1)).with_data(data);
            self.send(link, packet);
        }
        Asker::Observer
    }

    /// Sessions of observers that showed life since this was asked last, for the leader's PING.
    pub fn take_touched(&mut self) -> BTreeMap<SessionId, i32> {
        std::mem::take(&mut self.touched)
    }

    /// Time passed.
    pub fn tick(&mut self, now: i64, recent: &CommittedLog) {
        if now < self.next_ping_ms {
            return;
        }
        self.next_ping_ms = now + self.options.tick_ms / 2;
        let silent = self.observers.iter().filter(|(_, o)| now > o.deadline_ms);
        let silent: Vec<_> = silent.map(|(l, _)| *l).collect();
        for link in silent {
            self.close(link, "nothing was heard of it in time");
        }
        self.look_again(now, recent);
        let ping = QuorumPacket::new(PacketType::Ping, recent.last());
        for (link, _) in self.observers.iter().filter(|(_, o)| o.forwards()) {
            self.out.push(MasterEffect::Send(*link, ping.clone()));
        }
    }
}
