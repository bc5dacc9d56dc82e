//! A sync that waits until a quorum has said that we still lead (not of Apache: ZOOKEEPER-1675,
//! 2136, 3600).
//!
//! Every PING gets one answer, in order, and a follower answers only while it follows us. So when a
//! quorum has answered PINGs that were sent behind the arrival of a sync, no other leader had a
//! quorum by then, and nothing was committed that we do not know.

use super::handler::{LearnerKind, Stage};
use super::{Leader, LeaderEffect, Phase};
use crate::base::ServerId;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::zab::link::LinkId;

/// Rounds of PINGs, one after the other.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// The last round that was begun.
    begun: u64,
    /// The last round that a quorum has answered.
    pub(super) done: u64,
    /// A round must follow: somebody came too late for the one under way.
    wanted: bool,
}

impl Leader {
    /// The round whose end lets a sync that comes now be answered; 0 is over already.
    pub(super) fn confirmation(&mut self) -> u64 {
        let c = &mut self.confirmation;
        if !self.options.linearizable_sync {
            return 0;
        }
        if c.begun > c.done {
            c.wanted = true;
            return c.begun + 1;
        }
        self.begin_round();
        self.confirmation.begun
    }

    fn begin_round(&mut self) {
        self.confirmation.begun += 1;
        self.confirmation.wanted = false;
        let ping = QuorumPacket::new(PacketType::Ping, self.proposals.last());
        let mut links = Vec::new();
        for h in self.handlers.values_mut() {
            let asked = h.stage == Stage::UpToDate && h.kind == LearnerKind::Follower;
            h.mark = asked.then(|| h.pinged() + 1);
            links.extend(asked.then_some(h.link));
        }
        for link in links {
            self.ping(link, ping.clone());
        }
        self.count_answers();
    }

    /// Sends a PING; only learners that are up to date answer. One that came during a round is asked
    /// by the next PING that it gets anyway: those that were asked may have gone.
    pub(super) fn ping(&mut self, link: LinkId, packet: QuorumPacket) {
        let open = self.confirmation.begun > self.confirmation.done;
        if let Some(h) = self.handlers.get_mut(&link) {
            let can = h.stage == Stage::UpToDate && h.kind == LearnerKind::Follower;
            if open && can && h.mark.is_none() {
                h.mark = Some(h.pinged() + 1);
            }
            h.note_ping();
        }
        self.out.push(LeaderEffect::Send(link, packet));
    }

    /// A learner answered a PING.
    pub(super) fn pong(&mut self, link: LinkId) {
        if let Some(h) = self.handlers.get_mut(&link) {
            h.pongs += 1;
        }
        self.count_answers();
    }

    fn count_answers(&mut self) {
        let c = &self.confirmation;
        if c.begun == c.done || self.phase != Phase::Active {
            return;
        }
        let answered = |s: ServerId| {
            let has = |h: &super::Handler| h.sid == s && h.mark.is_some_and(|m| h.pongs >= m);
            s == self.me || self.handlers.values().any(has)
        };
        if !self.quorum.is_quorum(answered) {
            return;
        }
        self.confirmation.done = self.confirmation.begun;
        self.answer_syncs();
        if self.confirmation.wanted {
            self.begin_round();
        }
    }
}
