//! A reign that ends on purpose: another server is named to lead, or the same one leads in a new
//! epoch (not of Apache).
//!
//! The heir is told which server each session's client is connected to (HANDOVEROWNERS), a part at a
//! time while writes go on. Then new writes are held until everything proposed is committed and
//! applied here. Then the heir is told, in the same stream as the proposals: it answers when it has applied everything and takes
//! learners, and only then the others are told to follow it. What comes next is the ordinary
//! discovery and synchronisation. HANDOVER only takes the place of the election, and whoever names
//! the leader, it needs the promises of a quorum as ever: being wrong costs time, never data.

use super::handler::{self, Handler, LearnerKind};
use super::{Leader, LeaderEffect, Phase};
use crate::base::ServerId;
use crate::proto::quorum::payload::{Owners, encode_activate};
use crate::proto::quorum::{Capabilities, PacketType, QuorumPacket};
use crate::zab::link::LinkId;

/// Writes are held no longer than this for what is proposed already, before a handover is given up,
/// ms.
pub const HOLD_MS: i64 = 500;

/// And no longer than this for the heir, ms: once it is told it may lead already, and then giving up
/// costs more than waiting.
pub const ANSWER_MS: i64 = 1000;

/// Why a handover was given up whose writes took too long: nothing has changed.
pub const NOT_SETTLED: &str = "what was proposed is not decided in time";

/// Why a handover was given up whose heir did not answer.
pub const NOT_CAUGHT_UP: &str = "the server that was to lead did not catch up in time";

/// How far a handover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The heir is told the owners of sessions.
    Telling,
    /// Writes are about to be held.
    Holding,
    /// They are held until everything is applied.
    Settling,
    /// The heir was told to lead.
    Asked,
}

/// A handover under way.
#[derive(Debug)]
pub(super) struct Handover {
    to: ServerId,
    /// Its link; none when we go on ourselves.
    link: Option<LinkId>,
    stage: Stage,
    pub(super) until_ms: i64,
}

impl Leader {
    /// Begins to hand leadership over, to `to` or to whoever is furthest. The one it will be.
    ///
    /// # Errors
    /// Why it cannot be; nothing has changed then.
    pub fn hand_over(&mut self, now: i64, to: Option<ServerId>) -> Result<ServerId, &'static str> {
        self.check_free()?;
        let heir = match to {
            Some(sid) => self.named_heir(sid, now)?,
            None => self.best_heir(now).ok_or("no other server can lead now")?,
        };
        let (to, link) = (heir.sid, heir.link);
        if !self.quorum.is_quorum(|s| s == self.me || self.moves(s)) {
            return Err(
                "no quorum of Zabra servers is up to date, and others would need an election",
            );
        }
        self.now_ms = now;
        self.handover = Some(Handover {
            to,
            link: Some(link),
            stage: Stage::Telling,
            until_ms: now + self.sync_ms(),
        });
        self.out.push(LeaderEffect::TellOwners);
        Ok(to)
    }

    /// Begins a new epoch under the same leader: the counter of this one ends.
    ///
    /// # Errors
    /// Why it cannot be: an election must do it, as among Apache's servers.
    pub fn renew(&mut self, now: i64) -> Result<(), &'static str> {
        // That ends the epoch, too.
        if matches!(&self.handover, Some(h) if h.stage == Stage::Telling) {
            return Ok(());
        }
        self.check_free()?;
        let known = |h: &&Handler| h.is_known();
        let all = |h: &Handler| h.capabilities.has(Capabilities::HANDOVER);
        if !self.handlers.values().filter(known).all(all) {
            return Err("not all servers are Zabra");
        }
        if !self.quorum.is_quorum(|s| s == self.me || self.moves(s)) {
            return Err("no quorum is up to date");
        }
        self.handover = Some(Handover {
            to: self.me,
            link: None,
            stage: Stage::Holding,
            until_ms: now + self.sync_ms(),
        });
        self.out.push(LeaderEffect::Hold);
        Ok(())
    }

    /// A voter has promised a later epoch to a leader that then failed, and must not follow ours:
    /// ours goes on above it. Apache's would stay out until the next election.
    pub(super) fn overtake(&mut self, now: i64, link: LinkId) {
        let Some(h) = self.handlers.get(&link) else {
            return;
        };
        let votes = h.kind == LearnerKind::Follower && self.quorum.is_voter(h.sid);
        let stranger = h.last.epoch() <= self.epoch || !votes;
        // Not again and again for somebody who only says so.
        let soon = now - self.since_ms < self.options.tick_ms;
        if self.phase != Phase::Active || stranger || soon {
            return;
        }
        let (sid, epoch) = (h.sid.0, h.last.epoch().0);
        match self.renew(now) {
            Ok(()) => tracing::info!(
                target: "o.a.z.s.q.Leader",
                "Server {sid} has promised epoch {epoch}: a later one than ours begins"
            ),
            Err(why) => tracing::warn!(
                target: "o.a.z.s.q.Leader",
                "Server {sid} has promised epoch {epoch} and cannot follow: {why}"
            ),
        }
    }

    fn check_free(&self) -> Result<(), &'static str> {
        match (self.phase, &self.handover) {
            (Phase::Active, None) if self.views.is_changing() || self.retired => {
                Err("a reconfiguration is under way")
            }
            (Phase::Active, None) => Ok(()),
            (Phase::Active, Some(_)) => Err("a handover is under way"),
            _ => Err("this server does not lead yet"),
        }
    }

    /// True when `sid` will follow whoever it is told to.
    fn moves(&self, sid: ServerId) -> bool {
        self.handlers.values().any(|h| h.sid == sid && h.moves())
    }

    fn may_lead(&self, h: &Handler, now: i64) -> bool {
        h.moves() && self.is_synced(h, now) && self.quorum.committed.weight(h.sid) > 0
    }

    fn best_heir(&self, now: i64) -> Option<&Handler> {
        let able = self.handlers.values().filter(|h| self.may_lead(h, now));
        able.max_by_key(|h| (h.last_acked, h.sid))
    }

    fn named_heir(&self, sid: ServerId, now: i64) -> Result<&Handler, &'static str> {
        if sid == self.me {
            return Err("that server leads already");
        }
        let found = self.handlers.values().find(|h| h.sid == sid);
        let heir = found.ok_or("that server is not connected")?;
        if !self.quorum.is_voter(sid) || self.quorum.committed.weight(sid) == 0 {
            return Err("that server has no vote");
        }
        if !heir.capabilities.has(Capabilities::HANDOVER) {
            return Err("that server is not Zabra, and leads only by an election");
        }
        match self.may_lead(heir, now) {
            true => Ok(heir),
            false => Err("that server is not up to date"),
        }
    }

    /// The answer to [`LeaderEffect::TellOwners`]: some owners, or the last ones.
    pub fn owners(&mut self, owners: &Owners, last: bool) {
        let telling = |h: &&mut Handover| h.stage == Stage::Telling;
        let Some(handover) = self.handover.as_mut().filter(telling) else {
            return;
        };
        if last {
            handover.stage = Stage::Holding;
            handover.until_ms = self.now_ms + HOLD_MS;
        }
        self.changed_owners(owners);
        if last {
            self.out.push(LeaderEffect::Hold);
        }
    }

    /// Owners that changed while others were told, or some of the others.
    pub fn changed_owners(&mut self, owners: &Owners) {
        if let Some(link) = self.handover.as_ref().and_then(|h| h.link) {
            let packet = QuorumPacket::new(PacketType::HandoverOwners, self.cache.last());
            self.send(link, packet.with_data(owners.encode()));
        }
    }

    /// The heir wants to hear more.
    pub(super) fn heir_listens(&mut self, link: LinkId) {
        let heir = |h: &Handover| h.stage == Stage::Telling && h.link == Some(link);
        if self.handover.as_ref().is_some_and(heir) {
            self.out.push(LeaderEffect::TellOwners);
        }
    }

    /// The answer to [`LeaderEffect::Hold`]: writes are held, and nothing about owners is left to
    /// be told.
    pub fn holding(&mut self) {
        if let Some(handover) = &mut self.handover {
            handover.stage = Stage::Settling;
            self.advance_handover();
        }
    }

    /// Once nothing is open any more the heir is told.
    pub(super) fn advance_handover(&mut self) {
        let settled = self.proposals.is_empty() && self.applied >= self.cache.last();
        let Some(handover) = self
            .handover
            .as_mut()
            .filter(|h| settled && h.stage == Stage::Settling)
        else {
            return;
        };
        handover.stage = Stage::Asked;
        handover.until_ms = self.now_ms + ANSWER_MS;
        let to = handover.to;
        match handover.link {
            Some(link) => {
                let packet = self.handover_packet(to);
                self.send(link, packet);
            }
            None => self.end_reign(to, None),
        }
    }

    fn handover_packet(&self, to: ServerId) -> QuorumPacket {
        let last = self.cache.last();
        QuorumPacket::new(PacketType::Handover, last).with_data(encode_activate(to, &[]))
    }

    /// The heir has everything, and takes learners.
    pub(super) fn heir_ready(&mut self, link: LinkId) {
        let heir = self.handover.as_ref().filter(|h| h.stage == Stage::Asked);
        match heir.filter(|h| h.link == Some(link)).map(|h| h.to) {
            Some(to) => self.end_reign(to, Some(link)),
            None => self.close(link, "it takes over what nobody gave it"),
        }
    }

    /// From here on there is no way back: the others follow `to`.
    fn end_reign(&mut self, to: ServerId, heir: Option<LinkId>) {
        self.handover = None;
        self.phase = Phase::Ended;
        self.out.push(LeaderEffect::HandedOver(to));
        let packet = self.handover_packet(to);
        for h in self.handlers.values() {
            let link = h.link;
            self.out.push(match h.may_be_told() {
                _ if heir == Some(link) => LeaderEffect::Close(link, "it leads now"),
                true => LeaderEffect::Send(link, packet.clone()),
                false => LeaderEffect::Close(link, "the reign is over"),
            });
        }
    }

    /// The link of the heir ended.
    pub(super) fn heir_gone(&mut self, link: LinkId) {
        if self.handover.as_ref().is_some_and(|h| h.link == Some(link)) {
            self.handover = None;
            let why = "the server that was to lead is gone";
            self.out.push(LeaderEffect::Resume(why));
        }
    }

    /// It must not hold up writes for long.
    pub(super) fn check_handover(&mut self, now: i64) {
        let Some(late) = self.handover.take_if(|h| now >= h.until_ms) else {
            return;
        };
        let why = match late.stage {
            Stage::Telling | Stage::Asked => NOT_CAUGHT_UP,
            Stage::Holding | Stage::Settling => NOT_SETTLED,
        };
        match late.link {
            None => self.step_down("the epoch has no zxid left, and its last writes take too long"),
            Some(link) => {
                self.out.push(LeaderEffect::Resume(why));
                // It may have ceased to follow us.
                if late.stage == Stage::Asked {
                    self.close(link, why);
                }
            }
        }
    }
}

impl Handler {
    /// True when it understands HANDOVER where it stands.
    fn may_be_told(&self) -> bool {
        self.stage == handler::Stage::UpToDate && self.capabilities.has(Capabilities::HANDOVER)
    }

    /// True when it votes, has our history, and follows whoever it is told to.
    fn moves(&self) -> bool {
        self.kind == LearnerKind::Follower && self.may_be_told()
    }
}
