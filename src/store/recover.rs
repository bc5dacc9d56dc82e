//! From a directory to a database: choose a snapshot, replay the logs, refuse what cannot be right
//! (Apache: `FileTxnSnapLog.restore`, `FileTxnLog.FileTxnIterator`).
//!
//! Differs, each time towards losing nothing in silence:
//! * names are strict (`names`), snapshot tails go by length (`snapshot_read`);
//! * an attempt that fails leaves nothing behind for the next (Apache keeps its sessions);
//! * snapshots that exist and cannot be read never lead to an empty start;
//! * transactions must continue from the snapshot on; Apache checks from the second replayed one;
//! * a torn end is accepted where only unacknowledged bytes can be lost (`tail`);
//! * afterwards a torn newest log is cut to what counts, so that any server can open it.

use crate::base::Zxid;
use crate::proto::txn::Entry;

use super::dir::{Dir, FileInfo, list};
use super::error::StoreError;
use super::names::FileName;
use super::replay::{Replay, files_from};
use super::snapshot::{Compression, Refused, SnapshotInfo, SnapshotVisitor};
use super::snapshot_read::{looks_whole, read_file};
use super::txnlog::LENGTH_MAX_DEFAULT;

/// The property that sets [`RecoverOptions::accept_damage`].
pub const OVERRIDE_PROPERTY: &str = "zabra.acceptDamagedLog";
/// Marker file for an expected empty database.
pub const INITIALIZE: &str = "initialize";

/// A database being rebuilt: a snapshot's records, then transactions.
pub trait Recovery: SnapshotVisitor {
    /// There is no snapshot: begin as a new database does.
    fn begin_empty(&mut self);

    /// The next transaction in zxid order, and its bytes as logged. Errors that a live server would
    /// have given (node exists, no node) are no refusal.
    ///
    /// # Errors
    /// When it cannot be applied at all; recovery stops.
    fn txn(&mut self, entry: &Entry<'_>, bytes: &[u8]) -> Result<(), Refused>;
}

/// Where the files are.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// `dataDir/version-2`.
    pub snap: &'a dyn Dir,
    /// `dataLogDir/version-2`; may be the same.
    pub log: &'a dyn Dir,
    /// `dataDir` and `dataLogDir`, where `initialize` may be. Apache looks in the second only and its
    /// script writes to the first.
    pub roots: [&'a dyn Dir; 2],
}

/// How to go about it.
#[derive(Clone, Copy, Debug)]
pub struct RecoverOptions {
    /// `zookeeper.snapshot.trust.empty`: logs from the first transaction on need no snapshot.
    pub trust_empty: bool,
    /// `zookeeper.db.autocreate`: an empty directory is an empty database.
    pub autocreate: bool,
    /// Longest string, buffer or entry, bytes: `jute.maxbuffer` plus the extra size.
    pub length_max: usize,
    /// Give up what lies behind damage or a gap instead of refusing; the files involved are set
    /// aside under names that begin with `damaged.`.
    pub accept_damage: bool,
    /// Cut torn ends, remove empty newest logs and the `initialize` marker. Off for tools that only
    /// look.
    pub repair: bool,
}

impl Default for RecoverOptions {
    fn default() -> Self {
        Self {
            trust_empty: false,
            autocreate: true,
            length_max: LENGTH_MAX_DEFAULT,
            accept_damage: false,
            repair: true,
        }
    }
}

/// What the database was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A snapshot, and logs behind it.
    Snapshot {
        /// File name.
        name: String,
        /// The zxid in its name.
        zxid: Zxid,
        /// What it says about itself.
        info: SnapshotInfo,
    },
    /// Logs alone.
    LogsOnly,
    /// Nothing: a new database.
    New,
    /// Nothing, and that is not trusted: a member must not vote until it has been synchronised.
    Untrusted,
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As expected.
    Info,
    /// Worth a look.
    Warn,
    /// Something was lost or changed.
    Error,
}

/// A line for the server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// What to say.
    pub text: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the database was built from.
    pub origin: Origin,
    /// The last transaction; -1 when the start is untrusted.
    pub last_zxid: Zxid,
    /// A file `initialize` said that an empty directory is as it should be.
    pub marked: bool,
    /// Transactions replayed.
    pub txns: u64,
    /// The newest log that holds a transaction and ends regularly, and where its last record ends.
    /// What is behind are zeros; see `LogWriter::trim`.
    pub newest: Option<(String, u64)>,
    /// What to tell the operator, in order.
    pub lines: Vec<LogLine>,
}

/// A rebuilt database.
#[derive(Debug)]
pub struct Recovered<T> {
    /// The database.
    pub target: T,
    /// How it came to be.
    pub report: Report,
}

/// Rebuilds the database. `fresh` gives an empty target; each snapshot tried gets one of its own.
///
/// # Errors
/// [`StoreError`] whenever going on could lose an acknowledged transaction, with file, offset and
/// zxid; nothing has been changed on disk then.
pub fn recover<T: Recovery>(
    places: &Places<'_>,
    options: &RecoverOptions,
    fresh: &mut dyn FnMut() -> T,
) -> Result<Recovered<T>, StoreError> {
    let mut lines = Lines(Vec::new());
    let snaps = list(places.snap)?;
    let logs = list(places.log)?;
    lines.name_lookalikes(places, &snaps, &logs);
    let chosen = choose(places, options, &snaps, &mut lines, fresh)?;
    let marked = marked(places)?;
    let (target, base, origin) = match chosen {
        Some(found) => found,
        None => {
            let logs_exist = logs.iter().any(|f| f.name.starts_with("log."));
            let origin = without_snapshot(places, options, logs_exist, marked, &mut lines)?;
            let mut target = fresh();
            target.begin_empty();
            (target, Zxid::ZERO, origin)
        }
    };
    if origin == Origin::Untrusted {
        let report = Report {
            origin,
            last_zxid: Zxid(-1),
            marked,
            txns: 0,
            newest: None,
            lines: lines.0,
        };
        return Ok(Recovered { target, report });
    }
    let files = files_from(&logs, base);
    let mut replay = Replay::new(places.log, options, files, target, base, lines);
    replay.run()?;
    if options.repair {
        replay.repair()?;
        if marked {
            unmark(places)?;
        }
    }
    let lines = replay.lines.0;
    let report = Report {
        origin,
        last_zxid: replay.last,
        marked,
        txns: replay.txns,
        newest: replay.newest,
        lines,
    };
    let target = replay.target;
    Ok(Recovered { target, report })
}

/// The lines so far.
pub(super) struct Lines(Vec<LogLine>);

impl Lines {
    pub(super) fn add(&mut self, level: Level, text: String) {
        self.0.push(LogLine { level, text });
    }

    fn name_lookalikes(&mut self, places: &Places<'_>, snaps: &[FileInfo], logs: &[FileInfo]) {
        let same = places.snap.path() == places.log.path();
        let logs = if same { &[] } else { logs };
        for (dir, files) in [(places.snap, snaps), (places.log, logs)] {
            for f in files {
                if FileName::of(&f.name) == FileName::Lookalike {
                    let path = dir.path().join(&f.name);
                    let text = format!(
                        "Ignoring {}: not a name that a server gives a log or a snapshot",
                        path.display()
                    );
                    self.add(Level::Warn, text);
                }
            }
        }
    }
}

/// Loads the newest snapshot that is whole; `None` when there is no snapshot file at all.
fn choose<T: Recovery>(
    places: &Places<'_>,
    options: &RecoverOptions,
    files: &[FileInfo],
    lines: &mut Lines,
    fresh: &mut dyn FnMut() -> T,
) -> Result<Option<(T, Zxid, Origin)>, StoreError> {
    let mut candidates: Vec<(Zxid, Compression, &str)> = files
        .iter()
        .filter_map(|f| match FileName::of(&f.name) {
            FileName::Snapshot(zxid, c) => Some((zxid, c, f.name.as_str())),
            FileName::Log(_) | FileName::Lookalike | FileName::Other => None,
        })
        .collect();
    candidates.sort_by_key(|c| std::cmp::Reverse(c.0));
    let mut tried = Vec::new();
    for (zxid, compression, name) in candidates {
        let path = places.snap.path().join(name);
        let mut target = fresh();
        let outcome = match looks_whole(places.snap, name, compression) {
            Ok(false) => Err("the file is cut short".to_owned()),
            Err(e) => Err(e.to_string()),
            Ok(true) => read_file(
                places.snap,
                name,
                compression,
                options.length_max,
                &mut target,
            )
            .map_err(|e| e.to_string()),
        };
        match outcome {
            Ok(info) => {
                lines.add(Level::Info, format!("Reading snapshot {}", path.display()));
                let name = name.to_owned();
                return Ok(Some((target, zxid, Origin::Snapshot { name, zxid, info })));
            }
            Err(why) => {
                let text = format!("problem reading snap file {}: {why}", path.display());
                lines.add(Level::Warn, text);
                tried.push(format!("{name}: {why}"));
            }
        }
    }
    let strange = |f: &&FileInfo| f.name.starts_with("snapshot.");
    if let Some(f) = files.iter().find(strange).filter(|_| tried.is_empty()) {
        tried.push(format!("{}: not a name that a server gives", f.name));
    }
    if tried.is_empty() {
        return Ok(None);
    }
    Err(StoreError::NoValidSnapshot {
        path: places.snap.path().to_path_buf(),
        tried: tried.join("; "),
    })
}

/// What the absence of snapshots means.
fn without_snapshot(
    places: &Places<'_>,
    options: &RecoverOptions,
    logs_exist: bool,
    marked: bool,
    lines: &mut Lines,
) -> Result<Origin, StoreError> {
    if logs_exist && options.trust_empty {
        let text = "No snapshot found, but there are log entries. This should only be allowed \
                    during upgrading.";
        lines.add(Level::Warn, text.to_owned());
        return Ok(Origin::LogsOnly);
    }
    if logs_exist {
        let dir = places.log.path().display().to_string();
        return Err(StoreError::NoSnapshot(dir));
    }
    if options.autocreate || marked {
        return Ok(Origin::New);
    }
    let text = "Unexpected empty data tree, setting zxid to -1";
    lines.add(Level::Warn, text.to_owned());
    Ok(Origin::Untrusted)
}

fn marked(places: &Places<'_>) -> Result<bool, StoreError> {
    for root in places.roots {
        let found = root
            .read_small(INITIALIZE)
            .map_err(|e| StoreError::io("read", &root.path().join(INITIALIZE), e))?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unmark(places: &Places<'_>) -> Result<(), StoreError> {
    for root in places.roots {
        match root.remove(INITIALIZE) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("delete", &root.path().join(INITIALIZE), e));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
