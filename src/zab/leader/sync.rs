//! A learner takes over the leader's history, and live traffic begins
//! (Apache: `LearnerHandler.syncFollower`, `Leader.startForwarding`, `propose`, `processAck`).

use std::sync::Arc;

use super::handler::{LearnerKind, Stage};
use super::{Leader, LeaderEffect, Phase};
use crate::base::{ServerId, Zxid};
use crate::config::Ensemble;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::telemetry::metrics::METRICS;
use crate::zab::committed_log::Plan;
use crate::zab::link::{LinkId, Logged};

impl Leader {
    /// Decides how `link` becomes what we are.
    pub(super) fn synchronise(&mut self, link: LinkId) {
        let Some(peer) = self.handlers.get(&link).map(|h| h.last) else {
            return;
        };
        let plan = match self.options.force_snapshot {
            true => Plan::Snap,
            false => self.cache.plan(peer),
        };
        match plan {
            Plan::Older if peer.0 >= 0 => {
                if let Some(h) = self.handlers.get_mut(&link) {
                    h.stage = Stage::Reading;
                }
                let upto = self.cache.base();
                self.out.push(LeaderEffect::ReadLog {
                    link,
                    from: peer,
                    upto,
                });
            }
            plan => self.carry_out(link, plan),
        }
    }

    /// What [`LeaderEffect::ReadLog`] found: everything behind the learner's last transaction, up to
    /// where it was asked for; `None` when the log cannot give it.
    pub fn log_read(&mut self, link: LinkId, found: Option<Vec<Logged>>) {
        let Some(h) = self
            .handlers
            .get(&link)
            .filter(|h| h.stage == Stage::Reading)
        else {
            return;
        };
        // The committed log went on meanwhile, and may have dropped its oldest entries.
        let plan = match found {
            Some(mut lacks) if is_whole(h.last, &lacks) => {
                let end = lacks.last().map_or(h.last, |(z, _)| *z);
                match end >= self.cache.base() {
                    true => {
                        lacks.extend(self.cache.after(end));
                        Plan::Diff(lacks)
                    }
                    false => Plan::Snap,
                }
            }
            _ => Plan::Snap,
        };
        self.carry_out(link, plan);
    }

    fn carry_out(&mut self, link: LinkId, plan: Plan) {
        let last = self.cache.last();
        let (sid, peer) = match self.handlers.get(&link) {
            Some(h) => (h.sid.0, h.last),
            None => return,
        };
        let how = match &plan {
            Plan::Diff(_) => "DIFF",
            Plan::Trunc(..) => "TRUNC",
            Plan::Older | Plan::Snap => "SNAP",
        };
        self.note_sync(link, how == "SNAP");
        // What it logged of our epoch before it may have cut off: it acknowledges again.
        self.proposals.forget(ServerId(sid));
        tracing::info!(
            target: "o.a.z.s.q.LearnerHandler",
            "Synchronizing with Learner sid: {sid} maxCommittedLog={last} minCommittedLog={} lastProcessedZxid={} peerLastZxid={peer}: {how}",
            self.cache.base(), self.applied
        );
        match plan {
            Plan::Diff(lacks) => {
                METRICS.diff_count.inc();
                self.send(link, QuorumPacket::new(PacketType::Diff, last));
                self.send_committed(link, lacks);
            }
            Plan::Trunc(to, lacks) => {
                self.send(link, QuorumPacket::new(PacketType::Trunc, to));
                self.send_committed(link, lacks);
            }
            Plan::Older | Plan::Snap => {
                METRICS.snap_count.inc();
                self.send(link, QuorumPacket::new(PacketType::Snap, self.applied));
                self.out.push(LeaderEffect::SendSnapshot(link));
                let lacks = self.cache.after(self.applied);
                self.send_committed(link, lacks);
            }
        }
        self.start_forwarding(link);
        let zxid = Zxid::of(self.epoch, 0);
        let config = self.views.last_seen.text();
        let packet = QuorumPacket::new(PacketType::NewLeader, zxid).with_data(config.into_bytes());
        self.send(link, packet);
    }

    /// How many synchronise now, by kind.
    fn note_sync(&mut self, link: LinkId, snap: bool) {
        if let Some(h) = self.handlers.get_mut(&link) {
            h.syncs = Some(snap);
        }
        let same = self.handlers.values().filter(|h| h.syncs == Some(snap));
        let count = i64::try_from(same.count()).unwrap_or(i64::MAX);
        match snap {
            true => METRICS.inflight_snap_count.record(count),
            false => METRICS.inflight_diff_count.record(count),
        }
    }

    fn send_committed(&mut self, link: LinkId, entries: Vec<Logged>) {
        for (zxid, bytes) in entries {
            let packet = QuorumPacket::new(PacketType::Proposal, zxid).with_data(bytes);
            self.send(link, packet);
            self.send(link, QuorumPacket::new(PacketType::Commit, zxid));
        }
    }

    /// From here on the learner gets everything live; what is outstanding comes first, for those
    /// who acknowledge.
    fn start_forwarding(&mut self, link: LinkId) {
        let Some(h) = self.handlers.get_mut(&link) else {
            return;
        };
        h.stage = Stage::Syncing;
        if h.kind == LearnerKind::Observer {
            return;
        }
        for (zxid, bytes) in self.proposals.after(Zxid::ZERO) {
            let packet = QuorumPacket::new(PacketType::Proposal, zxid).with_data(bytes);
            self.send(link, packet);
        }
    }

    /// Our own log takes this too; [`Leader::logged`] says when it has it. The configuration that
    /// must be stored as the last seen one before that.
    ///
    /// # Panics
    /// When the zxid is not the next one.
    pub fn propose(&mut self, now: i64, zxid: Zxid, bytes: Arc<[u8]>) -> Option<Box<Ensemble>> {
        self.now_ms = now;
        assert_eq!(self.phase, Phase::Active, "only a leader proposes");
        let seen = self.see_proposed(&bytes);
        self.proposals
            .push(zxid, bytes.clone(), self.quorum.clone(), now);
        let packet = QuorumPacket::new(PacketType::Proposal, zxid).with_data(bytes);
        let to = self
            .handlers
            .values()
            .filter(|h| h.forwards() && h.kind == LearnerKind::Follower);
        let sends: Vec<_> = to
            .map(|h| LeaderEffect::Send(h.link, packet.clone()))
            .collect();
        self.out.extend(sends);
        seen
    }

    /// Our own log is durable up to `zxid`.
    pub fn logged(&mut self, zxid: Zxid) {
        self.durable = self.durable.max(zxid);
        self.proposals.ack(self.me, zxid);
        self.decide();
    }

    /// Acknowledgements of proposals, and of NEWLEADER and UPTODATE, which have no counter.
    pub(super) fn ack_packet(&mut self, now: i64, link: LinkId, zxid: Zxid) {
        let Some(h) = self.handlers.get_mut(&link) else {
            return;
        };
        if zxid.counter() == 0 {
            if h.stage != Stage::Syncing {
                return;
            }
            if zxid.epoch() != self.epoch {
                return self.close(link, "it acknowledged another epoch");
            }
            return self.newleader_acked(now, link);
        }
        // An observer's word does not count.
        if h.kind == LearnerKind::Observer || !h.forwards() {
            return;
        }
        let sid = h.sid;
        if zxid.epoch() != self.epoch {
            return;
        }
        h.last_acked = zxid;
        if let Some(ms) = self.proposals.age(zxid, now) {
            METRICS.ack_latency.with(&h.label).record(ms);
        }
        // Apache's followers up to 3.9.1 may say so before they acknowledge NEWLEADER
        // (ZOOKEEPER-4685). It counts once they have: before, their epoch may be the old one, and
        // a transaction that only servers of an old epoch hold does not survive an election.
        if !h.is_acked() {
            if zxid > self.proposals.last() {
                self.close(link, "it acknowledged what was never proposed");
            }
            return;
        }
        if !self.proposals.ack(sid, zxid) {
            return self.close(link, "it acknowledged what was never proposed");
        }
        self.decide();
    }

    /// Commits what a quorum has logged.
    pub(super) fn decide(&mut self) {
        while !self.retired
            && let Some((zxid, bytes, since)) = self.proposals.take_decided()
        {
            METRICS.quorum_ack_latency.record(self.now_ms - since);
            self.cache.push_keeping(zxid, bytes.clone(), self.applied);
            match self.committed_config(&bytes) {
                Some(config) => self.activate(zxid, &bytes, config),
                None => self.tell_committed(zxid, &bytes),
            }
            self.answer_syncs();
        }
        // What others have logged may be ahead of our own log: it is applied here when it is safe
        // here (ZOOKEEPER-4882).
        let safe = self.cache.last().min(self.durable);
        if safe > self.applied && self.phase == Phase::Active {
            self.applied = safe;
            self.out.push(LeaderEffect::Commit(safe));
        }
        self.answer_syncs();
        self.advance_handover();
        self.try_retire();
    }

    fn tell_committed(&mut self, zxid: Zxid, bytes: &Arc<[u8]>) {
        let commit = QuorumPacket::new(PacketType::Commit, zxid);
        self.tell(commit, || {
            QuorumPacket::new(PacketType::Inform, zxid).with_data(bytes.clone())
        });
    }

    /// Sends `commit` to followers and what `inform` makes to observers.
    pub(super) fn tell(&mut self, commit: QuorumPacket, inform: impl Fn() -> QuorumPacket) {
        let mut made = None;
        for h in self.handlers.values_mut().filter(|h| h.forwards()) {
            let packet = match h.kind {
                LearnerKind::Follower if h.holds_commits() => {
                    h.held.push_back(commit.clone());
                    continue;
                }
                LearnerKind::Follower => commit.clone(),
                LearnerKind::Observer => made.get_or_insert_with(&inform).clone(),
            };
            self.out.push(LeaderEffect::Send(h.link, packet));
        }
    }
}

/// True when `lacks` follows `last` without a hole. A log may hold a stale end below a later
/// snapshot (ZOOKEEPER-2418, 2846).
pub fn is_whole(last: Zxid, lacks: &[Logged]) -> bool {
    let mut before = last;
    lacks.iter().all(|(zxid, _)| {
        let last = std::mem::replace(&mut before, *zxid);
        let opens = zxid.epoch() > last.epoch() && zxid.counter() == 1;
        opens || last.next() == Some(*zxid)
    })
}
