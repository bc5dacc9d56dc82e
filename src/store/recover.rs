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
    txns: u64,
    repairs: Vec<Repair>,
    lines: Lines,
}

/// How the walk through one file ended.
enum Outcome {
    /// At its regular end. `empty`: without a record.
    Done { empty: bool },
    /// At an unfinished write.
    Torn { offset: u64 },
}

impl<T: Recovery> Replay<'_, T> {
    fn run(&mut self) -> Result<(), StoreError> {
        let files = self.files.clone();
        let mut empties = Vec::new();
        for (i, name) in files.iter().enumerate() {
            let later = files.get(i.saturating_add(1)..).unwrap_or_default();
            match self.file(name, later) {
                Ok(Outcome::Done { empty: true }) => empties.push(name.clone()),
                Ok(Outcome::Done { empty: false }) => empties.clear(),
                Ok(Outcome::Torn { offset }) if self.any_record(later)? => {
                    empties.clear();
                    self.torn = Some((name.clone(), offset));
                }
                Ok(Outcome::Torn { offset }) => {
                    empties.clear();
                    self.cut(name, offset);
                }
                Err(e) => {
                    let offset = self.may_give_up(e)?;
                    empties.clear();
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
                Step::Stop { why: Stop::End, .. } => return Ok(Outcome::Done { empty }),
                Step::Stop { offset, why } => {
                    let max = self.options.length_max;
                    let tail = classify(reader.file(), offset, self.seen, max).map_err(io)?;
                    let why = why.why();
                    return match tail {
                        Tail::Clean => Ok(Outcome::Done { empty }),
                        Tail::Torn => Ok(Outcome::Torn { offset }),
                        Tail::Hole if !self.any_record(later)? => Ok(Outcome::Torn { offset }),
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
            return Ok(Outcome::Done { empty: true });
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

    /// Ends the newest log behind its last whole record.
    fn cut(&mut self, name: &str, offset: u64) {
        let text = format!(
            "Last transaction was partial: {} ends at offset {offset}, behind {}",
            self.dir.path().join(name).display(),
            self.seen.max(self.last)
        );
        self.lines.add(Level::Warn, text);
        let name = name.to_owned();
        self.repairs.push(match offset <= HEADER_LEN as u64 {
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

/// Renames a file and puts its first `keep` bytes back, unless they hold no record.
fn set_aside(dir: &dyn Dir, name: &str, keep: u64) -> std::io::Result<()> {
    let kept = match usize::try_from(keep) {
        Ok(n) if n > HEADER_LEN => {
            let file = dir.open(name)?;
            let n = n.min(usize::try_from(file.len()?).unwrap_or(usize::MAX));
            let mut bytes = vec![0; n];
            read_full(&*file, &mut bytes, 0)?;
            Some(bytes)
        }
        _ => None,
    };
    dir.rename(name, &format!("{SET_ASIDE}{name}"))?;
    match kept {
        Some(bytes) => dir.write_atomic(name, &bytes),
        None => Ok(()),
    }
}
