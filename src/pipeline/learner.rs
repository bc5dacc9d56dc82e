//! A learner's part of the line: its clients' writes go to the leader, and what the leader decides
//! comes back (Apache: `FollowerRequestProcessor`, `CommitProcessor`, `LearnerSessionTracker`).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::hash::{Map, Set};
use crate::base::{Id, SessionId};
use crate::jute::{Input as Bytes, Output};
use crate::proto::txn::{Entry, Txn};
use crate::proto::{Code, OpCode};
use crate::tree::Inbox;

use super::event::{Effects, Forward, Now, Request};
use super::reply::frame;
use super::server::Server;

/// A client's request on its way to the leader and back, kept so that it can be sent to another one.
#[derive(Debug)]
pub(super) struct Local {
    /// Its place among all: they are sent again in this order.
    seq: u64,
    pub(super) session: SessionId,
    pub(super) xid: i32,
    op: OpCode,
    pub(super) body: Arc<[u8]>,
    pub(super) ids: Arc<[Id]>,
    pub(super) origin: Option<Arc<Inbox>>,
    pub(super) received_ms: i64,
    /// The answer, whatever the leader's transaction says.
    refused: Option<Code>,
}

impl Local {
    fn forward(&self) -> Forward {
        Forward::Request {
            session: self.session,
            xid: self.xid,
            op: self.op,
            body: self.body.clone(),
            ids: self.ids.clone(),
        }
    }
}

/// A client that wants to resume a session: its session, its connection, the timeout it gets, ms.
pub(super) type Resuming = (SessionId, Arc<Inbox>, i32);

/// What a learner has asked and not heard of.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    seq: u64,
    writes: Map<SessionId, VecDeque<Local>>,
    count: usize,
    syncs: VecDeque<Local>,
    resuming: Map<SessionId, VecDeque<(Arc<Inbox>, i32)>>,
    /// Local sessions that end once what they asked before is answered.
    pub(super) closing: Map<SessionId, Request>,
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

    /// Something of this session is on its way.
    pub(super) fn has_of(&self, session: SessionId) -> bool {
        self.writes.contains_key(&session) || self.syncs.iter().any(|s| s.session == session)
    }

    fn answered(&mut self, session: SessionId) -> Option<(Arc<Inbox>, i32)> {
        let waiting = self.resuming.get_mut(&session)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.resuming.remove(&session);
        }
        first
    }

    fn put(&mut self, request: Request, refused: Option<Code>) -> Forward {
        self.seq += 1;
        let local = Local {
            seq: self.seq,
            session: request.session,
            xid: request.xid,
            op: request.op,
            body: request.body.into(),
            ids: request.ids,
            origin: request.origin,
            received_ms: request.received_ms,
            refused,
        };
        let forward = local.forward();
        if local.op == OpCode::Sync {
            self.syncs.push_back(local);
        } else {
            self.count += 1;
            let queue = self.writes.entry(local.session).or_default();
            queue.push_back(local);
        }
        forward
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

    /// What clients asked that have gone since: they may have asked again elsewhere, and another
    /// leader does not know that it must not do this any more.
    pub(super) fn forget_gone(&mut self) {
        let here = |l: &mut Local| l.origin.as_ref().is_none_or(|inbox| !inbox.is_closed());
        for queue in self.writes.values_mut() {
            queue.retain_mut(here);
        }
        self.writes.retain(|_, queue| !queue.is_empty());
        self.count = self.writes.values().map(VecDeque::len).sum();
        self.syncs.retain_mut(here);
    }

    /// The openings of sessions that are on their way.
    pub(super) fn openings(&self) -> Set<SessionId> {
        let all = self.writes.values().flatten();
        all.filter(|l| l.op == OpCode::CreateSession)
            .map(|l| l.session)
            .collect()
    }

    /// Everything unanswered once more, in the order in which it came.
    pub(super) fn again(&self, out: &mut Vec<Forward>) {
        let mut all: Vec<_> = self.writes.values().flatten().chain(&self.syncs).collect();
        all.sort_unstable_by_key(|l| l.seq);
        out.extend(all.into_iter().map(Local::forward));
        let mut resuming: Vec<_> = self.resuming.iter().collect();
        resuming.sort_unstable_by_key(|(session, _)| **session);
        for (session, waiting) in resuming {
            let ask = |(_, timeout): &(_, i32)| Forward::Revalidate(*session, *timeout);
            out.extend(waiting.iter().map(ask));
        }
    }

    /// Who wants to resume.
    pub(super) fn take_resuming(&mut self) -> Vec<Resuming> {
        let mut resuming: Vec<Resuming> = Vec::new();
        for (session, waiting) in std::mem::take(&mut self.resuming) {
            resuming.extend(
                waiting
                    .into_iter()
                    .map(|(i, timeout)| (session, i, timeout)),
            );
        }
        // Stable: two of one session stay in order.
        resuming.sort_by_key(|(session, ..)| *session);
        resuming
    }

    /// Everything unanswered, in the order in which it came, and who wants to resume.
    pub(super) fn take_all(&mut self) -> (Vec<(OpCode, Local)>, Vec<Resuming>) {
        let resuming = self.take_resuming();
        let all = std::mem::take(self);
        self.seq = all.seq;
        self.closing = all.closing;
        let writes = all.writes.into_values().flatten();
        let mut requests: Vec<_> = writes.chain(all.syncs).map(|l| (l.op, l)).collect();
        requests.sort_unstable_by_key(|(_, l)| l.seq);
        (requests, resuming)
    }
}

impl Server {
    /// Hands a client's request to the leader.
    pub(super) fn forward(&mut self, request: Request, refused: Option<Code>, out: &mut Effects) {
        let forward = self.upstream.put(request, refused);
        out.forward.push(forward);
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
        let (origin, xid, op, refused) = match local {
            Some(l) => (l.origin, l.xid, l.op, l.refused),
            None => (None, 0, OpCode::Error, None),
        };
        match refused {
            None => self.apply_one(&entry, origin, xid, op, now, out),
            Some(code) => {
                self.apply_one(&entry, None, xid, op, now, out);
                self.answer(origin.as_ref(), entry.zxid(), out, |frames| {
                    frame(frames, xid, entry.zxid(), code as i32, |_| {});
                });
            }
        }
        self.close_waiting(entry.session(), out);
    }

    /// Everything the leader had committed when it met our oldest sync is applied here.
    pub(super) fn synced(&mut self, out: &mut Effects) {
        let Some(sync) = self.upstream.syncs.pop_front() else {
            return;
        };
        let zxid = self.tree.applied();
        let session = sync.session;
        let mut body = Bytes::with_limit(&sync.body, self.options.value_max);
        let path = body.string().ok().flatten();
        self.answer(sync.origin.as_ref(), zxid, out, |reply| {
            frame(reply, sync.xid, zxid, 0, |out| {
                out.string(path.as_deref());
            });
        });
        self.close_waiting(session, out);
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
            .filter(|s| s.touched() >= since_ms && !s.is_local())
            .map(|s| (s.id, s.timeout()))
            .collect();
        touched.sort_unstable();
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;
    use crate::pipeline::Owner;

    fn asked(upstream: &mut Upstream, inbox: &Arc<Inbox>, session: i64, xid: i32, op: OpCode) {
        let request = Request {
            owner: Owner::Here,
            session: SessionId(session),
            xid,
            op,
            body: (&[][..]).into(),
            ids: inbox.identities(),
            origin: Some(inbox.clone()),
            received_ms: 0,
        };
        upstream.put(request, None);
    }

    /// Found by the simulator: the client had moved on, and its old write came behind a later one.
    #[test]
    fn what_gone_clients_asked_is_not_sent_to_the_next_leader() {
        let inbox = |n| Inbox::new(ConnId(n), vec![], Arc::new(|_, _| true));
        let (gone, here) = (inbox(1), inbox(2));
        let mut upstream = Upstream::default();
        asked(&mut upstream, &gone, 1, 7, OpCode::SetData);
        asked(&mut upstream, &gone, 1, 8, OpCode::Sync);
        asked(&mut upstream, &here, 2, 9, OpCode::SetData);
        gone.close();
        upstream.forget_gone();
        let mut out = Vec::new();
        upstream.again(&mut out);
        let xids: Vec<_> = out
            .iter()
            .map(|f| match f {
                Forward::Request { xid, .. } => *xid,
                Forward::Revalidate(..) => -1,
            })
            .collect();
        assert_eq!((xids, upstream.len()), (vec![9], 1));
        assert!(!upstream.has_of(SessionId(1)));
    }
}
