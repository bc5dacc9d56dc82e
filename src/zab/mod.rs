//! L2: agreement on the order of transactions; payloads are opaque here.
//!
//! A standalone server is a quorum of one: the same path, propose -> log -> commit, with its own
//! disk as the only voice.

mod broadcast;
pub mod election;
mod quorum;

pub use broadcast::{Broadcast, Proposal};
pub use quorum::{Hierarchy, JointQuorum, QuorumVerifier};
