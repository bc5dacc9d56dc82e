//! What becomes of a configuration that was proposed or committed (Apache:
//! `QuorumPeer.setLastSeenQuorumVerifier`, `processReconfig`).

use super::event::{DiskOp, Effect, Effects};
use super::peer::{Peer, Phase};
use crate::base::{ServerId, Zxid};
use crate::config::Ensemble;
use crate::pipeline::Now;
use crate::zab::election::{Members, ServerState, Vote};
use crate::zab::reconfig::{Views, keeps_place};

/// What a role learned.
#[derive(Debug)]
pub(super) enum ConfigEvent {
    /// Proposed.
    Seen(Ensemble),
    /// What a new leader has seen last.
    LeaderSeen(Ensemble),
    /// Committed.
    Activate {
        config: Ensemble,
        /// Who leads from now on, if the leader of the reconfiguration said so.
        designated: Option<ServerId>,
        zxid: Zxid,
    },
}

/// What roles tell their peer, in order. What must be stored goes to the disk at once, before
/// anything that comes after it.
#[derive(Debug)]
pub(super) struct ConfigEvents {
    seen: i64,
    events: Vec<ConfigEvent>,
}

impl ConfigEvents {
    pub(super) fn new(members: &Members) -> Self {
        Self {
            seen: members.views().last_seen.version,
            events: Vec::new(),
        }
    }

    pub(super) fn seen(&mut self, config: Ensemble, out: &mut Effects) {
        if config.version > self.seen {
            self.seen = config.version;
            out.disk.push(DiskOp::SaveSeen(Box::new(config.clone())));
            self.events.push(ConfigEvent::Seen(config));
        }
    }

    pub(super) fn leader_seen(&mut self, config: Ensemble, out: &mut Effects) {
        if config.version != self.seen {
            self.seen = config.version;
            out.disk.push(DiskOp::SaveSeen(Box::new(config.clone())));
            self.events.push(ConfigEvent::LeaderSeen(config));
        }
    }

    pub(super) fn activate(&mut self, config: Ensemble, designated: Option<ServerId>, zxid: Zxid) {
        self.seen = self.seen.max(config.version);
        self.events.push(ConfigEvent::Activate {
            config,
            designated,
            zxid,
        });
    }

    pub(super) fn take(&mut self) -> Vec<ConfigEvent> {
        std::mem::take(&mut self.events)
    }
}

impl Peer {
    /// Follows what a role learned; true when the role must end for it.
    pub(super) fn note_configs(
        &mut self,
        events: Vec<ConfigEvent>,
        now: Now,
        out: &mut Effects,
    ) -> bool {
        let mut major = false;
        for event in events {
            let mut views = self.options.members.views().clone();
            match event {
                ConfigEvent::Seen(config) => {
                    if views.see(config) {
                        self.set_views(views, out);
                    }
                }
                ConfigEvent::LeaderSeen(config) => {
                    if views.replace_seen(config) {
                        self.set_views(views, out);
                    }
                }
                ConfigEvent::Activate {
                    config,
                    designated,
                    zxid,
                } => {
                    // At the opening of an epoch its leader is still to be elected.
                    let designated = designated.filter(|_| zxid.counter() != 0);
                    major |= self.activate(config, designated, now, out);
                }
            }
        }
        major
    }

    /// A configuration is in use from now on. True when this server's role, or its leader, is
    /// another one by it.
    pub(super) fn activate(
        &mut self,
        config: Ensemble,
        designated: Option<ServerId>,
        now: Now,
        out: &mut Effects,
    ) -> bool {
        let mut views = self.options.members.views().clone();
        let old = views.committed.clone();
        if !views.commit(config) {
            return false;
        }
        out.disk
            .push(DiskOp::ActivateConfig(Box::new(views.clone())));
        let same = old.same_as(&views.committed);
        self.set_views(views, out);
        if !self.serves() {
            self.write_config(now);
        }
        if same {
            return false;
        }
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeer",
            "configuration {:x} is in use", self.options.members.committed().version
        );
        self.is_major(&old, designated)
    }

    fn is_major(&mut self, old: &Ensemble, designated: Option<ServerId>) -> bool {
        let Some(leader) = self.election.current_vote().map(|v| v.leader) else {
            return false;
        };
        let (observed, leads) = match &self.phase {
            Phase::Learning(role) => (role.observes(), false),
            Phase::Leading(_) => (false, true),
            _ => return false,
        };
        let members = &self.options.members;
        let role_changes = observed != members.observes(self.options.me);
        if let Some(next) = designated {
            if next != leader || role_changes {
                self.appointed = Some(next);
            }
            // A leader waits until the others have gone.
            return !leads && self.appointed.is_some();
        }
        !leads && (role_changes || !keeps_place(old, members.committed(), leader))
    }

    fn set_views(&mut self, views: Views, out: &mut Effects) {
        self.options.members = Members::of(views.clone());
        self.election.set_members(self.options.members.clone());
        out.net.push(Effect::Members(Box::new(views)));
    }

    /// While looking: somebody's configuration is newer. An election among other voters begins anew.
    pub(super) fn adopt(&mut self, config: Ensemble, now: Now, out: &mut Effects) {
        if !matches!(self.phase, Phase::Looking) {
            return;
        }
        let old = self.options.members.committed().clone();
        self.activate(config, None, now, out);
        if !old.same_as(self.options.members.committed()) {
            self.look(now, out);
        }
    }

    /// The next role: the one a reconfiguration appointed, without an election, or whatever an
    /// election says.
    pub(super) fn go_on(&mut self, now: Now, out: &mut Effects) {
        let Some(leader) = self.appointed.take() else {
            return self.look(now, out);
        };
        // As Apache's: the round is no real one.
        let vote = Vote {
            leader,
            zxid: self.history.last,
            election_epoch: -1,
            peer_epoch: -1,
        };
        let state = match leader == self.options.me {
            true => ServerState::Leading,
            false => self.options.members.learning_state(self.options.me),
        };
        self.election.settle(vote, state);
        self.phase = Phase::Looking;
        self.elected(vote, state, now, out);
    }
}
