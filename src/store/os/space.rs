//! The blocks of a log file: reserved when it is created, written with zeros ahead of use.
//!
//! Reserving alone leaves extents that need a journal commit at their first write; zeros written
//! ahead take that out of the commit. They are written a page at a time, because large writes make
//! large folios in the page cache and one stored byte then dirties, and syncs, a whole one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::store::txnlog::HEADER;

/// Bytes written with zeros while the lock is held, and before a new file is used.
pub(super) const STEP: u64 = 128 * 1024;
const PAGE: usize = 4096;

/// A log file's blocks. The writer and the thread that prepares share it: whoever holds the lock
/// writes the next zeros, and records are only put below `filled`.
pub(super) struct Space {
    pub(super) file: Arc<File>,
    /// Length of the file, all of it reserved; 0 when nothing is.
    reserved: AtomicU64,
    /// Zeros have been written up to here.
    filled: AtomicU64,
    filling: Mutex<()>,
}

impl Space {
    /// Takes a new, empty file and reserves `len` bytes. On a file system that cannot reserve (or
    /// with `len` 0) nothing is, and the file grows with what is written.
    pub(super) fn reserve(file: File, len: u64) -> io::Result<Self> {
        let reserved = match len {
            0 => 0,
            _ => match fallocate(&file, FallocateFlags::empty(), 0, len) {
                Ok(()) => len,
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => 0,
                Err(e) => return Err(e.into()),
            },
        };
        let space = Self {
            file: Arc::new(file),
            reserved: AtomicU64::new(reserved),
            filled: AtomicU64::new(0),
            filling: Mutex::new(()),
        };
        space.fill(STEP)?;
        space.file.write_all_at(&HEADER, 0)?;
        Ok(space)
    }

    /// Reserved length, bytes; 0 when the file grows with what is written.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Acquire)
    }

    /// Reserves up to `len` bytes more than is reserved now.
    pub(super) fn extend(&self, len: u64) -> io::Result<()> {
        let now = self.reserved();
        let more = len.saturating_sub(now);
        if more > 0 {
            fallocate(&*self.file, FallocateFlags::empty(), now, more)?;
            self.reserved.store(len, Ordering::Release);
        }
        Ok(())
    }

    /// Has zeros written up to `end`, and some more when there were not.
    pub(super) fn ensure(&self, end: u64) -> io::Result<()> {
        match self.filled.load(Ordering::Acquire) < end {
            true => self.fill(end.saturating_add(STEP)),
            false => Ok(()),
        }
    }

    /// Has zeros written up to `to` as far as blocks are reserved; the lock is released now and then.
    pub(super) fn fill(&self, to: u64) -> io::Result<()> {
        while self.filled.load(Ordering::Acquire) < to.min(self.reserved()) {
            let _mine = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
            let from = self.filled.load(Ordering::Acquire);
            let step = to.min(self.reserved()).min(from.saturating_add(STEP));
            let mut at = from;
            while at < step {
                let n = (PAGE as u64).min(self.reserved().saturating_sub(at));
                let zeros = [0; PAGE];
                self.file
                    .write_all_at(zeros.get(..n as usize).unwrap_or(&zeros), at)?;
                at = at.saturating_add(n);
            }
            self.filled.fetch_max(at, Ordering::AcqRel);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn new_file() -> File {
        tempfile::tempfile().unwrap()
    }

    #[test]
    fn blocks_are_reserved_and_filled_no_further_than_the_file() {
        let space = Space::reserve(new_file(), 1_000_016).unwrap();
        let meta = space.file.metadata().unwrap();
        assert_eq!(meta.len(), 1_000_016);
        assert!(meta.blocks() * 512 >= 1_000_016, "{}", meta.blocks());
        space.fill(u64::MAX).unwrap();
        assert_eq!(space.file.metadata().unwrap().len(), 1_000_016);
        let mut head = [1; 20];
        space.file.read_exact_at(&mut head, 0).unwrap();
        assert_eq!((&head[..16], &head[16..]), (&HEADER[..], &[0; 4][..]));
    }

    #[test]
    fn both_sides_fill_without_touching_what_is_below() {
        let space = Arc::new(Space::reserve(new_file(), 8 << 20).unwrap());
        std::thread::scope(|s| {
            let helper = Arc::clone(&space);
            s.spawn(move || helper.fill(8 << 20).unwrap());
            for at in (16..(4 << 20)).step_by(4096) {
                space.fill(at + 4096).unwrap();
                space.file.write_all_at(&[7; 4096], at).unwrap();
            }
        });
        let mut all = vec![0; 4 << 20];
        space.file.read_exact_at(&mut all, 0).unwrap();
        assert!(all[16..].iter().all(|b| *b == 7));
    }

    #[test]
    fn nothing_is_reserved_when_not_asked() {
        let space = Space::reserve(new_file(), 0).unwrap();
        assert_eq!(
            (space.reserved(), space.file.metadata().unwrap().len()),
            (0, 16)
        );
    }
}
