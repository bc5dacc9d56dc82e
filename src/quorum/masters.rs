//! Which server an observer learns from (Apache: `QuorumPeer.findLearnerMaster`,
//! `Observer.waitForReconnectDelay`).

use crate::base::ServerId;

/// The followers that serve observers, in an order of our own, so that not all observers crowd at
/// the same one.
#[derive(Debug)]
pub(super) struct Masters {
    order: Vec<ServerId>,
    next: usize,
    random: u64,
}

impl Masters {
    /// `seed` makes the order.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            order: Vec::new(),
            next: 0,
            random: seed | 1,
        }
    }

    /// The next one of `voters`, and whether all of them have had their turn.
    ///
    /// Differs: the leader, which serves no observers on that port, is passed over; Apache tries it
    /// in vain. `None` when there is nobody else.
    pub(super) fn next(
        &mut self,
        voters: impl Iterator<Item = ServerId>,
        leader: ServerId,
    ) -> Option<(ServerId, bool)> {
        let mut voters: Vec<_> = voters.collect();
        voters.sort_unstable();
        let mut known = self.order.clone();
        known.sort_unstable();
        if known != voters {
            self.shuffle(voters);
        }
        let mut around = false;
        for _ in 0..self.order.len() {
            if self.next >= self.order.len() {
                self.next = 0;
                around = true;
            }
            let sid = self.order.get(self.next).copied();
            self.next += 1;
            if let Some(sid) = sid.filter(|s| *s != leader) {
                return Some((sid, around));
            }
        }
        None
    }

    fn shuffle(&mut self, mut voters: Vec<ServerId>) {
        for i in (1..voters.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            voters.swap(i, j);
        }
        self.order = voters;
        self.next = 0;
    }

    /// A number below `limit`, 0 when that is 0 (xorshift64).
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.checked_rem(limit).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn turn(masters: &mut Masters, voters: i64, leader: i64) -> (i64, bool) {
        let all = (1..=voters).map(ServerId);
        let (sid, around) = masters.next(all, ServerId(leader)).unwrap();
        (sid.0, around)
    }

    #[test]
    fn everybody_but_the_leader_has_a_turn() {
        let mut masters = Masters::new(7);
        let first: Vec<_> = (0..4).map(|_| turn(&mut masters, 5, 2)).collect();
        assert!(first.iter().all(|(_, around)| !around), "{first:?}");
        let sids: BTreeSet<_> = first.iter().map(|(s, _)| *s).collect();
        assert_eq!(sids, BTreeSet::from([1, 3, 4, 5]));
        let second: Vec<_> = (0..4).map(|_| turn(&mut masters, 5, 2)).collect();
        assert_eq!(second.iter().filter(|(_, around)| *around).count(), 1);
        let again: Vec<_> = second.iter().map(|(s, _)| *s).collect();
        let order: Vec<_> = first.iter().map(|(s, _)| *s).collect();
        assert_eq!(again, order, "rotates");
    }

    #[test]
    fn orders_differ_and_new_voters_are_noticed() {
        let orders: BTreeSet<Vec<i64>> = (1..50)
            .map(|seed| {
                let mut masters = Masters::new(seed * 0x9e37_79b9);
                (0..3).map(|_| turn(&mut masters, 4, 4).0).collect()
            })
            .collect();
        assert!(orders.len() > 3, "{orders:?}");
        let mut masters = Masters::new(1);
        turn(&mut masters, 3, 3);
        let sids: BTreeSet<_> = (0..4).map(|_| turn(&mut masters, 5, 3).0).collect();
        assert_eq!(sids, BTreeSet::from([1, 2, 4, 5]));
    }

    #[test]
    fn a_leader_alone_is_no_master() {
        let mut masters = Masters::new(1);
        assert_eq!(masters.next([ServerId(1)].into_iter(), ServerId(1)), None);
        assert_eq!(masters.next([].into_iter(), ServerId(1)), None);
    }
}
