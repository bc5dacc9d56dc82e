//! The real files: the only part of the store that does I/O.

pub mod dirs;
pub mod files;
pub mod mmap;
mod prep;
pub mod pwrite;
mod region;
pub mod segment;
pub mod snapshot_file;
mod space;

pub use dirs::{DataDirs, DirOptions};
pub use files::OsDir;
pub use region::RegionChoice;
pub use segment::{LogOptions, LogWriter};
pub use snapshot_file::SnapshotFile;
