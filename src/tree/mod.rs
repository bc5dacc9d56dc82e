//! L2: the data: a tree in lock shards, its watches, its ACLs, its digest.
//!
//! One writer (the sequencer) applies transactions; any number of readers look things up on their
//! own threads. Five rules make that safe for ZooKeeper's ordering promises:
//!
//! * R1: a read holds its shard's lock while it copies the answer, sets its watch and loads the
//!   applied zxid S; the answer is tagged S.
//! * R2: the writer takes every shard a transaction touches in index order, changes the nodes,
//!   pushes the events to the inboxes, publishes the applied zxid, and only then unlocks.
//! * R3: an inbox is therefore sorted by zxid; a connection writes out every item tagged <= S
//!   before an answer tagged S.
//! * R4: a session's later requests wait while a write of that session and a read behind it are
//!   unanswered; a write behind a write does not wait.
//! * R5: a read of several paths holds all their shards at once, taken in index order.
//!
//! `compat-tests/ordering.rs` checks these rules over random interleavings.

mod acl_table;
pub mod apply;
mod children;
mod config_node;
mod digest;
mod ephemerals;
pub mod inbox;
pub mod loader;
mod locked;
mod node;
pub mod query;
pub mod quota;
mod quota_apply;
mod shard;
pub mod snapshot;
#[allow(clippy::module_inception)]
mod tree;
mod trigger;
pub mod watch;

pub use acl_table::{AclId, AclList};
pub use apply::{Outcome, SubOutcome};
pub use config_node::CONFIG_PATH;
pub use digest::{content_crc, node_digest};
pub use inbox::{Inbox, Item};
pub use node::Znode;
pub use tree::{DataTree, DigestAt, NodeFacts, TreeOptions, is_reapable};
