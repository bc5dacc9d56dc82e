//! L3: one server of an ensemble as a state machine: election, then leading or learning, then
//! election again (Apache: `QuorumPeer`).
//!
//! [`Peer::step`] is the whole contract: inputs and the time come in, effects go out. It owns the
//! election, the two sides of ZAB and the pure server; the runtime and the simulator own sockets
//! and disks, and say when something is durable.

mod data;
mod event;
mod leading;
mod learning;
mod masters;
mod membership;
mod observers;
mod options;
mod peer;
mod read_only;
mod turn;

pub use data::Data;
pub use event::{DiskOp, Effect, Effects, Input, Serving};
pub use leading::Learners;
pub use options::PeerOptions;
pub use peer::{Peer, PeerState};
