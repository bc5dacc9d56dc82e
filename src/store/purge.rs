//! What may be deleted (Apache: `PurgeTxnLog`, `DatadirCleanupManager`).
//!
//! Differs: Apache counts a snapshot that passes a look at its last five bytes, so it can keep torn
//! ones and delete whole ones; here a snapshot counts when it has been read to the end and every
//! seal holds. Apache deletes `log.`/`snapshot.` names it cannot parse; here they are left alone.

use crate::base::Zxid;

use super::dir::{Dir, list};
use super::error::StoreError;
use super::names::FileName;
use super::snapshot::Compression;
use super::snapshot_read::verify;

/// Fewest snapshots that are ever kept (`autopurge.snapRetainCount` below it is raised).
pub const RETAIN_MIN: usize = 3;

/// Which side a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `dataDir`.
    Snap,
    /// `dataLogDir`.
    Log,
}

/// The names to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The zxid of the oldest snapshot that is kept; `None` when nothing may be deleted.
    pub oldest_kept: Option<Zxid>,
    /// Files on the snapshot side.
    pub snapshots: Vec<String>,
    /// Files on the log side.
    pub logs: Vec<String>,
}

/// Decides, from names alone and a judge of snapshots: the newest `retain` whole ones stay, with
/// everything newer than the oldest of them and the log that reaches up to it.
pub fn plan(
    snap_names: &[String],
    log_names: &[String],
    retain: usize,
    whole: &mut dyn FnMut(&str, Compression) -> bool,
) -> Plan {
    let mut snapshots: Vec<(Zxid, Compression, &String)> = snap_names
        .iter()
        .filter_map(|n| match FileName::of(n) {
            FileName::Snapshot(zxid, c) => Some((zxid, c, n)),
            FileName::Log(_) | FileName::Lookalike | FileName::Other => None,
        })
        .collect();
    snapshots.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    let kept = snapshots
        .iter()
        .filter(|(_, c, name)| whole(name, *c))
        .take(retain.max(1))
        .last();
    let Some((oldest, ..)) = kept.copied() else {
        return Plan::default();
    };
    let logs: Vec<(Zxid, &String)> = log_names
        .iter()
        .filter_map(|n| match FileName::of(n) {
            FileName::Log(zxid) => Some((zxid, n)),
            FileName::Snapshot(..) | FileName::Lookalike | FileName::Other => None,
        })
        .collect();
    let straddling = logs.iter().map(|l| l.0).filter(|z| *z <= oldest).max();
    let first_kept = straddling.unwrap_or(oldest);
    let names = |old: Vec<&String>| old.into_iter().cloned().collect();
    Plan {
        oldest_kept: Some(oldest),
        snapshots: names(
            snapshots
                .iter()
                .filter(|s| s.0 < oldest)
                .map(|s| s.2)
                .collect(),
        ),
        logs: names(
            logs.iter()
                .filter(|l| l.0 < first_kept)
                .map(|l| l.1)
                .collect(),
        ),
    }
}

/// Plans over real directories, reading snapshots in full.
///
/// # Errors
/// When a directory cannot be listed.
pub fn plan_dirs(
    snap: &dyn Dir,
    log: &dyn Dir,
    retain: usize,
    length_max: usize,
) -> Result<Plan, StoreError> {
    let names = |dir| list(dir).map(|all| all.into_iter().map(|f| f.name).collect::<Vec<_>>());
    let (snaps, logs) = (names(snap)?, names(log)?);
    let mut whole = |name: &str, c| verify(snap, name, c, length_max).is_ok();
    Ok(plan(&snaps, &logs, retain, &mut whole))
}

/// Carries a plan out: snapshots first, oldest first, so that an interruption leaves logs without a
/// use, never a snapshot without its logs. `about_to` is told of each file before it goes.
///
/// # Errors
/// The first file that cannot be deleted; the rest stays.
pub fn execute(
    plan: &Plan,
    snap: &dyn Dir,
    log: &dyn Dir,
    about_to: &mut dyn FnMut(Side, &str),
) -> Result<(), StoreError> {
    let by_age = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_by_key(|n| match FileName::of(n) {
            FileName::Log(z) | FileName::Snapshot(z, _) => z,
            FileName::Lookalike | FileName::Other => Zxid::ZERO,
        });
        names
    };
    for (side, dir, names) in [
        (Side::Snap, snap, by_age(&plan.snapshots)),
        (Side::Log, log, by_age(&plan.logs)),
    ] {
        for name in names {
            about_to(side, &name);
            dir.remove(&name)
                .map_err(|e| StoreError::io("delete", &dir.path().join(&name), e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| (*n).to_owned()).collect()
    }

    fn run(snaps: &[&str], logs: &[&str], retain: usize, broken: &[&str]) -> Plan {
        let mut whole = |n: &str, _| !broken.contains(&n);
        plan(&names(snaps), &names(logs), retain, &mut whole)
    }

    #[test]
    fn keeps_the_newest_and_the_log_that_reaches_them() {
        let p = run(
            &[
                "snapshot.0",
                "snapshot.b",
                "snapshot.16",
                "snapshot.1d",
                "snapshot.21.gz",
            ],
            &["log.1", "log.d", "log.18", "log.1f"],
            3,
            &[],
        );
        assert_eq!(p.oldest_kept, Some(Zxid(0x16)));
        assert_eq!(p.snapshots, ["snapshot.b", "snapshot.0"]);
        assert_eq!(p.logs, ["log.1"]);
    }

    #[test]
    fn torn_snapshots_do_not_count() {
        let p = run(
            &["snapshot.1", "snapshot.2", "snapshot.3", "snapshot.4"],
            &["log.1", "log.3"],
            2,
            &["snapshot.4", "snapshot.2"],
        );
        assert_eq!(p.oldest_kept, Some(Zxid(1)));
        assert_eq!((p.snapshots.len(), p.logs.len()), (0, 0));
    }

    #[test]
    fn without_a_whole_snapshot_nothing_goes() {
        let p = run(&["snapshot.1"], &["log.1", "log.2"], 3, &["snapshot.1"]);
        assert_eq!(p, Plan::default());
    }

    #[test]
    fn strange_names_are_left_alone() {
        let p = run(
            &[
                "snapshot.9",
                "snapshot.1.tmp",
                "snapshot.zz",
                "currentEpoch",
            ],
            &["log.1.bak", "log.9", "prealloc.1"],
            1,
            &[],
        );
        assert_eq!((p.snapshots, p.logs), (vec![], vec![]));
    }

    #[test]
    fn a_log_that_begins_at_the_snapshot_is_the_one_to_keep() {
        let p = run(&["snapshot.9"], &["log.1", "log.9", "log.a"], 1, &[]);
        assert_eq!(p.logs, ["log.1"]);
    }

    #[test]
    fn execution_follows_the_plan() {
        use super::super::mem::MemDir;
        let all = names(&["log.1", "log.9", "snapshot.1", "snapshot.9"]);
        let dir = MemDir::with(all.into_iter().map(|n| (n, vec![])));
        let plan = Plan {
            oldest_kept: Some(Zxid(9)),
            snapshots: names(&["snapshot.1"]),
            logs: names(&["log.1"]),
        };
        let mut told = Vec::new();
        execute(&plan, &dir, &dir, &mut |side, n| {
            told.push((side, n.to_owned()));
        })
        .unwrap();
        assert_eq!(dir.names(), ["log.9", "snapshot.9"]);
        assert_eq!(told[0], (Side::Snap, "snapshot.1".to_owned()));
        assert_eq!(told[1], (Side::Log, "log.1".to_owned()));
    }
}
