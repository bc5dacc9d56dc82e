//! The last committed transactions, kept to bring learners up to date
//! (Apache: `ZKDatabase.committedLog`).

use std::collections::VecDeque;
use std::sync::Arc;

use super::link::Logged;
use crate::base::Zxid;

/// How a learner that ends at some zxid becomes what the leader is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It lacks these, and has nothing else.
    Diff(Vec<Logged>),
    /// It must cut its log behind this zxid, and then lacks these.
    Trunc(Zxid, Vec<Logged>),
    /// What it has is too old for this log; the transaction log may have the rest.
    Older,
    /// It needs everything.
    Snap,
}

/// Consecutive committed transactions, the newest last.
#[derive(Clone, Debug)]
pub struct CommittedLog {
    /// Zxid of the transaction before the first one here.
    base: Zxid,
    entries: VecDeque<Logged>,
    bytes: usize,
    count_min: usize,
    bytes_max: usize,
}

impl CommittedLog {
    /// Nothing yet; the history ends at `base`. At least `count_min` transactions are kept
    /// (`commitLogCount`), and more while they are below `bytes_max`.
    pub fn new(base: Zxid, count_min: usize, bytes_max: usize) -> Self {
        Self {
            base,
            entries: VecDeque::new(),
            bytes: 0,
            count_min,
            bytes_max,
        }
    }

    /// Zxid of the transaction before the first one here.
    pub fn base(&self) -> Zxid {
        self.base
    }

    /// Zxid of the newest transaction: the end of the committed history.
    pub fn last(&self) -> Zxid {
        self.entries.back().map_or(self.base, |(z, _)| *z)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds the next transaction.
    ///
    /// # Panics
    /// When it does not follow the newest one: a hole here would become a hole in a learner's
    /// history (ZOOKEEPER-4925).
    pub fn push(&mut self, zxid: Zxid, bytes: Arc<[u8]>) {
        self.push_keeping(zxid, bytes, zxid);
    }

    /// Adds the next transaction; what is behind `applied` is still wanted, however old it is.
    ///
    /// # Panics
    /// As [`CommittedLog::push`].
    pub fn push_keeping(&mut self, zxid: Zxid, bytes: Arc<[u8]>, applied: Zxid) {
        let last = self.last();
        assert!(
            zxid > last
                && (self.is_empty() || zxid.epoch() > last.epoch() || last.next() == Some(zxid)),
            "the committed log has no holes: {zxid} behind {last}"
        );
        self.bytes += bytes.len();
        self.entries.push_back((zxid, bytes));
        let old = |e: Option<&Logged>| e.is_some_and(|(z, _)| *z <= applied);
        while self.entries.len() > self.count_min
            && self.bytes > self.bytes_max
            && old(self.entries.front())
        {
            if let Some((z, b)) = self.entries.pop_front() {
                self.base = z;
                self.bytes -= b.len();
            }
        }
    }

    /// Everything behind `zxid`.
    pub fn after(&self, zxid: Zxid) -> Vec<Logged> {
        let from = self.entries.partition_point(|(z, _)| *z <= zxid);
        self.entries.range(from..).cloned().collect()
    }

    /// What a learner that ends at `peer` needs (Apache: `LearnerHandler.syncFollower`,
    /// `queueCommittedProposals`).
    ///
    /// Differs: a cut is ordered only inside one epoch, where both histories have the same leader;
    /// Apache also orders it behind an older epoch, where the cut point may not exist.
    pub fn plan(&self, peer: Zxid) -> Plan {
        let last = self.last();
        // A leader shows E:0 before its first transaction; no transaction has that zxid.
        let opening = peer.counter() == 0;
        if peer == last {
            return Plan::Diff(Vec::new());
        }
        if peer < self.base {
            return Plan::Older;
        }
        let from = self.entries.partition_point(|(z, _)| *z <= peer);
        let before = match from.checked_sub(1).and_then(|i| self.entries.get(i)) {
            Some((z, _)) => *z,
            None => self.base,
        };
        let lacks: Vec<_> = self.entries.range(from..).cloned().collect();
        if before == peer || opening {
            return Plan::Diff(lacks);
        }
        if before.epoch() == peer.epoch() {
            return Plan::Trunc(before, lacks);
        }
        Plan::Snap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: i64 = 1 << 32;

    fn log(base: i64, zxids: &[i64]) -> CommittedLog {
        let mut log = CommittedLog::new(Zxid(base), 500, 0);
        for z in zxids {
            log.push(Zxid(*z), Arc::from([]));
        }
        log
    }

    fn zxids(lacks: &[Logged]) -> Vec<i64> {
        lacks.iter().map(|(z, _)| z.0).collect()
    }

    #[test]
    fn a_learner_behind_gets_what_it_lacks() {
        let log = log(E + 1, &[E + 2, E + 3, 2 * E + 1]);
        for (peer, want) in [
            (E + 1, vec![E + 2, E + 3, 2 * E + 1]),
            (E + 3, vec![2 * E + 1]),
            (2 * E + 1, vec![]),
            (2 * E, vec![2 * E + 1]),
        ] {
            match log.plan(Zxid(peer)) {
                Plan::Diff(lacks) => assert_eq!(zxids(&lacks), want, "{peer:x}"),
                other => panic!("{peer:x}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_tail_that_never_committed_is_cut_inside_its_epoch_only() {
        let log = log(E + 1, &[E + 2, E + 3, 2 * E + 1]);
        assert_eq!(
            log.plan(Zxid(2 * E + 9)),
            Plan::Trunc(Zxid(2 * E + 1), vec![])
        );
        match log.plan(Zxid(E + 5)) {
            Plan::Trunc(to, lacks) => {
                assert_eq!((to, zxids(&lacks)), (Zxid(E + 3), vec![2 * E + 1]));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(log.plan(Zxid(3 * E + 1)), Plan::Snap);
    }

    #[test]
    fn what_is_older_than_the_log_is_looked_for_elsewhere() {
        assert_eq!(log(E + 1, &[E + 2]).plan(Zxid(E)), Plan::Older);
        assert_eq!(log(0, &[]).plan(Zxid(0)), Plan::Diff(vec![]));
    }

    #[test]
    #[should_panic(expected = "no holes")]
    fn zookeeper_4925_a_hole_is_refused() {
        log(E, &[E + 1, E + 3]);
    }

    #[test]
    fn old_entries_go_when_there_are_enough() {
        let mut log = CommittedLog::new(Zxid(0), 2, 10);
        for z in 1..=5 {
            log.push(Zxid(z), Arc::from([0; 4]));
        }
        assert_eq!((log.base(), log.last(), log.len()), (Zxid(3), Zxid(5), 2));
    }

    /// Found by `compat-tests/sim.rs`, seed 11: a leader's disk was slower than its followers'.
    #[test]
    fn what_is_not_applied_is_kept() {
        let mut log = CommittedLog::new(Zxid(0), 2, 10);
        for z in 1..=5 {
            log.push_keeping(Zxid(z), Arc::from([0; 4]), Zxid(1));
        }
        assert_eq!(zxids(&log.after(Zxid(1))), [2, 3, 4, 5]);
        log.push_keeping(Zxid(6), Arc::from([0; 4]), Zxid(5));
        assert_eq!(log.base(), Zxid(4));
    }
}
