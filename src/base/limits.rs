//! Every fixed bound of the server, with unit and source.

/// Longest accepted client frame by default, bytes. Apache: `jute.maxbuffer`, `0xfffff`.
pub const MAX_BUFFER_DEFAULT: usize = 0xf_ffff;

/// Smallest `zookeeper.jute.maxbuffer.extrasize`, bytes (Apache: `BinaryInputArchive`).
pub const EXTRA_SIZE_MIN: usize = 1024;

/// Length of a session password, bytes; the C client reads exactly this much.
pub const PASSWORD_LEN: usize = 16;

/// Requests of one connection that may wait behind an unanswered write, as bytes received and not
/// yet executed. Beyond it the socket is not read until some are done.
pub const CONN_BACKLOG_BYTES_MAX: usize = 64 * 1024;

/// Reply bytes a connection may have waiting for a client that does not read. Beyond it the
/// client's further requests are not executed until some are gone.
pub const CONN_UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Watch events and write replies waiting for a connection that is not being drained.
/// A client that lets more than this pile up is cut off (it re-arms its watches on reconnect).
pub const MAILBOX_ITEMS_MAX: usize = 1_000_000;

/// Shards of the data tree; a power of two.
pub const TREE_SHARDS: usize = 256;

/// Most bytes of transactions in one group commit.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of packets that may wait to be written to one other server. Beyond it its link is closed:
/// it catches up from the log, or by a snapshot. Apache knows no bound but memory.
pub const PEER_UNSENT_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Bytes of packets of one other server that may wait to be looked at. Beyond it its socket is not
/// read.
pub const PEER_UNREAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Connections to the quorum port that may be open without having said who they are. The peer gives
/// up the oldest of half as many; this many only come when they come faster than it looks.
pub const PEERS_UNKNOWN_MAX: usize = 256;
