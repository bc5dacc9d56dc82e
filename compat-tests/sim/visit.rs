//! Clients at servers.

use std::sync::Arc;

use zabra::base::{SessionId, Zxid};
use zabra::pipeline::{self, Owner, Request};
use zabra::proto::OpCode;
use zabra::quorum::{Input, Serving};
use zabra::session::SessionKind;
use zabra::tree::{Inbox, Item};

use crate::client::{Ask, Sent};
use crate::event::Event;
use crate::mutation::Mutation;
use crate::world::{Fail, World};

impl World {
    /// A client's turn.
    pub fn client(&mut self, id: usize) -> Fail {
        let ms = 5 + self.rng.below(40) as i64;
        self.later(ms, Event::Client(id));
        self.drain(id, Zxid(i64::MAX))?;
        if self.now < self.clients[id].sleeps_until {
            return Ok(());
        }
        if self.faults && self.rng.below(400) == 0 {
            self.clients[id].sleeps_until = self.now + self.rng.below(9000) as i64;
        }
        match self.clients[id].at.clone() {
            None => self.attach(id),
            Some((sid, instance, inbox)) => self.visit(id, sid, instance, inbox),
        }
    }

    /// Who serves clients there.
    pub fn door(&self, sid: i64) -> Option<Serving> {
        let p = self.nodes[&sid].up.as_ref()?;
        p.serving.as_ref().or(p.stale.as_ref()).cloned()
    }

    fn attach(&mut self, id: usize) -> Fail {
        let all: Vec<i64> = self.nodes.keys().copied().collect();
        let sid = *self.rng.pick(&all);
        let seen = self.clients[id].seen;
        let Some(s) = self.door(sid).filter(|s| s.tree.applied() >= seen) else {
            return Ok(());
        };
        self.conns += 1;
        self.clients[id].epoch = self.process(sid).reign;
        let input = self.clients[id].connect(sid, s.instance, self.conns);
        self.step(sid, Input::Client(s.instance, input))
    }

    fn visit(&mut self, id: usize, sid: i64, instance: u64, inbox: Arc<Inbox>) -> Fail {
        let Some(s) = self.door(sid).filter(|s| s.instance == instance) else {
            self.clients[id].disconnect();
            return Ok(());
        };
        let mono_ms = self.clock(sid).mono_ms;
        if let Some(session) = s.sessions.get(self.clients[id].session) {
            session.touch(mono_ms);
        }
        self.clients[id].touched = self.now;
        if self.mutation == Some(Mutation::LearnerExpires) && s.learner {
            self.expire_here(sid, &s, mono_ms)?;
        }
        if !self.clients[id].connected {
            return Ok(());
        }
        if !self.clients[id].rearmed {
            return self.rearm(id, &s.tree, &inbox);
        }
        if self.writing && self.rng.below(60) == 0 {
            return self.hang_up(id, sid, &s, inbox);
        }
        let hasty = self.mutation == Some(Mutation::ReadOvertakesWrite);
        let reads = if self.writing { 45 } else { 2 };
        if self.rng.chance(reads) && (hasty || self.clients[id].sent.is_empty()) {
            return self.read(id, &s.tree, &inbox);
        }
        if !self.writing || self.clients[id].sent.len() > 4 {
            return Ok(());
        }
        self.write(id, sid, &s)
    }

    /// A client goes elsewhere; its server hears nothing of that for a while.
    pub fn leave(&mut self, id: usize) -> Fail {
        let Some((sid, instance, inbox)) = self.clients[id].at.clone() else {
            return Ok(());
        };
        let Some(s) = self.door(sid).filter(|s| s.instance == instance) else {
            return Ok(());
        };
        let session = self.clients[id].session;
        self.clients[id].disconnect();
        let (boot, ms) = (self.process(sid).boot, 500 + self.rng.below(4000) as i64);
        self.later(ms, Event::Noticed(sid, boot, s, inbox, session));
        Ok(())
    }

    fn hang_up(&mut self, id: usize, sid: i64, s: &Serving, inbox: Arc<Inbox>) -> Fail {
        let session = self.clients[id].session;
        // The server need not notice for a while: what was asked there goes on, and the client is
        // elsewhere.
        if self.rng.chance(40) {
            return self.leave(id);
        }
        self.clients[id].disconnect();
        self.noticed(sid, s, inbox, session)
    }

    /// A server notices that a client is gone.
    pub fn noticed(
        &mut self,
        sid: i64,
        s: &Serving,
        inbox: Arc<Inbox>,
        session: SessionId,
    ) -> Fail {
        inbox.close();
        s.tree.forget_watches(&inbox);
        let gone = pipeline::Input::Gone(inbox, session);
        self.step(sid, Input::Client(s.instance, gone))
    }

    fn write(&mut self, id: usize, sid: i64, s: &Serving) -> Fail {
        // Nothing comes behind the end of a session; a write behind a sync waits until that is answered.
        let last = |c: &Sent| matches!(c.ask, Ask::Close | Ask::Sync);
        if self.clients[id].sent.iter().any(last) {
            return Ok(());
        }
        let since = self.told_before(self.now);
        self.clients[id].epoch = self.process(sid).reign;
        let mono_ms = self.clock(sid).mono_ms;
        let strict = self.strict_sync;
        let client = &mut self.clients[id];
        client.xid += 1;
        let queue = std::mem::take(&mut client.queue);
        let sent = Sent {
            xid: client.xid,
            ask: client.wants(&mut self.rng, s.learner || strict, &queue),
            since,
        };
        if self.trace {
            println!(
                "{:>7} client {id} at {sid}: {} {:?}",
                self.now, sent.xid, sent.ask
            );
        }
        let ask_nobody = self.mutation == Some(Mutation::SyncAtHome) && client.sent.is_empty();
        if ask_nobody && matches!(sent.ask, Ask::Sync) {
            return self.sync_at_home(id, sent, s);
        }
        match client.request(sent, mono_ms) {
            Some(input) => self.step(sid, Input::Client(s.instance, input)),
            None => Ok(()),
        }
    }

    /// A learner that answers a sync from what it has.
    fn sync_at_home(&mut self, id: usize, sent: Sent, s: &Serving) -> Fail {
        let (mut reply, at) = (Vec::new(), s.tree.applied());
        pipeline::frame(&mut reply, sent.xid, at, 0, |_| {});
        self.drain(id, at)?;
        self.clients[id].sent.push_back(sent);
        self.take(id, Item::Reply(at, reply))
    }

    /// A learner that ends sessions by its own clock.
    fn expire_here(&mut self, sid: i64, s: &Serving, mono_ms: i64) -> Fail {
        let all = s.sessions.by_deadline(SessionKind::Global);
        for session in all.range(..=mono_ms).flat_map(|(_, ids)| ids) {
            let open = s.sessions.get(*session).filter(|s| !s.is_closing());
            let Some(open) = open else { continue };
            open.set_closing();
            let close = close(*session, mono_ms);
            self.step(sid, Input::Client(s.instance, close))?;
        }
        Ok(())
    }

    pub fn cut_clients(&mut self, sid: i64) {
        for c in &mut self.clients {
            if c.at.as_ref().is_some_and(|(s, _, _)| *s == sid) {
                c.disconnect();
            }
        }
    }
}

fn close(session: SessionId, received_ms: i64) -> pipeline::Input {
    pipeline::Input::Request(Request {
        owner: Owner::Here,
        session,
        xid: 0,
        op: OpCode::CloseSession,
        body: Box::default(),
        ids: Arc::new([]),
        origin: None,
        received_ms,
    })
}
