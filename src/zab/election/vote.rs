//! Votes, their order, and when two of them are the same (Apache: `Vote`, `FastLeaderElection`).

use super::{Notification, ServerState};
use crate::base::{ServerId, Zxid};

/// A candidate, and the round it was named in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The server voted for.
    pub leader: ServerId,
    /// The end of its history.
    pub zxid: Zxid,
    /// The voter's round (logical clock).
    pub election_epoch: i64,
    /// The candidate's current epoch; after synchronisation the epoch of its reign.
    pub peer_epoch: i64,
}

impl Vote {
    /// What a server without a vote starts from: every other vote beats it.
    pub(super) const NOBODY: Self = Self {
        leader: ServerId(i64::MIN),
        zxid: Zxid(i64::MIN),
        election_epoch: 0,
        peer_epoch: i64::MIN,
    };

    /// The vote in a notification.
    pub(super) fn of(n: &Notification) -> Self {
        Self {
            leader: n.leader,
            zxid: n.zxid,
            election_epoch: n.election_epoch,
            peer_epoch: n.peer_epoch,
        }
    }

    /// The same candidate, named in round `clock`.
    pub(super) fn in_round(self, clock: i64) -> Self {
        Self {
            election_epoch: clock,
            ..self
        }
    }

    /// The order of candidates: epoch, then zxid, then id, all signed. Weights are the caller's.
    pub(super) fn above(&self, other: &Self) -> bool {
        let key = |v: &Self| (v.peer_epoch, v.zxid, v.leader);
        key(self) > key(other)
    }
}

/// A vote as some server reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub vote: Vote,
    pub state: ServerState,
    /// Format of the notification; 0 for votes of a round, as Apache records them.
    pub version: i32,
}

impl Report {
    pub fn looking(vote: Vote) -> Self {
        Self {
            vote,
            state: ServerState::Looking,
            version: 0,
        }
    }

    /// Do both speak for the same leader?
    ///
    /// Servers of an established ensemble may have joined it in different rounds and at different
    /// zxids, so between them only the leader and its epoch count (ZOOKEEPER-1732, 1805), and only
    /// the leader when one of them is too old to know the epoch.
    pub fn agrees(&self, other: &Self) -> bool {
        if self.state == ServerState::Looking || other.state == ServerState::Looking {
            return self.vote == other.vote;
        }
        let same_leader = self.vote.leader == other.vote.leader;
        if (self.version > 0) != (other.version > 0) {
            return same_leader;
        }
        same_leader && self.vote.peer_epoch == other.vote.peer_epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(peer_epoch: i64, zxid: i64, leader: i64) -> Vote {
        Vote {
            leader: ServerId(leader),
            zxid: Zxid(zxid),
            election_epoch: 1,
            peer_epoch,
        }
    }

    #[test]
    fn epoch_then_zxid_then_id_and_all_signed() {
        assert!(vote(2, 0, 1).above(&vote(1, 9, 9)));
        assert!(vote(1, 2, 1).above(&vote(1, 1, 9)));
        assert!(vote(1, 1, 2).above(&vote(1, 1, 1)));
        assert!(!vote(1, 1, 1).above(&vote(1, 1, 1)));
        assert!(vote(0, 0, 1).above(&vote(-1, 5, 5)));
        assert!(vote(0, 0, 1).above(&Vote::NOBODY));
    }

    fn report(state: ServerState, version: i32, vote: Vote) -> Report {
        Report {
            vote,
            state,
            version,
        }
    }

    #[test]
    fn equality_depends_on_state_and_format() {
        let (a, mut b) = (vote(3, 7, 1), vote(3, 9, 1));
        b.election_epoch = 5;
        let following = |v| report(ServerState::Following, 2, v);
        assert!(following(a).agrees(&following(b)), "zxid and round differ");
        assert!(!Report::looking(a).agrees(&following(b)));
        assert!(Report::looking(a).agrees(&following(a)));
        b.peer_epoch = 4;
        assert!(!following(a).agrees(&following(b)));
        let old = report(ServerState::Leading, 0, b);
        assert!(following(a).agrees(&old), "an old format has no epoch");
        assert!(!following(vote(3, 7, 2)).agrees(&old));
    }
}
