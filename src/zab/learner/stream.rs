//! Live traffic (Apache: `Follower.processPacket`, `FollowerZooKeeperServer`, `SendAckRequestProcessor`).

use std::sync::Arc;

use super::{Decided, Learner, LearnerEffect, Phase};
use crate::base::{ServerId, Zxid};
use crate::proto::quorum::payload::{Owners, decode_activate};
use crate::proto::quorum::{PacketType, QuorumPacket, RevalidateAnswer};
use crate::telemetry::metrics::METRICS;
use crate::zab::leader::LearnerKind;
use crate::zab::reconfig::proposed;

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
            (PacketType::Commit, LearnerKind::Follower) => {
                METRICS.learner_commit_received_count.inc();
                self.committed(Decided::Commit(zxid));
            }
            (PacketType::CommitAndActivate, LearnerKind::Follower) => {
                if let Some((decided, _)) = self.activation(&packet) {
                    self.committed(decided);
                }
            }
            (PacketType::InformAndActivate, LearnerKind::Observer) => {
                if let Some((decided, bytes)) = self.activation(&packet)
                    && self.queue(zxid, bytes)
                {
                    self.hand_to_log(zxid);
                    self.decided.push_back(decided);
                    self.settle();
                }
            }
            (PacketType::Ping, _) => self.out.push(LearnerEffect::Ping(zxid)),
            (PacketType::Sync, _) => {
                self.decided.push_back(Decided::Sync);
                self.settle();
            }
            (PacketType::Revalidate, _) => self.revalidated(&packet),
            (PacketType::HandoverOwners, _) => self.owners(&packet),
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
    fn committed(&mut self, decided: Decided) {
        match self.pending.get(self.behind(self.named())) {
            Some((z, _)) if Some(*z) == decided.zxid() => {
                self.decided.push_back(decided);
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
        let last = self.decided.iter().rev().find_map(|d| d.zxid());
        last.unwrap_or(Zxid(-1))
    }

    /// Acknowledges, one by one and in order, what is durable.
    pub(super) fn acknowledge(&mut self) {
        if self.options.kind == LearnerKind::Observer {
            return;
        }
        let from = self.behind(self.acked);
        for (zxid, bytes) in self.pending.range(from..) {
            if *zxid > self.durable {
                break;
            }
            self.acked = *zxid;
            self.out
                .push(LearnerEffect::Acknowledge(*zxid, bytes.clone()));
        }
    }

    /// Applies what is decided and durable here, and answers syncs in their place among it.
    pub(super) fn settle(&mut self) {
        while let Some(next) = self.decided.front() {
            let next = *next;
            if let Decided::Handover(to, last) = next {
                return self.moved(to, last);
            }
            match next.zxid() {
                None => self.out.push(LearnerEffect::Synced),
                Some(zxid) if zxid > self.durable => return,
                Some(zxid) => match self.pending.pop_front() {
                    Some((head, bytes)) if head == zxid => self.apply(next, bytes),
                    _ => return self.leave("a commit of something else than the oldest proposal"),
                },
            }
            self.decided.pop_front();
        }
    }

    /// The leader, which is about to name us, says whose clients are where.
    fn owners(&mut self, packet: &QuorumPacket) {
        match Owners::decode(packet.data.as_deref()) {
            Ok(owners) => {
                self.out.push(LearnerEffect::Owners(owners));
                self.send(QuorumPacket::new(PacketType::HandoverOwners, packet.zxid));
            }
            Err(_) => self.leave("HANDOVEROWNERS that cannot be read"),
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

    /// Applies a committed transaction; a reconfiguration is acted upon once it shows.
    pub(super) fn apply(&mut self, decided: Decided, bytes: Arc<[u8]>) {
        let Some(zxid) = decided.zxid() else {
            return;
        };
        self.history.last = self.history.last.max(zxid);
        let config = match decided {
            Decided::Activate(_, designated) if self.options.reconfig => {
                proposed(&bytes).map(|c| (Box::new(c), designated))
            }
            _ => None,
        };
        self.out.push(LearnerEffect::Apply(zxid, bytes));
        if let Some((config, designated)) = config {
            self.out.push(LearnerEffect::Activate {
                config,
                designated: Some(designated),
                zxid,
            });
        }
    }

    /// What COMMITANDACTIVATE and INFORMANDACTIVATE say; the bytes of the latter's transaction.
    pub(super) fn activation(&mut self, packet: &QuorumPacket) -> Option<(Decided, Arc<[u8]>)> {
        match decode_activate(packet.data.as_deref()) {
            Ok((designated, bytes)) => {
                Some((Decided::Activate(packet.zxid, designated), bytes.into()))
            }
            Err(_) => {
                self.leave("an activation that cannot be read");
                None
            }
        }
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
