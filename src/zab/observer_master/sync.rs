//! An observer becomes what this follower is, and live traffic begins
//! (Apache: `LearnerHandler.syncFollower`, `ObserverMaster.startForwarding`, `proposalCommitted`).
//!
//! Differs: Apache keeps the packets it sent (`observerMaster.sizeLimit`), and drops an observer
//! that needs older ones. Here an observer begins at what is applied, so that none is needed.

use std::sync::Arc;

use super::{MasterEffect, ObserverMaster, Stage};
use crate::base::Zxid;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::telemetry::metrics::METRICS;
use crate::zab::committed_log::{CommittedLog, Plan};
use crate::zab::leader::is_whole;
use crate::zab::link::{LinkId, Logged};

impl ObserverMaster {
    /// Decides how `link` becomes what we are.
    ///
    /// Differs: one that is ahead of us in our epoch waits until we are as far; Apache has it cut
    /// its log, and its clients find a server that went back.
    pub(super) fn synchronise(&mut self, now: i64, link: LinkId, recent: &CommittedLog) {
        let Some(o) = self.observers.get_mut(&link) else {
            return;
        };
        let peer = o.last;
        if peer.epoch() == self.epoch && peer > recent.last() && now < o.wait_ms {
            return;
        }
        let plan = match self.options.force_snapshot {
            true => Plan::Snap,
            false => recent.plan(peer),
        };
        match plan {
            Plan::Older if peer.0 >= 0 => {
                o.stage = Stage::Reading;
                let upto = recent.base();
                self.out.push(MasterEffect::ReadLog {
                    link,
                    from: peer,
                    upto,
                });
            }
            plan => self.carry_out(link, plan, recent),
        }
    }

    /// Those that were ahead of us.
    pub(super) fn look_again(&mut self, now: i64, recent: &CommittedLog) {
        let waiting = self
            .observers
            .iter()
            .filter(|(_, o)| o.stage == Stage::Waiting);
        let waiting: Vec<_> = waiting.map(|(l, _)| *l).collect();
        for link in waiting {
            self.synchronise(now, link, recent);
        }
    }

    /// What [`MasterEffect::ReadLog`] found; `None` when the log cannot give it.
    pub fn log_read(&mut self, link: LinkId, found: Option<Vec<Logged>>, recent: &CommittedLog) {
        let reading = |s: Stage| s == Stage::Reading;
        let Some(o) = self.observers.get(&link).filter(|o| reading(o.stage)) else {
            return;
        };
        // The committed log went on meanwhile, and may have dropped its oldest entries.
        let plan = match found {
            Some(mut lacks) if is_whole(o.last, &lacks) => {
                let end = lacks.last().map_or(o.last, |(z, _)| *z);
                match end >= recent.base() {
                    true => {
                        lacks.extend(recent.after(end));
                        Plan::Diff(lacks)
                    }
                    false => Plan::Snap,
                }
            }
            _ => Plan::Snap,
        };
        self.carry_out(link, plan, recent);
    }

    fn carry_out(&mut self, link: LinkId, plan: Plan, recent: &CommittedLog) {
        let last = recent.last();
        let Some(o) = self.observers.get_mut(&link) else {
            return;
        };
        o.stage = Stage::Syncing;
        let (sid, peer) = (o.sid.0, o.last);
        let how = match &plan {
            Plan::Diff(_) => "DIFF",
            Plan::Trunc(..) => "TRUNC",
            Plan::Older | Plan::Snap => "SNAP",
        };
        tracing::info!(
            target: "o.a.z.s.q.LearnerHandler",
            "Synchronizing with Learner sid: {sid} maxCommittedLog={last} minCommittedLog={} lastProcessedZxid={last} peerLastZxid={peer}: {how}",
            recent.base()
        );
        match plan {
            Plan::Diff(lacks) => {
                METRICS.diff_count.inc();
                self.send(link, QuorumPacket::new(PacketType::Diff, last));
                self.send_committed(link, lacks);
            }
            Plan::Trunc(to, lacks) => {
                self.send(link, QuorumPacket::new(PacketType::Trunc, to));
                self.send_committed(link, lacks);
            }
            Plan::Older | Plan::Snap => {
                METRICS.snap_count.inc();
                self.send(link, QuorumPacket::new(PacketType::Snap, last));
                self.out.push(MasterEffect::SendSnapshot(link));
            }
        }
        let config = self.options.config.clone();
        let zxid = Zxid::of(self.epoch, 0);
        let packet = QuorumPacket::new(PacketType::NewLeader, zxid).with_data(config);
        self.send(link, packet);
    }

    fn send_committed(&mut self, link: LinkId, entries: Vec<Logged>) {
        for (zxid, bytes) in entries {
            let packet = QuorumPacket::new(PacketType::Proposal, zxid).with_data(bytes);
            self.send(link, packet);
            self.send(link, QuorumPacket::new(PacketType::Commit, zxid));
        }
    }

    /// A transaction was applied here: it is the last one of `recent`.
    pub fn applied(&mut self, now: i64, zxid: Zxid, bytes: &Arc<[u8]>, recent: &CommittedLog) {
        if self.observers.is_empty() {
            return;
        }
        let packet = QuorumPacket::new(PacketType::Inform, zxid).with_data(bytes.clone());
        for (link, _) in self.observers.iter().filter(|(_, o)| o.forwards()) {
            self.out.push(MasterEffect::Send(*link, packet.clone()));
        }
        self.look_again(now, recent);
    }
}
