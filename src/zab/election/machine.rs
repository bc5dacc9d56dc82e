//! The election of one server (Apache: `FastLeaderElection` with its `WorkerReceiver`).

use std::collections::BTreeMap;

use super::empty::EmptyVoter;
use super::round::Round;
use super::vote::{Report, Vote};
use super::{Effect, ElectionOptions, InitialVote, Members, Notification, ServerState};
use crate::base::{ServerId, Zxid};
use crate::config::Ensemble;

/// Format of the notifications sent: with peer epoch and configuration.
const VERSION: i32 = 2;

/// Looks for a leader when told to, and answers those that do.
#[derive(Debug)]
pub struct Election {
    me: ServerId,
    options: ElectionOptions,
    members: Members,
    /// The logical clock: the number of the round.
    clock: i64,
    /// The outcome of the last round (Apache: `QuorumPeer.currentVote`).
    current: Option<Vote>,
    state: ServerState,
    round: Option<Round>,
    /// Servers whose connection ended and that were not heard since, and when that was, ms.
    lost: BTreeMap<ServerId, i64>,
    /// There while this server has no data.
    empty: Option<EmptyVoter>,
}

impl Election {
    /// An election that looks for nobody yet.
    pub fn new(me: ServerId, members: Members, options: ElectionOptions) -> Self {
        Self {
            me,
            options,
            members,
            clock: 0,
            current: None,
            state: ServerState::Looking,
            round: None,
            lost: BTreeMap::new(),
            empty: None,
        }
    }

    /// True while this server's vote does not count, as it may have lost data that others miss.
    pub fn holds_back(&self) -> bool {
        let empty = self.empty.as_ref();
        empty.is_some_and(|e| e.holds_back(self.me, &self.members))
    }

    /// The configurations changed. A round under way goes on; start a new one if its voters differ.
    pub fn set_members(&mut self, members: Members) {
        self.members = members;
    }

    /// Whose votes count.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The state that notifications carry.
    pub fn state(&self) -> ServerState {
        self.state
    }

    /// The outcome of the last round, if there was one.
    pub fn current_vote(&self) -> Option<Vote> {
        self.current
    }

    /// True from [`Election::look_for_leader`] until the outcome.
    pub fn is_looking(&self) -> bool {
        self.round.is_some()
    }

    /// Takes on a role without an election: a reconfiguration named the leader. Ends a round.
    pub fn settle(&mut self, vote: Vote, state: ServerState) {
        self.round = None;
        self.current = Some(vote);
        self.state = state;
    }

    /// The role is established in `epoch`, and answers say so from now on: a stale epoch would keep
    /// others from joining (ZOOKEEPER-1818). Learners call it after UPTODATE, leaders when they
    /// start to serve.
    pub fn set_peer_epoch(&mut self, epoch: i64) {
        if let Some(vote) = &mut self.current {
            vote.peer_epoch = epoch;
        }
    }

    /// A connection with `sid` that was in use has ended: most likely that server died just now,
    /// and nobody need wait for its vote. Not meant for one that cannot be reached yet.
    pub fn peer_lost(&mut self, now_ms: i64, sid: ServerId, out: &mut Vec<Effect>) {
        self.lost.insert(sid, now_ms);
        self.count(now_ms, out);
    }

    /// Starts a round, whatever went on before.
    pub fn look_for_leader(&mut self, now_ms: i64, own: InitialVote, out: &mut Vec<Effect>) {
        // Differs: the clock stops at its end; Java's starts again below everybody else's.
        self.clock = self.clock.saturating_add(1);
        self.empty = own.empty.then(|| self.empty.take().unwrap_or_default());
        if let Some(empty) = &mut self.empty {
            empty.search();
        }
        let candidate = Vote {
            leader: self.me,
            zxid: own.zxid,
            election_epoch: self.clock,
            peer_epoch: own.epoch,
        };
        let initial = match self.members.is_committed_voter(self.me) {
            true => candidate,
            false => Vote::NOBODY.in_round(self.clock),
        };
        self.current.get_or_insert(candidate);
        self.state = ServerState::Looking;
        self.round = Some(Round::new(now_ms, initial, &self.options));
        self.announce(out);
        self.count(now_ms, out);
    }

    /// Takes a notification that came from `from`.
    pub fn receive(
        &mut self,
        now_ms: i64,
        from: ServerId,
        n: &Notification,
        out: &mut Vec<Effect>,
    ) {
        if from == self.me {
            return;
        }
        self.lost.remove(&from);
        if self.is_looking() && !self.config_is_ours(n, out) {
            return;
        }
        if !self.members.is_voter(from) {
            return self.answer_outsider(from, out);
        }
        if !self.is_looking() {
            return self.answer_voter(from, n, out);
        }
        self.hear(now_ms, from, n, out);
        if n.state == ServerState::Looking && n.election_epoch < self.clock {
            out.push(Effect::Send(from, self.notification(self.proposal())));
        }
        self.consider(now_ms, from, n, out);
    }

    /// Without data of our own it matters who has some.
    fn hear(&mut self, now_ms: i64, from: ServerId, n: &Notification, out: &mut Vec<Effect>) {
        let before = self.holds_back();
        let Some(empty) = &mut self.empty else {
            return;
        };
        empty.hear(from, n, self.me);
        match (before, self.holds_back()) {
            (false, true) => {
                tracing::warn!(
                    target: "o.a.z.s.q.FastLeaderElection",
                    "This server has no data and others have: its vote does not count until all voters are heard, or a leader has given it everything. If those that are missing never come back, stop it, create a file named initialize in its data directory, and start it again."
                );
                if let Some(round) = &mut self.round {
                    round.withdraw(self.me);
                }
                self.announce(out);
            }
            (true, false) => {
                self.announce(out);
                self.count(now_ms, out);
            }
            _ => {}
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: i64, out: &mut Vec<Effect>) {
        let Some(round) = &mut self.round else {
            return;
        };
        if round.is_final(now_ms) {
            let winner = round.proposal;
            return self.finish(winner, out);
        }
        let resend = round.must_resend(now_ms, &self.options);
        if round.must_connect(now_ms, &self.options) || resend {
            out.push(Effect::ConnectAll);
        }
        if resend {
            self.announce(out);
        }
    }

    /// When [`Election::tick`] has something to do, ms; `None` when not looking.
    pub fn next_deadline(&self) -> Option<i64> {
        self.round.as_ref().map(Round::deadline)
    }

    /// Looks at the sender's configuration. False when the notification counts for nothing because
    /// this server's configuration is out of date.
    fn config_is_ours(&self, n: &Notification, out: &mut Vec<Effect>) -> bool {
        let Some(text) = n.config.as_deref() else {
            return true;
        };
        if !self.options.adopt_configs || text == self.members.text() {
            return true;
        }
        // What cannot be read is passed over, and the vote counts, as in Apache (ZOOKEEPER-3769).
        let Ok(theirs) = Ensemble::parse(text, true) else {
            return true;
        };
        let ours = self.members.committed();
        if theirs.version <= ours.version {
            return true;
        }
        let same = theirs.same_as(ours);
        out.push(Effect::AdoptConfig(Box::new(theirs)));
        same
    }

    /// Observers and servers that are not members yet learn the leader from the answer.
    ///
    /// Differs: while looking, Apache answers with the outcome of its last round, and the observer
    /// runs after a leader that is gone.
    fn answer_outsider(&self, from: ServerId, out: &mut Vec<Effect>) {
        let vote = match &self.round {
            Some(round) => Some(round.proposal),
            None => self.current,
        };
        if let Some(vote) = vote {
            let vote = vote.in_round(self.clock);
            out.push(Effect::Send(from, self.notification(vote)));
        }
    }

    fn answer_voter(&self, from: ServerId, n: &Notification, out: &mut Vec<Effect>) {
        let (ServerState::Looking, Some(vote)) = (n.state, self.current) else {
            return;
        };
        if self.state == ServerState::Leading {
            out.push(Effect::VoterLooking(from));
        }
        out.push(Effect::Send(from, self.notification(vote)));
    }

    fn consider(&mut self, now_ms: i64, from: ServerId, n: &Notification, out: &mut Vec<Effect>) {
        if let Some(round) = &mut self.round {
            round.heard(now_ms);
        }
        let had_data = n.zxid.0 > 0 || n.peer_epoch > 0;
        let former = self.empty.is_some() && n.leader == self.me && had_data;
        if !self.members.is_voter(n.leader) || former {
            return;
        }
        match n.state {
            ServerState::Looking => self.consider_looking(now_ms, from, Vote::of(n), out),
            ServerState::Observing => {}
            ServerState::Following | ServerState::Leading => self.consider_led(from, n, out),
        }
    }

    fn consider_looking(&mut self, now_ms: i64, from: ServerId, vote: Vote, out: &mut Vec<Effect>) {
        let better = |a: &Vote, b: &Vote| a.above(b) && self.members.is_eligible(a.leader);
        let Some(round) = &mut self.round else {
            return;
        };
        // A server that may have lost data neither counts nor is counted.
        if round.initial.zxid == Zxid(-1) || vote.zxid == Zxid(-1) {
            return;
        }
        if vote.election_epoch < self.clock {
            return;
        }
        let ahead = vote.election_epoch > self.clock;
        if ahead {
            self.clock = vote.election_epoch;
            round.initial = round.initial.in_round(self.clock);
            let take = better(&vote, &round.initial);
            round.restart(if take { vote } else { round.initial });
        }
        let moved = better(&vote, &round.proposal);
        if moved {
            round.proposal = vote;
        }
        round.vote(from, vote);
        if ahead || moved {
            self.announce(out);
        }
        self.count(now_ms, out);
    }

    /// `from` has a leader. If that leader is established this server joins it.
    fn consider_led(&mut self, from: ServerId, n: &Notification, out: &mut Vec<Effect>) {
        let report = Report {
            vote: Vote::of(n),
            state: n.state,
            version: n.version,
        };
        let Some(round) = &mut self.round else {
            return;
        };
        if round.established((from, report), (self.me, self.clock), &self.members) {
            self.clock = n.election_epoch;
            self.finish(report.vote, out);
        }
    }

    /// Ends the round if no better vote can come.
    fn count(&mut self, now_ms: i64, out: &mut Vec<Effect>) {
        let recent = |at: &i64| now_ms.saturating_sub(*at) <= self.options.lost_ms;
        let lost = |s| self.lost.get(&s).is_some_and(recent);
        let held = self.holds_back();
        let Some(round) = &mut self.round else {
            return;
        };
        if held && round.proposal.leader == self.me {
            return;
        }
        if round.count(now_ms, &self.members, &self.options)
            && round.is_unanimous(&self.members, lost)
        {
            let winner = round.proposal;
            self.finish(winner, out);
        }
    }

    fn finish(&mut self, vote: Vote, out: &mut Vec<Effect>) {
        let state = match vote.leader == self.me {
            true => ServerState::Leading,
            false => self.members.learning_state(self.me),
        };
        self.settle(vote, state);
        out.push(Effect::Elected(vote, state));
    }

    /// Sends the proposal to all voters, this one included: its own vote counts at once.
    fn announce(&mut self, out: &mut Vec<Effect>) {
        let vote = self.proposal();
        let n = self.notification(vote);
        let held = self.holds_back();
        for sid in self.members.voters().filter(|s| *s != self.me) {
            out.push(Effect::Send(sid, n.clone()));
        }
        let Some(round) = &mut self.round else {
            return;
        };
        let counts = !held && round.initial.zxid != Zxid(-1) && vote.zxid != Zxid(-1);
        if counts && self.members.is_voter(self.me) && self.members.is_voter(vote.leader) {
            round.vote(self.me, vote);
        }
    }

    /// The candidate of the round under way, under the round's number.
    fn proposal(&self) -> Vote {
        if self.holds_back() && self.is_looking() {
            // Who has lost data says so, and nobody counts it.
            return Vote {
                leader: self.me,
                zxid: Zxid(-1),
                election_epoch: self.clock,
                peer_epoch: 0,
            };
        }
        let vote = self.round.as_ref().map(|r| r.proposal);
        vote.or(self.current)
            .unwrap_or(Vote::NOBODY)
            .in_round(self.clock)
    }

    fn notification(&self, vote: Vote) -> Notification {
        Notification {
            state: self.state,
            leader: vote.leader,
            zxid: vote.zxid,
            election_epoch: vote.election_epoch,
            peer_epoch: vote.peer_epoch,
            version: VERSION,
            config: Some(self.members.text().to_string()),
        }
    }
}
