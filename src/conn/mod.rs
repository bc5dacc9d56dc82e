//! L4: the client edge. A connection is one task: it reads, decodes, answers reads itself from the
//! tree, hands writes to the sequencer, and merges what comes back by zxid.
//!
//! Memory follows what was received and what was read: a frame's announced length allocates
//! nothing, a client that does not read its replies is not asked for more requests.

mod auth;
mod bell;
#[allow(clippy::module_inception)]
mod conn;
mod edge;
mod handshake;
mod in_flight;
mod info;
mod large;
mod listener;
mod local_read;
mod local_watch;
mod offline;
mod op_counts;
mod protocol;

pub use bell::Bell;
pub use conn::Conn;
pub use edge::{Clock, CurrentEdge, Edge, EdgeLimits, FourLetterWords, WordReply};
pub use info::{ConnInfo, Registry, ServerStats};
pub use large::LargeRequests;
pub use listener::{IoThread, Listener, bind};
pub use offline::Offline;
