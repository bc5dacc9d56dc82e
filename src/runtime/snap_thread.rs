//! Snapshots and purges, in the background.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use crate::base::Zxid;
use crate::config::ExitCode;
use crate::conn::Clock;
use crate::pipeline::{Input, SnapshotJob};
use crate::store::os::{DataDirs, SnapshotFile};
use crate::store::{Compression, SnapshotDigest, SnapshotWriter, StoreError, purge};
use crate::telemetry::metrics::METRICS;

use super::clock::SystemClock;
use super::fatal;

/// The last snapshot taken: its zxid and when, wall seconds.
pub type LastSnapshot = Arc<Mutex<Option<(Zxid, i64)>>>;

/// Writes the snapshots the sequencer asks for.
pub struct SnapThread {
    /// The jobs.
    pub jobs: Receiver<SnapshotJob>,
    /// Where to.
    pub dirs: Arc<DataDirs>,
    /// To the sequencer.
    pub inputs: Sender<Input>,
    /// How compressed.
    pub compression: Compression,
    /// Whether snapshots end with the last zxid.
    pub with_last_zxid: bool,
    /// The clocks.
    pub clock: Arc<SystemClock>,
    /// For the commands that show it.
    pub last: LastSnapshot,
}

impl SnapThread {
    /// Runs until the sequencer is gone. A snapshot that cannot be written ends the server, as in
    /// Apache: its log would grow without end.
    pub fn run(self) {
        lower_priority();
        while let Ok(job) = self.jobs.recv() {
            if let Err(e) = self.take(&job) {
                METRICS.snapshot_error_count.inc();
                fatal::unrecoverable("Snapshot Thread", &e, ExitCode::TxnlogErrorTakingSnapshot);
            }
            let _ = self.inputs.send(Input::SnapshotDone);
        }
    }

    /// Writes one snapshot.
    ///
    /// # Errors
    /// What the disk says.
    pub fn take(&self, job: &SnapshotJob) -> Result<(), StoreError> {
        let start = self.clock.mono_ms();
        let zxid = job.start.zxid;
        let Some(name) = write(&self.dirs, job, self.compression, self.with_last_zxid)? else {
            tracing::info!(target: "o.a.z.s.ZooKeeperServer", "Snapshot {zxid} given up: the role ended");
            return Ok(());
        };
        let ms = self.clock.mono_ms() - start;
        METRICS.snapshottime.record(ms);
        *self.last.lock() = Some((zxid, self.clock.wall_ms() / 1000));
        tracing::info!(
            target: "o.a.z.s.ZooKeeperServer",
            "Snapshotting: {zxid} to {}", self.dirs.snap().join(&name).display()
        );
        tracing::info!(target: "o.a.z.s.ZooKeeperServer", "Snapshot taken in {ms} ms");
        Ok(())
    }
}

/// Writes a snapshot under its final name, synced; `None` when it was cancelled meanwhile.
///
/// # Errors
/// What the disk says.
pub fn write(
    dirs: &DataDirs,
    job: &SnapshotJob,
    compression: Compression,
    with_last_zxid: bool,
) -> Result<Option<String>, StoreError> {
    let path = dirs.snap().join("snapshot");
    let failed = |e| StoreError::io("write", &path, e);
    let file = SnapshotFile::create(dirs.snap(), job.start.zxid, compression)?;
    let mut out = SnapshotWriter::new(file, compression);
    out.sessions(&job.sessions).map_err(failed)?;
    out.acls(job.start.acls.iter().map(|(id, list)| (*id, &list[..])))
        .map_err(failed)?;
    job.tree
        .walk(&job.start, |n| {
            out.node(n.path.text(), n.data.as_deref(), n.acl, &n.stat)
        })
        .map_err(failed)?;
    let at = job.tree.digest();
    let digest = SnapshotDigest {
        zxid: at.zxid,
        version: 2,
        digest: at.digest,
    };
    let last = with_last_zxid.then(|| job.tree.applied());
    let file = out.finish(Some(digest), last).map_err(failed)?.0;
    if job.cancelled.load(Ordering::Acquire) {
        return Ok(None);
    }
    file.commit().map(Some)
}

/// Snapshots must not take the processor from requests.
fn lower_priority() {
    let me = rustix::thread::gettid();
    if let Err(e) = rustix::process::setpriority_process(Some(me), 10) {
        tracing::debug!("cannot lower the priority of the snapshot thread: {e}");
    }
}

/// Purges once now and then once a period (Apache: `DatadirCleanupManager`, `PurgeTxnLog`).
pub fn purge_regularly(dirs: &DataDirs, retain: usize, every_ms: u64, length_max: usize) {
    lower_priority();
    loop {
        tracing::info!(target: "o.a.z.s.DatadirCleanupManager", "Purge task started.");
        let result = purge::plan_dirs(dirs.snap(), dirs.log(), retain, length_max).and_then(|p| {
            purge::execute(&p, dirs.snap(), dirs.log(), &mut |side, name| {
                tracing::info!(target: "o.a.z.s.PurgeTxnLog", "Removing file: {name} ({side:?})");
            })
        });
        if let Err(e) = result {
            tracing::error!(target: "o.a.z.s.DatadirCleanupManager", "Error occurred while purging. {e}");
        }
        tracing::info!(target: "o.a.z.s.DatadirCleanupManager", "Purge task completed.");
        std::thread::park_timeout(std::time::Duration::from_millis(every_ms));
    }
}
