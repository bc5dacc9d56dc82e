//! How bytes get into a segment.

use std::io;

use crate::store::txnlog::PREFIX_LEN;

use super::mmap::Mapping;

/// Which way is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionChoice {
    /// Mapped where the file system writes in place, else not.
    #[default]
    Auto,
    /// Mapped.
    Mmap,
    /// `pwrite` and `fdatasync`.
    Pwrite,
}

/// The writable part of one log file. All bytes that are put have blocks reserved.
pub(super) trait Region: Send {
    /// Puts a record at `at`: all of it before its length, so that whoever reads the file meanwhile
    /// sees an end rather than a torn record.
    fn put(&mut self, at: u64, prefix: &[u8; PREFIX_LEN], entry: &[u8]) -> io::Result<()>;

    /// Hands everything put so far to the file; with `durable` it is on the device afterwards.
    /// `from..to` is what was put since the last time.
    fn sync(&mut self, from: u64, to: u64, durable: bool) -> io::Result<()>;

    /// The file is `len` bytes long now.
    fn grown(&mut self, len: u64) -> io::Result<()>;

    /// The mapping, for faulting pages in ahead.
    fn mapping(&self) -> Option<Mapping>;
}
