//! Who may vote, and who has won (Apache: `QuorumPeer.getCurrentAndNextConfigVoters`).

use std::collections::BTreeSet;

use super::ServerState;
use crate::base::ServerId;
use crate::config::{Ensemble, PeerType};
use crate::zab::JointQuorum;
use crate::zab::reconfig::Views;

/// The committed configuration, and the one proposed after it while a reconfiguration is under way.
#[derive(Clone, Debug)]
pub struct Members {
    views: Views,
    text: String,
    rules: JointQuorum,
    voters: BTreeSet<ServerId>,
}

impl Members {
    /// `proposed` counts only when it is newer than `committed`.
    pub fn new(committed: Ensemble, proposed: Option<Ensemble>) -> Self {
        Self::of(Views::new(committed, proposed))
    }

    /// Those of both configurations.
    pub fn of(views: Views) -> Self {
        let rules = views.quorum();
        Self {
            voters: rules.voters(),
            rules,
            text: views.committed.text(),
            views,
        }
    }

    /// Both configurations.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// The committed configuration.
    pub fn committed(&self) -> &Ensemble {
        &self.views.committed
    }

    /// Its text, as notifications carry it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Voters of either configuration, ascending.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> {
        self.voters.iter().copied()
    }

    /// Does it vote in either configuration?
    pub fn is_voter(&self, sid: ServerId) -> bool {
        self.voters.contains(&sid)
    }

    /// Does it vote in the committed configuration? Only then does it stand for election itself.
    pub fn is_committed_voter(&self, sid: ServerId) -> bool {
        self.rules.committed.is_voter(sid)
    }

    /// May it lead? A server of weight 0 may not.
    pub fn is_eligible(&self, sid: ServerId) -> bool {
        self.views.committed.weight(sid.0) != 0
    }

    /// Do those for which `holds` are a quorum in each configuration?
    pub fn is_quorum(&self, holds: impl Fn(ServerId) -> bool) -> bool {
        self.rules.is_quorum(holds)
    }

    /// Does `me` only watch? A server in no list follows without a vote.
    pub fn observes(&self, me: ServerId) -> bool {
        let own = self.views.committed.members.get(&me.0);
        own.is_some_and(|s| s.role == PeerType::Observer)
    }

    /// The state of `me` under somebody else's lead.
    pub fn learning_state(&self, me: ServerId) -> ServerState {
        match self.observes(me) {
            true => ServerState::Observing,
            false => ServerState::Following,
        }
    }
}
