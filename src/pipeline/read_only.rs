//! A member without a quorum: reads only, for clients that said that this is enough
//! (Apache: `ReadOnlyZooKeeperServer`, `ReadOnlyRequestProcessor`).

use std::sync::Arc;

use crate::base::SessionId;
use crate::proto::{Code, OpCode};
use crate::session::password_of;
use crate::telemetry::metrics::METRICS;
use crate::tree::{Inbox, Item};

use super::event::{ConnectRequest, Effects, Now, Request};
use super::reply::frame;
use super::server::Server;

impl Server {
    /// New sessions are local, if there may be such; those of the ensemble cannot go on here.
    pub(super) fn connect_read_only(
        &mut self,
        r: ConnectRequest,
        timeout: i32,
        now: Now,
        out: &mut Effects,
    ) {
        if r.session == SessionId::NONE {
            match self.options.local_sessions {
                true => self.open_local(&r.inbox, timeout, now, out),
                false => self.refuse_read_only(Some(&r.inbox), 0, out),
            }
            return;
        }
        let known = self.sessions.get(r.session);
        if known.as_ref().is_some_and(|s| s.is_global()) {
            tracing::info!(
                target: "o.a.z.s.q.ReadOnlyZooKeeperServer",
                "Refusing global session reconnection in RO mode {}", r.session
            );
            return self.push(&r.inbox, Item::Close(self.tree.applied()), out);
        }
        METRICS.connection_revalidate_count.inc();
        if *r.password != password_of(r.session) {
            return self.turn_away(&r.inbox, r.session, out);
        }
        match known {
            Some(s) if !s.is_closing() => {}
            // Without local sessions Apache has nothing to look such a session up in, and takes it.
            None if !self.options.local_sessions => {
                self.sessions.track_local(r.session, timeout, now.mono_ms);
            }
            _ => return self.turn_away(&r.inbox, r.session, out),
        }
        self.attach(r.inbox, r.session, timeout, now, out);
    }

    /// Nothing is written; a local session may end.
    pub(super) fn submit_read_only(&mut self, request: Request, out: &mut Effects) {
        let ends = request.op == OpCode::CloseSession && self.sessions.is_local(request.session);
        // One that we end ourselves has no client to refuse it to.
        if ends && (self.options.local_sessions || request.origin.is_none()) {
            return self.close_local(request.origin.as_ref(), request.session, request.xid, out);
        }
        self.refuse_read_only(request.origin.as_ref(), request.xid, out);
    }

    /// To a connect request too: a frame that no client understands as an answer, as in Apache.
    fn refuse_read_only(&self, inbox: Option<&Arc<Inbox>>, xid: i32, out: &mut Effects) {
        let zxid = self.tree.applied();
        self.answer(inbox, zxid, out, |frames| {
            frame(frames, xid, zxid, Code::NotReadOnly as i32, |_| {});
        });
    }
}

#[cfg(test)]
#[path = "read_only_tests.rs"]
mod tests;
