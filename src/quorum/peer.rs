//! The peer: one role after the other.

use std::sync::Arc;

use super::data::Data;
use super::event::{DiskOp, Effect, Effects, Input, Serving};
use super::leading::{Leading, Learners};
use super::learning::Learning;
use super::masters::Masters;
use super::options::PeerOptions;
use super::read_only::ReadOnly;
use crate::base::{Epoch, ServerId, SessionId, Zxid};
use crate::pipeline::{self, Now, Role, Server};
use crate::session::SessionTracker;
use crate::telemetry::metrics::METRICS;
use crate::zab::election::{self, Election, InitialVote, ServerState, Vote};
use crate::zab::leader::History;
use crate::zab::observer_master::ObserverMaster;
use crate::zab::{LinkId, Logged};

/// What a peer is doing.
pub(super) enum Phase {
    /// Nothing yet.
    Starting,
    /// Looks for a leader.
    Looking,
    /// Leads, or is about to.
    Leading(Box<Leading>),
    /// Follows, or is about to.
    Learning(Box<Learning>),
    /// A role ended; what it logged is being made durable.
    Leaving(Vec<Logged>),
    /// A role ended with a database that the disk does not have: it is being loaded again.
    Reloading,
    /// The process ends.
    Ended,
}

/// What a peer is doing, for those who show it (Apache: `QuorumPeer.ZabState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Looks for a leader.
    Looking,
    /// Leads; true once it takes clients.
    Leading(bool),
    /// Follows; true once it takes clients.
    Following(bool),
    /// Observes; true once it takes clients.
    Observing(bool),
}

/// See the module.
pub struct Peer {
    pub(super) options: PeerOptions,
    pub(super) election: Election,
    pub(super) history: History,
    pub(super) data: Data,
    pub(super) phase: Phase,
    /// Who waits for the end of a handover.
    pub(super) asked: Option<u64>,
    /// When it began to look for the leader it has, or will have, monotonic ms.
    looking_since_ms: i64,
    /// What is served while there is no leader.
    pub(super) read_only: Option<ReadOnly>,
    /// Who leads next, when a reconfiguration said so (Apache: `reconfigFlag`).
    pub(super) appointed: Option<ServerId>,
    next_link: u64,
    pub(super) instance: u64,
    votes: Vec<election::Effect>,
    masters: Masters,
}

impl Peer {
    /// A peer over what recovery found. Call [`Peer::start`] before anything else.
    pub fn new(options: PeerOptions, history: History, data: Data) -> Self {
        let election = Election::new(
            options.me,
            options.members.clone(),
            options.election.clone(),
        );
        Self {
            election,
            history,
            data,
            phase: Phase::Starting,
            asked: None,
            looking_since_ms: 0,
            read_only: None,
            appointed: None,
            next_link: 1,
            instance: 0,
            votes: Vec::new(),
            masters: Masters::new(options.server.seed),
            options,
        }
    }

    /// Looks for a leader.
    pub fn start(&mut self, now: Now, out: &mut Effects) {
        if matches!(self.phase, Phase::Starting) {
            self.look(now, out);
        }
    }

    /// What it is doing.
    pub fn state(&self) -> PeerState {
        match &self.phase {
            Phase::Leading(l) => PeerState::Leading(l.serves()),
            Phase::Learning(l) if l.observes() => PeerState::Observing(l.serves()),
            Phase::Learning(l) => PeerState::Following(l.serves()),
            _ => PeerState::Looking,
        }
    }

    /// True while a role takes clients.
    pub(super) fn serves(&self) -> bool {
        match &self.phase {
            Phase::Leading(l) => l.server.is_some(),
            Phase::Learning(l) => l.server.is_some(),
            _ => false,
        }
    }

    /// What it has promised and logged.
    pub fn history(&self) -> History {
        self.history
    }

    /// The database. While a role serves clients its server applies to the same tree.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// When [`Input::Tick`] is due, monotonic ms.
    pub fn next_tick(&self) -> Option<i64> {
        let role = match &self.phase {
            Phase::Leading(l) => l.next_tick(),
            Phase::Learning(l) => l.next_tick(),
            Phase::Looking => self.read_only.as_ref().and_then(ReadOnly::next_tick),
            _ => None,
        };
        role.into_iter().chain(self.election.next_deadline()).min()
    }

    /// Takes one input at `now` and adds what must be done to `out`.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        match input {
            Input::Notification(from, n) => {
                self.election
                    .receive(now.mono_ms, from, &n, &mut self.votes);
            }
            Input::ElectionLinkLost(sid) => {
                self.election.peer_lost(now.mono_ms, sid, &mut self.votes);
            }
            Input::HandOver(ask, to) => self.hand_over(ask, to, now, out),
            Input::Flushed => self.left(now, out),
            Input::Reloaded(data) => self.reloaded(*data, now, out),
            Input::EpochAccepted(epoch) => {
                self.history.accepted = self.history.accepted.max(epoch);
                self.role(now, Input::EpochAccepted(epoch), out);
            }
            Input::EpochEntered(epoch) => {
                self.history.current = self.history.current.max(epoch);
                self.role(now, Input::EpochEntered(epoch), out);
            }
            Input::Logged(zxid) => {
                self.history.last = self.history.last.max(zxid);
                self.role(now, Input::Logged(zxid), out);
            }
            Input::Tick => {
                self.election.tick(now.mono_ms, &mut self.votes);
                self.role(now, Input::Tick, out);
            }
            // Of a role that is over.
            Input::Client(instance, _) if instance != self.instance => {}
            other => self.role(now, other, out),
        }
        self.count_votes(now, out);
    }

    /// Gives an input to whatever role there is.
    pub(super) fn role(&mut self, now: Now, input: Input, out: &mut Effects) {
        let ended = match &mut self.phase {
            Phase::Leading(role) => role.step(&mut self.data, now, input, out),
            Phase::Learning(role) => role.step(&mut self.data, now, input, out),
            Phase::Looking => return self.read_only_step(now, input, out),
            _ => return,
        };
        let configs = match &mut self.phase {
            Phase::Leading(role) => role.configs.take(),
            Phase::Learning(role) => role.configs.take(),
            _ => Vec::new(),
        };
        let major = self.note_configs(configs, now, out);
        self.note_progress(!major, now, out);
        match ended {
            None if major => self.leave("changes proposed in reconfig", out),
            None => {}
            Some(Ended::Left(why)) => self.leave(why, out),
            Some(Ended::Again) => self.start_over(now, out),
            Some(Ended::Moved(to)) => self.moved(to, now, out),
            Some(Ended::Fatal(code, why)) => {
                self.phase = Phase::Ended;
                out.net.push(Effect::StopServing);
                out.net.push(Effect::Exit(code, why));
            }
        }
    }

    /// What the roles did to what is durable, and whether one begins to serve.
    fn note_progress(&mut self, stays: bool, now: Now, out: &mut Effects) {
        if let Phase::Leading(l) = &mut self.phase
            && let Some(why) = l.take_given_up()
        {
            tracing::warn!(target: "o.a.z.s.q.Leader", "No handover: {why}");
            self.handover_done(Err(why.to_owned()), out);
        }
        let (ready, role) = match &mut self.phase {
            Phase::Leading(l) => (l.take_ready(), Role::Leader),
            Phase::Learning(l) => {
                if let Some(last) = l.take_base() {
                    self.history.last = last;
                }
                (l.take_ready(), Role::Learner)
            }
            _ => return,
        };
        let serves = self.with_server(|_| ()).is_some();
        match ready.filter(|_| stays) {
            Some(epoch) if serves => self.resume(epoch, role, now, out),
            Some(epoch) => self.serve(epoch, role, now, out),
            None => {}
        }
    }

    /// The role takes clients.
    fn serve(&mut self, epoch: Epoch, role: Role, now: Now, out: &mut Effects) {
        self.instance += 1;
        if role == Role::Leader {
            // As Apache's leader: it stands at the opening of its epoch.
            let opening = Zxid::of(epoch, self.options.server.initial_counter);
            self.data.tree.set_loaded(opening);
        }
        self.write_config(now);
        let sessions = Arc::new(match role {
            Role::Learner => SessionTracker::of_learner(self.options.tick_ms),
            _ => SessionTracker::new(self.options.tick_ms),
        });
        for (id, timeout) in &self.data.sessions {
            sessions.track(SessionId(*id), *timeout, now.mono_ms);
        }
        if role == Role::Leader {
            self.adopt_orphans(&sessions, now);
        }
        let mut options = self.options.server.clone();
        options.role = role;
        let server = Server::new(self.data.tree.clone(), sessions.clone(), options, now);
        match &mut self.phase {
            Phase::Leading(l) => l.server = Some(server),
            Phase::Learning(l) => {
                l.server = Some(server);
                l.start_master(&self.options, now.mono_ms, out);
            }
            _ => return,
        }
        let unavailable = now.mono_ms - self.looking_since_ms;
        METRICS.unavailable_time.record(unavailable);
        if role == Role::Leader {
            METRICS.leader_unavailable_time.record(unavailable);
        }
        self.election.set_peer_epoch(i64::from(epoch.0));
        let learner = role == Role::Learner;
        out.net.push(Effect::Serve(Serving {
            instance: self.instance,
            tree: self.data.tree.clone(),
            sessions,
            learner,
            clients: learner || self.options.leader_serves,
            read_only: false,
        }));
        // What came while there was no server is settled now.
        self.role(now, Input::Tick, out);
    }

    /// `/zookeeper/config` shows the committed configuration, also when no transaction brought it.
    pub(super) fn write_config(&self, now: Now) {
        let members = &self.options.members;
        let text = members.text().as_bytes();
        let version = members.committed().version;
        self.data.tree.set_config(text, version, now.wall_ms);
    }

    /// Ephemerals whose session nobody knows get one that ends soon, so that they go by a
    /// transaction.
    ///
    /// Differs: Apache's leader deletes them locally, and so differs from its followers.
    fn adopt_orphans(&self, sessions: &SessionTracker, now: Now) {
        for owner in self.data.tree.ephemeral_sessions() {
            if sessions.get(owner).is_none() {
                let timeout = i32::try_from(self.options.tick_ms).unwrap_or(i32::MAX);
                sessions.track(owner, timeout, now.mono_ms);
            }
        }
    }

    /// The role is over. What it logged is part of our history, whether or not it was decided:
    /// the next election goes by it.
    fn leave(&mut self, why: &'static str, out: &mut Effects) {
        tracing::warn!(target: "o.a.z.s.q.QuorumPeer", "PeerState set to LOOKING: {why}");
        out.net.push(Effect::StopServing);
        self.handover_done(Err(format!("an election follows: {why}")), out);
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let (unsaved, tail) = match phase {
            Phase::Leading(role) => {
                out.net.push(Effect::StopListening);
                (false, role.end(&mut self.data))
            }
            Phase::Learning(role) => {
                if role.master.is_some() {
                    out.net.push(Effect::StopListening);
                }
                out.net.push(Effect::DropLeader(role.link));
                let unsaved = role.is_unsaved();
                (unsaved, role.end(&mut self.data))
            }
            other => {
                self.phase = other;
                return;
            }
        };
        if unsaved {
            self.phase = Phase::Reloading;
            out.disk.push(DiskOp::Reload);
        } else {
            self.phase = Phase::Leaving(tail);
            out.disk.push(DiskOp::Flush);
        }
    }

    /// Everything logged is durable: memory becomes what the log says (ZOOKEEPER-2845).
    fn left(&mut self, now: Now, out: &mut Effects) {
        let Phase::Leaving(tail) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return;
        };
        for (zxid, bytes) in &tail {
            self.data.apply(*zxid, bytes);
            self.history.last = self.history.last.max(*zxid);
        }
        self.go_on(now, out);
    }

    fn reloaded(&mut self, data: Data, now: Now, out: &mut Effects) {
        if matches!(self.phase, Phase::Reloading) {
            self.history.last = data.last();
            self.data = data;
            self.go_on(now, out);
        }
    }

    pub(super) fn look(&mut self, now: Now, out: &mut Effects) {
        self.phase = Phase::Looking;
        self.expect_read_only(now);
        METRICS.looking_count.inc();
        self.looking_since_ms = now.mono_ms;
        tracing::info!(
            target: "o.a.z.s.q.FastLeaderElection",
            "New election. My id = {}, proposed zxid={}", self.options.me.0, self.history.last
        );
        let own = InitialVote {
            zxid: self.history.last,
            epoch: i64::from(self.history.current.0),
            empty: self.options.doubts_empty
                && self.history.last == Zxid::ZERO
                && self.history.current == Epoch(0),
        };
        self.election
            .look_for_leader(now.mono_ms, own, &mut self.votes);
        self.count_votes(now, out);
    }

    /// Carries out what the election wants.
    fn count_votes(&mut self, now: Now, out: &mut Effects) {
        for effect in std::mem::take(&mut self.votes) {
            match effect {
                election::Effect::Send(to, n) => out.net.push(Effect::Notify(to, n)),
                election::Effect::ConnectAll => out.net.push(Effect::ConnectAll),
                election::Effect::Elected(vote, state) => self.elected(vote, state, now, out),
                election::Effect::AdoptConfig(config) => self.adopt(*config, now, out),
                election::Effect::VoterLooking(_) => {}
            }
        }
    }

    pub(super) fn elected(&mut self, vote: Vote, state: ServerState, now: Now, out: &mut Effects) {
        if !matches!(self.phase, Phase::Looking) {
            return;
        }
        METRICS
            .election_time
            .record(now.mono_ms - self.looking_since_ms);
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeer",
            "{state:?}: leader is {}, zxid {}", vote.leader.0, vote.zxid
        );
        self.end_read_only(out);
        if state == ServerState::Leading {
            let role = Leading::new(self, now, out);
            self.phase = Phase::Leading(Box::new(role));
            self.role(now, Input::Tick, out);
        } else {
            let observes = state == ServerState::Observing;
            // Who may have lost data gets everything, and counts once it has it.
            let whole = !observes && self.election.holds_back();
            self.learn(vote.leader, observes, whole, now, out);
        }
    }

    fn learn(
        &mut self,
        leader: ServerId,
        observes: bool,
        whole: bool,
        now: Now,
        out: &mut Effects,
    ) {
        let link = self.new_link();
        let (from, delay_ms) = match observes {
            true => self.connect_master(link, leader, out),
            false => {
                out.net.push(Effect::ConnectLeader(link, leader));
                (leader, 0)
            }
        };
        let mut role = Learning::new(self, (link, from), observes, whole, now);
        role.wait_longer(i64::from(delay_ms));
        self.phase = Phase::Learning(Box::new(role));
    }

    /// Whom an observer learns from, and how long it waits before: not at all, when there is
    /// another follower that it has not tried.
    fn connect_master(
        &mut self,
        link: LinkId,
        leader: ServerId,
        out: &mut Effects,
    ) -> (ServerId, u32) {
        let port = self.options.observer_master_port;
        let voters = self.options.members.voters();
        let found = port.and_then(|p| Some((p, self.masters.next(voters, leader)?)));
        let pause = u64::from(self.options.observer_delay_ms);
        let (to, port, waits) = match found {
            Some((port, (to, around))) => (to, Some(port), around),
            None => (leader, None, true),
        };
        let delay_ms = match waits {
            true => self.masters.below(pause) as u32,
            false => 0,
        };
        if port.is_none() && delay_ms == 0 {
            out.net.push(Effect::ConnectLeader(link, to));
        } else {
            out.net.push(Effect::ConnectMaster {
                link,
                to,
                port,
                delay_ms,
            });
        }
        (to, delay_ms)
    }

    /// Connects to the same leader again, for its snapshot. An election in between could fail: the
    /// leader may need us before anybody else follows it.
    fn start_over(&mut self, now: Now, out: &mut Effects) {
        let (Phase::Learning(role), Some(vote)) = (&self.phase, self.election.current_vote())
        else {
            return;
        };
        let observes = role.observes();
        out.net.push(Effect::DropLeader(role.link));
        self.learn(vote.leader, observes, true, now, out);
    }

    /// An id for a link to a leader; the runtime numbers the links that learners open.
    pub(super) fn new_link(&mut self) -> LinkId {
        self.next_link += 1;
        LinkId(self.next_link)
    }

    /// How many learners a server has, and whom it learns from.
    pub fn learners(&self, now: Now) -> Learners {
        let learners = match &self.phase {
            Phase::Leading(l) => l.learners(now.mono_ms),
            Phase::Learning(l) => Learners {
                observers: l.master.as_ref().map_or(0, ObserverMaster::synced) as i64,
                master: l.observes().then_some(l.from),
                ..Learners::default()
            },
            _ => Learners::default(),
        };
        Learners {
            quorum_size: self.options.members.committed().voters().count() as i64,
            ..learners
        }
    }

    /// The leader's id, as far as the election knows.
    pub fn leader(&self) -> Option<ServerId> {
        match self.phase {
            Phase::Leading(_) | Phase::Learning(_) => {
                self.election.current_vote().map(|v| v.leader)
            }
            _ => None,
        }
    }

    /// Runs `f` on the server of the role, if it serves.
    pub fn with_server<T>(&self, f: impl FnOnce(&Server) -> T) -> Option<T> {
        match &self.phase {
            Phase::Leading(l) => l.server.as_ref().map(f),
            Phase::Learning(l) => l.server.as_ref().map(f),
            _ => None,
        }
    }
}

/// How a role ended.
pub(super) enum Ended {
    Left(&'static str),
    /// Connect to the leader again and take everything from it.
    Again,
    /// The reign is over, and this server leads next.
    Moved(ServerId),
    Fatal(i32, &'static str),
}

/// Moves what the server wants beside the log into the peer's effects.
pub(super) fn take_common(from: &mut pipeline::Effects, out: &mut Effects) {
    out.wakes.append(&mut from.wakes);
    if let Some(job) = from.snapshot.take() {
        out.snapshot = Some(job);
    }
}
