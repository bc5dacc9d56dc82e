//! A server changes its role under its clients: leadership was handed over, and nobody need notice.
//!
//! A leader holds new writes first. When it becomes a learner it passes on what it held for its own
//! clients; what came from other learners they send again themselves, as the old leader proposed
//! none of it. A learner keeps what it passed on until it is answered, and so can send it to the next
//! leader, or prepare it itself.

use crate::base::{ServerId, Zxid};
use crate::proto::OpCode;
use crate::zab::{Broadcast, QuorumVerifier};

use super::event::{Effects, Now, Owner, Request, Role};
use super::prep::Prep;
use super::reaper::Reaper;
use super::server::Server;
use super::throttle::Throttler;

impl Server {
    /// What this server is to the others.
    pub fn role(&self) -> Role {
        self.options.role
    }

    /// A leader prepares nothing more for now: new requests wait.
    pub fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// True while new requests wait.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// The leader goes on, in the same epoch.
    pub fn release(&mut self, now: Now, out: &mut Effects) {
        for request in self.held.take().unwrap_or_default() {
            self.prepare(request, now, out);
        }
        // With no zxid left it is over again.
        if self.is_holding() {
            return;
        }
        for (session, inbox, timeout) in self.upstream.take_resuming() {
            self.resume_here(inbox, session, timeout, now, out);
        }
    }

    /// The next leader is not this server, or is it in a new epoch: nothing more is prepared.
    /// Everything that was proposed is applied. `sid` knows who is on a link: owners stay noted by
    /// their ids.
    pub fn resign(&mut self, sid: impl Fn(u64) -> Option<ServerId>, out: &mut Effects) {
        debug_assert!(self.zab.is_empty(), "a leader resigns with nothing open");
        let mut all = self.held.take().unwrap_or_default();
        all.extend(self.throttler.take_waiting());
        self.options.role = Role::Learner;
        self.end_telling();
        self.sessions.reopen(|n| self.by_id(n, &sid));
        // What it did of itself the next leader does, but for making its local sessions everybody's.
        all.retain(|r| {
            let own = r.origin.is_some() || r.op == OpCode::CreateSession;
            r.owner == Owner::Here && own
        });
        for request in all {
            self.submit_to_leader(request, out);
        }
    }

    /// Up to date with the next leader: everything unanswered goes to it.
    pub fn resend(&mut self, out: &mut Effects) {
        out.forward.clear();
        self.forget_gone(out);
        self.upstream.again(&mut out.forward);
    }

    /// What clients asked that have gone is not asked again. A session whose opening was among it,
    /// or is in nobody's hands, will never be the ensemble's.
    fn forget_gone(&mut self, out: &mut Effects) {
        self.upstream.forget_gone();
        let asked = self.upstream.openings();
        let all = std::mem::take(&mut self.opening);
        let (opening, mut lost): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|s| asked.contains(s));
        self.opening.extend(opening);
        lost.sort_unstable();
        for session in lost {
            self.sessions.remove(session);
            self.cut_off(session, self.tree.applied(), out);
        }
    }

    /// Leads from `opening` on, the place behind which the first transaction comes. Sessions get
    /// their whole time again. Their clients are where the leader before said, or nobody knows; then
    /// they are here if they have a connection, and else where they ask first.
    pub fn lead(&mut self, opening: Zxid, now: Now, out: &mut Effects) {
        out.forward.clear();
        self.options.role = Role::Leader;
        let me = QuorumVerifier::alone(self.options.server_id);
        self.zab = Broadcast::new(me, opening);
        let (tree, sessions) = (self.tree.clone(), self.sessions.clone());
        self.prep = Prep::new(tree, sessions.clone(), self.options.clone());
        self.throttler = Throttler::new(self.options.throttle.clone(), sessions);
        self.reaper = Reaper::new(&self.options, now);
        self.take_told();
        let (me, here) = (Owner::server(self.options.server_id), Owner::Here.number());
        self.sessions
            .restart(now.mono_ms, |session, told| match told {
                None => self.bound.contains_key(&session).then_some(here),
                told if told == me => Some(here),
                told => told,
            });
        self.forget_gone(out);
        let (requests, resuming) = self.upstream.take_all();
        for (op, local) in requests {
            let request = Request {
                owner: Owner::Here,
                session: local.session,
                xid: local.xid,
                op,
                body: local.body.as_ref().into(),
                ids: local.ids,
                origin: local.origin,
                received_ms: local.received_ms,
            };
            self.submit(request, now, out);
        }
        let mut closing: Vec<_> = self.upstream.closing.drain().collect();
        closing.sort_unstable_by_key(|(session, _)| *session);
        for (_, request) in closing {
            self.submit(request, now, out);
        }
        for (session, inbox, timeout) in resuming {
            let alive = self.sessions.get(session).filter(|s| !s.is_closing());
            match alive {
                Some(_) => self.attach(inbox, session, timeout, now, out),
                None => self.turn_away(&inbox, session, out),
            }
        }
    }

    /// A sync of a client of the leader: it takes its place among what is proposed, and is answered
    /// like a learner's.
    pub(super) fn sync_here(&mut self, request: Request, out: &mut Effects) {
        debug_assert_eq!(request.op, OpCode::Sync);
        self.forward(request, None, out);
    }
}

#[cfg(test)]
#[path = "turn_tests.rs"]
mod tests;
