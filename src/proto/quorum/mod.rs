//! What leaders and learners say to each other (Apache: `Leader`, `Learner`, `LearnerHandler`).
//!
//! A raw stream of records on the quorum port, without a length in front of them: the decoders say
//! how many bytes they need at least, so that a large packet that comes in small pieces is looked
//! at a few times and not once for each piece.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod capabilities;
pub mod learner_info;
pub mod packet;
pub mod payload;
pub mod sasl;

pub use capabilities::Capabilities;
pub use learner_info::LearnerInfo;
pub use packet::{Direction, PacketType, QuorumPacket};
pub use payload::{LearnerRequest, RevalidateAnswer, RevalidateRequest};
pub use sasl::{AuthStatus, QuorumAuthPacket};

/// The only version of the protocol spoken, in LearnerInfo and LEADERINFO.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

/// How far the decoding of the next record of a stream has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// Not all there: the record has at least this many bytes, more than were given.
    Need(usize),
    /// The record, and how many bytes it took.
    Done(T, usize),
}
