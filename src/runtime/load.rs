//! Opening the data directories and rebuilding the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Zxid;
use crate::config::{Config, ExitCode};
use crate::conn::Clock;
use crate::pipeline::SnapshotJob;
use crate::store::os::{DataDirs, DirOptions};
use crate::store::{Level, Origin, Report, StoreError, recover};
use crate::telemetry::metrics::METRICS;
use crate::tree::{DataTree, TreeOptions};

use super::clock::SystemClock;
use super::database::Database;
use super::{options, snap_thread};

/// A database ready to serve.
pub(super) struct Loaded {
    pub(super) dirs: Arc<DataDirs>,
    pub(super) tree: Arc<DataTree>,
    pub(super) sessions: BTreeMap<i64, i32>,
    /// Transactions since the newest snapshot.
    pub(super) replayed: u64,
    /// The newest log and where its records end.
    pub(super) newest_log: Option<(String, u64)>,
}

/// Why there is none, and the exit code Apache would use.
pub(super) type LoadFailure = (StoreError, ExitCode);

pub(super) fn load(config: &Config, clock: &Arc<SystemClock>) -> Result<Loaded, LoadFailure> {
    let storage = &config.storage;
    let autocreate = storage.data_dir_autocreate;
    let dirs = DataDirs::open(
        &storage.data_dir,
        &storage.data_log_dir,
        DirOptions { autocreate },
    )
    .map_err(|e| {
        let code = match &e {
            StoreError::DataDir(_) | StoreError::Locked { .. } => ExitCode::UnableToAccessDatadir,
            _ => ExitCode::UnexpectedError,
        };
        (e, code)
    })?;
    let unexpected = |e| (e, ExitCode::UnexpectedError);
    let start = clock.mono_ms();
    let tree_options = TreeOptions {
        digest: config.features.digest,
    };
    let recovered = recover(&dirs.places(), &options::recover(config), &mut || {
        Database::new(tree_options).timed_by(clock.clone())
    })
    .map_err(unexpected)?;
    let report = recovered.report;
    tell(&report);
    let (snapshot_ms, txns_ms) = recovered.target.load_times();
    METRICS.startup_snap_load_time.record(snapshot_ms);
    if report.origin != Origin::New {
        let txns = i64::try_from(report.txns).unwrap_or(i64::MAX);
        METRICS.startup_txns_loaded.record(txns);
        METRICS.startup_txns_load_time.record(txns_ms);
    }
    let (tree, sessions) = recovered.target.finish(report.last_zxid.max(Zxid::ZERO));
    let ms = clock.mono_ms() - start;
    METRICS.dbinittime.record(ms);
    tracing::info!(
        target: "o.a.z.s.p.FileTxnSnapLog",
        "Snapshot loaded in {ms} ms, highest zxid is {}, digest is {}",
        tree.applied(), tree.digest().digest
    );
    let loaded = Loaded {
        dirs: Arc::new(dirs),
        tree: Arc::new(tree),
        sessions,
        replayed: report.txns,
        newest_log: report.newest,
    };
    if report.origin == Origin::New {
        first_snapshot(config, &loaded).map_err(unexpected)?;
    }
    Ok(loaded)
}

pub(super) fn tell(report: &Report) {
    for line in &report.lines {
        match line.level {
            Level::Info => tracing::info!(target: "o.a.z.s.p.FileTxnSnapLog", "{}", line.text),
            Level::Warn => tracing::warn!(target: "o.a.z.s.p.FileTxnSnapLog", "{}", line.text),
            Level::Error => tracing::error!(target: "o.a.z.s.p.FileTxnSnapLog", "{}", line.text),
        }
    }
}

/// A new database has its `snapshot.0` before its first transaction: no server starts over logs
/// without a snapshot.
fn first_snapshot(config: &Config, loaded: &Loaded) -> Result<(), StoreError> {
    let job = SnapshotJob::new(loaded.tree.clone(), &BTreeMap::new());
    let compression = options::compression(config);
    let with_last = config.storage.serialize_last_processed_zxid;
    snap_thread::write(&loaded.dirs, &job, compression, with_last).map(|_| ())
}
