//! From election to a quorum that follows: the waits of discovery (Apache: `Leader.lead`,
//! `getEpochToPropose`, `waitForEpochAck`, `waitForNewLeaderAck`).

use std::collections::BTreeMap;

use super::handler::{Handler, LearnerKind, Stage};
use super::{EPOCHS_AHEAD_MAX, LEARNERS_MAX, Leader, LeaderEffect, Phase};
use crate::base::{Epoch, ServerId, Zxid};
use crate::proto::quorum::capabilities::BEHIND_LEARNER_INFO;
use crate::proto::quorum::payload::{decode_int, encode_int};
use crate::proto::quorum::{Capabilities, LearnerInfo, PROTOCOL_VERSION, PacketType, QuorumPacket};
use crate::zab::link::LinkId;

impl Leader {
    /// The first packet of a learner.
    pub(super) fn introduce(
        &mut self,
        now: i64,
        link: LinkId,
        kind: PacketType,
        packet: &QuorumPacket,
    ) {
        let kind = match kind {
            PacketType::FollowerInfo => LearnerKind::Follower,
            PacketType::ObserverInfo => LearnerKind::Observer,
            _ => return self.close(link, "the first packet is no FOLLOWERINFO"),
        };
        let info = LearnerInfo::decode(packet.data.as_deref());
        if info.protocol_version < PROTOCOL_VERSION {
            return self.close(link, "a learner from before ZooKeeper 3.4");
        }
        if info.config_version > self.views.committed.version {
            return self.close(link, "it knows a newer configuration");
        }
        let sid = info.server.unwrap_or(ServerId(-1));
        if packet
            .zxid
            .epoch()
            .0
            .saturating_sub(self.history.accepted.0)
            > EPOCHS_AHEAD_MAX
        {
            return self.close(link, "it cannot have come to such an epoch");
        }
        if self.handlers.len() > LEARNERS_MAX && !self.quorum.is_voter(sid) {
            return self.close(link, "too many learners");
        }
        self.drop_older(sid, link);
        if let Some(h) = self.handlers.get_mut(&link) {
            h.sid = sid;
            h.label = sid.0.to_string();
            h.kind = kind;
            h.config_version = info.config_version;
            h.capabilities = Capabilities::read(packet.data.as_deref(), BEHIND_LEARNER_INFO);
            h.last = packet.zxid;
            h.stage = Stage::Known;
        }
        tracing::info!(
            target: "o.a.z.s.q.LearnerHandler",
            "{kind:?} sid: {} : info : acceptedEpoch {}", sid.0, packet.zxid.epoch().0
        );
        self.try_new_epoch(now);
        self.overtake(now, link);
        self.invite(link);
    }

    /// Acknowledgements count by server, not by connection: the older connection of a server goes.
    fn drop_older(&mut self, sid: ServerId, link: LinkId) {
        let same = |h: &&Handler| h.sid == sid && h.link != link && h.is_known() && sid.0 >= 0;
        let older: Vec<_> = self
            .handlers
            .values()
            .filter(same)
            .map(|h| h.link)
            .collect();
        for link in older {
            self.close(link, "its server connected again");
        }
    }

    /// The promises heard so far, ours included: a server, and the epoch it accepted.
    fn accepted(&self) -> BTreeMap<ServerId, Epoch> {
        let known = self.handlers.values().filter(|h| {
            h.stage == Stage::Known
                && h.kind == LearnerKind::Follower
                && self.quorum.is_voter(h.sid)
        });
        known
            .map(|h| (h.sid, h.last.epoch()))
            .chain([(self.me, self.history.accepted)])
            .collect()
    }

    /// With FOLLOWERINFO from a quorum the new epoch is one above everything promised.
    pub(super) fn try_new_epoch(&mut self, now: i64) {
        if self.phase != Phase::Discovery {
            return;
        }
        let accepted = self.accepted();
        if !self.quorum.is_quorum(|s| accepted.contains_key(&s)) {
            return;
        }
        let highest = accepted.values().max().map_or(-1, |e| e.0);
        let Some(next) = highest.checked_add(1) else {
            return self.step_down("no epoch is left");
        };
        self.phase = Phase::Accepting;
        self.since_ms = now;
        self.epoch = Epoch(next);
        self.out.push(LeaderEffect::AcceptEpoch(self.epoch));
    }

    /// Our own promise is durable.
    pub fn epoch_accepted(&mut self, now: i64) {
        if self.phase != Phase::Accepting {
            return;
        }
        self.history.accepted = self.epoch;
        self.phase = Phase::Promises;
        self.since_ms = now;
        self.number_first_config();
        let links: Vec<_> = self.handlers.keys().copied().collect();
        for link in links {
            self.invite(link);
        }
        self.try_enter(now);
    }

    fn invite(&mut self, link: LinkId) {
        if matches!(self.phase, Phase::Discovery | Phase::Accepting) {
            return;
        }
        let Some(h) = self
            .handlers
            .get_mut(&link)
            .filter(|h| h.stage == Stage::Known)
        else {
            return;
        };
        h.stage = Stage::Invited;
        let zxid = Zxid::of(self.epoch, 0);
        let mut version = encode_int(PROTOCOL_VERSION);
        Capabilities::OURS.append(&mut version);
        let packet = QuorumPacket::new(PacketType::LeaderInfo, zxid).with_data(version);
        self.send(link, packet);
    }

    /// A learner promised our epoch (or had promised it before), and says how far it is.
    pub(super) fn ack_epoch(&mut self, now: i64, link: LinkId, packet: &QuorumPacket) {
        let Ok(current) = decode_int(packet.data.as_deref()) else {
            return self.close(link, "an ACKEPOCH that cannot be read");
        };
        let (mine, counted) = (self.history, current != -1 && packet.zxid.0 != -1);
        let Some(h) = self
            .handlers
            .get_mut(&link)
            .filter(|h| h.stage == Stage::Invited)
        else {
            return self.close(link, "an ACKEPOCH out of turn");
        };
        // Somebody who is ahead of us should lead; while nothing is decided, let him.
        let ahead = (Epoch(current), packet.zxid) > (mine.current, mine.last);
        if self.phase == Phase::Promises && counted && ahead {
            tracing::warn!(
                target: "o.a.z.s.q.Leader",
                "Follower {} is ahead of the leader (has {} and is in epoch {current})",
                h.sid.0, packet.zxid
            );
            return self.close(link, "it is ahead of the leader");
        }
        h.last = packet.zxid;
        h.stage = Stage::Promised;
        h.promise = counted;
        self.try_enter(now);
        if matches!(self.phase, Phase::Syncing | Phase::Active) {
            self.synchronise(link);
        }
    }

    fn try_enter(&mut self, now: i64) {
        if self.phase != Phase::Promises {
            return;
        }
        let promised = |s: ServerId| {
            s == self.me
                || self.handlers.values().any(|h| {
                    h.sid == s
                        && h.kind == LearnerKind::Follower
                        && h.stage == Stage::Promised
                        && h.promise
                })
        };
        if self.quorum.is_quorum(promised) {
            self.phase = Phase::Entering;
            self.since_ms = now;
            self.out.push(LeaderEffect::EnterEpoch(self.epoch));
        }
    }

    /// Our own `currentEpoch` is durable: everybody who promised takes over our history.
    pub fn epoch_entered(&mut self, now: i64) {
        if self.phase != Phase::Entering {
            return;
        }
        self.history.current = self.epoch;
        self.phase = Phase::Syncing;
        self.since_ms = now;
        let waiting = self
            .handlers
            .values()
            .filter(|h| h.stage == Stage::Promised);
        let links: Vec<_> = waiting.map(|h| h.link).collect();
        for link in links {
            self.synchronise(link);
        }
        self.try_serve(now);
    }

    /// A learner has our history on its disk.
    pub(super) fn newleader_acked(&mut self, now: i64, link: LinkId) {
        let Some(h) = self.handlers.get_mut(&link) else {
            return;
        };
        h.stage = Stage::Acked;
        h.syncs = None;
        h.since_ms = now;
        // It keeps the time it was given until UPTODATE: before that it does not answer.
        let (sid, early) = (h.sid, h.last_acked);
        if h.kind == LearnerKind::Follower && early.epoch() == self.epoch {
            self.proposals.ack(sid, early);
        }
        match self.phase {
            Phase::Active => {
                self.up_to_date(now, link);
                self.decide();
            }
            _ => self.try_serve(now),
        }
    }

    fn try_serve(&mut self, now: i64) {
        if self.phase != Phase::Syncing {
            return;
        }
        let acked = |s: ServerId| {
            s == self.me
                || self
                    .handlers
                    .values()
                    .any(|h| h.sid == s && h.kind == LearnerKind::Follower && h.is_acked())
        };
        if !self.quorum.is_quorum(acked) {
            return;
        }
        self.phase = Phase::Active;
        self.since_ms = now;
        let opening = Zxid::of(self.epoch, self.options.initial_counter);
        self.proposals.begin(opening);
        self.complete_pending(Zxid::of(self.epoch, 0));
        if !self.retired {
            self.out.push(LeaderEffect::Serve(self.epoch));
        }
        let done = self.handlers.values().filter(|h| h.is_acked());
        let links: Vec<_> = done.map(|h| h.link).collect();
        for link in links {
            self.up_to_date(now, link);
        }
    }

    fn up_to_date(&mut self, now: i64, link: LinkId) {
        let limit = self.sync_ms();
        let Some(h) = self
            .handlers
            .get_mut(&link)
            .filter(|h| h.stage == Stage::Acked)
        else {
            return;
        };
        h.stage = Stage::UpToDate;
        h.deadline_ms = now + limit;
        h.since_ms = now;
        let held = std::mem::take(&mut h.held);
        self.send(link, QuorumPacket::new(PacketType::UpToDate, Zxid(-1)));
        for commit in held {
            self.send(link, commit);
        }
    }
}
