//! L2: persistence in Apache's files, byte for byte: `log.<zxid>`, `snapshot.<zxid>`, the epoch
//! files, and what may be deleted when.
//!
//! Format and rules are pure, over the two small traits of [`dir`]; the real files, and the one
//! writer of the log, are in [`os`]. The store never sees the tree: a snapshot is a stream of
//! records into a [`SnapshotVisitor`], a log a stream of entries.

pub mod dir;
pub mod epochs;
pub mod error;
pub mod log_reader;
pub mod mem;
pub mod names;
pub mod os;
pub mod purge;
pub mod range;
pub mod recover;
mod replay;
pub mod snap_stream;
pub mod snappy;
pub mod snapshot;
pub mod snapshot_read;
mod snapshot_records;
pub mod snapshot_write;
pub mod tail;
pub mod txnlog;

pub use dir::{Dir, FileInfo, ReadAt};
pub use error::StoreError;
pub use names::{FileName, log_name, snapshot_name};
pub use recover::{
    Level, LogLine, Origin, Places, RecoverOptions, Recovered, Recovery, Report, recover,
};
pub use snap_stream::{SnapDecoder, SnapEncoder, SnapProgress};
pub use snapshot::{
    Compression, Refused, SnapshotDigest, SnapshotError, SnapshotInfo, SnapshotVisitor,
};
pub use snapshot_read::SnapshotReader;
pub use snapshot_write::SnapshotWriter;
