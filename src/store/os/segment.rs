//! The one writer of the log (Apache: `FileTxnLog.append`, `commit`, `rollLog`; `FilePadding`).
//!
//! One owner of the write offset; at most one batch is in the file and not yet synced; every error
//! is final, because after a failed sync the kernel may have dropped what it could not write.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use crate::base::Zxid;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::store::dir::Dir;
use crate::store::error::StoreError;
use crate::store::names::log_name;
use crate::store::txnlog::{HEADER_LEN, prefix, record_len};

use super::files::OsDir;
use super::mmap::MmapRegion;
use super::prep::{Job, Maker, Prep, SPARE_PREFIX};
use super::pwrite::PwriteRegion;
use super::region::{Region, RegionChoice};
use super::space::Space;

/// Segments up to this length grow in place; longer ones are followed by another file.
const GROW_MAX: u64 = 1024 * 1024;
/// Least growth in place, bytes.
const GROW_MIN: u64 = 64 * 1024;
/// Blocks behind the last record that are worth giving back, bytes.
const TRIM_MIN: u64 = 256 * 1024;
/// The thread that prepares hears from the writer every so many bytes.
const TELL_EVERY: u64 = 128 * 1024;

/// How the log is written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Bytes reserved at a time: `zookeeper.preAllocSize` (KB) times 1024; 0 for none.
    pub prealloc: u64,
    /// False for `zookeeper.forceSync=no`: a commit then promises nothing about a power cut.
    pub force_sync: bool,
    /// A file with more record bytes than this is followed by another after a commit:
    /// `zookeeper.txnLogSizeLimitInKb`. Differs: Apache counts the padding too, so that any limit
    /// below preAllocSize means a file per commit.
    pub size_limit: Option<u64>,
    /// How bytes get into the file.
    pub region: RegionChoice,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            prealloc: 64 * 1024 * 1024,
            force_sync: true,
            size_limit: None,
            region: RegionChoice::Auto,
        }
    }
}

struct Segment {
    name: String,
    space: Arc<Space>,
    region: Box<dyn Region>,
    /// Where the next record goes.
    at: u64,
    /// Everything before is durable.
    synced: u64,
    /// Where the writer was when the preparing thread last heard of it.
    told: u64,
}

impl Segment {
    /// Length of the file, padding included.
    fn size(&self) -> u64 {
        self.space.reserved().max(self.at)
    }

    fn fits(&self, len: u64) -> bool {
        self.space.reserved() == 0 || self.at.saturating_add(len) <= self.space.reserved()
    }
}

/// Appends transactions. Not shared: the log thread owns it.
pub struct LogWriter {
    dir: OsDir,
    options: LogOptions,
    mapped: bool,
    prep: Prep,
    current: Option<Segment>,
    /// Sizes of the files since the last call of [`LogWriter::roll`] that are no longer open.
    full: u64,
    last: Zxid,
    poison: Option<String>,
}

impl LogWriter {
    /// Gets ready to write to `dir`. No log is opened yet: the first append names it. Spares that an
    /// earlier process left behind are deleted.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(dir: &OsDir, options: LogOptions) -> Result<Self, StoreError> {
        dir.remove_all(SPARE_PREFIX)
            .map_err(|e| StoreError::io("clean up", dir.path(), e))?;
        let size = match options.prealloc {
            0 => 0,
            n => n.saturating_add(HEADER_LEN as u64),
        };
        let prep = Prep::start(Maker::new(dir.clone(), size))?;
        prep.send(Job::Spare);
        let mapped = match options.region {
            RegionChoice::Auto => writes_in_place(dir),
            RegionChoice::Mmap => true,
            RegionChoice::Pwrite => false,
        };
        Ok(Self {
            dir: dir.clone(),
            options,
            mapped,
            prep,
            current: None,
            full: 0,
            last: Zxid::ZERO,
            poison: None,
        })
    }

    /// Adds a transaction to the batch. It is durable after the next [`commit`](Self::commit). A
    /// batch that would exceed [`BATCH_BYTES_MAX`] is synced before the record goes in.
    ///
    /// # Errors
    /// Any but [`StoreError::Invalid`] is final. [`StoreError::NoSpace`] when the disk is full.
    pub fn append(&mut self, zxid: Zxid, entry: &[u8]) -> Result<(), StoreError> {
        self.usable()?;
        if entry.is_empty() || i32::try_from(entry.len()).is_err() {
            let why = format!("an entry of {} bytes cannot be logged", entry.len());
            return Err(StoreError::Invalid(why));
        }
        let done = self.try_append(zxid, entry);
        self.settle(done)
    }

    /// Makes everything appended durable. One call is one sync of one file, whatever the batch.
    ///
    /// # Errors
    /// Final: nothing appended since the last commit may be acknowledged, now or later.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        let done = self.try_commit();
        self.settle(done)
    }

    /// Commits, and has the next append begin a new file. The old one is cut to its used length in
    /// the background.
    ///
    /// # Errors
    /// As [`LogWriter::commit`].
    pub fn roll(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        let done = self.try_roll();
        self.full = 0;
        self.settle(done)
    }

    /// Commits, cuts the file to its used length, deletes the spare.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.usable()?;
        self.try_roll()?;
        self.prep.stop()?;
        self.dir
            .sync()
            .map_err(|e| StoreError::io("sync", self.dir.path(), e))
    }

    /// Gives back the blocks behind the last record of a log that an earlier process did not cut:
    /// `Report::newest`. In the background, and only if blocks are really there; the padding of
    /// Apache's logs has none, and those files stay as they are.
    pub fn trim(&self, name: &str, end: u64) {
        if let Ok(file) = File::options().write(true).open(self.dir.join(name))
            && let Ok(meta) = file.metadata()
            && meta.len() > end
            && meta.blocks().saturating_mul(512) > end.saturating_add(TRIM_MIN)
        {
            self.prep.send(Job::Trim {
                file,
                path: self.dir.join(name),
                used: end,
            });
        }
    }

    /// The last transaction appended by this writer; 0 before the first.
    pub fn last_zxid(&self) -> Zxid {
        self.last
    }

    /// Name of the open file, if there is one.
    pub fn file_name(&self) -> Option<&str> {
        self.current.as_ref().map(|s| s.name.as_str())
    }

    /// Length of the open file, padding included, bytes.
    pub fn current_size(&self) -> u64 {
        self.current.as_ref().map_or(0, Segment::size)
    }

    /// Length of all files since the last [`LogWriter::roll`], padding included, bytes: what
    /// `snapSizeLimitInKb` is compared with.
    pub fn size_since_roll(&self) -> u64 {
        self.full.saturating_add(self.current_size())
    }

    /// Bytes appended and not yet committed.
    pub fn uncommitted(&self) -> u64 {
        let s = self.current.as_ref();
        s.map_or(0, |s| s.at.saturating_sub(s.synced))
    }

    /// True when the log is written through a mapping.
    pub fn is_mapped(&self) -> bool {
        self.mapped
    }

    fn usable(&self) -> Result<(), StoreError> {
        match &self.poison {
            None => Ok(()),
            Some(why) => Err(StoreError::Poisoned(why.clone())),
        }
    }

    fn settle(&mut self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        let done = done.and_then(|()| self.prep.failure().map_or(Ok(()), Err));
        if let Err(e) = &done {
            self.poison = Some(e.to_string());
        }
        done
    }

    fn try_append(&mut self, zxid: Zxid, entry: &[u8]) -> Result<(), StoreError> {
        let len = record_len(entry.len()) as u64;
        let waiting = self.uncommitted();
        if waiting > 0 && waiting.saturating_add(len) > BATCH_BYTES_MAX as u64 {
            self.sync()?;
        }
        if self.current.as_ref().is_some_and(|s| !s.fits(len)) {
            self.make_room(len)?;
        }
        let (dir, mapped) = (&self.dir, self.mapped);
        let segment = match &mut self.current {
            Some(segment) => segment,
            none => none.insert(open_segment(dir, &self.prep, mapped, zxid, len)?),
        };
        let end = segment.at.saturating_add(len);
        segment
            .space
            .ensure(end)
            .and_then(|()| segment.region.put(segment.at, &prefix(entry), entry))
            .map_err(|e| StoreError::io("write", &dir.join(&segment.name), e))?;
        segment.at = end;
        self.last = zxid;
        Ok(())
    }

    /// The file is full: a short one grows in place, a long one is followed by another.
    fn make_room(&mut self, len: u64) -> Result<(), StoreError> {
        let step = self.options.prealloc.max(GROW_MIN);
        let Some(segment) = self.current.as_mut().filter(|_| step <= GROW_MAX) else {
            return self.next_file();
        };
        let short = segment
            .at
            .saturating_add(len)
            .saturating_sub(segment.space.reserved());
        let more = short.div_ceil(step).saturating_mul(step);
        let size = segment.space.reserved().saturating_add(more);
        segment
            .space
            .extend(size)
            .and_then(|()| segment.region.grown(size))
            .map_err(|e| StoreError::io("extend", &self.dir.join(&segment.name), e))
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        let durable = self.options.force_sync;
        let Some(s) = self.current.as_mut().filter(|s| s.at > s.synced) else {
            return Ok(());
        };
        s.region
            .sync(s.synced, s.at, durable)
            .map_err(|e| StoreError::io("sync", &self.dir.join(&s.name), e))?;
        s.synced = s.at;
        if s.at.saturating_sub(s.told) >= TELL_EVERY {
            s.told = s.at;
            self.prep.send(ahead(s));
        }
        Ok(())
    }

    fn try_commit(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let over = |s: &Segment| self.options.size_limit.is_some_and(|max| s.at > max);
        if self.current.as_ref().is_some_and(over) {
            self.next_file()?;
        }
        Ok(())
    }

    fn try_roll(&mut self) -> Result<(), StoreError> {
        self.next_file()
    }

    /// Syncs and lets go of the open file. What comes later is in a newer file, so an older one that
    /// ends early has been damaged.
    fn next_file(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let Some(segment) = self.current.take() else {
            return Ok(());
        };
        self.full = self.full.saturating_add(segment.size());
        // The mapping must be gone before the file is cut.
        drop(segment.region);
        self.prep.send(Job::Seal {
            space: segment.space,
            path: self.dir.join(&segment.name),
            used: segment.at,
        });
        Ok(())
    }
}

impl Drop for LogWriter {
    /// Without [`LogWriter::close`]: what was committed stays, the thread ends.
    fn drop(&mut self) {
        self.current = None;
        let _ = self.prep.stop();
    }
}

fn ahead(segment: &Segment) -> Job {
    Job::Ahead {
        space: Arc::clone(&segment.space),
        map: segment.region.mapping(),
        at: segment.at,
    }
}

/// Turns the spare into the log whose first record is `zxid`; its name is durable on return.
fn open_segment(
    dir: &OsDir,
    prep: &Prep,
    mapped: bool,
    zxid: Zxid,
    len: u64,
) -> Result<Segment, StoreError> {
    let spare = prep.take(len.saturating_add(HEADER_LEN as u64))?;
    let name = log_name(zxid);
    let path = dir.join(&name);
    dir.rename_new(&spare.name, &name)
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.clone() },
            _ => StoreError::io("create", &path, e),
        })?;
    let space = spare.space;
    let file = Arc::clone(&space.file);
    let region: Box<dyn Region> = match space.reserved() {
        n if mapped && n > 0 => {
            let region = MmapRegion::new(file, n).map_err(|e| StoreError::io("map", &path, e))?;
            Box::new(region)
        }
        _ => Box::new(PwriteRegion::new(file)),
    };
    let segment = Segment {
        name,
        space,
        region,
        at: HEADER_LEN as u64,
        synced: HEADER_LEN as u64,
        told: 0,
    };
    prep.send(ahead(&segment));
    prep.send(Job::Spare);
    Ok(segment)
}

/// True on file systems that overwrite reserved blocks where they are. Others (copy on write,
/// network, stacked) find room at the time of writing back, where a mapping can only be told by a
/// signal.
fn writes_in_place(dir: &OsDir) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const TMPFS: u64 = 0x0102_1994;
    match rustix::fs::fstatfs(dir.handle()) {
        Ok(fs) => matches!(fs.f_type as u64, EXT | XFS | TMPFS),
        Err(_) => false,
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
