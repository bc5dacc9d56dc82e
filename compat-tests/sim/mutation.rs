//! Faults of the disk or the network driver that the checks must find.

use zabra::proto::quorum::{PacketType, QuorumPacket};

use crate::event::Event;
use crate::world::World;

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
}

pub const MUTATIONS: [(&str, Mutation); 4] = [
    ("ack-before-durable", Mutation::AckBeforeDurable),
    ("epoch-before-history", Mutation::EpochBeforeHistory),
    ("missed-trunc", Mutation::MissedTrunc),
    ("commit-without-quorum", Mutation::CommitWithoutQuorum),
];

impl World {
    /// A disk that writes the epoch when NEWLEADER comes in, before the history.
    pub fn mutate(&mut self, sid: i64, packet: &QuorumPacket) {
        if packet.kind != PacketType::NewLeader as i32 {
            return;
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
    }
}
