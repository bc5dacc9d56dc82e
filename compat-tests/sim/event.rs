//! What is due at some time.

use std::sync::Arc;

use zabra::base::{SessionId, Zxid};
use zabra::pipeline::SnapshotJob;
use zabra::quorum::{Input, Serving};
use zabra::tree::Inbox;
use zabra::zab::LinkId;

pub enum Event {
    Start(i64),
    Notify(i64, i64),
    Lost(i64, i64, u64),
    Dial(i64, u64, LinkId, i64, u32),
    Deliver(usize, bool),
    Gone(i64, u64, LinkId, bool),
    Disk(i64, u64),
    Read(i64, u64, LinkId, Zxid, Zxid),
    Snapshot(i64, u64, SnapshotJob),
    Tick(i64, u64, i64),
    Client(usize),
    /// A server notices that a client is gone.
    Noticed(i64, u64, Serving, Arc<Inbox>, SessionId),
    Crash(i64, u64),
    Fault,
    /// Leadership is to be handed over.
    HandOver,
    /// What one server says reaches another one again.
    Uncut(i64, i64),
    /// A client goes, and its server does not notice.
    Leave(usize),
    /// The disk says something before it is true.
    Done(i64, u64, Input),
}
