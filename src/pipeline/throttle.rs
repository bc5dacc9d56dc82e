//! Which requests of clients may enter, and when (Apache: `RequestThrottler`, `Request.isStale`).
//!
//! Off, as it is by default, everything enters at once. On, at most `request_throttle_max_requests`
//! are in process and the others wait here in the order in which they came.
//!
//! Differs: reads are answered where they arrive and are never in process, so they do not wait here,
//! and none is answered -127; those behind a write of their session wait for its reply as always.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::SessionId;
use crate::config::RequestThrottle;
use crate::proto::OpCode;
use crate::session::SessionTracker;
use crate::telemetry::metrics::METRICS;
use crate::tree::Inbox;

use super::event::Request;

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It enters.
    Enter(Request),
    /// It waited too long: -127 in its place.
    TooLate(Request),
    /// It is stale and is not executed; nor is anything behind it, so its connection ends.
    Drop(Request),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Throttler {
    settings: RequestThrottle,
    sessions: Arc<SessionTracker>,
    /// Each with the time at which it came, monotonic ms.
    waiting: VecDeque<(Request, i64)>,
    in_process: usize,
    /// Set while the first request waits for room: when to look again, at the latest.
    stalled_until: Option<i64>,
}

impl Throttler {
    pub(super) fn new(settings: RequestThrottle, sessions: Arc<SessionTracker>) -> Self {
        Self {
            settings,
            sessions,
            waiting: VecDeque::new(),
            in_process: 0,
            stalled_until: None,
        }
    }

    /// True when requests may have to wait: then they go through [`Throttler::put`].
    pub(super) fn is_on(&self) -> bool {
        self.settings.max_requests > 0
    }

    /// A request waits for its turn.
    pub(super) fn put(&mut self, request: Request, now: i64) {
        self.waiting.push_back((request, now));
    }

    /// Those that wait, in order.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Request> {
        self.stalled_until = None;
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(r, _)| r)
    }

    /// A request that entered is answered.
    pub(super) fn finished(&mut self) {
        self.in_process = self.in_process.saturating_sub(1);
        self.stalled_until = None;
    }

    /// When [`Throttler::next`] must be asked again though nothing finished.
    pub(super) fn deadline(&self) -> Option<i64> {
        self.stalled_until
    }

    /// The next request of those that wait, if one may leave at `now`.
    pub(super) fn next(&mut self, now: i64) -> Option<Verdict> {
        if self.stalled_until.is_some_and(|at| now < at) {
            return None;
        }
        self.stalled_until = None;
        while let Some((request, since)) = self.waiting.pop_front() {
            if request.origin.as_ref().is_some_and(|o| o.is_invalid()) {
                continue;
            }
            if self.settings.drop_stale && self.is_stale_request(&request, now) {
                METRICS.stale_requests_dropped.inc();
                return Some(Verdict::Drop(request));
            }
            if self.in_process >= self.settings.max_requests as usize {
                METRICS.request_throttle_wait_count.inc();
                self.waiting.push_front((request, since));
                let stall = i64::from(self.settings.stall_time_ms).max(1);
                self.stalled_until = Some(now.saturating_add(stall));
                return None;
            }
            return Some(self.enter(request, now - since, now));
        }
        None
    }

    /// Counts a request in; it waited for `waited` ms.
    pub(super) fn enter(&mut self, request: Request, waited: i64, now: i64) -> Verdict {
        self.in_process += 1;
        if self.is_stale_request(&request, now) {
            METRICS.stale_requests.inc();
        }
        METRICS.request_throttle_queue_time_ms.record(waited);
        let exempt = matches!(request.op, OpCode::CloseSession | OpCode::CreateSession);
        match self.settings.throttled_op_wait_ms {
            Some(most) if !exempt && waited > i64::from(most) => {
                METRICS.throttled_ops.inc();
                Verdict::TooLate(request)
            }
            _ => Verdict::Enter(request),
        }
    }

    fn is_stale_request(&self, r: &Request, now: i64) -> bool {
        let origin = r.origin.as_ref();
        origin.is_some_and(|o| self.is_stale(o, r.op, r.session, r.received_ms, now))
    }

    /// Does nobody want this answer any more? The end of a session is never stale.
    pub(super) fn is_stale(
        &self,
        origin: &Inbox,
        op: OpCode,
        session: SessionId,
        since: i64,
        now: i64,
    ) -> bool {
        if op == OpCode::CloseSession {
            return false;
        }
        let gone = || origin.is_closed() || origin.is_invalid();
        let too_old = || {
            let timeout = self.sessions.get(session).map(|s| i64::from(s.timeout()));
            timeout.is_some_and(|timeout| now - since > timeout)
        };
        (self.settings.stale_connection_check && gone())
            || (self.settings.stale_latency_check && too_old())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;
    use crate::pipeline::ServerOptions;

    const SESSION: SessionId = SessionId(5);

    fn throttler(max_requests: u32) -> Throttler {
        let sessions = Arc::new(SessionTracker::new(1000));
        sessions.track(SESSION, 4000, 0);
        let settings = RequestThrottle {
            max_requests,
            ..ServerOptions::default().throttle
        };
        Throttler::new(settings, sessions)
    }

    fn inbox(n: u64) -> Arc<Inbox> {
        Inbox::new(ConnId(n), vec![], Arc::new(|_, _| true))
    }

    fn request(xid: i32, op: OpCode, origin: &Arc<Inbox>) -> Request {
        Request {
            owner: crate::pipeline::Owner::Here,
            session: SESSION,
            xid,
            op,
            body: Box::default(),
            ids: Arc::new([]),
            origin: Some(origin.clone()),
            received_ms: 100,
        }
    }

    /// What leaves at `now`, in order: xid, and E(ntered), L(ate) or D(ropped).
    fn leave(t: &mut Throttler, now: i64) -> Vec<(i32, char)> {
        std::iter::from_fn(|| t.next(now))
            .map(|verdict| match verdict {
                Verdict::Enter(r) => (r.xid, 'E'),
                Verdict::TooLate(r) => (r.xid, 'L'),
                Verdict::Drop(r) => {
                    r.origin.unwrap().set_invalid();
                    (r.xid, 'D')
                }
            })
            .collect()
    }

    #[test]
    fn no_more_than_allowed_are_in_process() {
        let (mut t, a) = (throttler(2), inbox(1));
        (1..=4).for_each(|xid| t.put(request(xid, OpCode::SetData, &a), 100));
        assert_eq!(leave(&mut t, 100), [(1, 'E'), (2, 'E')]);
        assert_eq!(t.deadline(), Some(200));
        assert_eq!(leave(&mut t, 150), [], "nothing has changed");
        t.finished();
        assert_eq!(leave(&mut t, 150), [(3, 'E')]);
        t.finished();
        t.finished();
        assert_eq!(leave(&mut t, 150), [(4, 'E')]);
        assert_eq!(t.deadline(), None);
    }

    #[test]
    fn who_waits_too_long_is_told_so_in_turn() {
        let (mut t, a) = (throttler(1), inbox(1));
        t.settings.throttled_op_wait_ms = Some(50);
        for (xid, op) in [
            (1, OpCode::Create),
            (2, OpCode::Create),
            (3, OpCode::Create),
            (4, OpCode::CloseSession),
        ] {
            t.put(request(xid, op, &a), 100);
        }
        assert_eq!(leave(&mut t, 100), [(1, 'E')]);
        t.finished();
        assert_eq!(leave(&mut t, 150), [(2, 'E')], "50 ms are not too long");
        t.finished();
        assert_eq!(leave(&mut t, 151), [(3, 'L')], "in process until told");
        t.finished();
        assert_eq!(leave(&mut t, 900), [(4, 'E')], "never the end of a session");
    }

    #[test]
    fn requests_of_closed_connections_are_dropped_while_others_pass() {
        let (mut t, a, b) = (throttler(1), inbox(1), inbox(2));
        t.put(request(1, OpCode::Create, &a), 100);
        t.put(request(2, OpCode::CloseSession, &a), 100);
        t.put(request(3, OpCode::Create, &b), 100);
        t.put(request(4, OpCode::CloseSession, &b), 100);
        a.close();
        let left = leave(&mut t, 100);
        assert_eq!(left, [(1, 'D'), (3, 'E')], "nothing behind a dropped one");
        t.finished();
        b.close();
        assert_eq!(leave(&mut t, 100), [(4, 'E')], "a session must end");
    }

    #[test]
    fn stale_ones_are_kept_when_told_so() {
        let (mut t, a) = (throttler(1), inbox(1));
        t.settings.drop_stale = false;
        t.put(request(1, OpCode::Create, &a), 100);
        a.close();
        assert_eq!(leave(&mut t, 100), [(1, 'E')]);
    }

    #[test]
    fn age_counts_when_it_is_asked_for() {
        let (mut t, a) = (throttler(1), inbox(1));
        let stale = |t: &Throttler, now| t.is_stale(&a, OpCode::Create, SESSION, 100, now);
        assert!(!stale(&t, 100_000));
        t.settings.stale_latency_check = true;
        assert!(!stale(&t, 4100) && stale(&t, 4101));
        t.put(request(1, OpCode::Create, &a), 100);
        assert_eq!(leave(&mut t, 5000), [(1, 'D')]);
        assert!(stale(&t, 100), "its connection is done with");
    }
}
