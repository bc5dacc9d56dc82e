//! One search for a leader (Apache: `FastLeaderElection.lookForLeader`): the votes and the timers.

use std::collections::BTreeMap;

use super::vote::{Report, Vote};
use super::{ElectionOptions, Members, ServerState};
use crate::base::ServerId;

/// Everything that is forgotten when the search ends.
#[derive(Debug)]
pub(super) struct Round {
    /// This server's own candidacy; [`Vote::NOBODY`] for one that does not vote.
    pub initial: Vote,
    /// The best candidate so far.
    pub proposal: Vote,
    /// Votes of this round.
    votes: BTreeMap<ServerId, Report>,
    /// Reports of servers that have a leader, whatever their round.
    outside: BTreeMap<ServerId, Report>,
    interval_ms: i64,
    resend_at: i64,
    connect_at: i64,
    finalize_at: Option<i64>,
}

impl Round {
    pub fn new(now_ms: i64, initial: Vote, options: &ElectionOptions) -> Self {
        Self {
            initial,
            proposal: initial,
            votes: BTreeMap::new(),
            outside: BTreeMap::new(),
            interval_ms: options.min_interval_ms.max(1),
            resend_at: now_ms.saturating_add(options.min_interval_ms.max(1)),
            connect_at: now_ms.saturating_add(options.connect_interval_ms),
            finalize_at: None,
        }
    }

    /// Forgets the votes of an earlier round and starts from the better of `vote` and its own.
    pub fn restart(&mut self, better: Vote) {
        self.votes.clear();
        self.finalize_at = None;
        self.proposal = better;
    }

    /// A looking server's vote in this round.
    pub fn vote(&mut self, from: ServerId, vote: Vote) {
        self.votes.insert(from, Report::looking(vote));
    }

    /// A vote that counts no more.
    pub fn withdraw(&mut self, from: ServerId) {
        self.votes.remove(&from);
        self.finalize_at = None;
    }

    /// Has the proposal won? Starts the wait for a better one when it has.
    pub fn count(&mut self, now_ms: i64, members: &Members, options: &ElectionOptions) -> bool {
        let won = supported(members, &self.votes, &Report::looking(self.proposal));
        self.finalize_at = match (won, self.finalize_at) {
            (true, None) => Some(now_ms.saturating_add(options.finalize_wait_ms)),
            (true, at) => at,
            (false, _) => None,
        };
        won
    }

    /// Did every voter that is not just `lost` vote for the proposal? Then no better vote can come.
    ///
    /// Differs: Apache waits 200 ms in this case, too.
    pub fn is_unanimous(&self, members: &Members, lost: impl Fn(ServerId) -> bool) -> bool {
        let proposal = Report::looking(self.proposal);
        let agrees = |s| self.votes.get(&s).is_some_and(|v| v.agrees(&proposal));
        members.voters().all(|s| agrees(s) || lost(s))
    }

    /// Takes a report of `from`, which follows or leads. Returns whether its leader is established:
    /// a quorum says so, and so does that leader itself.
    pub fn established(
        &mut self,
        (from, report): (ServerId, Report),
        (me, clock): (ServerId, i64),
        members: &Members,
    ) -> bool {
        let round = report.vote.election_epoch;
        if round == clock {
            // Apache records no format here, so that only leaders are compared.
            let report = Report {
                version: 0,
                ..report
            };
            self.votes.insert(from, report);
            if supported(members, &self.votes, &report)
                && confirmed(&self.votes, report.vote, me, clock)
            {
                return true;
            }
        }
        self.outside.insert(from, report);
        supported(members, &self.outside, &report)
            && confirmed(&self.outside, report.vote, me, clock)
    }

    /// Something came in: the next resending is a whole interval away.
    pub fn heard(&mut self, now_ms: i64) {
        self.resend_at = now_ms.saturating_add(self.interval_ms);
    }

    /// Silence for an interval? The next one is twice as long.
    pub fn must_resend(&mut self, now_ms: i64, options: &ElectionOptions) -> bool {
        if now_ms < self.resend_at {
            return false;
        }
        let longest = options.max_interval_ms.max(options.min_interval_ms).max(1);
        self.interval_ms = self.interval_ms.saturating_mul(2).min(longest);
        self.heard(now_ms);
        true
    }

    /// Time to ask for missing connections?
    ///
    /// Differs: Apache does so only when it would resend, up to a minute after a partition healed.
    pub fn must_connect(&mut self, now_ms: i64, options: &ElectionOptions) -> bool {
        if now_ms < self.connect_at {
            return false;
        }
        self.connect_at = now_ms.saturating_add(options.connect_interval_ms.max(1));
        true
    }

    /// Has the winner waited long enough for a better vote?
    pub fn is_final(&self, now_ms: i64) -> bool {
        self.finalize_at.is_some_and(|at| at <= now_ms)
    }

    /// When something is due, ms.
    pub fn deadline(&self) -> i64 {
        let due = self.resend_at.min(self.connect_at);
        self.finalize_at.map_or(due, |at| at.min(due))
    }
}

/// Do those who agree with `report` form a quorum in every configuration?
fn supported(members: &Members, reports: &BTreeMap<ServerId, Report>, report: &Report) -> bool {
    members.is_quorum(|s| reports.get(&s).is_some_and(|r| report.agrees(r)))
}

/// Does the leader of `vote` say itself that it leads (Apache: `checkLeader`)? This server is only
/// believed to lead if the report is of its present round: it knows best whether it leads.
fn confirmed(reports: &BTreeMap<ServerId, Report>, vote: Vote, me: ServerId, clock: i64) -> bool {
    if vote.leader == me {
        return vote.election_epoch == clock;
    }
    reports
        .get(&vote.leader)
        .is_some_and(|r| r.state == ServerState::Leading)
}
