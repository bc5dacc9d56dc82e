//! The thread that gets things ready, so that a commit never waits for the file system to find
//! blocks: the next segment, zeros and faulted pages ahead of the writer, and the cutting of a log
//! that is full.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::store::error::StoreError;

use super::files::OsDir;
use super::mmap::Mapping;
use super::space::Space;

/// What a segment that has no transactions yet is called; nothing takes it for a log.
pub(super) const SPARE_PREFIX: &str = "prealloc.";
/// Zeros kept written ahead of the writer, bytes.
const FILL_AHEAD: u64 = 4 * 1024 * 1024;
/// Zeros written and synced together.
const FILL_STEP: u64 = 1024 * 1024;
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

/// The segment in use and how far ahead it should be ready.
struct Ahead {
    space: Arc<Space>,
    filled: u64,
    want: u64,
}

/// The thread itself.
struct Worker {
    shared: Arc<Shared>,
    ahead: Option<Ahead>,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ahead: None,
        }
    }

    /// Serves jobs as they come and writes zeros ahead in between; ends when the owner hangs up.
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let job = match self.ahead {
                None => queue.recv().map_err(|_| TryRecvError::Disconnected),
                Some(_) => queue.try_recv(),
            };
            let done = match job {
                Ok(job) => self.serve(job),
                Err(TryRecvError::Empty) => self.fill(),
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
                if let Some(map) = map {
                    map.populate(at, at.saturating_add(POPULATE_AHEAD));
                }
                let filled = match &self.ahead {
                    Some(a) if Arc::ptr_eq(&a.space, &space) => a.filled,
                    _ => at,
                };
                let want = at.saturating_add(FILL_AHEAD);
                self.ahead = Some(Ahead {
                    space,
                    filled,
                    want,
                });
            }
            Job::Seal { space, path, used } => {
                self.ahead = None;
                space
                    .file
                    .set_len(used)
                    .and_then(|()| space.file.sync_all())
                    .map_err(|e| StoreError::io("seal", &path, e))?;
            }
        }
        Ok(())
    }

    /// One step of zeros, on the device when it returns so that no commit pays for them.
    fn fill(&mut self) -> Result<(), StoreError> {
        let Some(ahead) = &mut self.ahead else {
            return Ok(());
        };
        let to = ahead.filled.saturating_add(FILL_STEP);
        let end = ahead.want.min(ahead.space.reserved());
        if ahead.filled >= end {
            self.ahead = None;
            return Ok(());
        }
        ahead
            .space
            .fill(to)
            .and_then(|()| ahead.space.file.sync_data())
            .map_err(|e| StoreError::io("prepare", &self.shared.maker.dir.join("log"), e))?;
        ahead.filled = to;
        Ok(())
    }
}
