//! The role of a leader: the leader's side of ZAB, and the server that orders writes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::data::Data;
use super::event::{DiskOp, Effect, Effects, Input};
use super::membership::ConfigEvents;
use super::peer::{Ended, Peer, take_common};
use crate::base::{Epoch, ServerId, SessionId, Zxid};
use crate::pipeline::{self, Forward, LogOp, Membership, Now, Owner, Server, SnapshotJob};
use crate::proto::OpCode;
use crate::zab::leader::{
    ForwardedRequest, Leader, LeaderEffect, LeaderOptions, LearnerKind, Phase,
};
use crate::zab::{LinkId, Logged};

/// Sessions whose owners the heir is told in one packet: 32 kB of them. It asks for the next, so
/// that what else goes its way waits for one packet at most.
const TOLD_AT_ONCE: usize = 4096;

/// How many learners a leader has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learners {
    /// Voters of the configuration in use, whatever the role.
    pub quorum_size: i64,
    /// Connected.
    pub all: i64,
    /// Voters that are in time.
    pub followers: i64,
    /// Followers without a vote that are in time.
    pub non_voting: i64,
    /// Observers that are in time.
    pub observers: i64,
    /// Syncs that wait for a commit.
    pub pending_syncs: i64,
    /// Of an observer: whom it learns from.
    pub master: Option<ServerId>,
}

/// See the module.
pub(super) struct Leading {
    leader: Leader,
    /// There once a quorum follows.
    pub(super) server: Option<Server>,
    ready: Option<Epoch>,
    /// Who leads next: the reign is over.
    next: Option<ServerId>,
    /// Sessions whose owners the heir is not told yet.
    untold: Option<VecDeque<SessionId>>,
    /// Sessions that wait to go on with another learner.
    resuming: Vec<(LinkId, SessionId, i32)>,
    /// Why a handover was given up.
    given_up: Option<&'static str>,
    pub(super) configs: ConfigEvents,
    standalone_enabled: bool,
    effects: pipeline::Effects,
}

impl Leading {
    pub(super) fn new(peer: &Peer, now: Now, out: &mut Effects) -> Self {
        out.net.push(Effect::Listen);
        Self::over(peer, None, now)
    }

    /// Learners are taken already; with the server of the role before, if it served.
    pub(super) fn over(peer: &Peer, server: Option<Server>, now: Now) -> Self {
        let options = LeaderOptions {
            tick_ms: peer.options.tick_ms,
            init_limit: peer.options.init_limit,
            sync_limit: peer.options.sync_limit,
            reconfig: peer.options.server.reconfig,
            force_snapshot: peer.options.force_snapshot,
            initial_counter: peer.options.server.initial_counter,
            linearizable_sync: peer.options.server.linearizable_sync,
        };
        Self {
            leader: Leader::new(
                peer.options.me,
                options,
                peer.options.members.views().clone(),
                peer.history,
                peer.data.recent.clone(),
                now.mono_ms,
            ),
            server,
            ready: None,
            next: None,
            untold: None,
            resuming: Vec::new(),
            given_up: None,
            configs: ConfigEvents::new(&peer.options.members),
            standalone_enabled: peer.options.standalone_enabled,
            effects: pipeline::Effects::default(),
        }
    }

    pub(super) fn next_tick(&self) -> Option<i64> {
        let server = self.server.as_ref().and_then(Server::next_tick);
        server
            .into_iter()
            .chain([self.leader.next_deadline()])
            .min()
    }

    /// The epoch whose quorum has just come together.
    pub(super) fn take_ready(&mut self) -> Option<Epoch> {
        self.ready.take()
    }

    /// True while it takes clients' writes.
    pub(super) fn serves(&self) -> bool {
        self.server.is_some() && self.leader.phase() == Phase::Active
    }

    pub(super) fn take_given_up(&mut self) -> Option<&'static str> {
        self.given_up.take()
    }

    /// Begins a handover.
    pub(super) fn hand_over(&mut self, now: Now, to: Option<ServerId>) -> Result<ServerId, String> {
        self.leader
            .hand_over(now.mono_ms, to)
            .map_err(str::to_owned)
    }

    /// The reign is over: the server, which waits for the next leader from now on.
    pub(super) fn into_server(mut self, out: &mut Effects) -> Option<Server> {
        if let Some(server) = &mut self.server {
            let sid = |link| self.leader.sid_on(LinkId(link));
            server.resign(sid, &mut self.effects);
            take_common(&mut self.effects, out);
        }
        self.server
    }

    /// The server that was taken over leads now.
    pub(super) fn lead(&mut self, opening: Zxid, now: Now) {
        if let Some(server) = &mut self.server {
            server.lead(opening, now, &mut self.effects);
        }
    }

    /// What was decided or proposed, and is not applied: it is in our log.
    pub(super) fn end(mut self, data: &mut Data) -> Vec<Logged> {
        if let Some(server) = &mut self.server {
            data.sessions = server.end();
        }
        let (committed, mut tail) = self.leader.into_cache();
        let mut all = committed.after(data.recent.last());
        all.append(&mut tail);
        all
    }

    pub(super) fn step(
        &mut self,
        data: &mut Data,
        now: Now,
        input: Input,
        out: &mut Effects,
    ) -> Option<Ended> {
        let ms = now.mono_ms;
        match input {
            Input::LearnerConnected(link) => self.leader.connected(ms, link),
            Input::LearnerGone(link) => self.leader.gone(link),
            Input::LearnerPackets(link, packets) => {
                for packet in packets {
                    self.leader.packet(ms, link, packet);
                    // A request's transaction must be proposed before the next packet is looked at.
                    if let Some(ended) = self.settle(data, now, out) {
                        return Some(ended);
                    }
                }
            }
            Input::EpochAccepted(_) => self.leader.epoch_accepted(ms),
            Input::EpochEntered(_) => self.leader.epoch_entered(ms),
            Input::Logged(zxid) => self.leader.logged(zxid),
            Input::LogRead(link, found) => self.leader.log_read(link, found),
            Input::Client(_, input) => self.server_step(now, input),
            Input::SnapshotDone => self.server_step(now, pipeline::Input::SnapshotDone),
            Input::Tick => {
                self.leader.tick(ms);
                // One that steps down proposes no more.
                if let Some(ended) = self.settle(data, now, out) {
                    return Some(ended);
                }
                self.server_step(now, pipeline::Input::Tick);
            }
            _ => {}
        }
        self.settle(data, now, out)
    }

    /// How many learners there are.
    pub(super) fn learners(&self, now_ms: i64) -> Learners {
        let mut n = Learners {
            pending_syncs: self.leader.pending_syncs() as i64,
            ..Learners::default()
        };
        for h in self.leader.handlers() {
            n.all += 1;
            if !self.leader.is_synced(h, now_ms) {
                continue;
            }
            match h.kind {
                LearnerKind::Observer => n.observers += 1,
                LearnerKind::Follower if self.leader.votes(h.sid) => n.followers += 1,
                LearnerKind::Follower => n.non_voting += 1,
            }
        }
        n
    }

    fn server_step(&mut self, now: Now, input: pipeline::Input) {
        // One that another leader follows prepares nothing more; what it decided it finishes.
        if self.leader.is_retired() && !matches!(input, pipeline::Input::Durable(_)) {
            return;
        }
        if let Some(server) = &mut self.server {
            if server.may_reconfigure(&input) {
                let views = self.leader.views();
                server.set_membership(Membership {
                    committed: views.committed.version,
                    last_seen: Arc::new(views.last_seen.clone()),
                    synced: self.leader.synced(now.mono_ms),
                    standalone_enabled: self.standalone_enabled,
                });
            }
            server.step(now, input, &mut self.effects);
        }
    }

    /// Carries effects back and forth between leader and server until both are quiet.
    fn settle(&mut self, data: &mut Data, now: Now, out: &mut Effects) -> Option<Ended> {
        loop {
            self.take_log(now, out);
            take_common(&mut self.effects, out);
            self.take_forwards();
            if std::mem::take(&mut self.effects.exhausted)
                && let Err(why) = self.leader.renew(now.mono_ms)
            {
                tracing::info!(target: "o.a.z.s.q.Leader", "The epoch has no zxid left: {why}");
                return Some(Ended::Left("the epoch has no zxid left"));
            }
            let effects = self.leader.take_effects();
            if effects.is_empty() {
                return self.next.map(Ended::Moved);
            }
            for effect in effects {
                if let Some(ended) = self.carry_out(data, now, effect, out) {
                    return Some(ended);
                }
            }
        }
    }

    /// What our own clients want of the leader.
    fn take_forwards(&mut self) {
        for forward in self.effects.forward.drain(..) {
            let sync = matches!(
                forward,
                Forward::Request {
                    op: OpCode::Sync,
                    ..
                }
            );
            // Before it leads the server keeps them.
            if sync && self.leader.phase() == Phase::Active {
                self.leader.sync_here();
            }
        }
    }

    /// What the server logs is proposed first, and logged by us like by everybody else.
    fn take_log(&mut self, now: Now, out: &mut Effects) {
        let log = std::mem::take(&mut self.effects.log);
        if self.leader.phase() == Phase::Ended {
            // What was held and is prepared as the reign ends: nobody is to hear of it.
            return;
        }
        for op in log {
            if let LogOp::Append(zxid, bytes) = &op {
                let seen = self.leader.propose(now.mono_ms, *zxid, bytes.clone());
                // Stored before it is logged: our own acknowledgement says both.
                if let Some(config) = seen {
                    self.configs.seen(*config, out);
                }
            }
            out.disk.push(DiskOp::Log(op));
        }
    }

    fn carry_out(
        &mut self,
        data: &mut Data,
        now: Now,
        effect: LeaderEffect,
        out: &mut Effects,
    ) -> Option<Ended> {
        match effect {
            LeaderEffect::Send(link, packet) => out.net.push(Effect::Send(link, packet)),
            LeaderEffect::SendSnapshot(link) => {
                let job = self.snapshot(data);
                out.net.push(Effect::SendSnapshot(link, job));
            }
            LeaderEffect::ReadLog { link, from, upto } => {
                out.disk.push(DiskOp::ReadLog { link, from, upto });
            }
            LeaderEffect::Close(link, why) => out.net.push(Effect::Close(link, why)),
            LeaderEffect::AcceptEpoch(epoch) => out.disk.push(DiskOp::AcceptEpoch(epoch)),
            LeaderEffect::EnterEpoch(epoch) => out.disk.push(DiskOp::EnterEpoch(epoch)),
            LeaderEffect::Serve(epoch) => self.ready = Some(epoch),
            LeaderEffect::Commit(zxid) => self.commit(data, now, zxid),
            LeaderEffect::Seen(config) => self.configs.seen(*config, out),
            LeaderEffect::Activate {
                config,
                designated,
                zxid,
            } => self.configs.activate(*config, Some(designated), zxid),
            LeaderEffect::Request(request) => self.request(now, request),
            LeaderEffect::Touch(session, _) => {
                if let Some(server) = &self.server {
                    server.touch(session, now);
                }
            }
            LeaderEffect::Revalidate(link, session, timeout) => {
                self.resuming.push((link, session, timeout));
                self.revalidate(now);
            }
            LeaderEffect::TellOwners => self.tell_owners(),
            LeaderEffect::Synced => self.server_step(now, pipeline::Input::Synced),
            LeaderEffect::Hold => {
                if let Some(server) = &mut self.server {
                    server.hold();
                }
                self.tell_changes();
                self.leader.holding();
            }
            LeaderEffect::Resume(why) => {
                self.given_up = Some(why);
                self.untold = None;
                if let Some(server) = &mut self.server {
                    server.end_telling();
                    server.release(now, &mut self.effects);
                }
                self.revalidate(now);
                self.take_log(now, out);
                // With no zxid left they are held again, and syncs behind them wait on.
                if !self.effects.exhausted {
                    self.leader.resumed();
                }
            }
            LeaderEffect::HandedOver(to) => {
                self.next = Some(to);
                if to != self.leader.me() {
                    out.net.push(Effect::Turn(true));
                }
            }
            LeaderEffect::StepDown(why) => return Some(Ended::Left(why)),
        }
        None
    }

    /// Sessions that go on with a learner; while writes are held they wait, for this leader or the
    /// next one.
    fn revalidate(&mut self, now: Now) {
        if self.server.as_ref().is_some_and(Server::is_holding) {
            return;
        }
        let serves = self.serves();
        for (link, session, timeout) in std::mem::take(&mut self.resuming) {
            let sid = self.leader.sid_on(link).unwrap_or(ServerId(-1));
            let owner = Owner::Link(link.0, sid);
            let server = self.server.as_mut().filter(|_| serves);
            let valid = server.is_some_and(|s| s.revalidate(owner, session, timeout, now));
            self.leader.revalidated(link, session, valid);
        }
    }

    /// The heir hears where the clients of some more sessions are.
    fn tell_owners(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        let untold = self
            .untold
            .get_or_insert_with(|| server.begin_telling().into());
        let n = untold.len().min(TOLD_AT_ONCE);
        let part: Vec<_> = untold.drain(..n).collect();
        let last = untold.is_empty();
        let sid = |link| self.leader.sid_on(LinkId(link));
        let owners = server.owners_of(&part, sid);
        self.leader.owners(&owners, last);
    }

    /// And, once nothing changes any more, what has changed meanwhile.
    fn tell_changes(&mut self) {
        if let (Some(server), Some(_)) = (&mut self.server, self.untold.take()) {
            let changed = server.end_telling();
            for part in changed.chunks(TOLD_AT_ONCE) {
                let sid = |link| self.leader.sid_on(LinkId(link));
                let owners = server.owners_of(part, sid);
                self.leader.changed_owners(&owners);
            }
        }
    }

    fn snapshot(&self, data: &Data) -> SnapshotJob {
        match &self.server {
            Some(server) => server.snapshot_job(),
            None => SnapshotJob::new(data.tree.clone(), &data.sessions),
        }
    }

    fn commit(&mut self, data: &mut Data, now: Now, zxid: Zxid) {
        // More may be decided than our own log holds: it is not applied yet.
        let decided = self.leader.committed_after(data.recent.last());
        for (zxid, bytes) in decided.iter().take_while(|(z, _)| *z <= zxid) {
            data.note(*zxid, bytes);
        }
        self.server_step(now, pipeline::Input::Durable(zxid));
    }

    fn request(&mut self, now: Now, request: ForwardedRequest) {
        if !self.serves() {
            return self
                .leader
                .refuse(request.link, "a REQUEST before there is a leader");
        }
        let Some(op) = OpCode::of(request.op) else {
            // A learner lets only writes through; this one is none that we know.
            let why = "a REQUEST of an unknown type";
            return self.leader.refuse(request.link, why);
        };
        let request = pipeline::Request {
            owner: Owner::Link(request.link.0, request.sid),
            session: request.session,
            xid: request.cxid,
            op,
            body: request.body,
            ids: request.ids.into(),
            origin: None,
            received_ms: now.mono_ms,
        };
        self.server_step(now, pipeline::Input::Request(request));
    }
}
