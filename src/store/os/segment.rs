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
mod tests {
    use super::*;
    use crate::store::log_reader::{LogReader, Step};
    use crate::store::txnlog::{LENGTH_MAX_DEFAULT, Stop};

    const BOTH: [RegionChoice; 2] = [RegionChoice::Mmap, RegionChoice::Pwrite];

    fn options(region: RegionChoice, prealloc: u64) -> LogOptions {
        LogOptions {
            prealloc,
            region,
            ..LogOptions::default()
        }
    }

    fn entry(zxid: i64, len: usize) -> Vec<u8> {
        let mut e = vec![0; 12];
        e.extend_from_slice(&zxid.to_be_bytes());
        e.resize(32 + len, zxid as u8);
        e
    }

    fn put(w: &mut LogWriter, zxid: i64, len: usize) {
        w.append(Zxid(zxid), &entry(zxid, len)).unwrap();
    }

    /// Every record of every log, by file name, and how each file ends.
    fn read_all(dir: &OsDir) -> Vec<(String, Vec<Vec<u8>>, Stop)> {
        let mut all = Vec::new();
        for f in crate::store::dir::list(dir).unwrap() {
            if !f.name.starts_with("log.") {
                continue;
            }
            let file = dir.open(&f.name).unwrap();
            let mut reader = LogReader::new(file, LENGTH_MAX_DEFAULT).unwrap().unwrap();
            let mut entries = Vec::new();
            let why = loop {
                match reader.step().unwrap() {
                    Step::Entry { entry, .. } => entries.push(entry.to_vec()),
                    Step::Stop { why, .. } => break why,
                }
            };
            all.push((f.name, entries, why));
        }
        all
    }

    fn names(dir: &OsDir) -> Vec<String> {
        let files = crate::store::dir::list(dir).unwrap();
        files.into_iter().map(|f| f.name).collect()
    }

    #[test]
    fn what_is_appended_is_there_and_nothing_else() {
        for region in BOTH {
            let tmp = tempfile::tempdir().unwrap();
            let dir = OsDir::open(tmp.path()).unwrap();
            let mut w = LogWriter::open(&dir, options(region, 1 << 20)).unwrap();
            assert_eq!((w.file_name(), w.current_size()), (None, 0));
            for z in 1..=50 {
                put(&mut w, z, z as usize * 7);
                if z % 3 == 0 {
                    w.commit().unwrap();
                    assert_eq!(w.uncommitted(), 0);
                }
            }
            assert_eq!(w.file_name(), Some("log.1"));
            assert_eq!(w.last_zxid(), Zxid(50));
            w.close().unwrap();
            assert_eq!(names(&dir), ["log.1"]);
            let all = read_all(&dir);
            let want: Vec<_> = (1..=50).map(|z| entry(z, z as usize * 7)).collect();
            assert_eq!(all, [("log.1".to_owned(), want, Stop::End)]);
        }
    }

    #[test]
    fn a_new_log_has_its_whole_length_in_real_blocks() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(RegionChoice::Mmap, 4 << 20)).unwrap();
        put(&mut w, 0x1_0000_0001, 100);
        w.commit().unwrap();
        let meta = std::fs::metadata(dir.join("log.100000001")).unwrap();
        assert_eq!(meta.len(), 16 + (4 << 20));
        assert!(meta.blocks() * 512 >= meta.len());
        assert_eq!(w.current_size(), meta.len());
        // Killed here, the file is padded with zeros.
        assert_eq!(read_all(&dir)[0].2, Stop::Padding);
    }

    #[test]
    fn rolling_begins_a_file_and_cuts_the_old_one() {
        for region in BOTH {
            let tmp = tempfile::tempdir().unwrap();
            let dir = OsDir::open(tmp.path()).unwrap();
            let mut w = LogWriter::open(&dir, options(region, 2 << 20)).unwrap();
            for z in 1..=9 {
                put(&mut w, z, 500_000);
                w.commit().unwrap();
            }
            let open = w.current_size();
            assert!(w.size_since_roll() > 2 * open, "three files, none rolled");
            w.roll().unwrap();
            assert_eq!(w.size_since_roll(), 0);
            put(&mut w, 10, 3_000_000);
            assert_eq!(w.file_name(), Some("log.a"));
            w.close().unwrap();
            let all = read_all(&dir);
            let found: Vec<_> = all.iter().map(|f| (f.0.as_str(), f.1.len(), f.2)).collect();
            let end = Stop::Bad(crate::store::txnlog::Bad::Length(3_000_032));
            let want = [("log.1", 4, Stop::End), ("log.5", 4, Stop::End)];
            assert_eq!(found[..2], want);
            assert_eq!(found[2..], [("log.9", 1, Stop::End), ("log.a", 0, end)]);
        }
    }

    #[test]
    fn short_segments_grow_in_place() {
        for region in BOTH {
            let tmp = tempfile::tempdir().unwrap();
            let dir = OsDir::open(tmp.path()).unwrap();
            let mut w = LogWriter::open(&dir, options(region, 1024)).unwrap();
            for z in 1..=200 {
                put(&mut w, z, 3000);
                if z == 1 || z % 10 == 0 {
                    w.commit().unwrap();
                }
            }
            w.close().unwrap();
            let all = read_all(&dir);
            assert_eq!((all.len(), all[0].1.len()), (1, 200));
        }
    }

    #[test]
    fn without_preallocation_the_file_is_as_long_as_its_records() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 0)).unwrap();
        put(&mut w, 1, 100);
        w.commit().unwrap();
        assert_eq!(std::fs::metadata(dir.join("log.1")).unwrap().len(), 161);
        assert_eq!(w.current_size(), 161);
    }

    #[test]
    fn a_size_limit_rolls_after_the_commit() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let limited = LogOptions {
            size_limit: Some(4096),
            ..options(RegionChoice::Auto, 1 << 20)
        };
        let mut w = LogWriter::open(&dir, limited).unwrap();
        for z in 1..=10 {
            put(&mut w, z, 2000);
            w.commit().unwrap();
        }
        w.close().unwrap();
        assert_eq!(names(&dir), ["log.1", "log.3", "log.5", "log.7", "log.9"]);
    }

    #[test]
    fn a_log_that_exists_is_never_replaced_and_the_error_is_final() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        std::fs::write(dir.join("log.1"), b"precious").unwrap();
        let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
        let e = w.append(Zxid(1), &entry(1, 1)).unwrap_err();
        assert!(matches!(e, StoreError::Exists { .. }), "{e}");
        let e = w.append(Zxid(2), &entry(2, 1)).unwrap_err();
        assert!(matches!(e, StoreError::Poisoned(_)), "{e}");
        assert!(w.commit().is_err());
        assert_eq!(std::fs::read(dir.join("log.1")).unwrap(), b"precious");
    }

    #[test]
    fn leftovers_of_a_killed_process_are_cleaned_up() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        std::fs::write(dir.join("prealloc.7"), b"x").unwrap();
        let w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
        w.close().unwrap();
        assert_eq!(names(&dir), [""; 0]);
    }

    #[test]
    fn blocks_of_a_killed_process_are_given_back_and_sparse_padding_stays() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut killed = LogWriter::open(&dir, options(RegionChoice::Mmap, 4 << 20)).unwrap();
        put(&mut killed, 1, 100);
        killed.commit().unwrap();
        drop(killed);
        let sparse = File::create(dir.join("log.0")).unwrap();
        sparse.set_len(4 << 20).unwrap();
        let w = LogWriter::open(&dir, options(RegionChoice::Mmap, 1 << 20)).unwrap();
        w.trim("log.1", 161);
        w.trim("log.0", 16);
        w.close().unwrap();
        let len = |name: &str| std::fs::metadata(dir.join(name)).unwrap().len();
        assert_eq!((len("log.1"), len("log.0")), (161, 4 << 20));
    }

    #[test]
    fn a_batch_is_never_longer_than_recovery_assumes() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(RegionChoice::Mmap, 32 << 20)).unwrap();
        for z in 1..=12 {
            put(&mut w, z, 2_000_000);
            assert!(w.uncommitted() <= BATCH_BYTES_MAX as u64);
        }
        w.close().unwrap();
        assert_eq!(read_all(&dir)[0].1.len(), 12);
    }

    #[test]
    fn an_empty_entry_is_refused_and_nothing_is_lost() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
        let e = w.append(Zxid(1), b"").unwrap_err();
        assert!(matches!(e, StoreError::Invalid(_)), "{e}");
        put(&mut w, 1, 5);
        w.close().unwrap();
        assert_eq!(read_all(&dir)[0].1.len(), 1);
    }
}
