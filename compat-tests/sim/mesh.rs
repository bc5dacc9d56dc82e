//! The links of the election: of each pair of servers one, that keeps the newest message only.

use zabra::zab::election::Notification;

use crate::event::Event;
use crate::world::{World, pair};

impl World {
    pub fn notify(&mut self, from: i64, to: i64, n: Notification) {
        let slot = self.notes.entry((from, to)).or_default();
        slot.1 = Some(n.clone());
        if !self.meshed.contains(&pair(from, to)) {
            return self.mesh(from, to);
        }
        let slot = self.notes.entry((from, to)).or_default();
        slot.0 = Some(n);
        let ms = 1 + self.rng.below(15) as i64;
        self.later(ms, Event::Notify(from, to));
    }

    /// Connects two election ports, and says again what was said last.
    pub fn mesh(&mut self, a: i64, b: i64) {
        let free = self.passes(a, b) && self.passes(b, a);
        if !free || !self.meshed.insert(pair(a, b)) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let slot = self.notes.entry((from, to)).or_default();
            if slot.1.is_some() {
                slot.0 = slot.1.clone();
                let ms = 1 + self.rng.below(15) as i64;
                self.later(ms, Event::Notify(from, to));
            }
        }
    }

    pub fn unmesh(&mut self, a: i64, b: i64) {
        if !self.meshed.remove(&pair(a, b)) {
            return;
        }
        for (me, other) in [(a, b), (b, a)] {
            self.notes.entry((me, other)).or_default().0 = None;
            if let Some(boot) = self.boot(me) {
                let ms = self.rng.below(100) as i64;
                self.later(ms, Event::Lost(me, other, boot));
            }
        }
    }
}
