//! Proposals on their way to commit (Apache: `Leader.outstandingProposals`, `tryToCommit`).

use std::collections::{BTreeMap, VecDeque};

use super::QuorumVerifier;
use crate::base::{ServerId, Zxid};

/// A proposal, and what its proposer wants to remember until it commits.
#[derive(Debug)]
pub struct Proposal<P> {
    /// Its place in the order.
    pub zxid: Zxid,
    /// Opaque here.
    pub payload: P,
}

/// Collects acknowledgements and releases proposals in zxid order once a quorum has logged them.
///
/// A payload may also wait for an earlier zxid without being a proposal itself ([`Broadcast::wait`]):
/// it is released in its turn, when everything proposed before it has committed.
#[derive(Debug)]
pub struct Broadcast<P> {
    verifier: QuorumVerifier,
    outstanding: VecDeque<Proposal<P>>,
    acked: BTreeMap<ServerId, Zxid>,
    last_proposed: Zxid,
    last_committed: Zxid,
    /// A server alone counts on into the next epoch; a leader's reign ends with its counter.
    alone: bool,
}

impl<P> Broadcast<P> {
    /// The broadcast of a standalone server: nobody else numbers epochs, so its zxids simply go on
    /// (Apache: `ZooKeeperServer.getNextZxid`).
    pub fn standalone(me: ServerId, history: Zxid) -> Self {
        Self {
            alone: true,
            ..Self::new(QuorumVerifier::alone(me), history)
        }
    }

    /// Nothing outstanding; everything up to `history` is committed.
    pub fn new(verifier: QuorumVerifier, history: Zxid) -> Self {
        Self {
            verifier,
            outstanding: VecDeque::new(),
            acked: BTreeMap::new(),
            last_proposed: history,
            last_committed: history,
            alone: false,
        }
    }

    /// The zxid the next proposal must take; `None` when the epoch's counter is used up.
    pub fn next_zxid(&self) -> Option<Zxid> {
        match self.alone {
            true => self.last_proposed.0.checked_add(1).map(Zxid),
            false => self.last_proposed.next(),
        }
    }

    /// The last zxid proposed.
    pub fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    /// Enters a proposal.
    ///
    /// # Panics
    /// When its zxid is not the next one: zxids of an epoch have no gaps.
    pub fn propose(&mut self, zxid: Zxid, payload: P) {
        assert_eq!(
            Some(zxid),
            self.next_zxid(),
            "proposals take zxids in order"
        );
        self.last_proposed = zxid;
        self.outstanding.push_back(Proposal { zxid, payload });
    }

    /// Enters something that is released when all before it is committed, and is not logged.
    pub fn wait(&mut self, payload: P) {
        self.outstanding.push_back(Proposal {
            zxid: self.last_proposed,
            payload,
        });
    }

    /// `server` has everything up to `zxid` on stable storage.
    ///
    /// # Panics
    /// When it claims what was never proposed.
    pub fn ack(&mut self, server: ServerId, zxid: Zxid) {
        assert!(zxid <= self.last_proposed, "an ack names a proposal");
        let upto = self.acked.entry(server).or_default();
        *upto = (*upto).max(zxid);
    }

    /// The next proposal that a quorum has, in order.
    pub fn take_committed(&mut self) -> Option<Proposal<P>> {
        let head = self.outstanding.front()?.zxid;
        let durable = |s| self.acked.get(&s).is_some_and(|z| *z >= head);
        if head > self.last_committed && !self.verifier.is_quorum(durable) {
            return None;
        }
        self.last_committed = self.last_committed.max(head);
        self.outstanding.pop_front()
    }

    /// How many are on their way.
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// True when nothing is.
    pub fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: ServerId = ServerId(1);

    #[test]
    fn nothing_commits_before_it_is_durable() {
        let mut b = Broadcast::new(QuorumVerifier::alone(ME), Zxid(7));
        b.propose(Zxid(8), 'a');
        b.propose(Zxid(9), 'b');
        assert!(b.take_committed().is_none());
        b.ack(ME, Zxid(8));
        assert_eq!(b.take_committed().map(|p| p.payload), Some('a'));
        assert!(b.take_committed().is_none());
        b.ack(ME, Zxid(9));
        assert_eq!(b.take_committed().map(|p| p.zxid), Some(Zxid(9)));
    }

    #[test]
    fn only_a_leader_runs_out_of_zxids() {
        let end = Zxid(0xffff_ffff);
        let leader = Broadcast::<()>::new(QuorumVerifier::alone(ME), end);
        assert_eq!(leader.next_zxid(), None);
        let mut alone = Broadcast::standalone(ME, end);
        alone.propose(Zxid(0x1_0000_0000), ());
        alone.ack(ME, Zxid(0x1_0000_0000));
        assert!(alone.take_committed().is_some());
    }

    #[test]
    fn waiters_keep_their_place() {
        let mut b = Broadcast::new(QuorumVerifier::alone(ME), Zxid(7));
        b.wait('w');
        assert_eq!(
            b.take_committed().map(|p| p.payload),
            Some('w'),
            "nothing before it"
        );
        b.propose(Zxid(8), 'a');
        b.wait('x');
        assert!(b.take_committed().is_none());
        b.ack(ME, Zxid(8));
        assert_eq!(b.take_committed().map(|p| p.payload), Some('a'));
        assert_eq!(b.take_committed().map(|p| p.payload), Some('x'));
    }

    #[test]
    fn a_majority_is_enough() {
        let voters = (1..=3).map(ServerId).collect();
        let mut b = Broadcast::new(QuorumVerifier::Majority(voters), Zxid::ZERO);
        b.propose(Zxid(1), ());
        b.ack(ServerId(2), Zxid(1));
        assert!(b.take_committed().is_none());
        b.ack(ServerId(3), Zxid(1));
        assert!(b.take_committed().is_some());
    }
}
