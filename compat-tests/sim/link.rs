//! Links between learners and leaders.

use std::collections::VecDeque;

use zabra::base::Zxid;
use zabra::pipeline::SnapshotJob;
use zabra::proto::quorum::payload::Owners;
use zabra::proto::quorum::{PacketType, QuorumPacket};
use zabra::quorum::Input;
use zabra::zab::LinkId;

use crate::disk::{load, stream};
use crate::event::Event;
use crate::mutation::Mutation;
use crate::world::{Fail, World};

pub enum Msg {
    Packet(QuorumPacket),
    Snapshot(Zxid, Box<SnapshotJob>),
}

pub struct Link {
    pub learner: i64,
    pub leader: i64,
    pub at_learner: LinkId,
    pub at_leader: LinkId,
    pub up: VecDeque<Msg>,
    pub down: VecDeque<Msg>,
    /// No message overtakes another.
    pub last: [i64; 2],
    pub snap: Zxid,
    pub open: bool,
}

impl World {
    pub fn passes(&self, from: i64, to: i64) -> bool {
        !self.cut.contains(&(from, to)) && self.nodes[&to].up.is_some()
    }

    pub fn find(&self, sid: i64, link: LinkId, learner: bool) -> Option<usize> {
        self.links.iter().rposition(|l| {
            l.open
                && match learner {
                    true => l.learner == sid && l.at_learner == link,
                    false => l.leader == sid && l.at_leader == link,
                }
        })
    }

    pub fn dial(&mut self, sid: i64, link: LinkId, to: i64, n: u32) -> Fail {
        let open = self.passes(sid, to)
            && self.passes(to, sid)
            && self.nodes[&to].up.as_ref().is_some_and(|p| p.listening);
        let boot = self.process(sid).boot;
        if !open {
            match n {
                0..15 => self.later(100, Event::Dial(sid, boot, link, to, n + 1)),
                _ => self.later(1, Event::Gone(sid, boot, link, true)),
            }
            return Ok(());
        }
        self.links_made += 1;
        let at_leader = LinkId(self.links_made);
        self.links.push(Link {
            learner: sid,
            leader: to,
            at_learner: link,
            at_leader,
            up: VecDeque::new(),
            down: VecDeque::new(),
            last: [0; 2],
            snap: Zxid::ZERO,
            open: true,
        });
        self.step(to, Input::LearnerConnected(at_leader))?;
        self.step(sid, Input::LeaderConnected(link))
    }

    pub fn send(&mut self, sid: i64, link: LinkId, packet: QuorumPacket) -> Fail {
        let learner = link.0 < 1 << 32;
        let Some(i) = self.find(sid, link, learner) else {
            return Ok(());
        };
        let kind = PacketType::from_i32(packet.kind);
        self.say(|| {
            let to = if learner {
                self.links[i].leader
            } else {
                self.links[i].learner
            };
            format!(
                "{sid} -> {to} {} {}",
                kind.map_or("?", PacketType::name),
                packet.zxid
            )
        });
        if !learner && kind == Some(PacketType::Snap) {
            self.links[i].snap = packet.zxid;
            return Ok(());
        }
        self.before_send(sid, learner, &packet)?;
        let forged = match kind {
            Some(PacketType::Proposal) => Mutation::CommitWithoutQuorum,
            Some(PacketType::NewLeader) => Mutation::NewLeaderUnanswered,
            _ => Mutation::RequestTwice,
        };
        let forged = self.mutation == Some(forged);
        let mut packet = packet;
        if !learner
            && kind == Some(PacketType::HandoverOwners)
            && self.mutation == Some(Mutation::OwnersUntold)
        {
            packet = packet.with_data(Owners::default().encode());
        }
        let zxid = packet.zxid;
        if forged && learner && kind == Some(PacketType::Request) {
            self.push(i, false, Msg::Packet(packet.clone()), 10);
        }
        self.push(i, !learner, Msg::Packet(packet), 10);
        if forged && !learner && self.mutation != Some(Mutation::RequestTwice) {
            let ack = QuorumPacket::new(PacketType::Ack, zxid);
            self.push(i, false, Msg::Packet(ack), 2);
        }
        Ok(())
    }

    pub fn push(&mut self, i: usize, down: bool, msg: Msg, delay: usize) {
        let ms = 1 + self.rng.below(delay) as i64;
        let link = &mut self.links[i];
        let at = (self.now + ms).max(link.last[usize::from(down)]);
        link.last[usize::from(down)] = at;
        match down {
            true => link.down.push_back(msg),
            false => link.up.push_back(msg),
        }
        self.later(at - self.now, Event::Deliver(i, down));
    }

    pub fn deliver(&mut self, i: usize, down: bool) -> Fail {
        let link = &self.links[i];
        if !link.open {
            return Ok(());
        }
        let (from, to) = match down {
            true => (link.leader, link.learner),
            false => (link.learner, link.leader),
        };
        if self.cut.contains(&(from, to)) {
            self.later(20, Event::Deliver(i, down));
            return Ok(());
        }
        let link = &mut self.links[i];
        let msg = if down {
            link.down.pop_front()
        } else {
            link.up.pop_front()
        };
        let (at_learner, at_leader) = (link.at_learner, link.at_leader);
        match (msg, down) {
            (Some(Msg::Packet(p)), down) => {
                // Several may have come by the time they are looked at.
                let mut packets = vec![p];
                let more = if self.rng.chance(30) {
                    self.rng.below(5)
                } else {
                    0
                };
                let link = &mut self.links[i];
                let queue = if down { &mut link.down } else { &mut link.up };
                for _ in 0..more {
                    match queue.pop_front_if(|m| matches!(m, Msg::Packet(_))) {
                        Some(Msg::Packet(p)) => packets.push(p),
                        _ => break,
                    }
                }
                if !down {
                    return self.step(to, Input::LearnerPackets(at_leader, packets));
                }
                for p in &packets {
                    self.mutate(to, p)?;
                }
                self.step(to, Input::LeaderPackets(at_learner, packets))
            }
            (Some(Msg::Snapshot(zxid, job)), _) => {
                // Written as late as possible: as fuzzy as can be.
                let data = load(zxid, &stream(*job));
                self.step(to, Input::LeaderSnapshot(at_learner, zxid, Box::new(data)))
            }
            (None, _) => Ok(()),
        }
    }

    pub fn break_link(&mut self, i: usize) {
        if !std::mem::replace(&mut self.links[i].open, false) {
            return;
        }
        let link = &mut self.links[i];
        link.up.clear();
        link.down.clear();
        let ends = [
            (link.learner, link.at_learner, true),
            (link.leader, link.at_leader, false),
        ];
        for (sid, id, learner) in ends {
            if let Some(boot) = self.boot(sid) {
                let ms = self.rng.below(60) as i64;
                self.later(ms, Event::Gone(sid, boot, id, learner));
            }
        }
    }
}
