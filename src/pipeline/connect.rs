//! Opening and resuming sessions (Apache: `ZooKeeperServer.processConnectRequest`,
//! `reopenSession`, `finishSessionInit`).

use std::sync::Arc;

use crate::base::SessionId;
use crate::jute::Output;
use crate::proto::OpCode;
use crate::session::password_of;
use crate::telemetry::metrics::METRICS;
use crate::tree::inbox::Connected;
use crate::tree::{Inbox, Item};

use super::event::{ConnectRequest, Effects, Forward, Now, Owner, Request, Role};
use super::server::Server;

impl Server {
    pub(super) fn connect(&mut self, r: ConnectRequest, now: Now, out: &mut Effects) {
        let (min, max) = self.options.session_timeout_ms;
        let timeout = r.timeout.max(min).min(max);
        if self.options.role == Role::ReadOnly {
            return self.connect_read_only(r, timeout, now, out);
        }
        match r.session {
            SessionId::NONE if self.options.local_sessions => {
                self.open_local(&r.inbox, timeout, now, out);
            }
            SessionId::NONE => self.open(r.inbox, timeout, now, out),
            session => self.resume(r.inbox, session, &r.password, timeout, now, out),
        }
    }

    /// The new session counts from now; its client hears of it when its transaction is durable.
    fn open(&mut self, inbox: Arc<Inbox>, timeout: i32, now: Now, out: &mut Effects) {
        let session = self.take_session_id();
        self.sessions.track(session, timeout, now.mono_ms);
        self.bound.insert(session, inbox.clone());
        self.opening.insert(session);
        let mut body = Vec::with_capacity(4);
        body.int(timeout);
        if let Some(s) = self.sessions.get(session) {
            s.set_owner(Owner::Here.number());
        }
        let request = Request {
            owner: Owner::Here,
            session,
            xid: 0,
            op: OpCode::CreateSession,
            body: body.into(),
            ids: inbox.identities(),
            origin: Some(inbox),
            received_ms: now.mono_ms,
        };
        self.submit(request, now, out);
    }

    pub(super) fn take_session_id(&mut self) -> SessionId {
        let next = SessionId(self.next_session.0.wrapping_add(1));
        std::mem::replace(&mut self.next_session, next)
    }

    /// Password and liveness come first: a stranger must not cut off the owner.
    ///
    /// Differs: Apache closes the connection that has the session before it looks at the password.
    fn resume(
        &mut self,
        inbox: Arc<Inbox>,
        session: SessionId,
        password: &[u8],
        timeout: i32,
        now: Now,
        out: &mut Effects,
    ) {
        METRICS.connection_revalidate_count.inc();
        if password != password_of(session) {
            return self.turn_away(&inbox, session, out);
        }
        if self.options.role == Role::Learner && !self.sessions.is_local(session) {
            self.upstream.asked(session, inbox, timeout);
            out.forward.push(Forward::Revalidate(session, timeout));
            return;
        }
        // The next leader may know already who has which session.
        if self.is_holding() && !self.sessions.is_local(session) {
            return self.upstream.asked(session, inbox, timeout);
        }
        self.resume_here(inbox, session, timeout, now, out);
    }

    /// This server knows whether the session lives.
    pub(super) fn resume_here(
        &mut self,
        inbox: Arc<Inbox>,
        session: SessionId,
        timeout: i32,
        now: Now,
        out: &mut Effects,
    ) {
        let alive = self.sessions.get(session).filter(|s| !s.is_closing());
        match alive {
            Some(_) => self.attach(inbox, session, timeout, now, out),
            None => self.turn_away(&inbox, session, out),
        }
    }

    pub(super) fn turn_away(&self, inbox: &Arc<Inbox>, session: SessionId, out: &mut Effects) {
        tracing::info!(
            target: "o.a.z.s.ZooKeeperServer",
            "Invalid session {session} for client, probably expired"
        );
        self.tell_connected(inbox, SessionId::NONE, 0, out);
        self.push(inbox, Item::Close(self.tree.applied()), out);
    }

    /// The session goes on here.
    pub(super) fn attach(
        &mut self,
        inbox: Arc<Inbox>,
        session: SessionId,
        timeout: i32,
        now: Now,
        out: &mut Effects,
    ) {
        // The leader knows it, and its createSession has not come here: it may never be decided, and
        // then the session is nobody's.
        if self.options.role == Role::Learner && self.sessions.get(session).is_none() {
            self.opening.insert(session);
        }
        self.sessions
            .track(session, timeout, now.mono_ms)
            .set_owner(Owner::Here.number());
        self.owners.note(session);
        if let Some(old) = self.bound.insert(session, inbox.clone())
            && old.id != inbox.id
        {
            self.push(&old, Item::Close(self.tree.applied()), out);
        }
        self.tell_connected(&inbox, session, timeout, out);
    }

    pub(super) fn tell_connected(
        &self,
        inbox: &Arc<Inbox>,
        session: SessionId,
        timeout: i32,
        out: &mut Effects,
    ) {
        let password = match session {
            SessionId::NONE => [0; 16],
            s => password_of(s),
        };
        let zxid = self.tree.applied();
        self.push(
            inbox,
            Item::Connected(
                zxid,
                Connected {
                    session,
                    timeout,
                    password,
                },
            ),
            out,
        );
    }

    pub(super) fn push(&self, inbox: &Arc<Inbox>, item: Item, out: &mut Effects) {
        if inbox.push(item) {
            out.wakes.push(inbox.clone());
        }
    }

    /// A connection is gone; its session lives on until it expires.
    pub(super) fn gone(&mut self, inbox: &Arc<Inbox>, session: SessionId) {
        if self.bound.get(&session).is_some_and(|b| b.id == inbox.id) {
            self.bound.remove(&session);
        }
    }
}
