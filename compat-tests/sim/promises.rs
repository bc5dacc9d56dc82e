//! What must be durable before a word leaves a server (`Peer`'s rules, seen from outside).

use zabra::base::{ServerId, Zxid};
use zabra::proto::quorum::{PacketType, QuorumPacket};
use zabra::zab::election::{Notification, ServerState};

use crate::world::{Fail, World};

impl World {
    /// A packet is about to leave.
    pub fn before_send(&mut self, sid: i64, learner: bool, packet: &QuorumPacket) -> Fail {
        let Some(kind) = PacketType::from_i32(packet.kind) else {
            return Err(format!("{sid} sends a packet of type {}", packet.kind));
        };
        let (zxid, disk) = (packet.zxid, &self.nodes[&sid].disk);
        let epoch = zxid.epoch();
        // Before, it commits its own history to who takes that over.
        let serves = self.nodes[&sid]
            .up
            .as_ref()
            .is_some_and(|p| p.serving.is_some());
        let kept = match (learner, kind) {
            (true, PacketType::AckEpoch) => disk.accepted > zabra::base::Epoch(0),
            (true, PacketType::Ack) if zxid.counter() == 0 => disk.current >= epoch,
            (true, PacketType::Ack) => disk.holds(zxid),
            (false, PacketType::LeaderInfo) => disk.accepted >= epoch,
            (false, PacketType::UpToDate) => {
                let reign = self.process(sid).peer.history().current;
                let entered = |s| {
                    let lost = self.wiped.get(&s).is_some_and(|had| had.1 >= reign);
                    lost || self.nodes[&s].disk.current >= reign
                };
                self.decides(entered)
            }
            (false, PacketType::Commit | PacketType::Inform) if serves && zxid > self.decided => {
                self.decided = zxid;
                self.decides(|s| self.held(s, zxid))
            }
            _ => true,
        };
        match kept {
            true => Ok(()),
            false => Err(format!("{sid} says {} {zxid} too early", kind.name())),
        }
    }

    /// A vote is about to leave: a server speaks for what is on its disk.
    pub fn before_vote(&self, sid: i64, n: &Notification) -> Fail {
        let disk = &self.nodes[&sid].disk;
        let own = n.state == ServerState::Looking && n.leader == ServerId(sid);
        if own && (n.zxid > disk.end() || n.peer_epoch != i64::from(disk.current.0)) {
            return Err(format!("{sid} votes for itself: {n:?}"));
        }
        Ok(())
    }

    /// True when the servers for which `has` holds are a quorum.
    pub fn decides(&self, has: impl Fn(i64) -> bool) -> bool {
        self.rule.is_quorum(|s| has(s.0))
    }

    /// It is on this server's disk, or was before that failed.
    pub fn held(&self, sid: i64, zxid: Zxid) -> bool {
        let lost = self.wiped.get(&sid).is_some_and(|had| zxid <= had.0);
        lost || self.nodes[&sid].disk.holds(zxid)
    }

    /// What anybody was told of is still on the disks of a quorum.
    pub fn check_kept(&self, sid: i64) -> Fail {
        let Some(zxid) = self.acked.last().copied() else {
            return Ok(());
        };
        match self.decides(|s| self.held(s, zxid)) {
            true => Ok(()),
            false => Err(format!("{sid} lost {zxid}, which was answered")),
        }
    }

    /// The last transaction that anybody had been told of at `ms`.
    pub fn told_before(&self, ms: i64) -> Zxid {
        let n = self.told.partition_point(|t| t.0 <= ms);
        self.told[..n].last().map_or(Zxid::ZERO, |t| t.1)
    }
}
