//! Leadership that is handed over, and epochs whose counter ends.

use zabra::base::{ServerId, Zxid};
use zabra::quorum::{Input, PeerState};

use crate::event::Event;
use crate::world::{Fail, World};

/// Transactions of an epoch, where epochs are short.
const SHORT_EPOCH: u32 = 30;

impl World {
    /// Counter at which epochs open: near their end with some seeds.
    pub fn opening_counter(seed: u64) -> u32 {
        match seed % 3 {
            0 => u32::MAX - SHORT_EPOCH,
            _ => 0,
        }
    }

    /// Epochs end after a few transactions.
    pub fn short_epochs(&self) -> bool {
        self.opening != 0
    }

    /// True for where an epoch opens: no transaction has that zxid.
    pub fn opens(&self, zxid: Zxid) -> bool {
        zxid.counter() == 0 || zxid.counter() == self.opening
    }

    /// Somebody asks a server for a handover, whether or not it can.
    pub fn hand_over(&mut self) -> Fail {
        let all: Vec<i64> = self.nodes.keys().copied().collect();
        let leads = |s: &&i64| {
            let up = self.nodes[*s].up.as_ref();
            up.is_some_and(|p| p.peer.state() == PeerState::Leading(true))
        };
        let leader = all.iter().find(leads).copied();
        let asked = match self.rng.chance(90) {
            true => leader.unwrap_or(1),
            false => *self.rng.pick(&all),
        };
        let to = match self.rng.chance(50) {
            true => Some(ServerId(*self.rng.pick(&all))),
            false => None,
        };
        self.say(|| format!("{asked} is to hand over to {to:?}"));
        self.step(asked, Input::HandOver(0, to))
    }

    /// What a learner says is late: its clients go elsewhere, which it does not notice, leadership
    /// moves, and then it says again what they asked.
    pub fn late_words(&mut self) -> Fail {
        let all: Vec<i64> = self.nodes.keys().copied().collect();
        let learner = *self.rng.pick(&all);
        let leads = |s: &&i64| {
            let up = self.nodes[*s].up.as_ref();
            up.is_some_and(|p| p.peer.state() == PeerState::Leading(true))
        };
        let leader = all.iter().find(leads).copied();
        if leader.is_none_or(|l| l == learner) {
            return Ok(());
        }
        self.say(|| format!("{learner} is late"));
        let late = 200 + self.rng.below(600) as i64;
        for other in all {
            if self.cut.insert((learner, other)) {
                self.later(late, Event::Uncut(learner, other));
            }
        }
        for id in 0..self.clients.len() {
            let asks = |(sid, ..): &(i64, u64, _)| *sid == learner;
            if self.clients[id].at.as_ref().is_some_and(asks) && self.clients[id].connected {
                let ms = self.rng.below(60) as i64;
                self.later(ms, Event::Leave(id));
            }
        }
        let ms = 100 + self.rng.below(400) as i64;
        self.later(ms, Event::HandOver);
        Ok(())
    }

    /// The server has another role now, under the same clients.
    pub fn turned(&mut self, sid: i64, learner: bool) -> Fail {
        self.calm_since = self.now;
        let opening = self.opening;
        let p = self.process(sid);
        p.reign = p.peer.history().current;
        let applied = p.peer.data().tree.applied();
        if let Some(serving) = &mut p.serving {
            serving.learner = learner;
        }
        self.say(|| format!("{sid} turns: learner {learner}, at {applied}"));
        if learner {
            return Ok(());
        }
        self.turns += 1;
        let last = self.process(sid).peer.data().last();
        if last.epoch() < applied.epoch() {
            self.before.insert(applied, last);
        }
        let first = *self.leaders.entry(applied.epoch()).or_insert(sid);
        if first != sid || applied.counter() != opening {
            return Err(format!("{sid} leads {:?}, as {first} did", applied.epoch()));
        }
        Ok(())
    }
}
