//! L2: agreement on the order of transactions; payloads are opaque here.
//!
//! A standalone server is a quorum of one: the same path, propose -> log -> commit, with its own
//! disk as the only voice.

mod broadcast;
mod committed_log;
pub mod election;
pub mod leader;
pub mod learner;
mod link;
pub mod observer_master;
mod quorum;
pub mod reconfig;

pub use broadcast::{Broadcast, Proposal};
pub use committed_log::{CommittedLog, Plan};
pub use link::{LinkId, Logged};
pub use quorum::{Hierarchy, JointQuorum, QuorumVerifier};
