//! Faults of what drives the servers (disk, network, connections) that the checks must find.

use zabra::pipeline;
use zabra::proto::quorum::{PacketType, QuorumPacket};
use zabra::proto::txn::Entry;
use zabra::quorum::{Input, PeerState};
use zabra::tree::Item;

use crate::event::Event;
use crate::world::{Fail, World};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The log says that it is durable when it is not.
    AckBeforeDurable,
    /// `currentEpoch` is written before the history (ZOOKEEPER-4643).
    EpochBeforeHistory,
    /// A cut of the log does not reach the disk (ZOOKEEPER-3701).
    MissedTrunc,
    /// A proposal counts as acknowledged when it is sent.
    CommitWithoutQuorum,
    /// A leader's own log counts before it has the transaction.
    CommitBeforeOwnDisk,
    /// The log of a role that ended is not waited for: votes tell what memory has.
    VoteFromMemory,
    /// A leader does not wait for the answers to NEWLEADER.
    NewLeaderUnanswered,
    /// `acceptedEpoch` never reaches the disk.
    AcceptedEpochLost,
    /// The leader's snapshot never reaches the disk (ZOOKEEPER-3642).
    SnapshotUnsaved,
    /// A learner sends a request twice.
    RequestTwice,
    /// A leader does not notice that it is alone.
    StaleLeader,
    /// Reads go on while a role ends and its undecided tail comes into the tree.
    TailVisible,
    /// A learner ends sessions.
    LearnerExpires,
    /// A learner answers its client when the proposal comes.
    ReplyBeforeCommit,
    /// A learner answers a sync from what it has.
    SyncAtHome,
    /// An event is written behind the reply that follows it.
    EventAfterReply,
    /// Now and then an event is dropped.
    LostEvent,
    /// A read does not wait for the write before it.
    ReadOvertakesWrite,
    /// The heir of a leader is not told where clients are.
    OwnersUntold,
    /// A server with an empty disk in the place of one that had data counts in elections.
    WipedCounts,
}

/// All of them, by name.
pub const MUTATIONS: [(&str, Mutation); 20] = [
    ("ack-before-durable", Mutation::AckBeforeDurable),
    ("epoch-before-history", Mutation::EpochBeforeHistory),
    ("missed-trunc", Mutation::MissedTrunc),
    ("commit-without-quorum", Mutation::CommitWithoutQuorum),
    ("commit-before-own-disk", Mutation::CommitBeforeOwnDisk),
    ("vote-from-memory", Mutation::VoteFromMemory),
    ("newleader-unanswered", Mutation::NewLeaderUnanswered),
    ("accepted-epoch-lost", Mutation::AcceptedEpochLost),
    ("snapshot-unsaved", Mutation::SnapshotUnsaved),
    ("request-twice", Mutation::RequestTwice),
    ("stale-leader", Mutation::StaleLeader),
    ("tail-visible", Mutation::TailVisible),
    ("learner-expires", Mutation::LearnerExpires),
    ("reply-before-commit", Mutation::ReplyBeforeCommit),
    ("sync-at-home", Mutation::SyncAtHome),
    ("event-after-reply", Mutation::EventAfterReply),
    ("lost-event", Mutation::LostEvent),
    ("read-overtakes-write", Mutation::ReadOvertakesWrite),
    ("owners-untold", Mutation::OwnersUntold),
    ("wiped-counts", Mutation::WipedCounts),
];

impl World {
    /// What a bad leader would not hear.
    pub fn deaf(&self, sid: i64, input: &Input) -> bool {
        let up = self.nodes[&sid].up.as_ref();
        self.mutation == Some(Mutation::StaleLeader)
            && matches!(input, Input::Tick | Input::LearnerGone(_))
            && up.is_some_and(|p| p.peer.state() == PeerState::Leading(true))
    }

    /// A learner that answers its client when the proposal comes.
    fn reply_early(&mut self, sid: i64, packet: &QuorumPacket) -> Fail {
        let bytes = packet.data.as_deref().unwrap_or_default();
        let Ok(entry) = Entry::from_bytes(bytes) else {
            return Ok(());
        };
        let (session, xid) = (entry.session(), entry.header.cxid);
        let found = self.clients.iter().position(|c| {
            c.at.as_ref().is_some_and(|a| a.0 == sid)
                && c.session == session
                && c.sent.front().is_some_and(|s| s.xid == xid)
        });
        let Some(id) = found else {
            return Ok(());
        };
        let mut reply = Vec::new();
        pipeline::frame(&mut reply, xid, packet.zxid, 0, |_| {});
        self.take(id, Item::Reply(packet.zxid, reply))
    }

    /// A disk that writes the epoch when NEWLEADER comes in, before the history.
    pub fn mutate(&mut self, sid: i64, packet: &QuorumPacket) -> Fail {
        if packet.kind == PacketType::Proposal as i32
            && self.mutation == Some(Mutation::ReplyBeforeCommit)
        {
            return self.reply_early(sid, packet);
        }
        if packet.kind != PacketType::NewLeader as i32 {
            return Ok(());
        }
        // Taking over a history is where most can go wrong: die there often.
        let percent = if self.mutation == Some(Mutation::EpochBeforeHistory) {
            50
        } else {
            8
        };
        if self.rng.chance(percent) {
            let (ms, boot) = (self.rng.below(12) as i64, self.process(sid).boot);
            self.later(ms, Event::Crash(sid, boot));
        }
        if self.mutation == Some(Mutation::EpochBeforeHistory) {
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            disk.current = disk.current.max(packet.zxid.epoch());
        }
        Ok(())
    }
}
