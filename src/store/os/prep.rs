//! The thread that gets things ready, so that a commit never waits for the file system to find
//! blocks: the next segment, zeros and faulted pages ahead of the writer, and the cutting of a log
//! that is full.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::store::dir::Dir as _;
use crate::store::error::StoreError;

use super::files::OsDir;
use super::mmap::Mapping;
use super::space::{STEP, Space};

/// What a segment that has no transactions yet is called; nothing takes it for a log.
pub(super) const SPARE_PREFIX: &str = "prealloc.";
/// Zeros kept written ahead of the writer, bytes.
const FILL_AHEAD: u64 = 4 * 1024 * 1024;
/// Zeros written and synced together. A commit that comes meanwhile waits for them: with eight times
/// as much, the slowest hundredth of commits take 4 ms instead of 1, and none is faster.
const FILL_STEP: u64 = 128 * 1024;
/// Pages kept faulted in ahead of the writer, bytes.
const POPULATE_AHEAD: u64 = 512 * 1024;
/// Smallest segment that is still worth having on a disk that is nearly full, bytes.
const SIZE_MIN: u64 = 256 * 1024;
/// Stack of the thread, bytes.
const STACK: usize = 128 * 1024;

/// A segment without a name of its own: blocks reserved, header written and durable.
pub(super) struct Spare {
    pub(super) name: String,
    pub(super) space: Arc<Space>,
}

/// Something to do.
pub(super) enum Job {
    /// Have a spare.
    Spare,
    /// The writer is at `at`.
    Ahead {
        space: Arc<Space>,
        map: Option<Mapping>,
        at: u64,
    },
    /// Nothing will be written to this file any more; it ends at `used`.
    Seal {
        space: Arc<Space>,
        path: PathBuf,
        used: u64,
    },
    /// A log of an earlier process ends at `used`.
    Trim {
        file: File,
        path: PathBuf,
        used: u64,
    },
}

/// Makes spares of one size in one directory.
pub(super) struct Maker {
    dir: OsDir,
    size: u64,
    next: AtomicU64,
}

impl Maker {
    pub(super) fn new(dir: OsDir, size: u64) -> Self {
        Self {
            dir,
            size,
            next: AtomicU64::new(0),
        }
    }

    /// Makes one that can hold `least` bytes. On a disk that is nearly full it may be smaller than
    /// asked for.
    pub(super) fn make(&self, least: u64) -> Result<Spare, StoreError> {
        let mut size = match self.size {
            0 => 0,
            size => size.max(least),
        };
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let name = format!("{SPARE_PREFIX}{n}");
            let path = self.dir.join(&name);
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .and_then(|file| {
                    let space = Space::reserve(file, size)?;
                    space.file.sync_data()?;
                    Ok(Arc::new(space))
                });
            match made {
                Ok(space) => return Ok(Spare { name, space }),
                Err(e) => {
                    let _ = fs::remove_file(&path);
                    let smaller = (size / 4).max(least).max(SIZE_MIN);
                    if e.kind() != io::ErrorKind::StorageFull || smaller >= size {
                        return Err(StoreError::io("reserve space for", &path, e));
                    }
                    size = smaller;
                }
            }
        }
    }
}

/// What both threads see.
struct Shared {
    maker: Maker,
    spare: Mutex<Option<Spare>>,
    failure: Mutex<Option<StoreError>>,
}

/// The thread, from its owner's side.
pub(super) struct Prep {
    shared: Arc<Shared>,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Prep {
    pub(super) fn start(maker: Maker) -> Result<Self, StoreError> {
        let path = maker.dir.join("");
        let shared = Arc::new(Shared {
            maker,
            spare: Mutex::new(None),
            failure: Mutex::new(None),
        });
        let (jobs, queue) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("log-prep".to_owned())
            .stack_size(STACK)
            .spawn(move || Worker::new(theirs).run(&queue))
            .map_err(|e| StoreError::io("start a thread for", &path, e))?;
        Ok(Self {
            shared,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub(super) fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone has left its failure behind.
            let _ = jobs.send(job);
        }
    }

    /// A segment of at least `least` bytes: the spare if it is ready, else one made now.
    pub(super) fn take(&self, least: u64) -> Result<Spare, StoreError> {
        let spare = locked(&self.shared.spare).take();
        match spare {
            Some(s) if s.space.reserved() == 0 || s.space.reserved() >= least => Ok(s),
            Some(s) => {
                let path = self.shared.maker.dir.join(&s.name);
                fs::remove_file(&path).map_err(|e| StoreError::io("delete", &path, e))?;
                self.shared.maker.make(least)
            }
            None => self.shared.maker.make(least),
        }
    }

    /// What went wrong on the thread, once.
    pub(super) fn failure(&self) -> Option<StoreError> {
        locked(&self.shared.failure).take()
    }

    /// Finishes what has been sent, ends the thread and deletes the spare.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(spare) = locked(&self.shared.spare).take() {
            let path = self.shared.maker.dir.join(&spare.name);
            fs::remove_file(&path).map_err(|e| StoreError::io("delete", &path, e))?;
        }
        self.failure().map_or(Ok(()), Err)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The segment in use, and how far ahead of the writer it is ready.
struct Ahead {
    space: Arc<Space>,
    map: Option<Mapping>,
    /// Where the writer is.
    at: u64,
    /// Zeros are on the device up to here.
    filled: u64,
    /// Pages are faulted in up to here.
    populated: u64,
}

impl Ahead {
    /// Takes one step: pages first, since the writer needs them sooner. False when all is ready.
    ///
    /// Only the zeros' own pages are synced, and pages are faulted in only behind them: a sync
    /// write-protects what it writes, which would undo the faulting, and a page faulted in counts as
    /// dirty, so a sync of the whole file would write it for nothing.
    fn step(&mut self) -> io::Result<bool> {
        // A segment that has grown since is longer than the mapping that came with `at`.
        let mapped = self.map.as_ref().map_or(u64::MAX, Mapping::len);
        let end = self.space.reserved().min(mapped);
        let window = self.at.saturating_add(POPULATE_AHEAD).min(self.filled);
        if let Some(map) = self.map.as_ref().filter(|_| self.populated < window) {
            map.populate(self.populated.max(self.at), window);
            self.populated = window;
            return Ok(true);
        }
        if self.filled >= self.at.saturating_add(FILL_AHEAD).min(end) {
            return Ok(false);
        }
        let to = self.filled.saturating_add(FILL_STEP).min(end);
        self.space.fill(to)?;
        match &self.map {
            Some(map) => map.sync(self.filled, to)?,
            None => self.space.file.sync_data()?,
        }
        self.filled = to;
        Ok(true)
    }
}

fn seal(file: &File, path: &Path, used: u64) -> Result<(), StoreError> {
    file.set_len(used)
        .and_then(|()| file.sync_all())
        .map_err(|e| StoreError::io("cut", path, e))
}

/// The thread itself.
struct Worker {
    shared: Arc<Shared>,
    /// Dropped, mapping and all, before the file is cut.
    ahead: Option<Ahead>,
    /// True when the segment in use is ready as far as it should be.
    idle: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ahead: None,
            idle: true,
        }
    }

    /// Serves jobs as they come and writes zeros ahead in between; ends when the owner hangs up.
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let job = match self.idle {
                true => queue.recv().map_err(|_| TryRecvError::Disconnected),
                false => queue.try_recv(),
            };
            let done = match job {
                Ok(job) => self.serve(job),
                Err(TryRecvError::Empty) => self.step(),
                Err(TryRecvError::Disconnected) => return,
            };
            if let Err(e) = done {
                *locked(&self.shared.failure) = Some(e);
                return;
            }
        }
    }

    fn serve(&mut self, job: Job) -> Result<(), StoreError> {
        match job {
            Job::Spare => {
                // Without room the writer will try again when it needs one, and say so.
                let mut spare = locked(&self.shared.spare);
                if spare.is_none() {
                    drop(spare);
                    let made = self.shared.maker.make(0).ok();
                    spare = locked(&self.shared.spare);
                    *spare = made;
                }
            }
            Job::Ahead { space, map, at } => {
                let (filled, populated) = match &self.ahead {
                    Some(a) if Arc::ptr_eq(&a.space, &space) => (a.filled.max(at), a.populated),
                    _ => (at.max(STEP), 0),
                };
                self.idle = false;
                self.ahead = Some(Ahead {
                    space,
                    map,
                    at,
                    filled,
                    populated,
                });
            }
            Job::Seal { space, path, used } => {
                (self.ahead, self.idle) = (None, true);
                seal(&space.file, &path, used)?;
            }
            Job::Trim { file, path, used } => seal(&file, &path, used)?,
        }
        Ok(())
    }

    /// Goes one step further ahead of the writer.
    fn step(&mut self) -> Result<(), StoreError> {
        let more = self.ahead.as_mut().map_or(Ok(false), Ahead::step);
        let more = more.map_err(|e| StoreError::io("prepare", self.shared.maker.dir.path(), e))?;
        self.idle = !more;
        Ok(())
    }
}
