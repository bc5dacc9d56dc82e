//! Live traffic (Apache: `Follower.processPacket`, `FollowerZooKeeperServer`, `SendAckRequestProcessor`).

use super::{Decided, Learner, LearnerEffect, Phase};
use crate::base::{ServerId, Zxid};
use crate::proto::quorum::payload::decode_activate;
use crate::proto::quorum::{PacketType, QuorumPacket, RevalidateAnswer};
use crate::telemetry::metrics::METRICS;
use crate::zab::leader::LearnerKind;

impl Learner {
    pub(super) fn live(&mut self, kind: PacketType, packet: QuorumPacket) {
        let zxid = packet.zxid;
        match (kind, self.options.kind) {
            (PacketType::Proposal, LearnerKind::Follower) => {
                METRICS.learner_proposal_received_count.inc();
                if let Some(bytes) = packet.data
                    && self.queue(zxid, bytes)
                {
                    self.hand_to_log(zxid);
                }
            }
            (PacketType::Inform, LearnerKind::Observer) => {
                if let Some(bytes) = packet.data
                    && self.queue(zxid, bytes)
                {
                    self.hand_to_log(zxid);
                    self.decided.push_back(Decided::Commit(zxid));
                    self.settle();
                }
            }
            (PacketType::Commit | PacketType::CommitAndActivate, LearnerKind::Follower) => {
                METRICS.learner_commit_received_count.inc();
                self.committed(zxid);
            }
            (PacketType::Ping, _) => self.out.push(LearnerEffect::Ping(zxid)),
            (PacketType::Sync, _) => {
                self.decided.push_back(Decided::Sync);
                self.settle();
            }
            (PacketType::Revalidate, _) => self.revalidated(&packet),
            (PacketType::Handover, _) => self.handed_over(&packet),
            // The second acknowledgement that UPTODATE got is answered by some leaders.
            (PacketType::UpToDate, _) => {}
            _ => tracing::warn!(
                target: "o.a.z.s.q.Learner",
                "Ignoring a packet of type {kind:?}"
            ),
        }
    }

    /// COMMIT must name the oldest proposal that no COMMIT has named yet.
    fn committed(&mut self, zxid: Zxid) {
        match self.pending.get(self.behind(self.named())) {
            Some((z, _)) if *z == zxid => {
                self.decided.push_back(Decided::Commit(zxid));
                self.settle();
            }
            Some(_) => self.fatal(
                12,
                "Committing a zxid that does not match the oldest pending one",
            ),
            // Apache warns and goes on, and so loses a transaction.
            None => self.leave("a commit of something never proposed"),
        }
    }

    /// The last proposal that a COMMIT named and that is not applied; -1 when there is none.
    pub(super) fn named(&self) -> Zxid {
        let last = self.decided.iter().rev().find_map(|d| match d {
            Decided::Commit(z) => Some(*z),
            Decided::Sync | Decided::Handover(..) => None,
        });
        last.unwrap_or(Zxid(-1))
    }

    /// Acknowledges, one by one and in order, what is durable.
    pub(super) fn acknowledge(&mut self) {
        if self.options.kind == LearnerKind::Observer {
            return;
        }
        let from = self.behind(self.acked);
        for (zxid, _) in self.pending.range(from..) {
            if *zxid > self.durable {
                break;
            }
            self.acked = *zxid;
            let ack = QuorumPacket::new(PacketType::Ack, *zxid);
            self.out.push(LearnerEffect::Send(ack));
        }
    }

    /// Applies what is decided and durable here, and answers syncs in their place among it.
    pub(super) fn settle(&mut self) {
        while let Some(next) = self.decided.front() {
            match *next {
                Decided::Sync => self.out.push(LearnerEffect::Synced),
                Decided::Handover(to, last) => return self.moved(to, last),
                Decided::Commit(zxid) if zxid > self.durable => return,
                Decided::Commit(zxid) => match self.pending.pop_front() {
                    Some((head, bytes)) if head == zxid => {
                        self.history.last = self.history.last.max(zxid);
                        self.out.push(LearnerEffect::Apply(head, bytes));
                    }
                    _ => return self.leave("a commit of something else than the oldest proposal"),
                },
            }
            self.decided.pop_front();
        }
    }

    /// The leader names another one, in the place of this among what it decided.
    fn handed_over(&mut self, packet: &QuorumPacket) {
        match decode_activate(packet.data.as_deref()) {
            Ok((to, _)) => {
                self.decided.push_back(Decided::Handover(to, packet.zxid));
                self.settle();
            }
            Err(_) => self.leave("a HANDOVER that cannot be read"),
        }
    }

    /// Everything of this reign is applied, and nothing was proposed behind it.
    fn moved(&mut self, to: ServerId, last: Zxid) {
        if !self.pending.is_empty() || self.history.last != last {
            return self.leave("a handover from another history");
        }
        self.phase = Phase::Ended;
        self.out.push(LearnerEffect::Moved(to));
    }

    fn revalidated(&mut self, packet: &QuorumPacket) {
        match RevalidateAnswer::decode(packet.data.as_deref()) {
            Ok(answer) => self
                .out
                .push(LearnerEffect::Revalidated(answer.session, answer.valid)),
            Err(_) => self.leave("a REVALIDATE that cannot be read"),
        }
    }
}
