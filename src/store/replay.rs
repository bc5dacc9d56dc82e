//! Replaying the logs behind a snapshot: order, continuity, and what the end of each file means.

use crate::base::Zxid;
use crate::jute::Input;
use crate::proto::OpCode;
use crate::proto::txn::Entry;

use super::dir::{Dir, FileInfo, ReadAt, read_full};
use super::error::StoreError;
use super::log_reader::{LogReader, Step};
use super::names::FileName;
use super::recover::{Level, Lines, OVERRIDE_PROPERTY, RecoverOptions, Recovery};
use super::tail::{Tail, classify};
use super::txnlog::{Bad, HEADER_LEN, Head, PREFIX_LEN, Stop, entry_zxid};

/// What a file set aside begins with.
const SET_ASIDE: &str = "damaged.";

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
fn follows(last: Zxid, zxid: Zxid) -> bool {
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

/// A walk over the logs that brings `target` up to date.
pub(super) struct Replay<'a, T> {
    dir: &'a dyn Dir,
    options: &'a RecoverOptions,
    files: Vec<String>,
    pub(super) target: T,
    /// The snapshot's zxid.
    base: Zxid,
    /// The last transaction of the database so far.
    pub(super) last: Zxid,
    /// The last transaction read, replayed or not.
    seen: Zxid,
    /// Where the last replayed one is.
    previous: Option<Place>,
    /// An older log that ends in the middle of a record.
    torn: Option<(String, u64)>,
    /// The last file that ended regularly, and where its records end.
    pub(super) newest: Option<(String, u64)>,
    pub(super) txns: u64,
    repairs: Vec<Repair>,
    pub(super) lines: Lines,
}

/// How the walk through one file ended.
enum Outcome {
    /// At its regular end; `None` without a record.
    Done { end: Option<u64> },
    /// At an unfinished write. `hole`: there are whole records behind it.
    Torn { offset: u64, hole: bool },
}

impl<'a, T: Recovery> Replay<'a, T> {
    /// Starts behind `base`, the zxid of what `target` already holds.
    pub(super) fn new(
        dir: &'a dyn Dir,
        options: &'a RecoverOptions,
        files: Vec<String>,
        target: T,
        base: Zxid,
        lines: Lines,
    ) -> Self {
        Self {
            dir,
            options,
            files,
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
        }
    }

    /// Replays every file in order; nothing is changed on disk.
    pub(super) fn run(&mut self) -> Result<(), StoreError> {
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

    /// Cuts, removes and sets aside what the walk found to be so.
    pub(super) fn repair(&mut self) -> Result<(), StoreError> {
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
    let at = offset.saturating_add(PREFIX_LEN as u64);
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
