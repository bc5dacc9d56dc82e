//! The configuration, as a peer wants it.

use crate::base::ServerId;
use crate::pipeline::ServerOptions;
use crate::zab::election::{ElectionOptions, Members};

/// What the configuration says to a peer.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// Own id.
    pub me: ServerId,
    /// Who is in the ensemble.
    pub members: Members,
    /// For the election.
    pub election: ElectionOptions,
    /// For the server that runs in a role.
    pub server: ServerOptions,
    /// `tickTime`, ms.
    pub tick_ms: i64,
    /// `initLimit`, ticks.
    pub init_limit: i64,
    /// `syncLimit`, ticks.
    pub sync_limit: i64,
    /// Time to reach an elected leader, ms.
    pub connect_limit_ms: i64,
    /// `leaderServes`: a leader takes clients.
    pub leader_serves: bool,
    /// `readonlymode.enabled`: how long to look for a leader before reads are served without one, ms.
    pub read_only_after_ms: Option<i64>,
    /// `standaloneEnabled`: an ensemble of one voter cannot be made.
    pub standalone_enabled: bool,
    /// `forceSnapshotSync`.
    pub force_snapshot: bool,
    /// An empty disk may have had data: no file `initialize` says that it is new.
    pub doubts_empty: bool,
    /// `observerMasterPort`: followers serve observers there, and observers learn from followers.
    pub observer_master_port: Option<u16>,
    /// Longest pause before an observer connects, ms; it is chosen at random.
    pub observer_delay_ms: u32,
}
