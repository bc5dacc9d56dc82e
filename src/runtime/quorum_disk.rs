//! The disk of a member of an ensemble (Apache: `FileTxnSnapLog`, the epoch files of `QuorumPeer`).

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::{Epoch, Zxid};
use crate::config::Config;
use crate::conn::Clock;
use crate::pipeline::{LogOp, SnapshotJob};
use crate::quorum::{Data, DiskOp, Input};
use crate::store::epochs::{self, Epochs};
use crate::store::os::{DataDirs, DirOptions, LogWriter};
use crate::store::{Origin, StoreError, range, recover};
use crate::telemetry::metrics::METRICS;
use crate::tree::{DataTree, TreeOptions};
use crate::zab::{CommittedLog, Logged};

use super::clock::SystemClock;
use super::config_files::ConfigFiles;
use super::database::Database;
use super::load::tell;
use super::{options, snap_thread};

/// More than `commitLogCount` transactions are kept in memory while they are below this, bytes.
const RECENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Transactions read back from the log for one learner, at most; beyond it a snapshot is cheaper.
const READ_BACK_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Log, snapshots and epoch files, and what is known about them.
pub(super) struct QuorumDisk {
    config: Arc<Config>,
    clock: Arc<SystemClock>,
    files: ConfigFiles,
    pub(super) dirs: Arc<DataDirs>,
    log: Option<LogWriter>,
    /// Behind this our log holds one history without a hole: it began at a snapshot that was loaded
    /// or received (ZOOKEEPER-2846).
    floor: Zxid,
    /// The newest log that was found, and where its records end.
    newest: Option<(String, u64)>,
    /// Appended and not synced.
    unsynced: Option<Zxid>,
    roll: bool,
    /// A file said at the start that there is no data to be lost.
    new: bool,
}

impl QuorumDisk {
    /// Opens the directories and rebuilds the database.
    ///
    /// # Errors
    /// Whatever makes them unusable.
    pub(super) fn open(
        config: &Arc<Config>,
        clock: &Arc<SystemClock>,
    ) -> Result<(Self, Data, Zxid, Epochs), StoreError> {
        let autocreate = config.storage.data_dir_autocreate;
        let dirs = DataDirs::open(
            &config.storage.data_dir,
            &config.storage.data_log_dir,
            DirOptions { autocreate },
        )?;
        let mut disk = Self {
            config: config.clone(),
            clock: clock.clone(),
            files: ConfigFiles::new(config),
            dirs: Arc::new(dirs),
            log: None,
            floor: Zxid::ZERO,
            newest: None,
            unsynced: None,
            roll: false,
            new: false,
        };
        let (data, last) = disk.load()?;
        let epochs = epochs::load(disk.dirs.snap(), last.max(Zxid::ZERO), true)?;
        disk.open_log()?;
        // A server that was killed left blocks behind its records.
        if let (Some(log), Some((name, end))) = (&disk.log, disk.newest.take()) {
            log.trim(&name, end);
        }
        if config.features.reconfig && config.quorum.dynamic_config_file.is_none() {
            disk.files.backup();
        }
        Ok((disk, data, last, epochs))
    }

    /// The operator has said that nothing was here before (`initialize`).
    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    fn open_log(&mut self) -> Result<(), StoreError> {
        self.log = Some(LogWriter::open(
            self.dirs.log(),
            options::log(&self.config),
        )?);
        Ok(())
    }

    /// Rebuilds the database from what is there; the last zxid is -1 when that is not trusted.
    fn load(&mut self) -> Result<(Data, Zxid), StoreError> {
        let tree_options = TreeOptions {
            digest: self.config.features.digest,
        };
        let start = self.clock.mono_ms();
        let recovered = recover(
            &self.dirs.places(),
            &options::recover(&self.config),
            &mut || Database::new(tree_options).keeping_recent(),
        )?;
        let (mut target, mut report) = (recovered.target, recovered.report);
        tell(&report);
        self.newest = report.newest.take();
        self.new |= report.marked;
        self.floor = match &report.origin {
            Origin::Snapshot { zxid, .. } => *zxid,
            Origin::LogsOnly | Origin::New | Origin::Untrusted => Zxid::ZERO,
        };
        let (count, bytes) = self.recent();
        // Who may have lost data says so in every vote, until a leader has given it everything.
        let base = match report.origin {
            Origin::Untrusted => report.last_zxid,
            _ => self.floor,
        };
        let recent = target.take_recent(base, count, bytes);
        let (tree, sessions) = target.finish_member(report.last_zxid.max(Zxid::ZERO));
        METRICS.dbinittime.record(self.clock.mono_ms() - start);
        let data = Data {
            tree: Arc::new(tree),
            sessions,
            recent,
        };
        if report.origin == Origin::New {
            let job = SnapshotJob::new(data.tree.clone(), &data.sessions);
            self.write_snapshot(&job)?;
        }
        Ok((data, report.last_zxid))
    }

    /// How many transactions are kept in memory, and up to how many bytes.
    fn recent(&self) -> (usize, usize) {
        (
            self.config.storage.commit_log_count as usize,
            recent_bytes(&self.config),
        )
    }

    fn write_snapshot(&self, job: &SnapshotJob) -> Result<(), StoreError> {
        let compression = options::compression(&self.config);
        let with_last = self.config.storage.serialize_last_processed_zxid;
        snap_thread::write(&self.dirs, job, compression, with_last).map(|_| ())
    }

    /// Does one operation; what the peer must hear of it. [`DiskOp::ReadLog`] is not for here.
    ///
    /// # Errors
    /// Any error of the disk: nothing is retried, the process must end.
    pub(super) fn carry_out(&mut self, op: DiskOp) -> Result<Option<Input>, StoreError> {
        let epoch = |name, epoch: Epoch| epochs::write(self.dirs.snap(), name, epoch);
        Ok(match op {
            DiskOp::Log(LogOp::Append(zxid, bytes)) => {
                self.writer()?.append(zxid, &bytes)?;
                self.unsynced = Some(zxid);
                None
            }
            DiskOp::Log(LogOp::Roll) => {
                self.roll = true;
                None
            }
            DiskOp::AcceptEpoch(e) => {
                epoch(epochs::ACCEPTED, e)?;
                Some(Input::EpochAccepted(e))
            }
            DiskOp::EnterEpoch(e) => {
                epoch(epochs::CURRENT, e)?;
                Some(Input::EpochEntered(e))
            }
            DiskOp::SaveSeen(ensemble) => {
                self.files.save_seen(&ensemble);
                None
            }
            DiskOp::ActivateConfig(views) => {
                self.files.activate(&views);
                None
            }
            DiskOp::Flush => Some(Input::Flushed),
            DiskOp::Truncate(zxid) => {
                self.close_log()?;
                // Somewhere else than the leader meant nothing is cut: the peer looks at what it
                // gets, and asks for everything.
                let last = self.last_before(zxid)?;
                if zxid.counter() == 0 || last == Some(zxid) {
                    self.cut(zxid)?;
                }
                let (data, _) = self.load()?;
                self.open_log()?;
                Some(Input::Truncated(zxid, Box::new(data)))
            }
            DiskOp::Reload => {
                self.close_log()?;
                let (data, _) = self.load()?;
                self.open_log()?;
                Some(Input::Reloaded(Box::new(data)))
            }
            DiskOp::SaveSnapshot(zxid, job) => {
                self.close_log()?;
                // First what a restart must not replay over the snapshot goes, then it comes; what
                // is older need never have been decided, and goes last.
                self.cut(zxid)?;
                self.write_snapshot(&job)?;
                range::drop_before(self.dirs.snap(), self.dirs.log(), zxid)?;
                self.floor = zxid;
                self.open_log()?;
                Some(Input::SnapshotSaved)
            }
            DiskOp::ReadLog { link, .. } => Some(Input::LogRead(link, None)),
        })
    }

    /// Makes durable what was appended; the last zxid.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn sync(&mut self) -> Result<Option<Zxid>, StoreError> {
        let Some(zxid) = self.unsynced.take() else {
            return Ok(None);
        };
        let start = self.clock.mono_ms();
        let roll = std::mem::take(&mut self.roll);
        let log = self.writer()?;
        match roll {
            true => log.roll()?,
            false => log.commit()?,
        }
        let ms = self.clock.mono_ms() - start;
        METRICS.fsynctime.record(ms);
        if u64::try_from(ms).is_ok_and(|ms| ms > self.config.storage.fsync_warning_ms) {
            tracing::warn!(
                target: "o.a.z.s.p.FileTxnLog",
                "fsync-ing the write ahead log in SyncThread:{} took {ms}ms which will adversely effect operation latency. See the ZooKeeper troubleshooting guide",
                self.config.server_id.unwrap_or_default()
            );
        }
        Ok(Some(zxid))
    }

    fn writer(&mut self) -> Result<&mut LogWriter, StoreError> {
        self.log
            .as_mut()
            .ok_or_else(|| StoreError::Invalid("the log is not open".to_owned()))
    }

    /// Ends the log.
    ///
    /// # Errors
    /// Any error of the disk.
    pub(super) fn close_log(&mut self) -> Result<(), StoreError> {
        self.log.take().map_or(Ok(()), LogWriter::close)
    }

    /// The last transaction in our log that is not behind `zxid`.
    fn last_before(&self, zxid: Zxid) -> Result<Option<Zxid>, StoreError> {
        let length_max = options::length_max(&self.config);
        let mut last = None;
        range::read_range(self.dirs.log(), Zxid::ZERO, length_max, &mut |z, _| {
            if z > zxid {
                return ControlFlow::Break(());
            }
            last = Some(z);
            ControlFlow::Continue(())
        })?;
        Ok(last)
    }

    /// Drops everything behind `zxid`: cuts at the last transaction that is not behind it.
    fn cut(&self, zxid: Zxid) -> Result<(), StoreError> {
        let length_max = options::length_max(&self.config);
        let (snap, log) = (self.dirs.snap(), self.dirs.log());
        if let Some(last) = self.last_before(zxid)? {
            range::truncate_to(snap, log, last, length_max)?;
        }
        // Also when nothing in the logs is left.
        range::drop_after(snap, log, zxid)
    }

    /// Where the history of our log begins; at the end of time when nothing is to be read from it.
    pub(super) fn floor(&self) -> Zxid {
        match self.config.storage.snapshot_size_factor < 0.0 {
            true => Zxid(i64::MAX),
            false => self.floor,
        }
    }
}

/// What is logged behind `from`, which must be there or where the history begins, up to `upto`;
/// `None` when the log does not have it without a hole.
pub(super) fn read_back(
    dirs: &DataDirs,
    length_max: usize,
    floor: Zxid,
    from: Zxid,
    upto: Zxid,
) -> Option<Vec<Logged>> {
    if from < floor {
        return None;
    }
    let mut found: Vec<Logged> = Vec::new();
    let mut bytes = 0;
    let mut last = from;
    let mut whole = from == floor;
    let walked = range::read_range(dirs.log(), from, length_max, &mut |zxid, entry| {
        if zxid > upto {
            return ControlFlow::Break(());
        }
        if zxid == from {
            whole = true;
            return ControlFlow::Continue(());
        }
        let follows = last.next() == Some(zxid) || zxid.epoch() > last.epoch();
        bytes += entry.len();
        if !follows || bytes > READ_BACK_BYTES_MAX {
            whole = false;
            return ControlFlow::Break(());
        }
        last = zxid;
        found.push((zxid, entry.into()));
        ControlFlow::Continue(())
    });
    (walked.is_ok() && whole && last == upto).then_some(found)
}

/// A negative `snapshotSizeFactor` means that who lacks more than `commitLogCount` transactions gets
/// a snapshot.
fn recent_bytes(config: &Config) -> usize {
    match config.storage.snapshot_size_factor < 0.0 {
        true => 0,
        false => RECENT_BYTES_MAX,
    }
}

/// A database that came as a snapshot at `zxid`. A follower of Apache's that serves observers writes
/// it beside the transactions it still applies: what follows tells when the tree is whole.
pub(super) fn received(
    config: &Config,
    zxid: Zxid,
    tree: DataTree,
    sessions: std::collections::BTreeMap<i64, i32>,
) -> Data {
    tree.doubt_digests();
    Data {
        tree: Arc::new(tree),
        sessions,
        recent: CommittedLog::new(
            zxid,
            config.storage.commit_log_count as usize,
            recent_bytes(config),
        ),
    }
}

#[cfg(test)]
#[path = "quorum_disk_tests.rs"]
mod tests;
