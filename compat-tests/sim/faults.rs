//! What goes wrong.

use std::collections::BTreeSet;

use zabra::quorum::PeerState;

use crate::disk::Disk;
use crate::event::Event;
use crate::mutation::Mutation;
use crate::node::Node;
use crate::world::{Fail, World};

impl World {
    pub fn fault(&mut self) -> Fail {
        if !self.faults {
            return Ok(());
        }
        let ms = 50 + self.rng.below(1200) as i64;
        self.later(ms, Event::Fault);
        let all: Vec<i64> = self.nodes.keys().copied().collect();
        let (a, b) = (*self.rng.pick(&all), *self.rng.pick(&all));
        if self.rng.chance(20) {
            self.hand_over()?;
        }
        // It takes much to meet: one seed in a hundred otherwise.
        if self.mutation == Some(Mutation::OwnersUntold) && self.rng.chance(50) {
            return self.late_words();
        }
        match self.rng.below(22) {
            0..=3 => self.crash(a),
            4 => all.into_iter().try_for_each(|s| self.crash(s)),
            5 => {
                let leading = |n: &Node| {
                    let state = n.up.as_ref().map(|p| p.peer.state());
                    matches!(state, Some(PeerState::Leading(_)))
                };
                let leaders = self
                    .nodes
                    .iter()
                    .filter(|(_, n)| leading(n))
                    .map(|(s, _)| *s);
                leaders
                    .collect::<Vec<_>>()
                    .into_iter()
                    .try_for_each(|s| self.crash(s))
            }
            6..=7 => {
                let open: Vec<usize> = (0..self.links.len())
                    .filter(|i| self.links[*i].open)
                    .collect();
                if !open.is_empty() {
                    let i = *self.rng.pick(&open);
                    self.break_link(i);
                }
                self.unmesh(a, b);
                Ok(())
            }
            8 if a != b => {
                self.say(|| format!("{a} -/-> {b}"));
                self.cut.insert((a, b));
                Ok(())
            }
            9..=10 => {
                // Two sides.
                let side: BTreeSet<i64> = all
                    .iter()
                    .copied()
                    .filter(|_| self.rng.chance(50))
                    .collect();
                self.say(|| format!("partition {side:?}"));
                let one_way = self.rng.chance(20);
                for (x, y) in all.iter().flat_map(|x| all.iter().map(move |y| (*x, *y))) {
                    if side.contains(&x) && !side.contains(&y) {
                        self.cut.insert((x, y));
                        if !one_way {
                            self.cut.insert((y, x));
                        }
                    }
                }
                Ok(())
            }
            11 => {
                self.nodes.get_mut(&a).expect("a node").slow_until = self.now + 3000;
                Ok(())
            }
            12 => {
                self.say(|| format!("{a}'s disk is full"));
                let ms = self.rng.below(1500) as i64;
                self.nodes.get_mut(&a).expect("a node").full_until = self.now + ms;
                Ok(())
            }
            13..=14 => {
                let hour = 3_600_000;
                let skew = self.rng.below(2 * hour) as i64 - hour as i64;
                self.say(|| format!("{a}'s clock jumps to {skew}"));
                self.nodes.get_mut(&a).expect("a node").skew = skew;
                Ok(())
            }
            15..=16 => self.late_words(),
            17 => self.wipe(a),
            _ => {
                self.cut.clear();
                Ok(())
            }
        }
    }

    /// A server's disk fails, and it comes back with an empty one.
    fn wipe(&mut self, sid: i64) -> Fail {
        if !self.wiped.is_empty() {
            return Ok(());
        }
        self.crash(sid)?;
        self.say(|| format!("{sid} has lost its disk"));
        // Some say so, and some look like new ones.
        let lost = self.mutation != Some(Mutation::WipedCounts) && self.rng.chance(30);
        let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
        let had = (disk.end(), disk.current);
        *disk = Disk {
            lost,
            ..Disk::default()
        };
        self.wiped.insert(sid, had);
        Ok(())
    }

    /// No more faults; everybody starts.
    pub fn heal(&mut self) -> Fail {
        self.say(|| "healed".into());
        self.faults = false;
        self.calm_since = self.now;
        self.cut.clear();
        for node in self.nodes.values_mut() {
            node.slow_until = 0;
            node.full_until = 0;
        }
        Ok(())
    }
}
