//! Sessions that only their server knows: opened and closed without a transaction, and made
//! everybody's when they create an ephemeral node (Apache: `LocalSessionTracker`,
//! `QuorumZooKeeperServer.checkUpgradeSession`, `LeaderSessionTracker`).

use std::sync::Arc;

use crate::base::SessionId;
use crate::jute::{Input as Bytes, Jute, Output};
use crate::proto::request::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, MultiHeader,
    SetDataRequest,
};
use crate::proto::{Code, OpCode};
use crate::session::SessionKind;
use crate::telemetry::metrics::METRICS;
use crate::tree::Inbox;

use super::event::{Effects, Now, Owner, Request, Role};
use super::prep::{Context, Prep};
use super::reply::frame;
use super::server::{Pending, Server, internal};

/// The flags of a create say ephemeral, sequential or not.
pub(super) fn is_ephemeral(flags: i32) -> bool {
    matches!(flags, 1 | 3)
}

/// True for a request that a local session may not make: create or create2 of an ephemeral node,
/// alone or in a multi. What cannot be read is somebody else's to refuse.
fn wants_ephemeral(op: OpCode, body: &[u8], value_max: usize) -> bool {
    let mut input = Bytes::with_limit(body, value_max);
    match op {
        OpCode::Create | OpCode::Create2 => flags_of(&mut input).is_some_and(is_ephemeral),
        OpCode::Multi => multi_wants(&mut input).unwrap_or(false),
        _ => false,
    }
}

fn flags_of(input: &mut Bytes<'_>) -> Option<i32> {
    CreateRequest::decode(input).ok().map(|r| r.flags)
}

fn multi_wants(input: &mut Bytes<'_>) -> Option<bool> {
    let mut found = false;
    loop {
        let header = MultiHeader::decode(input).ok()?;
        if header.done {
            return Some(found);
        }
        match OpCode::of(header.op)? {
            OpCode::Create | OpCode::Create2 => found |= is_ephemeral(flags_of(input)?),
            OpCode::CreateContainer => drop(flags_of(input)?),
            OpCode::CreateTtl => drop(CreateTtlRequest::decode(input).ok()?),
            OpCode::Delete => drop(DeleteRequest::decode(input).ok()?),
            OpCode::SetData => drop(SetDataRequest::decode(input).ok()?),
            OpCode::Check => drop(CheckVersionRequest::decode(input).ok()?),
            _ => return None,
        }
    }
}

impl Server {
    /// A new session, known at once and to nobody else.
    pub(super) fn open_local(
        &mut self,
        inbox: &Arc<Inbox>,
        timeout: i32,
        now: Now,
        out: &mut Effects,
    ) {
        let session = self.take_session_id();
        self.sessions
            .track_local(session, timeout, now.mono_ms)
            .set_owner(Owner::Here.number());
        self.bound.insert(session, inbox.clone());
        METRICS.op_count_create_session.inc();
        METRICS.op_count_total.inc();
        self.tell_connected(inbox, session, timeout, out);
    }

    /// The end of a local session; everything it asked before is answered.
    pub(super) fn close_local(
        &mut self,
        origin: Option<&Arc<Inbox>>,
        session: SessionId,
        xid: i32,
        out: &mut Effects,
    ) {
        self.sessions.remove(session);
        let zxid = self.tree.applied();
        self.answer(origin, zxid, out, |frames| {
            frame(frames, xid, zxid, 0, |_| {})
        });
        self.cut_off(session, zxid, out);
    }

    /// A leader's own clients: what a local session asks may be done here, or make it global first.
    /// The request, if it is to be prepared.
    pub(super) fn screen_local(
        &mut self,
        request: Request,
        now: Now,
        out: &mut Effects,
    ) -> Option<Request> {
        let here = self.options.local_sessions && request.owner == Owner::Here;
        if !here || !self.sessions.is_local(request.session) {
            return Some(request);
        }
        if request.op == OpCode::CloseSession {
            self.close_in_turn(request, out);
            return None;
        }
        if self.options.local_upgrading
            && self.wants_ephemeral(&request)
            && let Some(opening) = self.upgrade(&request)
        {
            self.prepare(opening, now, out);
        }
        Some(request)
    }

    /// A learner's clients: as [`Server::screen_local`], and the rest goes to the leader.
    pub(super) fn submit_to_leader(&mut self, request: Request, out: &mut Effects) {
        if !self.options.local_sessions || !self.sessions.is_local(request.session) {
            return self.forward(request, None, out);
        }
        if request.op == OpCode::CloseSession {
            return self.close_in_turn(request, out);
        }
        let mut refused = None;
        if self.wants_ephemeral(&request) {
            match self.options.local_upgrading {
                true => {
                    if let Some(opening) = self.upgrade(&request) {
                        self.forward(opening, None, out);
                    }
                }
                // The leader calls the session expired; the client hears the true reason, except
                // in a multi.
                false => refused = Some(Code::EphemeralOnLocalSession),
            }
        }
        let refused = refused.filter(|_| request.op != OpCode::Multi);
        self.forward(request, refused, out);
    }

    fn close_in_turn(&mut self, request: Request, out: &mut Effects) {
        let session = request.session;
        self.upstream.closing.entry(session).or_insert(request);
        self.close_waiting(session, out);
    }

    /// Ends a local session that waited for its last answer, if it was that.
    pub(super) fn close_waiting(&mut self, session: SessionId, out: &mut Effects) {
        if self.upstream.closing.is_empty() || self.upstream.has_of(session) {
            return;
        }
        let Some(request) = self.upstream.closing.remove(&session) else {
            return;
        };
        let (origin, xid) = (request.origin, request.xid);
        match self.options.role {
            // Behind what it has proposed.
            Role::Leader => self.zab.wait(Pending::CloseLocal {
                origin,
                session,
                xid,
            }),
            _ => self.close_local(origin.as_ref(), session, xid, out),
        }
    }

    fn wants_ephemeral(&self, request: &Request) -> bool {
        wants_ephemeral(request.op, &request.body, self.options.value_max)
    }

    /// The createSession that must go ahead of a request; none when its session is no local one.
    fn upgrade(&mut self, request: &Request) -> Option<Request> {
        let session = request.session;
        let kind = match self.options.role {
            Role::Leader => SessionKind::Global,
            _ => SessionKind::Upgrading,
        };
        let timeout = self.sessions.upgrade(session, kind)?;
        tracing::info!(
            target: "o.a.z.s.q.UpgradeableSessionTracker",
            "Upgrading session {session}"
        );
        self.opening.insert(session);
        let mut body = Vec::with_capacity(4);
        body.int(timeout);
        let received = Now {
            mono_ms: request.received_ms,
            wall_ms: 0,
        };
        Some(internal(
            session,
            OpCode::CreateSession,
            body.into(),
            received,
        ))
    }
}

impl Prep {
    /// A session that is not known here may be a local one of another server
    /// (Apache: `LeaderSessionTracker.checkSession`).
    ///
    /// Differs: Apache compares the id's high byte with its sign, and so takes local sessions of a
    /// leader with an id above 127 for those of another server.
    pub(super) fn may_be_elsewhere(&self, session: SessionId) -> bool {
        let high = (session.0 >> 56) & 0xff;
        self.options.local_sessions && high != self.options.server_id.0 & 0xff
    }

    /// Owners of ephemeral nodes are known to the whole ensemble
    /// (Apache: `PrepRequestProcessor.validateCreateRequest`).
    pub(super) fn check_global_session(&self, op: OpCode, ctx: &Context<'_>) -> Result<(), Code> {
        if ctx.session == SessionId::NONE {
            return Ok(());
        }
        match self.sessions.get(ctx.session).map(|s| s.kind()) {
            Some(SessionKind::Global) => self.check_session(ctx),
            Some(_)
                if ctx.owner == Owner::Here && matches!(op, OpCode::Create | OpCode::Create2) =>
            {
                Err(Code::EphemeralOnLocalSession)
            }
            _ => Err(Code::SessionExpired),
        }
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
