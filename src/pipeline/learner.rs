//! A learner's part of the line: its clients' writes go to the leader, and what the leader decides
//! comes back (Apache: `FollowerRequestProcessor`, `CommitProcessor`, `LearnerSessionTracker`).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::SessionId;
use crate::base::hash::Map;
use crate::jute::{Input as Bytes, Output};
use crate::proto::OpCode;
use crate::proto::txn::{Entry, Txn};
use crate::tree::{Inbox, Item};

use super::event::{Effects, Forward, Now, Request};
use super::reply::frame;
use super::server::Server;

/// A client's write on its way through the leader.
#[derive(Debug)]
struct Local {
    xid: i32,
    op: OpCode,
    origin: Option<Arc<Inbox>>,
}

/// A sync on its way to the leader and back.
#[derive(Debug)]
struct Sync {
    xid: i32,
    path: Option<String>,
    origin: Option<Arc<Inbox>>,
}

/// What a learner has asked and not heard of.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    writes: Map<SessionId, VecDeque<Local>>,
    count: usize,
    syncs: VecDeque<Sync>,
    resuming: Map<SessionId, VecDeque<(Arc<Inbox>, i32)>>,
}

impl Upstream {
    pub(super) fn len(&self) -> usize {
        self.count + self.syncs.len()
    }

    /// A client wants to resume a session here; the leader is being asked.
    pub(super) fn asked(&mut self, session: SessionId, inbox: Arc<Inbox>, timeout: i32) {
        let waiting = self.resuming.entry(session).or_default();
        waiting.push_back((inbox, timeout));
    }

    fn answered(&mut self, session: SessionId) -> Option<(Arc<Inbox>, i32)> {
        let waiting = self.resuming.get_mut(&session)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.resuming.remove(&session);
        }
        first
    }

    fn wrote(&mut self, session: SessionId, local: Local) {
        self.count += 1;
        self.writes.entry(session).or_default().push_back(local);
    }

    /// The write that a decided transaction answers: the oldest of its session, if it has its xid.
    fn take(&mut self, entry: &Entry<'_>) -> Option<Local> {
        let session = entry.session();
        let queue = self.writes.get_mut(&session)?;
        let opens = matches!(entry.txn, Txn::CreateSession(_));
        let local = queue.pop_front_if(|l| {
            l.xid == entry.header.cxid && opens == (l.op == OpCode::CreateSession)
        });
        if queue.is_empty() {
            self.writes.remove(&session);
        }
        self.count -= usize::from(local.is_some());
        local
    }
}

impl Server {
    /// Hands a client's request to the leader.
    pub(super) fn forward(&mut self, request: Request, out: &mut Effects) {
        if request.op == OpCode::Sync {
            let mut body = Bytes::with_limit(&request.body, self.options.value_max);
            let path = body.string().ok().flatten().map(|p| p.into_owned());
            self.upstream.syncs.push_back(Sync {
                xid: request.xid,
                path,
                origin: request.origin,
            });
        } else {
            let local = Local {
                xid: request.xid,
                op: request.op,
                origin: request.origin,
            };
            self.upstream.wrote(request.session, local);
        }
        out.forward.push(Forward::Request {
            session: request.session,
            xid: request.xid,
            op: request.op,
            body: request.body,
            ids: request.ids,
        });
    }

    /// The leader decided a transaction and our log has it.
    pub(super) fn decided(&mut self, bytes: &[u8], now: Now, out: &mut Effects) {
        let entry = Entry::decode(&mut Bytes::trusted(bytes))
            .expect("a transaction that was decoded before it was logged");
        let local = self.upstream.take(&entry);
        if let Txn::CreateSession(t) = &entry.txn
            && self.sessions.get(entry.session()).is_none()
        {
            self.sessions.track(entry.session(), t.timeout, now.mono_ms);
        }
        let (origin, xid, op) = match local {
            Some(l) => (l.origin, l.xid, l.op),
            None => (None, 0, OpCode::Error),
        };
        self.apply_one(&entry, origin, xid, op, now, out);
    }

    /// Everything the leader had committed when it met our oldest sync is applied here.
    pub(super) fn synced(&mut self, out: &mut Effects) {
        let Some(sync) = self.upstream.syncs.pop_front() else {
            return;
        };
        let zxid = self.tree.applied();
        if let Some(inbox) = &sync.origin {
            let mut reply = Vec::new();
            frame(&mut reply, sync.xid, zxid, 0, |out| {
                out.string(sync.path.as_deref());
            });
            self.push(inbox, Item::Reply(zxid, reply), out);
        }
    }

    /// The leader knows whether the session lives.
    pub(super) fn revalidated(
        &mut self,
        session: SessionId,
        valid: bool,
        now: Now,
        out: &mut Effects,
    ) {
        let Some((inbox, timeout)) = self.upstream.answered(session) else {
            return;
        };
        match valid {
            true => self.attach(inbox, session, timeout, now, out),
            false => self.turn_away(&inbox, session, out),
        }
    }

    /// Sessions with a connection here that showed life since `since_ms`, with their timeouts, for
    /// the leader's next PING.
    pub fn touched(&self, since_ms: i64) -> Vec<(SessionId, i32)> {
        let mut touched: Vec<_> = self
            .bound
            .keys()
            .filter_map(|id| self.sessions.get(*id))
            .filter(|s| s.touched() >= since_ms)
            .map(|s| (s.id, s.timeout()))
            .collect();
        touched.sort_unstable();
        touched
    }
}
