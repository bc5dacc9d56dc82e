//! From ACKEPOCH to UPTODATE (Apache: `Learner.syncWithLeader`).

use super::{Decided, Learner, LearnerEffect, Phase, Step};
use crate::base::Zxid;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::proto::txn::Entry;
use crate::telemetry::metrics::METRICS;
use crate::zab::leader::LearnerKind;
use crate::zab::reconfig::{parse, proposed};

impl Learner {
    /// How we become what the leader is.
    pub(super) fn how(&mut self, now: i64, kind: PacketType, packet: &QuorumPacket) {
        match kind {
            PacketType::Diff => {
                self.last_queued = self.history.last;
                self.phase = Phase::Syncing;
            }
            PacketType::Trunc => {
                self.phase = Phase::Truncating;
                self.cutting = true;
                self.out.push(LearnerEffect::Truncate(packet.zxid));
            }
            _ => self.fatal(13, "Got unexpected packet from leader"),
        }
        self.work(now);
    }

    /// SNAP came, and the snapshot behind it: the database is what the leader's was at `zxid`. The
    /// disk is not, so that the database must be given up if this ends early (ZOOKEEPER-3642).
    pub fn snapshot(&mut self, now: i64, zxid: Zxid) {
        if self.phase != Phase::Promised {
            return self.leave("a snapshot out of turn");
        }
        self.direct = true;
        self.base(zxid);
        self.phase = Phase::Syncing;
        self.work(now);
    }

    /// Everything we have ends at `zxid` now.
    fn base(&mut self, zxid: Zxid) {
        self.history.last = zxid;
        self.logging = zxid;
        self.durable = zxid;
        self.acked = zxid;
    }

    /// `last` is the last transaction on disk now. Where a snapshot hides the place of the cut the
    /// log stays as it was: cut further, it would be older than our epoch says it is, and could win
    /// an election with that. The leader's snapshot takes its place.
    pub fn truncated(&mut self, now: i64, wanted: Zxid, last: Zxid) {
        if self.phase != Phase::Truncating {
            return;
        }
        self.cutting = false;
        self.base(last);
        self.last_queued = last;
        // Nobody has a transaction of counter 0: a cut there means the end of the epoch before.
        if last != wanted && (wanted.counter() != 0 || last > wanted) {
            self.phase = Phase::Ended;
            self.out.push(LearnerEffect::StartOver);
            return;
        }
        self.phase = Phase::Syncing;
        self.work(now);
    }

    pub(super) fn history_packet(&mut self, now: i64, kind: PacketType, packet: QuorumPacket) {
        let zxid = packet.zxid;
        match kind {
            PacketType::Proposal => {
                if let Some(bytes) = packet.data {
                    self.queue(zxid, bytes);
                }
            }
            PacketType::Commit => self.committed_early(Decided::Commit(zxid)),
            PacketType::CommitAndActivate => {
                if let Some((decided, _)) = self.activation(&packet) {
                    self.committed_early(decided);
                }
            }
            PacketType::InformAndActivate => {
                if let Some((decided, bytes)) = self.activation(&packet)
                    && self.queue(zxid, bytes)
                {
                    self.committed_early(decided);
                }
            }
            PacketType::Inform => {
                if let Some(bytes) = packet.data
                    && self.queue(zxid, bytes)
                {
                    self.committed_early(Decided::Commit(zxid));
                }
            }
            PacketType::NewLeader if self.phase == Phase::Syncing => self.new_leader(now, packet),
            PacketType::UpToDate if self.phase == Phase::Caught => self.up_to_date(now),
            // Not answered: Apache's leader takes the next packet for the acknowledgement of NEWLEADER.
            PacketType::Ping => {}
            _ => tracing::warn!(
                target: "o.a.z.s.q.Learner",
                "Unexpected packet while synchronising: {kind:?}"
            ),
        }
    }

    /// A proposal of the history or of live traffic; false when the link must end.
    pub(super) fn queue(&mut self, zxid: Zxid, bytes: std::sync::Arc<[u8]>) -> bool {
        let last = self.last_queued;
        let follows =
            last == Zxid::ZERO || last.next() == Some(zxid) || zxid.epoch() > last.epoch();
        // What cannot be read back must not get into our log.
        let readable = Entry::from_bytes(&bytes).is_ok_and(|e| e.zxid() == zxid);
        if !follows || !readable {
            tracing::warn!(
                target: "o.a.z.s.q.Learner",
                "Got zxid {zxid} expected {}", last.next().unwrap_or(last)
            );
            self.leave("a proposal out of order");
            return false;
        }
        if self.options.reconfig
            && let Some(config) = proposed(&bytes)
        {
            self.out.push(LearnerEffect::Seen(Box::new(config)));
        }
        self.last_queued = zxid;
        // What a snapshot holds already comes again behind it, and is applied again.
        self.pending.push_back((zxid, bytes));
        true
    }

    fn committed_early(&mut self, decided: Decided) {
        let Some(zxid) = decided.zxid() else {
            return;
        };
        if !self.direct {
            // Nothing of it is in our log yet: it is settled when it is.
            match self.pending.get(self.behind(self.named())) {
                Some((head, _)) if *head == zxid => {
                    self.decided.push_back(decided);
                }
                _ => self.leave("a commit of something else than the oldest proposal"),
            }
            return;
        }
        match self.pending.pop_front() {
            Some((head, bytes)) if head == zxid => {
                self.apply(decided, bytes);
            }
            _ => self.leave("a commit of something else than the oldest proposal"),
        }
    }

    /// Everything committed before NEWLEADER becomes durable, then our epoch, then we say so.
    fn new_leader(&mut self, now: i64, packet: QuorumPacket) {
        if packet.zxid != Zxid::of(self.epoch, 0) {
            return self.leave("NEWLEADER of another epoch");
        }
        let text = packet.data.filter(|t| t.len() > 1 && self.options.reconfig);
        if let Some(config) = text.and_then(|t| parse(&t)) {
            self.leader_config = Some(config.clone());
            self.out.push(LearnerEffect::LeaderSeen(Box::new(config)));
        }
        if self.direct {
            self.phase = Phase::Handover(Step::Snapshot);
            self.out.push(LearnerEffect::SaveSnapshot);
        } else {
            self.log_committed(now);
        }
    }

    /// The snapshot is durable.
    pub fn snapshot_saved(&mut self, now: i64) {
        if self.phase == Phase::Handover(Step::Snapshot) {
            self.direct = false;
            let last = self.history.last;
            self.base(last);
            self.log_committed(now);
        }
    }

    fn log_committed(&mut self, now: i64) {
        self.phase = Phase::Handover(Step::Log);
        let committed = self.decided.iter().filter_map(|d| d.zxid());
        let upto = committed.max().unwrap_or(Zxid::ZERO);
        self.hand_to_log(upto);
        self.log_step(now);
    }

    /// Hands proposals up to `upto` to the log that are not there yet.
    pub(super) fn hand_to_log(&mut self, upto: Zxid) {
        let from = self.behind(self.logging);
        for (zxid, bytes) in self.pending.range(from..) {
            if *zxid > upto {
                break;
            }
            self.out.push(LearnerEffect::Log(*zxid, bytes.clone()));
            self.logging = *zxid;
        }
    }

    /// Index of the first pending proposal behind `zxid`.
    pub(super) fn behind(&self, zxid: Zxid) -> usize {
        self.pending.partition_point(|(z, _)| *z <= zxid)
    }

    /// Our log is durable up to `zxid`.
    pub fn logged(&mut self, now: i64, zxid: Zxid) {
        self.durable = self.durable.max(zxid);
        match self.phase {
            Phase::Handover(Step::Log) => self.log_step(now),
            Phase::Serving => {
                self.acknowledge();
                self.settle();
            }
            _ => {}
        }
    }

    fn log_step(&mut self, now: i64) {
        if self.durable < self.logging {
            return;
        }
        self.settle();
        if self.phase == Phase::Handover(Step::Log) {
            self.phase = Phase::Handover(Step::Epoch);
            self.out.push(LearnerEffect::EnterEpoch(self.epoch));
        }
        self.work(now);
    }

    /// `currentEpoch` is durable.
    pub fn epoch_entered(&mut self, now: i64) {
        if self.phase != Phase::Handover(Step::Epoch) {
            return;
        }
        self.history.current = self.epoch;
        self.phase = Phase::Caught;
        // What was logged so far is covered by this one word.
        self.acked = self.logging;
        self.deadline_ms = now + self.options.sync_limit * self.options.tick_ms;
        self.send(QuorumPacket::new(PacketType::Ack, Zxid::of(self.epoch, 0)));
        self.work(now);
    }

    fn up_to_date(&mut self, now: i64) {
        self.send(QuorumPacket::new(PacketType::Ack, Zxid::of(self.epoch, 0)));
        if let Some(config) = self.leader_config.take() {
            self.out.push(LearnerEffect::Activate {
                config: Box::new(config),
                designated: None,
                zxid: Zxid::of(self.epoch, 0),
            });
        }
        self.phase = Phase::Serving;
        let ms = now - self.since_ms;
        match self.options.kind {
            LearnerKind::Follower => METRICS.follower_sync_time.record(ms),
            LearnerKind::Observer => METRICS.observer_sync_time.record(ms),
        }
        self.out.push(LearnerEffect::Serve);
        self.hand_to_log(Zxid(i64::MAX));
        self.settle();
        self.work(now);
    }
}
