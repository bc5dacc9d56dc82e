//! A follower that serves observers: between its own learner, its server and its observers.

use super::data::Data;
use super::event::{DiskOp, Effect, Effects, Input};
use super::learning::Learning;
use super::options::PeerOptions;
use crate::base::SessionId;
use crate::zab::observer_master::{Asker, MasterEffect, MasterOptions, ObserverMaster};
use std::sync::Arc;

impl Learning {
    /// Begins to serve observers, as soon as clients are served.
    pub(super) fn start_master(&mut self, options: &PeerOptions, now_ms: i64, out: &mut Effects) {
        let (Some(port), false) = (options.observer_master_port, self.observes()) else {
            return;
        };
        let Some(epoch) = self.epoch() else { return };
        let master = MasterOptions {
            tick_ms: options.tick_ms,
            init_limit: options.init_limit,
            sync_limit: options.sync_limit,
            config: Arc::from(options.members.text().as_bytes()),
            config_version: options.members.committed().version,
            force_snapshot: options.force_snapshot,
        };
        self.master = Some(ObserverMaster::new(master, epoch, now_ms));
        out.net.push(Effect::ListenObservers(port));
    }

    /// What came from observers, or for them.
    pub(super) fn observer_input(
        &mut self,
        data: &Data,
        now_ms: i64,
        input: Input,
        out: &mut Effects,
    ) {
        let Some(master) = &mut self.master else {
            // It came in while the port was being closed.
            if let Input::LearnerConnected(link) = input {
                out.net.push(Effect::Close(link, "no observers are served"));
            }
            return;
        };
        match input {
            Input::LearnerConnected(link) => master.connected(now_ms, link),
            Input::LearnerGone(link) => master.gone(link),
            Input::LearnerPackets(link, packets) => {
                for packet in packets {
                    master.packet(now_ms, link, packet, &data.recent);
                }
            }
            Input::LogRead(link, found) => master.log_read(link, found, &data.recent),
            _ => {}
        }
    }

    /// The leader answered a sync; true when one of ours did.
    pub(super) fn own_sync_answered(&mut self) -> bool {
        let asker = self.master.as_mut().map(ObserverMaster::sync_answered);
        asker.unwrap_or(Asker::Own) == Asker::Own
    }

    /// The leader's word on a session; true when it is for us.
    pub(super) fn own_revalidated(&mut self, session: SessionId, valid: bool) -> bool {
        let asker = self.master.as_mut().map(|m| m.revalidated(session, valid));
        asker.unwrap_or(Asker::Own) == Asker::Own
    }

    /// Carries out what the observers want.
    pub(super) fn take_master(&mut self, out: &mut Effects) {
        let effects = self.master.as_mut().map(ObserverMaster::take_effects);
        for effect in effects.unwrap_or_default() {
            match effect {
                MasterEffect::Send(link, packet) => out.net.push(Effect::Send(link, packet)),
                MasterEffect::SendSnapshot(link) => {
                    if let Some(server) = &self.server {
                        let job = server.snapshot_job();
                        out.net.push(Effect::SendSnapshot(link, job));
                    }
                }
                MasterEffect::ReadLog { link, from, upto } => {
                    out.disk.push(DiskOp::ReadLog { link, from, upto });
                }
                MasterEffect::Close(link, why) => out.net.push(Effect::Close(link, why)),
                MasterEffect::Forward(packet) => self.relay(packet),
            }
        }
    }
}
