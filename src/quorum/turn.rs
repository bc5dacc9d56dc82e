//! One role follows another without an election, and without the clients noticing: HANDOVER named
//! who leads next. The server, its tree and its connections stay; only the side of ZAB under it is
//! a new one.

use super::event::{Effect, Effects, Input};
use super::leading::Leading;
use super::learning::Learning;
use super::peer::{Peer, Phase};
use crate::base::{Epoch, ServerId, Zxid};
use crate::pipeline::{Now, Role};
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::zab::election::{ServerState, Vote};

/// The heir and those who follow it must find each other in this time, ms; there is no election
/// before that which could find another one.
const MEET_MS: i64 = 1000;

impl Peer {
    /// Somebody wants leadership handed over; [`Effect::HandoverDone`] answers.
    pub(super) fn hand_over(
        &mut self,
        ask: u64,
        to: Option<ServerId>,
        now: Now,
        out: &mut Effects,
    ) {
        let leader = self.leader();
        let begun = match &mut self.phase {
            Phase::Leading(role) => role.hand_over(now, to),
            _ => Err(match leader {
                Some(leader) => format!("server {} leads: it must be told", leader.0),
                None => "there is no leader".to_owned(),
            }),
        };
        match begun {
            Ok(heir) => {
                tracing::info!(
                    target: "o.a.z.s.q.Leader",
                    "Handing leadership over to {}", heir.0
                );
                self.asked = Some(ask);
                self.role(now, Input::Tick, out);
            }
            Err(why) => out.net.push(Effect::HandoverDone(ask, Err(why))),
        }
    }

    /// What became of a handover.
    pub(super) fn handover_done(&mut self, done: Result<ServerId, String>, out: &mut Effects) {
        if let Some(ask) = self.asked.take() {
            out.net.push(Effect::HandoverDone(ask, done));
        }
    }

    /// The reign is over with everything applied, and `to` leads next.
    pub(super) fn moved(&mut self, to: ServerId, now: Now, out: &mut Effects) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let (server, from, observes) = match phase {
            Phase::Leading(role) => (role.into_server(out), None, false),
            Phase::Learning(role) => {
                let (link, observes) = (role.link, role.observes());
                if role.master.is_some() {
                    // Our observers come again when there is a leader.
                    out.net.push(Effect::StopListening);
                }
                (role.into_server(out), Some(link), observes)
            }
            other => {
                self.phase = other;
                return;
            }
        };
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeer",
            "Server {} leads from here on, without an election, zxid {}", to.0, self.history.last
        );
        let me = self.options.me;
        let state = match to == me {
            true => ServerState::Leading,
            false if observes => ServerState::Observing,
            false => ServerState::Following,
        };
        let round = self.election.current_vote();
        let vote = Vote {
            leader: to,
            zxid: self.history.last,
            election_epoch: round.map_or(0, |v| v.election_epoch),
            peer_epoch: i64::from(self.history.current.0),
        };
        self.election.settle(vote, state);
        if to != me {
            if from.is_none() {
                out.net.push(Effect::Retire);
            }
            let link = self.new_link();
            out.net.extend(from.map(Effect::DropLeader));
            out.net.push(Effect::ConnectLeader(link, to));
            let limit = MEET_MS.min(self.options.connect_limit_ms);
            let role =
                Learning::new(self, (link, to), observes, false, now).over(server, limit, now);
            self.phase = Phase::Learning(Box::new(role));
            return;
        }
        if from.is_some() {
            out.net.push(Effect::Listen);
        }
        let role = Leading::over(self, server, now);
        if let Some(link) = from {
            let ready = QuorumPacket::new(PacketType::HandoverReady, self.history.last);
            out.net.push(Effect::Send(link, ready));
        }
        self.phase = Phase::Leading(Box::new(role));
        self.role(now, Input::Tick, out);
    }

    /// The role that was taken over has come together: its clients' requests go on.
    pub(super) fn resume(&mut self, epoch: Epoch, role: Role, now: Now, out: &mut Effects) {
        self.election.set_peer_epoch(i64::from(epoch.0));
        match &mut self.phase {
            Phase::Leading(l) => {
                let opening = Zxid::of(epoch, self.options.server.initial_counter);
                self.data.tree.set_loaded(opening);
                l.lead(opening, now);
            }
            Phase::Learning(l) => {
                l.resend();
                l.start_master(&self.options, now.mono_ms, out);
            }
            _ => return,
        }
        out.net.push(Effect::Turn(role == Role::Learner));
        if let Some(leader) = self.leader() {
            self.handover_done(Ok(leader), out);
        }
        self.role(now, Input::Tick, out);
    }
}
