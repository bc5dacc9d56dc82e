//! Clients at servers.

use zabra::pipeline;
use zabra::quorum::Input;

use crate::event::Event;
use crate::world::{Fail, World};

impl World {
    pub fn client(&mut self, id: usize) -> Fail {
        let ms = 5 + self.rng.below(40) as i64;
        self.later(ms, Event::Client(id));
        let replies = self.clients[id].drain()?;
        for r in replies {
            self.replied(r.zxid)?;
        }
        if self.now < self.clients[id].sleeps_until {
            return Ok(());
        }
        if self.faults && self.rng.below(400) == 0 {
            self.clients[id].sleeps_until = self.now + self.rng.below(9000) as i64;
        }
        match self.clients[id].at.clone() {
            None => {
                let all: Vec<i64> = self.nodes.keys().copied().collect();
                let sid = *self.rng.pick(&all);
                let serving = self.nodes[&sid].up.as_ref().and_then(|p| p.serving.clone());
                let Some(s) = serving.filter(|s| s.tree.applied() >= self.clients[id].seen) else {
                    return Ok(());
                };
                self.conns += 1;
                let input = self.clients[id].connect(sid, s.instance, self.conns);
                self.step(sid, Input::Client(s.instance, input))
            }
            Some((sid, instance, inbox)) => {
                let serving = self.nodes[&sid].up.as_ref().and_then(|p| p.serving.clone());
                let Some(s) = serving.filter(|s| s.instance == instance) else {
                    self.clients[id].disconnect();
                    return Ok(());
                };
                if let Some(session) = s.sessions.get(self.clients[id].session) {
                    session.touch(self.now);
                }
                if !self.clients[id].connected {
                    return Ok(());
                }
                if self.writing && self.rng.below(60) == 0 {
                    let session = self.clients[id].session;
                    self.clients[id].disconnect();
                    inbox.close();
                    let gone = pipeline::Input::Gone(inbox, session);
                    return self.step(sid, Input::Client(instance, gone));
                }
                if !self.writing || self.clients[id].sent.len() > 4 {
                    return Ok(());
                }
                let now = self.now;
                let Some(input) = self.clients[id].request(&mut self.rng, now, s.learner) else {
                    return Ok(());
                };
                self.step(sid, Input::Client(instance, input))
            }
        }
    }

    pub fn cut_clients(&mut self, sid: i64) {
        for c in &mut self.clients {
            if c.at.as_ref().is_some_and(|(s, _, _)| *s == sid) {
                c.disconnect();
            }
        }
    }
}
