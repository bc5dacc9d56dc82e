//! Choosing a leader (Apache: `FastLeaderElection`), as a state machine.
//!
//! Notifications and the time come in, notifications to send and the outcome go out. The election
//! also answers for a server that is not looking: without answers a restarted peer could never
//! join an ensemble that is already established.

#[cfg(test)]
mod bugs_tests;
mod empty;
mod machine;
mod members;
mod notification;
mod round;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod sim_tests;
mod vote;

pub use machine::Election;
pub use members::Members;
pub use notification::{Notification, ServerState};
pub use vote::Vote;

use crate::base::{ServerId, Zxid};
use crate::config::Ensemble;

/// Timing and switches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionOptions {
    /// First wait before votes are sent again, ms (`fastleader.minNotificationInterval`).
    pub min_interval_ms: i64,
    /// The wait doubles up to this, ms (`fastleader.maxNotificationInterval`).
    pub max_interval_ms: i64,
    /// How long a quorum's vote waits for a better one, ms (`finalizeWait`).
    pub finalize_wait_ms: i64,
    /// How often missing connections are asked for while looking, ms.
    pub connect_interval_ms: i64,
    /// How long a server whose connection ended is taken for dead, so that nobody waits for its
    /// vote, ms. After that it may be on its way back.
    pub lost_ms: i64,
    /// Newer configurations of others are reported (`reconfigEnabled`).
    pub adopt_configs: bool,
}

impl Default for ElectionOptions {
    fn default() -> Self {
        Self {
            min_interval_ms: 200,
            max_interval_ms: 60_000,
            finalize_wait_ms: 200,
            connect_interval_ms: 1000,
            lost_ms: 2000,
            adopt_configs: false,
        }
    }
}

/// What a voter stands for election with: values that are on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitialVote {
    /// The end of its durable history; -1 = it may have lost data, and is not counted.
    pub zxid: Zxid,
    /// Its current epoch.
    pub epoch: i64,
    /// It has no data, and nobody has said that it never had any.
    pub empty: bool,
}

/// What the election wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a notification; one still unsent to the same server may be forgotten.
    Send(ServerId, Notification),
    /// Connect to every voter that is not connected.
    ConnectAll,
    /// The round is over: the vote, and the state this server takes on.
    Elected(Vote, ServerState),
    /// While looking: somebody's committed configuration is newer. If its members differ, the
    /// caller adopts it with [`Election::set_members`] and starts a new round.
    AdoptConfig(Box<Ensemble>),
    /// A voter is looking although this server leads (Apache: `Leader.reportLookingSid`).
    VoterLooking(ServerId),
}
