//! Watch events (Apache: `Watcher.Event`).

/// What happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum EventType {
    /// The node came to be.
    Created = 1,
    /// The node is gone.
    Deleted = 2,
    /// Its data was set.
    DataChanged = 3,
    /// A child came or went.
    ChildrenChanged = 4,
}

/// The state every server-sent event carries: SyncConnected.
pub const STATE_SYNC_CONNECTED: i32 = 3;

/// xid of a watch notification.
pub const XID_NOTIFICATION: i32 = -1;
/// xid of a ping and of its answer.
pub const XID_PING: i32 = -2;
