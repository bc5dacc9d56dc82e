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
use crate::jute::Input;
use crate::proto::OpCode;
use crate::proto::txn::Entry;

use super::dir::{Dir, FileInfo, ReadAt, list, read_full};
use super::error::StoreError;
use super::log_reader::{LogReader, Step};
use super::names::FileName;
use super::snapshot::{Compression, Refused, SnapshotInfo, SnapshotVisitor};
use super::snapshot_read::{looks_whole, read_file};
use super::tail::{Tail, classify};
use super::txnlog::{Bad, HEADER_LEN, Head, LENGTH_MAX_DEFAULT, Stop, entry_zxid};

/// The property that sets [`RecoverOptions::accept_damage`].
pub const OVERRIDE_PROPERTY: &str = "zabra.acceptDamagedLog";
/// Marker file for an expected empty database.
pub const INITIALIZE: &str = "initialize";
/// What a file set aside begins with.
const SET_ASIDE: &str = "damaged.";

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
            txns: 0,
            newest: None,
            lines: lines.0,
        };
        return Ok(Recovered { target, report });
    }
    let mut replay = Replay {
        dir: places.log,
        options,
        files: files_from(&logs, base),
        target,
        base,
        last: base,
        seen: Zxid::ZERO,
        previous: None,
        torn: None,
        newest: None,
        txns: 0,
        repairs: Vec::new(),
        lines,
    };
    replay.run()?;
    if options.repair {
        replay.repair()?;
        if marked {
            unmark(places)?;
        }
    }
    let report = Report {
        origin,
        last_zxid: replay.last,
        txns: replay.txns,
        newest: replay.newest,
        lines: replay.lines.0,
    };
    Ok(Recovered {
        target: replay.target,
        report,
    })
}

/// The lines so far.
struct Lines(Vec<LogLine>);

impl Lines {
    fn add(&mut self, level: Level, text: String) {
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

/// The logs that may hold transactions behind `base`, in order: those named after it, and the one
/// before them unless a log begins exactly there.
pub(super) fn files_from(files: &[FileInfo], base: Zxid) -> Vec<String> {
    let mut logs: Vec<(Zxid, &str)> = files
        .iter()
        .filter_map(|f| match FileName::of(&f.name) {
            FileName::Log(zxid) => Some((zxid, f.name.as_str())),
            FileName::Snapshot(..) | FileName::Lookalike | FileName::Other => None,
        })
        .collect();
    logs.sort();
    let next = logs.partition_point(|l| l.0 <= base);
    let exact = logs.get(next).is_some_and(|l| Some(l.0) == base.next());
    let first = if exact { next } else { next.saturating_sub(1) };
    let wanted = logs.into_iter().skip(first);
    wanted.map(|l| l.1.to_owned()).collect()
}

/// True when `zxid` is what comes after `last`: one more, or the first of a later epoch.
pub(super) fn follows(last: Zxid, zxid: Zxid) -> bool {
    last.next() == Some(zxid) || (zxid.epoch() > last.epoch() && zxid.counter() == 1)
}

/// A change that makes the directory readable for every server.
#[derive(Debug)]
enum Repair {
    Truncate { name: String, len: u64 },
    Remove { name: String },
    SetAside { name: String, keep: u64 },
}

/// Where the record of a transaction is.
struct Place {
    name: String,
    offset: u64,
    len: usize,
}

struct Replay<'a, T> {
    dir: &'a dyn Dir,
    options: &'a RecoverOptions,
    files: Vec<String>,
    target: T,
    /// The snapshot's zxid.
    base: Zxid,
    /// The last transaction of the database so far.
    last: Zxid,
    /// The last transaction read, replayed or not.
    seen: Zxid,
    /// Where the last replayed one is.
    previous: Option<Place>,
    /// An older log that ends in the middle of a record.
    torn: Option<(String, u64)>,
    /// The last file that ended regularly, and where its records end.
    newest: Option<(String, u64)>,
    txns: u64,
    repairs: Vec<Repair>,
    lines: Lines,
}

/// How the walk through one file ended.
enum Outcome {
    /// At its regular end; `None` without a record.
    Done { end: Option<u64> },
    /// At an unfinished write. `hole`: there are whole records behind it.
    Torn { offset: u64, hole: bool },
}

impl<T: Recovery> Replay<'_, T> {
    fn run(&mut self) -> Result<(), StoreError> {
        let files = self.files.clone();
        let mut empties = Vec::new();
        for (i, name) in files.iter().enumerate() {
            let later = files.get(i.saturating_add(1)..).unwrap_or_default();
            match self.file(name, later) {
                Ok(Outcome::Done { end: None }) => empties.push(name.clone()),
                Ok(Outcome::Done { end: Some(end) }) => {
                    empties.clear();
                    self.newest = Some((name.clone(), end));
                }
                Ok(Outcome::Torn { offset, .. }) if self.any_record(later)? => {
                    empties.clear();
                    self.torn = Some((name.clone(), offset));
                }
                Ok(Outcome::Torn { offset, hole }) => {
                    empties.clear();
                    self.newest = None;
                    self.cut(name, offset, hole);
                }
                Err(e) => {
                    let offset = self.may_give_up(e)?;
                    empties.clear();
                    self.newest = None;
                    self.give_up(name, offset, later);
                    break;
                }
            }
        }
        let remove = |name| Repair::Remove { name };
        self.repairs.extend(empties.into_iter().map(remove));
        Ok(())
    }

    /// Replays one file.
    fn file(&mut self, name: &str, later: &[String]) -> Result<Outcome, StoreError> {
        let dir = self.dir;
        let path = dir.path().join(name);
        let io = |e| StoreError::io("read", &path, e);
        let file = dir.open(name).map_err(io)?;
        let mut reader = match LogReader::new(file, self.options.length_max).map_err(io)? {
            Ok(reader) => reader,
            Err(head) => return self.headless(name, head),
        };
        let mut empty = true;
        loop {
            match reader.step().map_err(io)? {
                Step::Entry { offset, entry } => {
                    empty = false;
                    self.entry(name, offset, entry)?;
                }
                Step::Stop {
                    offset,
                    why: Stop::End,
                } => {
                    let end = (!empty).then_some(offset);
                    return Ok(Outcome::Done { end });
                }
                Step::Stop { offset, why } => {
                    let max = self.options.length_max;
                    let tail = classify(reader.file(), offset, self.seen, max).map_err(io)?;
                    let why = why.why();
                    return match tail {
                        Tail::Clean => Ok(Outcome::Done {
                            end: (!empty).then_some(offset),
                        }),
                        Tail::Torn => Ok(Outcome::Torn {
                            offset,
                            hole: false,
                        }),
                        Tail::Hole if !self.any_record(later)? => {
                            Ok(Outcome::Torn { offset, hole: true })
                        }
                        Tail::Hole => Err(self.damaged(name, offset, why)),
                        Tail::Damaged { next: None } => Err(self.damaged(name, offset, why)),
                        Tail::Damaged {
                            next: Some((at, zxid)),
                        } => {
                            let why = format!("{why}, and transaction {zxid} follows at {at}");
                            Err(self.damaged(name, offset, why))
                        }
                    };
                }
            }
        }
    }

    /// A file that does not begin as a log. When its creation was cut short it is empty.
    fn headless(&self, name: &str, head: Head) -> Result<Outcome, StoreError> {
        let all_zero = |name: &str| -> std::io::Result<bool> {
            let tail = classify(&*self.dir.open(name)?, 0, Zxid::ZERO, 0)?;
            Ok(tail == Tail::Clean)
        };
        let empty = match head {
            Head::Short => true,
            Head::Zero => all_zero(name)
                .map_err(|e| StoreError::io("read", &self.dir.path().join(name), e))?,
            Head::Whole | Head::Wrong(_) => false,
        };
        if empty {
            return Ok(Outcome::Done { end: None });
        }
        let number = match head {
            Head::Wrong(bytes) => i32::from_be_bytes(bytes),
            Head::Whole | Head::Short | Head::Zero => 0,
        };
        Err(self.damaged(name, 0, format!("invalid magic number {number}")))
    }

    fn entry(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(zxid) = entry_zxid(bytes) else {
            let why = Bad::Entry(crate::jute::DecodeError::Short).to_string();
            return Err(self.damaged(name, offset, why));
        };
        self.seen = zxid;
        if zxid <= self.base {
            return Ok(());
        }
        let mut input = Input::with_limit(bytes, self.options.length_max);
        let entry = match Entry::decode(&mut input) {
            Ok(entry) => entry,
            Err(e) => return Err(self.damaged(name, offset, Bad::Entry(e).to_string())),
        };
        if zxid == self.last && self.previous.is_some() {
            return self.repeated(name, offset, bytes, entry.header.op);
        }
        if !follows(self.last, zxid) {
            return Err(self.gap(name, offset, zxid));
        }
        if let Err(why) = self.target.txn(&entry, bytes) {
            return Err(StoreError::Refused {
                path: self.dir.path().join(name),
                offset,
                zxid,
                why: why.to_string(),
            });
        }
        self.last = zxid;
        self.txns = self.txns.saturating_add(1);
        match &mut self.previous {
            Some(p) if p.name == name => (p.offset, p.len) = (offset, bytes.len()),
            other => {
                *other = Some(Place {
                    name: name.to_owned(),
                    offset,
                    len: bytes.len(),
                });
            }
        }
        Ok(())
    }

    /// A zxid that came before. Apache logs a request it cannot parse as an error under the last
    /// zxid; a record copied twice is no harm either.
    fn repeated(
        &mut self,
        name: &str,
        offset: u64,
        bytes: &[u8],
        op: i32,
    ) -> Result<(), StoreError> {
        if OpCode::of(op) == Some(OpCode::Error) {
            return Ok(());
        }
        let same = match &self.previous {
            Some(p) if p.len == bytes.len() => self
                .dir
                .open(&p.name)
                .and_then(|f| same_bytes(&*f, p.offset, bytes))
                .map_err(|e| StoreError::io("read", &self.dir.path().join(&p.name), e))?,
            _ => false,
        };
        if !same {
            let why = format!("a second, different transaction {}", self.last);
            return Err(self.damaged(name, offset, why));
        }
        let path = self.dir.path().join(name);
        let text = format!(
            "{}: transaction {} is there twice, at offset {offset}",
            path.display(),
            self.last
        );
        self.lines.add(Level::Warn, text);
        Ok(())
    }

    /// True when one of these files holds a record.
    fn any_record(&self, names: &[String]) -> Result<bool, StoreError> {
        for name in names {
            let first = self.dir.open(name).and_then(|file| {
                let reader = LogReader::new(file, self.options.length_max)?;
                let Ok(mut reader) = reader else {
                    return Ok(false);
                };
                Ok(matches!(reader.step()?, Step::Entry { .. }))
            });
            if first.map_err(|e| StoreError::io("read", &self.dir.path().join(name), e))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn damaged(&self, name: &str, offset: u64, why: String) -> StoreError {
        StoreError::Damaged {
            path: self.dir.path().join(name),
            offset,
            last: self.seen.max(self.last),
            why,
        }
    }

    fn gap(&self, name: &str, offset: u64, found: Zxid) -> StoreError {
        let hint = match &self.torn {
            Some((torn, at)) => format!(" ({torn} ends inside a record at offset {at})"),
            None => String::new(),
        };
        StoreError::Gap {
            path: self.dir.path().join(name),
            offset,
            found,
            last: self.last,
            hint,
        }
    }

    /// Ends the newest log behind its last whole record. A missing sector nearly always means that
    /// the power went during one batch, but a disk that lost a sector of older ones looks the same:
    /// the file is kept as it was.
    fn cut(&mut self, name: &str, offset: u64, hole: bool) {
        let text = format!(
            "Last transaction was partial: {} ends at offset {offset}, behind {}",
            self.dir.path().join(name).display(),
            self.seen.max(self.last)
        );
        self.lines.add(Level::Warn, text);
        let name = name.to_owned();
        if hole {
            let text = format!(
                "Sectors of {name} are missing at offset {offset}, as after a power cut during a \
                 write; the file with what lies behind is kept as {SET_ASIDE}{name}"
            );
            self.lines.add(Level::Error, text);
        }
        self.repairs.push(match offset <= HEADER_LEN as u64 {
            _ if hole => Repair::SetAside { name, keep: offset },
            true => Repair::Remove { name },
            false => Repair::Truncate { name, len: offset },
        });
    }

    /// The offset from which everything is given up, if that was asked for.
    fn may_give_up(&mut self, e: StoreError) -> Result<u64, StoreError> {
        match e {
            StoreError::Damaged { offset, .. } | StoreError::Gap { offset, .. }
                if self.options.accept_damage =>
            {
                self.lines.add(Level::Error, e.to_string());
                Ok(offset)
            }
            other => Err(other),
        }
    }

    fn give_up(&mut self, name: &str, offset: u64, later: &[String]) {
        let text = format!(
            "Giving up every transaction behind {}, as {OVERRIDE_PROPERTY} says; the files are kept \
             as {SET_ASIDE}*",
            self.last
        );
        self.lines.add(Level::Error, text);
        self.repairs.push(Repair::SetAside {
            name: name.to_owned(),
            keep: offset,
        });
        self.repairs
            .extend(later.iter().map(|name| Repair::SetAside {
                name: name.clone(),
                keep: 0,
            }));
    }

    fn repair(&mut self) -> Result<(), StoreError> {
        for repair in std::mem::take(&mut self.repairs) {
            let (what, name, done) = match repair {
                Repair::Truncate { name, len } => {
                    let done = self.dir.truncate(&name, len);
                    ("truncate", name, done)
                }
                Repair::Remove { name } => {
                    let path = self.dir.path().join(&name);
                    let text = format!("Removing {}: it holds no transaction", path.display());
                    self.lines.add(Level::Warn, text);
                    let done = self.dir.remove(&name);
                    ("delete", name, done)
                }
                Repair::SetAside { name, keep } => {
                    let done = set_aside(self.dir, &name, keep);
                    ("set aside", name, done)
                }
            };
            done.map_err(|e| StoreError::io(what, &self.dir.path().join(name), e))?;
        }
        Ok(())
    }
}

/// True when the record at `offset` holds exactly this entry.
fn same_bytes(file: &dyn ReadAt, offset: u64, entry: &[u8]) -> std::io::Result<bool> {
    let mut there = vec![0; entry.len()];
    let at = offset.saturating_add(super::txnlog::PREFIX_LEN as u64);
    let n = read_full(file, &mut there, at)?;
    Ok(n == entry.len() && there == entry)
}

/// Keeps a file under another name and leaves its first `keep` bytes, unless they hold no record.
/// The copy is durable before anything goes: at no instant is the log without what counts.
fn set_aside(dir: &dyn Dir, name: &str, keep: u64) -> std::io::Result<()> {
    let aside = format!("{SET_ASIDE}{name}");
    if keep <= HEADER_LEN as u64 {
        return dir.rename(name, &aside);
    }
    let file = dir.open(name)?;
    let len = usize::try_from(file.len()?).map_err(|_| std::io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    read_full(&*file, &mut bytes, 0)?;
    dir.write_atomic(&aside, &bytes)?;
    dir.truncate(name, keep)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::mem::MemDir;
    use super::super::snapshot_write::SnapshotWriter;
    use super::super::txnlog::{HEADER, encode_record};
    use super::*;
    use crate::base::{Acl, StatPersisted};
    use crate::jute::Jute as _;
    use crate::proto::txn::{ErrorTxn, SetDataTxn, Txn, TxnHeader, some};

    /// Remembers what it was given.
    #[derive(Debug, Default)]
    struct Seen {
        empty: bool,
        nodes: usize,
        sessions: usize,
        txns: Vec<i64>,
    }

    impl SnapshotVisitor for Seen {
        fn session(&mut self, _: i64, _: i32) -> Result<(), Refused> {
            self.sessions += 1;
            Ok(())
        }
        fn acl(&mut self, _: i64, _: Option<Vec<Acl>>) -> Result<(), Refused> {
            Ok(())
        }
        fn node(
            &mut self,
            _: &str,
            _: Option<&[u8]>,
            _: i64,
            _: StatPersisted,
        ) -> Result<(), Refused> {
            self.nodes += 1;
            Ok(())
        }
    }

    impl Recovery for Seen {
        fn begin_empty(&mut self) {
            self.empty = true;
        }
        fn txn(&mut self, entry: &Entry<'_>, _: &[u8]) -> Result<(), Refused> {
            self.txns.push(entry.header.zxid);
            Ok(())
        }
    }

    fn entry(zxid: i64, data: &[u8]) -> Vec<u8> {
        let mut out = TxnHeader {
            client_id: 1,
            zxid,
            op: 5,
            ..TxnHeader::default()
        }
        .to_bytes();
        Txn::SetData(SetDataTxn {
            path: some("/a"),
            data: Some(data),
            version: 1,
        })
        .encode(&mut out);
        out
    }

    fn error(zxid: i64) -> Vec<u8> {
        let mut out = TxnHeader {
            zxid,
            op: -1,
            ..TxnHeader::default()
        }
        .to_bytes();
        ErrorTxn { err: -5 }.encode(&mut out);
        out
    }

    fn log_of(entries: &[Vec<u8>]) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        entries.iter().for_each(|e| encode_record(e, &mut out));
        out
    }

    fn log(zxids: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let all: Vec<_> = zxids.into_iter().map(|z| entry(z, b"data")).collect();
        log_of(&all)
    }

    fn snapshot() -> Vec<u8> {
        let mut w = SnapshotWriter::new(Vec::new(), Compression::None);
        w.sessions(&[(1, 2)]).unwrap();
        w.acls([]).unwrap();
        w.node("", None, -1, &StatPersisted::default()).unwrap();
        w.finish(None, None).unwrap().0
    }

    fn dir(files: &[(&str, Vec<u8>)]) -> MemDir {
        MemDir::with(files.iter().map(|(n, b)| ((*n).to_owned(), b.clone())))
    }

    fn run(dir: &MemDir, options: &RecoverOptions) -> Result<Recovered<Seen>, StoreError> {
        let places = Places {
            snap: dir,
            log: dir,
            roots: [dir, dir],
        };
        recover(&places, options, &mut Seen::default)
    }

    fn ok(dir: &MemDir) -> Recovered<Seen> {
        run(dir, &RecoverOptions::default()).unwrap()
    }

    fn err(dir: &MemDir) -> StoreError {
        let before = dir.names();
        let e = run(dir, &RecoverOptions::default()).unwrap_err();
        assert_eq!(dir.names(), before, "a refusal changes nothing");
        e
    }

    #[test]
    fn snapshot_then_logs() {
        let d = dir(&[
            ("snapshot.2", snapshot()),
            ("log.1", log(1..=4)),
            ("log.5", log(5..=6)),
        ]);
        let got = ok(&d);
        let end = log(5..=6).len() as u64;
        assert_eq!(got.report.newest, Some(("log.5".to_owned(), end)));
        assert_eq!(got.target.txns, [3, 4, 5, 6]);
        assert_eq!((got.target.nodes, got.target.empty), (1, false));
        assert_eq!((got.report.last_zxid, got.report.txns), (Zxid(6), 4));
        assert_eq!(d.names().len(), 3);
    }

    #[test]
    fn a_log_that_begins_behind_the_snapshot_spares_the_one_before() {
        let logs = [("log.1", vec![]), ("log.5", vec![]), ("log.9", vec![])];
        let files = crate::store::dir::list(&dir(&logs)).unwrap();
        let from = |z| files_from(&files, Zxid(z));
        assert_eq!(from(4), ["log.5", "log.9"]);
        assert_eq!(from(5), ["log.5", "log.9"]);
        assert_eq!(from(3), ["log.1", "log.5", "log.9"]);
        assert_eq!(from(20), ["log.9"]);
        assert_eq!(from(0), ["log.1", "log.5", "log.9"]);
    }

    #[test]
    fn a_rejected_snapshot_leaves_nothing_behind() {
        let mut bad = snapshot();
        let n = bad.len();
        bad[n - 10] ^= 1;
        let d = dir(&[
            ("snapshot.2", snapshot()),
            ("snapshot.3", bad),
            ("log.3", log([3])),
        ]);
        let got = ok(&d);
        assert_eq!((got.target.sessions, got.target.txns), (1, vec![3]));
        let line = &got.report.lines[0];
        assert!(
            line.text
                .starts_with("problem reading snap file /mem/snapshot.3: CRC")
        );
    }

    #[test]
    fn never_empty_beside_files() {
        let cut = snapshot()[..20].to_vec();
        let e = err(&dir(&[("snapshot.0", cut)]));
        assert!(matches!(e, StoreError::NoValidSnapshot { .. }), "{e}");
        let e = err(&dir(&[("snapshot.0.tmp", snapshot())]));
        assert!(matches!(e, StoreError::NoValidSnapshot { .. }), "{e}");
        for name in ["log.1", "log.1.bak"] {
            let e = err(&dir(&[(name, log([1]))]));
            assert!(matches!(e, StoreError::NoSnapshot(_)), "{e}");
        }
    }

    #[test]
    fn logs_alone_need_to_be_trusted_and_whole() {
        let trust = RecoverOptions {
            trust_empty: true,
            ..RecoverOptions::default()
        };
        let got = run(&dir(&[("log.1", log(1..=3))]), &trust).unwrap();
        assert_eq!(got.report.origin, Origin::LogsOnly);
        assert_eq!((got.target.empty, got.target.txns), (true, vec![1, 2, 3]));
        let e = run(&dir(&[("log.2", log(2..=3))]), &trust).unwrap_err();
        assert!(matches!(e, StoreError::Gap { .. }), "{e}");
    }

    #[test]
    fn an_empty_directory_is_new_when_trusted() {
        let got = ok(&dir(&[]));
        assert_eq!(
            (got.report.origin, got.report.last_zxid),
            (Origin::New, Zxid(0))
        );
        let wary = RecoverOptions {
            autocreate: false,
            ..RecoverOptions::default()
        };
        let got = run(&dir(&[]), &wary).unwrap();
        assert_eq!(got.report.origin, Origin::Untrusted);
        assert_eq!(got.report.last_zxid, Zxid(-1));
        let d = dir(&[("initialize", vec![])]);
        assert_eq!(run(&d, &wary).unwrap().report.origin, Origin::New);
        assert_eq!(d.names(), [""; 0]);
    }

    #[test]
    fn holes_are_found_wherever_they_are() {
        let after_snapshot = dir(&[("snapshot.2", snapshot()), ("log.4", log(4..=5))]);
        let between = dir(&[
            ("snapshot.0", snapshot()),
            ("log.1", log(1..=2)),
            ("log.4", log([4])),
        ]);
        let inside = dir(&[("snapshot.0", snapshot()), ("log.1", log([1, 2, 4]))]);
        for d in [after_snapshot, between, inside] {
            let e = err(&d);
            assert!(
                matches!(
                    e,
                    StoreError::Gap {
                        found: Zxid(4),
                        last: Zxid(2),
                        ..
                    }
                ),
                "{e}"
            );
        }
    }

    #[test]
    fn epochs_change_inside_a_file_and_begin_at_one() {
        let two = |c: i64| (2 << 32) | c;
        let d = dir(&[
            ("snapshot.0", snapshot()),
            ("log.1", log([1, 2, two(1), two(2)])),
        ]);
        assert_eq!(ok(&d).report.last_zxid, Zxid(two(2)));
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", log([1, 2, two(2)]))]);
        assert!(matches!(err(&d), StoreError::Gap { .. }));
    }

    #[test]
    fn repeats_are_errors_or_copies() {
        let last = entry(2, b"data");
        let d = |more| {
            let all = [entry(1, b"data"), last.clone(), more, entry(3, b"")];
            dir(&[("snapshot.0", snapshot()), ("log.1", log_of(&all))])
        };
        assert_eq!(ok(&d(error(2))).target.txns, [1, 2, 3]);
        assert_eq!(ok(&d(last.clone())).target.txns, [1, 2, 3]);
        assert!(matches!(
            err(&d(entry(2, b"DATA"))),
            StoreError::Damaged { .. }
        ));
        assert!(matches!(err(&d(entry(1, b"data"))), StoreError::Gap { .. }));
    }

    #[test]
    fn a_torn_older_log_is_fine_when_the_next_continues() {
        let mut torn = log(1..=3);
        torn.truncate(torn.len() - 5);
        let d = |next| {
            dir(&[
                ("snapshot.0", snapshot()),
                ("log.1", torn.clone()),
                ("log.3", log(next)),
            ])
        };
        let continued = d(3..=4);
        assert_eq!(ok(&continued).target.txns, [1, 2, 3, 4]);
        assert_eq!(continued.get("log.1").unwrap(), torn, "left as it is");
        let e = err(&d(4..=5)).to_string();
        assert!(
            e.contains("(log.1 ends inside a record at offset 142)"),
            "{e}"
        );
    }

    #[test]
    fn a_torn_end_is_cut_and_empty_newest_logs_go() {
        let whole = log(1..=3);
        let mut torn = whole.clone();
        torn.truncate(whole.len() - 5);
        torn.resize(9000, 0);
        let d = dir(&[
            ("snapshot.0", snapshot()),
            ("log.1", torn),
            ("log.4", HEADER.to_vec()),
            ("log.5", vec![]),
            ("log.6", vec![0; 4096]),
            ("log.7", HEADER[..8].to_vec()),
        ]);
        let got = ok(&d);
        assert_eq!(got.target.txns, [1, 2]);
        assert_eq!(d.names(), ["log.1", "snapshot.0"]);
        assert_eq!(d.get("log.1").unwrap(), log(1..=2));
        let again = ok(&d);
        assert_eq!(
            (again.target.txns, again.report.lines.len()),
            (vec![1, 2], 1)
        );
    }

    #[test]
    fn looking_changes_nothing() {
        let mut torn = log(1..=3);
        torn.truncate(torn.len() - 5);
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", torn.clone())]);
        let look = RecoverOptions {
            repair: false,
            ..RecoverOptions::default()
        };
        assert_eq!(run(&d, &look).unwrap().target.txns, [1, 2]);
        assert_eq!(d.get("log.1").unwrap(), torn);
    }

    #[test]
    fn damage_is_refused_with_its_place_and_can_be_given_up() {
        let mut bytes = log(1..=4);
        let at = log(1..=1).len();
        bytes[at + 30] ^= 1;
        let d = dir(&[
            ("snapshot.0", snapshot()),
            ("log.1", bytes.clone()),
            ("log.5", log(5..=6)),
        ]);
        let e = err(&d);
        let text = e.to_string();
        assert!(
            text.starts_with(&format!(
                "/mem/log.1 is damaged at offset {at}, behind zxid 0x1: CRC check failed"
            )),
            "{text}"
        );
        assert!(text.contains("transaction 0x3 follows at"), "{text}");
        assert!(text.contains("-Dzabra.acceptDamagedLog=true"), "{text}");
        let give_up = RecoverOptions {
            accept_damage: true,
            ..RecoverOptions::default()
        };
        let got = run(&d, &give_up).unwrap();
        assert_eq!((got.target.txns, got.report.last_zxid), (vec![1], Zxid(1)));
        assert_eq!(
            d.names(),
            ["damaged.log.1", "damaged.log.5", "log.1", "snapshot.0"]
        );
        assert_eq!(d.get("log.1").unwrap(), log([1]));
        assert_eq!(d.get("damaged.log.1").unwrap(), bytes);
        assert_eq!(ok(&d).report.last_zxid, Zxid(1));
    }

    #[test]
    fn an_entry_that_cannot_be_read_is_damage() {
        let mut unknown = entry(2, b"");
        unknown[28..32].copy_from_slice(&99_i32.to_be_bytes());
        for bad in [unknown, vec![1; 10], entry(2, b"data")[..40].to_vec()] {
            let all = [entry(1, b""), bad];
            let d = dir(&[("snapshot.0", snapshot()), ("log.1", log_of(&all))]);
            assert!(matches!(err(&d), StoreError::Damaged { .. }));
        }
    }

    /// The acknowledged records, and a batch behind them.
    fn batch(acked: &[usize], last: &[usize]) -> (Vec<u8>, usize) {
        let all: Vec<_> = (1..)
            .zip(acked.iter().chain(last))
            .map(|(z, len)| entry(z, &vec![0xa5; *len]))
            .collect();
        let synced = log_of(&all[..acked.len()]).len();
        (log_of(&all), synced)
    }

    #[test]
    fn torn_at_every_byte_of_the_last_batch() {
        let (bytes, synced) = batch(&[10, 300, 20], &[40, 700, 1, 90]);
        for cut in synced..bytes.len() {
            for pad in [0, 1, 600, 5000] {
                let mut part = bytes[..cut].to_vec();
                part.resize(cut + pad, 0);
                let d = dir(&[("snapshot.0", snapshot()), ("log.1", part)]);
                let got = ok(&d).target.txns;
                assert!(bytes.starts_with(&log_prefix(&bytes, got.len())));
                let next = log_prefix(&bytes, got.len() + 1).len();
                assert!(got.len() >= 3 && next > cut, "{got:?} at {cut} + {pad}");
                assert_eq!(ok(&d).target.txns, got, "a second start finds the same");
            }
        }
    }

    #[test]
    fn a_file_with_a_missing_sector_is_kept() {
        let (mut bytes, synced) = batch(&[10, 300], &[2000, 40, 700]);
        bytes[1024..1536].fill(0);
        assert!(synced < 1024);
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes.clone())]);
        let got = ok(&d);
        assert_eq!(got.target.txns, [1, 2]);
        assert_eq!(d.names(), ["damaged.log.1", "log.1", "snapshot.0"]);
        assert_eq!(d.get("damaged.log.1").unwrap(), bytes);
        assert_eq!(d.get("log.1").unwrap(), bytes[..synced]);
        let loud = got.report.lines.iter().find(|l| l.level == Level::Error);
        assert!(loud.unwrap().text.contains("kept as damaged.log.1"));
        assert_eq!(ok(&d).report.lines.len(), 1, "told once");
    }

    /// The first `n` records with the header.
    fn log_prefix(bytes: &[u8], n: usize) -> Vec<u8> {
        let mut s = super::super::txnlog::LogScanner::new(bytes, LENGTH_MAX_DEFAULT).unwrap();
        let mut end = HEADER_LEN;
        for _ in 0..n {
            let (offset, entry) = s.next().unwrap();
            end = offset as usize + super::super::txnlog::record_len(entry.len());
        }
        bytes[..end].to_vec()
    }

    proptest! {
        #[test]
        fn any_sectors_of_the_last_batch_may_be_missing(
            acked in prop::collection::vec(0usize..900, 1..6),
            last in prop::collection::vec(0usize..3000, 1..8),
            lost in prop::collection::vec(any::<bool>(), 64),
            unit in prop::sample::select(vec![512usize, 4096]),
        ) {
            let (mut bytes, synced) = batch(&acked, &last);
            bytes.resize(bytes.len().next_multiple_of(4096) + 4096, 0);
            for (i, lost) in (synced / unit..bytes.len() / unit).zip(lost) {
                if lost {
                    bytes[synced.max(i * unit)..(i + 1) * unit].fill(0);
                }
            }
            let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes)]);
            let got = ok(&d).target.txns;
            prop_assert!(got.len() >= acked.len());
            prop_assert_eq!(ok(&d).target.txns, got);
        }

        #[test]
        fn mutated_directories_never_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut bytes = log(1..=6);
            for (at, b) in edits {
                let n = at.index(bytes.len());
                bytes[n] = b;
            }
            let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes)]);
            if let Ok(got) = run(&d, &RecoverOptions::default()) {
                let want: Vec<i64> = (1..=got.target.txns.len() as i64).collect();
                prop_assert_eq!(got.target.txns, want);
            }
        }
    }
}
