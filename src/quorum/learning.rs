//! The role of a learner: the side of ZAB that follows, and the server that passes writes on.

use super::data::Data;
use super::event::{DiskOp, Effect, Effects, Input};
use super::membership::ConfigEvents;
use super::peer::{Ended, Peer, take_common};
use crate::base::{Epoch, ServerId, Zxid};
use crate::pipeline::{self, Forward, LogOp, Now, Server, SnapshotJob};
use crate::proto::OpCode;
use crate::proto::quorum::{LearnerRequest, PacketType, QuorumPacket};
use crate::proto::txn::TxnHeader;
use crate::telemetry::metrics::{METRICS, Summary};
use crate::zab::leader::{History, LearnerKind};
use crate::zab::learner::{self, Learner, LearnerEffect, LearnerOptions};
use crate::zab::observer_master::ObserverMaster;
use crate::zab::{LinkId, Logged};

/// See the module.
pub(super) struct Learning {
    pub(super) link: LinkId,
    /// Whom we learn from: the leader, or a follower that serves observers.
    pub(super) from: ServerId,
    options: LearnerOptions,
    history: History,
    connect_deadline_ms: i64,
    /// There once the leader is reached.
    learner: Option<Learner>,
    /// There once we are up to date.
    pub(super) server: Option<Server>,
    ready: Option<Epoch>,
    /// Our history ends here now: the leader replaced or cut it.
    base: Option<Zxid>,
    last_ping_ms: i64,
    /// There while observers are served.
    pub(super) master: Option<ObserverMaster>,
    pub(super) configs: ConfigEvents,
    effects: pipeline::Effects,
}

impl Learning {
    /// `whole`: the leader's whole state is needed.
    pub(super) fn new(
        peer: &Peer,
        (link, from): (LinkId, ServerId),
        observes: bool,
        whole: bool,
        now: Now,
    ) -> Self {
        let kind = match observes {
            true => LearnerKind::Observer,
            false => LearnerKind::Follower,
        };
        Self {
            link,
            from,
            options: LearnerOptions {
                me: peer.options.me,
                kind,
                tick_ms: peer.options.tick_ms,
                init_limit: peer.options.init_limit,
                sync_limit: peer.options.sync_limit,
                config_version: peer.options.members.committed().version,
                reconfig: peer.options.server.reconfig,
                whole,
            },
            history: peer.history,
            connect_deadline_ms: now.mono_ms + peer.options.connect_limit_ms,
            learner: None,
            server: None,
            ready: None,
            base: None,
            last_ping_ms: now.mono_ms,
            master: None,
            configs: ConfigEvents::new(&peer.options.members),
            effects: pipeline::Effects::default(),
        }
    }

    /// The same with the server of the role before, which must have its leader after `limit` ms.
    pub(super) fn over(mut self, server: Option<Server>, limit: i64, now: Now) -> Self {
        self.server = server;
        self.connect_deadline_ms = now.mono_ms + limit;
        self
    }

    /// The reign is over: the server.
    pub(super) fn into_server(mut self, out: &mut Effects) -> Option<Server> {
        let log = std::mem::take(&mut self.effects.log);
        out.disk.extend(log.into_iter().map(DiskOp::Log));
        take_common(&mut self.effects, out);
        self.server
    }

    /// True while clients' writes go to the leader.
    pub(super) fn serves(&self) -> bool {
        self.server.is_some() && self.is_up_to_date()
    }

    fn is_up_to_date(&self) -> bool {
        let phase = self.learner.as_ref().map(Learner::phase);
        phase == Some(learner::Phase::Serving)
    }

    /// Everything unanswered goes to the leader that was reached.
    pub(super) fn resend(&mut self) {
        if let Some(server) = &mut self.server {
            server.resend(&mut self.effects);
        }
    }

    pub(super) fn observes(&self) -> bool {
        self.options.kind == LearnerKind::Observer
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.learner.as_ref().map(Learner::epoch)
    }

    /// The connection may take longer by this.
    pub(super) fn wait_longer(&mut self, ms: i64) {
        self.connect_deadline_ms += ms;
    }

    pub(super) fn next_tick(&self) -> Option<i64> {
        let own = match &self.learner {
            Some(learner) => learner.next_deadline(),
            None => self.connect_deadline_ms,
        };
        let master = self.master.as_ref().map(ObserverMaster::next_deadline);
        let server = self.server.as_ref().and_then(Server::next_tick);
        master.into_iter().chain(server).chain([own]).min()
    }

    pub(super) fn take_ready(&mut self) -> Option<Epoch> {
        self.ready.take()
    }

    pub(super) fn take_base(&mut self) -> Option<Zxid> {
        self.base.take()
    }

    pub(super) fn is_unsaved(&self) -> bool {
        self.learner.as_ref().is_some_and(Learner::is_unsaved)
    }

    /// What is in our log and not applied.
    pub(super) fn end(mut self, data: &mut Data) -> Vec<Logged> {
        if let Some(server) = &mut self.server {
            data.sessions = server.end();
        }
        self.learner
            .map_or_else(Vec::new, |l| l.logged_and_pending())
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
            Input::LeaderConnected(link) if link == self.link && self.learner.is_none() => {
                self.learner = Some(Learner::new(self.options, self.history, ms));
            }
            // Its last word was that another one leads.
            Input::LeaderGone(link) if link == self.link && self.is_moving() => {}
            Input::LeaderGone(link) if link == self.link => {
                return Some(Ended::Left("the leader is gone"));
            }
            Input::LeaderPackets(link, packets) if link == self.link => {
                for packet in packets {
                    self.zab(|l| l.packet(ms, packet));
                    if let Some(ended) = self.settle(data, now, out) {
                        return Some(ended);
                    }
                }
            }
            Input::LeaderSnapshot(link, ..) if link == self.link && self.server.is_some() => {
                return Some(Ended::Left("a snapshot under clients"));
            }
            Input::LeaderSnapshot(link, zxid, replacement) if link == self.link => {
                *data = *replacement;
                self.zab(|l| l.snapshot(ms, zxid));
            }
            Input::EpochAccepted(_) => self.zab(|l| l.epoch_accepted(ms)),
            Input::EpochEntered(_) => self.zab(|l| l.epoch_entered(ms)),
            Input::Logged(zxid) => self.zab(|l| l.logged(ms, zxid)),
            Input::Truncated(wanted, reloaded) => {
                let last = reloaded.last();
                *data = *reloaded;
                self.base = Some(last);
                self.zab(|l| l.truncated(ms, wanted, last));
            }
            Input::SnapshotSaved => {
                self.base = Some(data.last());
                self.zab(|l| l.snapshot_saved(ms));
            }
            Input::Client(_, input) => self.server_step(now, input),
            Input::SnapshotDone => self.server_step(now, pipeline::Input::SnapshotDone),
            Input::Tick => {
                if self.learner.is_none() && ms >= self.connect_deadline_ms {
                    return Some(Ended::Left("the leader cannot be reached"));
                }
                self.zab(|l| l.tick(ms));
                if let Some(master) = &mut self.master {
                    master.tick(ms, &data.recent);
                }
                self.server_step(now, pipeline::Input::Tick);
            }
            other => self.observer_input(data, ms, other, out),
        }
        self.settle(data, now, out)
    }

    pub(super) fn relay(&mut self, packet: QuorumPacket) {
        self.zab(|l| l.relay(packet));
    }

    fn is_moving(&self) -> bool {
        self.learner.as_ref().is_some_and(Learner::is_moving)
    }

    fn zab(&mut self, f: impl FnOnce(&mut Learner)) {
        if let Some(learner) = &mut self.learner {
            f(learner);
        }
    }

    fn server_step(&mut self, now: Now, input: pipeline::Input) {
        if let Some(server) = &mut self.server {
            server.step(now, input, &mut self.effects);
        }
    }

    fn settle(&mut self, data: &mut Data, now: Now, out: &mut Effects) -> Option<Ended> {
        loop {
            self.take_forwards();
            self.take_master(out);
            let log = std::mem::take(&mut self.effects.log);
            out.disk.extend(log.into_iter().map(DiskOp::Log));
            take_common(&mut self.effects, out);
            let effects = self.learner.as_mut().map(Learner::take_effects);
            let effects = effects.filter(|e| !e.is_empty())?;
            for effect in effects {
                if let Some(ended) = self.carry_out(data, now, effect, out) {
                    return Some(ended);
                }
            }
        }
    }

    /// Before the leader is reached the server keeps them, and says them again.
    fn take_forwards(&mut self) {
        let serves = self.is_up_to_date();
        let Some(learner) = self.learner.as_mut().filter(|_| serves) else {
            return self.effects.forward.clear();
        };
        for forward in self.effects.forward.drain(..) {
            match forward {
                Forward::Request {
                    session,
                    xid,
                    op,
                    body,
                    ids,
                } => {
                    let request = LearnerRequest {
                        session,
                        cxid: xid,
                        op: op as i32,
                        body: &body,
                    };
                    if let (OpCode::Sync, Some(master)) = (op, &mut self.master) {
                        master.own_sync();
                    }
                    let ids = (op != OpCode::CreateSession).then(|| ids.to_vec());
                    learner.forward(&request, ids);
                }
                Forward::Revalidate(session, timeout) => {
                    if let Some(master) = &mut self.master {
                        master.own_revalidation(session);
                    }
                    learner.revalidate(session, timeout);
                }
            }
        }
    }

    fn carry_out(
        &mut self,
        data: &mut Data,
        now: Now,
        effect: LearnerEffect,
        out: &mut Effects,
    ) -> Option<Ended> {
        match effect {
            LearnerEffect::Send(packet) => out.net.push(Effect::Send(self.link, packet)),
            LearnerEffect::Acknowledge(zxid, bytes) => {
                record_age(&METRICS.proposal_ack_creation_latency, &bytes, now);
                let ack = QuorumPacket::new(PacketType::Ack, zxid);
                out.net.push(Effect::Send(self.link, ack));
            }
            LearnerEffect::AcceptEpoch(epoch) => out.disk.push(DiskOp::AcceptEpoch(epoch)),
            LearnerEffect::EnterEpoch(epoch) => out.disk.push(DiskOp::EnterEpoch(epoch)),
            LearnerEffect::Truncate(_) if self.server.is_some() => {
                return Some(Ended::Left("a cut under clients"));
            }
            LearnerEffect::Truncate(zxid) => out.disk.push(DiskOp::Truncate(zxid)),
            LearnerEffect::SaveSnapshot => {
                let job = SnapshotJob::new(data.tree.clone(), &data.sessions);
                out.disk.push(DiskOp::SaveSnapshot(data.last(), job));
            }
            LearnerEffect::Log(zxid, bytes) => {
                let len = bytes.len();
                out.disk.push(DiskOp::Log(LogOp::Append(zxid, bytes)));
                if let Some(server) = &mut self.server {
                    server.note_logged(len, &mut self.effects);
                }
            }
            LearnerEffect::Apply(zxid, bytes) => match &mut self.server {
                Some(server) => {
                    record_age(&METRICS.commit_propagation_latency, &bytes, now);
                    data.note(zxid, &bytes);
                    let decided = pipeline::Input::Decided(bytes.clone());
                    server.step(now, decided, &mut self.effects);
                    if let Some(master) = &mut self.master {
                        master.applied(now.mono_ms, zxid, &bytes, &data.recent);
                    }
                }
                None => data.apply(zxid, &bytes),
            },
            LearnerEffect::Seen(config) => self.configs.seen(*config, out),
            LearnerEffect::LeaderSeen(config) => self.configs.leader_seen(*config, out),
            LearnerEffect::Activate {
                config,
                designated,
                zxid,
            } => {
                if let Some(master) = &mut self.master {
                    master.reconfigured(&config.text(), config.version);
                }
                self.configs.activate(*config, designated, zxid);
            }
            LearnerEffect::Serve => {
                let epoch = self.learner.as_ref().map(Learner::epoch);
                // With another reign in between nobody has told this leader where clients are: some
                // may have moved on, and what they asked here must not be asked again.
                let next = self.history.current.0.checked_add(1).map(Epoch);
                if self.server.is_some() && epoch != next {
                    return Some(Ended::Left("another reign came between"));
                }
                self.ready = epoch;
            }
            LearnerEffect::Synced => {
                if self.own_sync_answered() {
                    self.server_step(now, pipeline::Input::Synced);
                }
            }
            LearnerEffect::Revalidated(session, valid) => {
                if self.own_revalidated(session, valid) {
                    self.server_step(now, pipeline::Input::Revalidated(session, valid));
                }
            }
            LearnerEffect::Owners(owners) => {
                if let Some(server) = &mut self.server {
                    server.owners_told(&owners);
                }
            }
            LearnerEffect::Ping(zxid) => self.answer_ping(now, zxid),
            LearnerEffect::Moved(to) => return Some(Ended::Moved(to)),
            LearnerEffect::StartOver => return Some(Ended::Again),
            LearnerEffect::Leave(why) => return Some(Ended::Left(why)),
            LearnerEffect::Fatal(code, why) => return Some(Ended::Fatal(code, why)),
        }
        None
    }

    /// The leader hears which sessions showed life since its last PING.
    fn answer_ping(&mut self, now: Now, zxid: Zxid) {
        let since = std::mem::replace(&mut self.last_ping_ms, now.mono_ms);
        let own = self.server.as_ref().map(|s| s.touched(since));
        let mut touched = own.unwrap_or_default();
        if let Some(master) = &mut self.master {
            touched.extend(master.take_touched());
        }
        self.zab(|l| l.ping(zxid, &touched));
    }
}

/// How long ago a transaction was made, by its leader's clock and ours (Apache: `Request.logLatency`).
fn record_age(to: &Summary, txn: &[u8], now: Now) {
    if let Some(time) = TxnHeader::time_of(txn).filter(|t| *t <= now.wall_ms) {
        to.record(now.wall_ms - time);
    }
}
