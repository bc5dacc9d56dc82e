//! Committed transactions read back from the logs, and logs cut back: what synchronising a learner
//! needs (Apache: `FileTxnLog.read`, `TxnLogProposalIterator`, `FileTxnLog.truncate`).

use std::ops::ControlFlow;

use crate::base::Zxid;

use super::dir::{Dir, list};
use super::error::StoreError;
use super::log_reader::{LogReader, Step};
use super::names::FileName;
use super::replay::files_from;
use super::txnlog::{HEADER_LEN, entry_zxid};

/// What a walk over the logs met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// First transaction at or behind the wanted one.
    pub first: Option<Zxid>,
    /// Last transaction passed on.
    pub last: Option<Zxid>,
}

/// Passes on every logged transaction from `from` on, in file order, with its bytes, until `take`
/// breaks or the logs end. A log that is being written ends at its last whole record: `take` must
/// break behind the last zxid that is known to be durable.
///
/// # Errors
/// What the operating system says.
pub fn read_range(
    dir: &dyn Dir,
    from: Zxid,
    length_max: usize,
    take: &mut dyn FnMut(Zxid, &[u8]) -> ControlFlow<()>,
) -> Result<Walked, StoreError> {
    let mut walked = Walked::default();
    for name in files_from(&list(dir)?, Zxid(from.0.saturating_sub(1))) {
        let path = dir.path().join(&name);
        let io = |e| StoreError::io("read", &path, e);
        let file = dir.open(&name).map_err(io)?;
        let Ok(mut reader) = LogReader::new(file, length_max).map_err(io)? else {
            continue;
        };
        while let Step::Entry { entry, .. } = reader.step().map_err(io)? {
            let Some(zxid) = entry_zxid(entry).filter(|z| *z >= from) else {
                continue;
            };
            walked.first.get_or_insert(zxid);
            if take(zxid, entry).is_break() {
                return Ok(walked);
            }
            walked.last = Some(zxid);
        }
    }
    Ok(walked)
}

/// Cuts the logs so that `target` is the last transaction, and removes snapshots that are newer.
/// The log must not be open for writing.
///
/// Differs: Apache cuts behind the first record at or *behind* the target, so that a target in a gap
/// keeps one record too many, and leaves newer snapshots, which the reload then uses.
///
/// # Errors
/// [`StoreError::Invalid`] when `target` is not logged; what the operating system says.
pub fn truncate_to(
    snap: &dyn Dir,
    log: &dyn Dir,
    target: Zxid,
    length_max: usize,
) -> Result<(), StoreError> {
    let Some((name, len)) = end_of(log, target, length_max)? else {
        return Err(StoreError::Invalid(format!(
            "Unable to truncate Txn log: {target} is not in {}",
            log.path().display()
        )));
    };
    for f in list(snap)? {
        if matches!(FileName::of(&f.name), FileName::Snapshot(z, _) if z > target) {
            remove(snap, &f.name)?;
        }
    }
    let kept = match FileName::of(&name) {
        FileName::Log(zxid) => zxid,
        FileName::Snapshot(..) | FileName::Lookalike | FileName::Other => target,
    };
    let mut later: Vec<_> = list(log)?
        .into_iter()
        .filter_map(|f| match FileName::of(&f.name) {
            FileName::Log(zxid) if zxid > kept => Some((zxid, f.name)),
            _ => None,
        })
        .collect();
    later.sort();
    for (_, name) in later.into_iter().rev() {
        remove(log, &name)?;
    }
    log.truncate(&name, len)
        .map_err(|e| StoreError::io("truncate", &log.path().join(&name), e))
}

/// Removes every log that begins behind `target` and every snapshot that is newer. For a target that
/// comes before everything logged; the log must not be open for writing.
///
/// # Errors
/// What the operating system says.
pub fn drop_after(snap: &dyn Dir, log: &dyn Dir, target: Zxid) -> Result<(), StoreError> {
    for f in list(snap)? {
        if matches!(FileName::of(&f.name), FileName::Snapshot(z, _) if z > target) {
            remove(snap, &f.name)?;
        }
    }
    for f in list(log)? {
        if matches!(FileName::of(&f.name), FileName::Log(z) if z > target) {
            remove(log, &f.name)?;
        }
    }
    Ok(())
}

/// Removes every log that begins at or before `target` and every snapshot that is older: a snapshot
/// at `target` stands for all of them.
///
/// # Errors
/// What the operating system says.
pub fn drop_before(snap: &dyn Dir, log: &dyn Dir, target: Zxid) -> Result<(), StoreError> {
    for f in list(log)? {
        if matches!(FileName::of(&f.name), FileName::Log(z) if z <= target) {
            remove(log, &f.name)?;
        }
    }
    for f in list(snap)? {
        if matches!(FileName::of(&f.name), FileName::Snapshot(z, _) if z < target) {
            remove(snap, &f.name)?;
        }
    }
    Ok(())
}

fn remove(dir: &dyn Dir, name: &str) -> Result<(), StoreError> {
    dir.remove(name)
        .map_err(|e| StoreError::io("delete", &dir.path().join(name), e))
}

/// The file that holds `target` and the offset behind its (last) record.
fn end_of(
    log: &dyn Dir,
    target: Zxid,
    length_max: usize,
) -> Result<Option<(String, u64)>, StoreError> {
    let mut found = None;
    for name in files_from(&list(log)?, Zxid(target.0.saturating_sub(1))) {
        let path = log.path().join(&name);
        let io = |e| StoreError::io("read", &path, e);
        let file = log.open(&name).map_err(io)?;
        let Ok(mut reader) = LogReader::new(file, length_max).map_err(io)? else {
            continue;
        };
        let (mut end, mut mine) = (HEADER_LEN as u64, false);
        loop {
            match reader.step().map_err(io)? {
                Step::Entry { offset, entry } => {
                    if mine {
                        end = offset;
                    }
                    match entry_zxid(entry) {
                        Some(z) if z == target => mine = true,
                        _ if mine => return Ok(Some((name, end))),
                        Some(z) if z > target => return Ok(found),
                        _ => {}
                    }
                }
                Step::Stop { offset, .. } => {
                    if mine {
                        found = Some((name.clone(), offset));
                    }
                    break;
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::mem::MemDir;
    use super::super::txnlog::{HEADER, LENGTH_MAX_DEFAULT, encode_record};
    use super::*;

    fn log(zxids: impl IntoIterator<Item = i64>) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        for z in zxids {
            let mut e = vec![0; 12];
            e.extend_from_slice(&z.to_be_bytes());
            e.extend_from_slice(&[0; 20]);
            encode_record(&e, &mut out);
        }
        out.resize(out.len() + 100, 0);
        out
    }

    fn sample() -> MemDir {
        MemDir::with(
            [
                ("log.1", log(1..=4)),
                ("log.5", log([5, 6, 6])),
                ("log.7", log([7])),
                ("snapshot.3", vec![]),
                ("snapshot.6", vec![]),
            ]
            .map(|(n, b)| (n.to_owned(), b)),
        )
    }

    fn all(dir: &MemDir, from: i64) -> Vec<i64> {
        let mut got = Vec::new();
        read_range(dir, Zxid(from), LENGTH_MAX_DEFAULT, &mut |z, _| {
            got.push(z.0);
            ControlFlow::Continue(())
        })
        .unwrap();
        got
    }

    #[test]
    fn reads_from_the_middle_of_a_file_on() {
        let dir = sample();
        assert_eq!(all(&dir, 3), [3, 4, 5, 6, 6, 7]);
        assert_eq!(all(&dir, 5), [5, 6, 6, 7]);
        assert_eq!(all(&dir, 9), [0_i64; 0]);
        let walked = read_range(&dir, Zxid(2), LENGTH_MAX_DEFAULT, &mut |z, _| match z.0 {
            5 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        let want = Walked {
            first: Some(Zxid(2)),
            last: Some(Zxid(4)),
        };
        assert_eq!(walked.unwrap(), want);
    }

    #[test]
    fn truncates_to_every_zxid() {
        for target in 1..=7 {
            let dir = sample();
            truncate_to(&dir, &dir, Zxid(target), LENGTH_MAX_DEFAULT).unwrap();
            let mut want: Vec<i64> = vec![1, 2, 3, 4, 5, 6, 6, 7];
            want.retain(|z| *z <= target);
            assert_eq!(all(&dir, 1), want, "to {target}");
            assert_eq!(dir.get("snapshot.6").is_some(), target >= 6);
            assert_eq!(dir.get("snapshot.3").is_some(), target >= 3);
        }
    }

    #[test]
    fn a_target_that_is_not_there_changes_nothing() {
        let dir = sample();
        for target in [0, 8, 100] {
            let e = truncate_to(&dir, &dir, Zxid(target), LENGTH_MAX_DEFAULT);
            assert!(matches!(e, Err(StoreError::Invalid(_))), "to {target}");
        }
        assert_eq!(all(&dir, 1).len(), 8);
        assert_eq!(dir.names().len(), 5);
    }
}
