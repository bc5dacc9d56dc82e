//! The mapped region: records are copied into the page cache by plain stores and made durable by
//! `msync` of exactly their pages.
//!
//! Rules that keep it sound: every byte of the mapping lies inside the file, whose blocks were
//! reserved before it was mapped (a store can therefore not raise SIGBUS for want of room); the file
//! is never cut while it is mapped; one thread writes; nobody reads through a mapping.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use crate::store::txnlog::{END, PREFIX_LEN};

use super::region::Region;

/// Bytes of synced pages after which they are let go, so that a log that fills up does not add its
/// length to the resident memory.
const LET_GO: u64 = 1024 * 1024;

/// A mapping of a whole log file, shared with the thread that faults pages in ahead.
#[derive(Clone)]
pub(super) struct Mapping(Arc<MmapRaw>);

impl Mapping {
    /// Maps `len` bytes; the file must be that long.
    pub(super) fn new(file: &File, len: u64) -> io::Result<Self> {
        if file.metadata()?.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let map = MmapOptions::new().len(len).map_raw(file)?;
        Ok(Self(Arc::new(map)))
    }

    /// Bytes mapped.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Makes the pages of a range durable.
    pub(super) fn sync(&self, from: u64, to: u64) -> io::Result<()> {
        let len = to.saturating_sub(from) as usize;
        self.0.flush_range(from as usize, len)
    }

    /// Faults pages in for writing, best effort: without it the first store to each page does.
    pub(super) fn populate(&self, from: u64, to: u64) {
        let to = to.min(self.0.len() as u64);
        let page = page_size();
        let from = from - from % page;
        if from < to {
            let _ = self
                .0
                .advise_range(Advice::PopulateWrite, from as usize, (to - from) as usize);
        }
    }
}

/// Writes through a mapping.
pub(super) struct MmapRegion {
    map: Mapping,
    file: Arc<File>,
    /// Pages below are not resident any more.
    let_go: u64,
}

impl MmapRegion {
    /// Maps the first `len` bytes of `file`.
    pub(super) fn new(file: Arc<File>, len: u64) -> io::Result<Self> {
        Ok(Self {
            map: Mapping::new(&file, len)?,
            file,
            let_go: 0,
        })
    }

    fn copy(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.map.0.len() as u64) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        // SAFETY: the destination lies inside the mapping (checked above), which lives as long as
        // `self.map`; the source is ordinary memory and cannot overlap it. No reference into the
        // mapping exists anywhere, and `&mut self` in `put` keeps other writers away.
        unsafe {
            let to = self.map.0.as_mut_ptr().add(at as usize);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(())
    }

    fn let_go(&mut self, synced: u64) {
        let end = synced - synced % page_size();
        if end.saturating_sub(self.let_go) < LET_GO {
            return;
        }
        let (from, len) = (self.let_go as usize, (end - self.let_go) as usize);
        // SAFETY: `MADV_DONTNEED` on a shared file mapping drops page-table entries only; the bytes
        // stay in the page cache and the file. No reference into the mapping exists.
        let done = unsafe {
            self.map
                .0
                .unchecked_advise_range(UncheckedAdvice::DontNeed, from, len)
        };
        if done.is_ok() {
            self.let_go = end;
        }
    }
}

impl Region for MmapRegion {
    fn put(&mut self, at: u64, prefix: &[u8; PREFIX_LEN], entry: &[u8]) -> io::Result<()> {
        let (sum, length) = prefix.split_at(8);
        let entry_at = at.saturating_add(PREFIX_LEN as u64);
        self.copy(entry_at, entry)?;
        self.copy(entry_at.saturating_add(entry.len() as u64), &[END])?;
        self.copy(at, sum)?;
        fence(Ordering::Release);
        self.copy(at.saturating_add(8), length)
    }

    fn sync(&mut self, from: u64, to: u64, durable: bool) -> io::Result<()> {
        if durable {
            self.map.sync(from, to)?;
        }
        self.let_go(to);
        Ok(())
    }

    fn grown(&mut self, len: u64) -> io::Result<()> {
        self.map = Mapping::new(&self.file, len)?;
        Ok(())
    }

    fn mapping(&self) -> Option<Mapping> {
        Some(self.map.clone())
    }
}

fn page_size() -> u64 {
    rustix::param::page_size() as u64
}
