//! A leader carries out reconfigurations (Apache: `Leader.tryToCommit`, `getDesignatedLeader`,
//! `commitAndActivate`, `informAndActivate`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::handler::LearnerKind;
use super::{Leader, LeaderEffect};
use crate::base::{ServerId, Zxid};
use crate::config::Ensemble;
use crate::proto::quorum::payload::encode_activate;
use crate::proto::quorum::{PacketType, QuorumPacket};
use crate::zab::reconfig::{Views, keeps_place, proposed};

impl Leader {
    /// The configurations as they are now.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// True when another server leads: nothing may be proposed here any more.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// This server and the followers in time, with and without a vote: who can make up the quorum
    /// of a new configuration (Apache: `isQuorumSynced`).
    pub fn synced(&self, now: i64) -> BTreeSet<ServerId> {
        let followers = self
            .handlers
            .values()
            .filter(|h| h.kind == LearnerKind::Follower && h.sid.0 >= 0 && self.is_synced(h, now));
        followers.map(|h| h.sid).chain([self.me]).collect()
    }

    /// The first configuration of an ensemble gets a version: the opening of the epoch in which it
    /// is established (ZOOKEEPER-1783). It is committed like any other.
    pub(super) fn number_first_config(&mut self) {
        let first = self.views.committed.version == 0 && self.views.last_seen.version == 0;
        if !self.options.reconfig || !first {
            return;
        }
        // As others read it: what only our own file knows of it is left out.
        let text = self.views.committed.text();
        let Ok(mut config) = Ensemble::parse(&text, true) else {
            return;
        };
        config.version = Zxid::of(self.epoch, 0).0;
        self.see(config.clone());
        self.out.push(LeaderEffect::Seen(Box::new(config)));
    }

    fn see(&mut self, config: Ensemble) {
        self.views.see(config);
        self.quorum = Arc::new(self.views.quorum());
    }

    /// From the proposal on, both configurations decide.
    pub(super) fn see_proposed(&mut self, bytes: &[u8]) -> Option<Box<Ensemble>> {
        let config = proposed(bytes).filter(|_| self.options.reconfig)?;
        self.see(config.clone());
        Some(Box::new(config))
    }

    pub(super) fn committed_config(&self, bytes: &[u8]) -> Option<Ensemble> {
        proposed(bytes).filter(|_| self.options.reconfig)
    }

    /// A quorum of both has the reconfiguration.
    pub(super) fn activate(&mut self, zxid: Zxid, bytes: &Arc<[u8]>, config: Ensemble) {
        let designated = self.take_over(config, zxid);
        let data = encode_activate(designated, &[]);
        let commit = QuorumPacket::new(PacketType::CommitAndActivate, zxid).with_data(data);
        self.tell(commit, || {
            let data = encode_activate(designated, bytes);
            QuorumPacket::new(PacketType::InformAndActivate, zxid).with_data(data)
        });
    }

    /// A quorum of both has acknowledged NEWLEADER, and with it what an earlier leader left undone
    /// (ZOOKEEPER-1324). Learners do it when UPTODATE comes.
    pub(super) fn complete_pending(&mut self, opening: Zxid) {
        if self.options.reconfig && self.views.is_changing() {
            let config = self.views.last_seen.clone();
            self.take_over(config, opening);
        }
    }

    fn take_over(&mut self, config: Ensemble, zxid: Zxid) -> ServerId {
        let designated = self.designate(&config, zxid);
        self.views.commit(config.clone());
        self.quorum = Arc::new(self.views.quorum());
        self.retired = designated != self.me;
        if self.retired {
            tracing::info!(
                target: "o.a.z.s.q.Leader",
                "Committing a reconfiguration; this leader is not the designated leader anymore: {}",
                designated.0
            );
        }
        self.out.push(LeaderEffect::Activate {
            config: Box::new(config),
            designated,
            zxid,
        });
        designated
    }

    /// Who leads under `config`: this server, if it keeps its place in it; else the voter that has
    /// logged the most, one that is connected if there is any.
    fn designate(&self, config: &Ensemble, zxid: Zxid) -> ServerId {
        if keeps_place(&self.views.committed, config, self.me) {
            return self.me;
        }
        let connected = |s: ServerId| {
            self.handlers
                .values()
                .any(|h| h.sid == s && h.kind == LearnerKind::Follower && h.is_acked())
        };
        let others = config.voters().map(|s| ServerId(s.id));
        others
            .filter(|s| *s != self.me && config.weight(s.0) > 0)
            .map(|s| {
                let acked = self.proposals.acked(s);
                let has_it = acked >= zxid || zxid.counter() == 0;
                ((has_it && connected(s), acked, -s.0), s)
            })
            .max()
            .map_or(self.me, |(_, s)| s)
    }

    /// Once what was committed is applied here and the voters have gone to their new leader, so do
    /// we. They close the links, so that a majority of them surely has got the word.
    pub(super) fn try_retire(&mut self) {
        if !self.retired || self.applied < self.cache.last() {
            return;
        }
        let stays = |s: ServerId| self.views.committed.voters().any(|v| v.id == s.0);
        let left = self
            .handlers
            .values()
            .any(|h| h.kind == LearnerKind::Follower && h.is_acked() && stays(h.sid));
        if !left {
            self.step_down("the designated leader takes over");
        }
    }
}
