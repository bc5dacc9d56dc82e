//! Which sessions live and when they die (Apache: `SessionTrackerImpl`, `ExpiryQueue`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::base::hash::PathState;
use crate::base::{ServerId, SessionId};

use super::kind::{KindCounts, SessionKind};

/// A live session. Connections touch it on their own threads; only the sequencer ends it.
#[derive(Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    timeout: AtomicI32,
    touched: AtomicI64,
    closing: AtomicBool,
    /// Key of the bucket that holds its one valid entry; others are left over.
    filed: AtomicI64,
    /// Where its client is connected: 0 nobody knows, else see [`Session::owner`].
    owner: AtomicU64,
    pub(super) kind: AtomicU8,
    /// Timeout of its createSession transaction, ms: what snapshots store.
    pub created_timeout: i32,
}

impl Session {
    /// Negotiated timeout, ms.
    pub fn timeout(&self) -> i32 {
        self.timeout.load(Ordering::Relaxed)
    }

    /// Notes a sign of life at `now` (monotonic ms): one relaxed store.
    pub fn touch(&self, now: i64) {
        self.touched.store(now, Ordering::Relaxed);
    }

    /// The last sign of life, monotonic ms.
    pub fn touched(&self) -> i64 {
        self.touched.load(Ordering::Relaxed)
    }

    /// Number of whoever its client is connected to; `None` until it is known
    /// (Apache: `SessionImpl.owner`).
    pub fn owner(&self) -> Option<u64> {
        Some(self.owner.load(Ordering::Relaxed)).filter(|o| *o != 0)
    }

    /// Its client is connected to `owner`, which is not 0.
    pub fn set_owner(&self, owner: u64) {
        self.owner.store(owner, Ordering::Relaxed);
    }

    /// True once its close is on the way; it takes no more requests.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Its end is on the way.
    pub fn set_closing(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(super) fn deadline(&self, tick: i64) -> i64 {
        let until = self.touched.load(Ordering::Relaxed) + i64::from(self.timeout());
        (until / tick + 1) * tick
    }
}

/// All sessions, and the buckets in which they expire.
///
/// A touch does not move a session between buckets: when a bucket falls due, those touched since
/// are put where they belong now. So a heartbeat costs nothing here.
#[derive(Debug)]
pub struct SessionTracker {
    pub(super) sessions: DashMap<SessionId, Arc<Session>, PathState>,
    /// Of the sessions of the whole ensemble; empty at a learner, whose leader ends them.
    buckets: Mutex<Buckets>,
    /// Of those of this server only.
    local_buckets: Mutex<Buckets>,
    pub(super) counts: KindCounts,
    pub(super) tick: i64,
    learner: AtomicBool,
}

/// Who may fall due at each moment.
type Buckets = BTreeMap<i64, Vec<SessionId>>;

impl SessionTracker {
    /// No sessions; deadlines lie on multiples of `tick_ms`.
    pub fn new(tick_ms: i64) -> Self {
        Self {
            sessions: DashMap::default(),
            buckets: Mutex::default(),
            local_buckets: Mutex::default(),
            counts: KindCounts::default(),
            tick: tick_ms.max(1),
            learner: AtomicBool::new(false),
        }
    }

    /// The tracker of a learner: the sessions of the whole ensemble are ended by its leader, and
    /// never fall due here (Apache: `LearnerSessionTracker`).
    pub fn of_learner(tick_ms: i64) -> Self {
        Self {
            learner: AtomicBool::new(true),
            ..Self::new(tick_ms)
        }
    }

    /// Starts tracking a session of the whole ensemble, or changes the timeout of one of any kind.
    pub fn track(&self, id: SessionId, timeout: i32, now: i64) -> Arc<Session> {
        self.track_as(SessionKind::Global, id, timeout, now)
    }

    pub(super) fn track_as(
        &self,
        kind: SessionKind,
        id: SessionId,
        timeout: i32,
        now: i64,
    ) -> Arc<Session> {
        if let Some(known) = self.get(id) {
            known.timeout.store(timeout, Ordering::Relaxed);
            known.touch(now);
            self.file(&known);
            return known;
        }
        let session = Arc::new(Session {
            id,
            timeout: AtomicI32::new(timeout),
            touched: AtomicI64::new(now),
            closing: AtomicBool::new(false),
            filed: AtomicI64::new(i64::MIN),
            owner: AtomicU64::new(0),
            kind: AtomicU8::new(kind as u8),
            created_timeout: timeout,
        });
        self.sessions.insert(id, session.clone());
        self.counts.came(kind);
        self.file(&session);
        session
    }

    /// Another reign begins: every session lives, has its whole time from `now` on, and its client is
    /// where `owner` says, who gets the owner noted so far.
    pub fn restart(&self, now: i64, owner: impl Fn(SessionId, Option<u64>) -> Option<u64>) {
        self.learner.store(false, Ordering::Relaxed);
        let all: Vec<_> = self.sessions.iter().map(|s| s.value().clone()).collect();
        for session in all {
            session.closing.store(false, Ordering::Release);
            session.touch(now);
            let number = owner(session.id, session.owner()).unwrap_or(0);
            session.owner.store(number, Ordering::Relaxed);
            // What is on its way to be everybody's goes this server's own way now.
            if session.kind() == SessionKind::Upgrading {
                self.settle(session.id);
            }
            self.file_anew(&session);
        }
    }

    /// The ends that were on their way are not any more, and another server decides about new ones
    /// of sessions that are not local. `owner` says how to note the owner from now on.
    pub fn reopen(&self, owner: impl Fn(u64) -> u64) {
        self.learner.store(true, Ordering::Relaxed);
        self.buckets.lock().clear();
        let all: Vec<_> = self.sessions.iter().map(|s| s.value().clone()).collect();
        for session in all {
            session.closing.store(false, Ordering::Release);
            if let Some(known) = session.owner() {
                session.set_owner(owner(known));
            }
            self.file_anew(&session);
        }
    }

    fn file(&self, session: &Session) {
        let deadline = session.deadline(self.tick);
        let buckets = match session.kind() {
            SessionKind::Local => &self.local_buckets,
            SessionKind::Global if !self.learner.load(Ordering::Relaxed) => &self.buckets,
            SessionKind::Global | SessionKind::Upgrading => return,
        };
        if session.filed.swap(deadline, Ordering::Relaxed) != deadline {
            buckets.lock().entry(deadline).or_default().push(session.id);
        }
    }

    /// A session changed its kind: what it was filed under says nothing any more.
    pub(super) fn file_anew(&self, session: &Session) {
        session.filed.store(i64::MIN, Ordering::Relaxed);
        self.file(session);
    }

    /// The session, if it lives (a closing one still does).
    pub fn get(&self, id: SessionId) -> Option<Arc<Session>> {
        self.sessions.get(&id).map(|s| s.clone())
    }

    /// Forgets a session; its bucket entry is dropped when it falls due.
    pub fn remove(&self, id: SessionId) {
        if let Some((_, session)) = self.sessions.remove(&id) {
            self.counts.went(session.kind());
        }
    }

    /// Sessions of the whole ensemble whose time is over at `now`, ascending; they are marked as
    /// closing.
    pub fn expire(&self, now: i64) -> Vec<SessionId> {
        self.expire_of(SessionKind::Global, &self.buckets, now)
    }

    /// As [`SessionTracker::expire`], of the sessions of this server only.
    pub fn expire_local(&self, now: i64) -> Vec<SessionId> {
        self.expire_of(SessionKind::Local, &self.local_buckets, now)
    }

    fn expire_of(&self, kind: SessionKind, buckets: &Mutex<Buckets>, now: i64) -> Vec<SessionId> {
        let mut expired = Vec::new();
        let mut buckets = buckets.lock();
        while let Some(due) = buckets.first_entry().filter(|e| *e.key() <= now) {
            let (key, ids) = due.remove_entry();
            for id in ids {
                let Some(session) = self.get(id).filter(|s| !s.is_closing()) else {
                    continue;
                };
                if session.filed.load(Ordering::Relaxed) != key || session.kind() != kind {
                    continue;
                }
                let deadline = session.deadline(self.tick);
                if deadline <= now {
                    session.set_closing();
                    expired.push(id);
                } else {
                    session.filed.store(deadline, Ordering::Relaxed);
                    buckets.entry(deadline).or_default().push(id);
                }
            }
        }
        expired.sort_unstable();
        expired.dedup();
        expired
    }

    /// When to look again, monotonic ms.
    pub fn next_deadline(&self) -> Option<i64> {
        self.buckets.lock().keys().next().copied()
    }

    /// When to look for local sessions again, monotonic ms.
    pub fn next_local_deadline(&self) -> Option<i64> {
        self.local_buckets.lock().keys().next().copied()
    }

    /// How many sessions of the whole ensemble live.
    pub fn len(&self) -> usize {
        let others = self.counts.local() + self.counts.upgrading();
        self.sessions.len().saturating_sub(others)
    }

    /// True when none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every session of the whole ensemble with the timeout it was created with, ascending.
    pub fn all(&self) -> Vec<(SessionId, i32)> {
        let mut all: Vec<_> = self
            .sessions
            .iter()
            .filter(|s| s.is_global())
            .map(|s| (*s.key(), s.created_timeout))
            .collect();
        all.sort_unstable();
        all
    }

    /// Sessions of a kind by the deadline they have now, as `dump` shows them.
    pub fn by_deadline(&self, kind: SessionKind) -> BTreeMap<i64, Vec<SessionId>> {
        let mut sets: BTreeMap<i64, Vec<SessionId>> = BTreeMap::new();
        for s in self.sessions.iter().filter(|s| s.kind() == kind) {
            sets.entry(s.deadline(self.tick))
                .or_default()
                .push(*s.key());
        }
        sets.values_mut().for_each(|ids| ids.sort_unstable());
        sets
    }
}

/// The first session id of a run: the server's id on top, then the low bits of a clock, then room
/// to count (Apache: `SessionTrackerImpl.initializeNextSessionId`).
pub fn first_session_id(server: ServerId, clock_ms: i64) -> SessionId {
    let clock = ((clock_ms << 24) as u64 >> 8) as i64;
    let id = clock | (server.0 << 56);
    SessionId(if id == i64::MIN { id + 1 } else { id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dies_on_the_tick_behind_its_timeout() {
        let t = SessionTracker::new(2000);
        t.track(SessionId(1), 4000, 100);
        assert_eq!(t.next_deadline(), Some(6000));
        assert!(t.expire(5999).is_empty());
        assert_eq!(t.expire(6000), [SessionId(1)]);
        assert!(t.get(SessionId(1)).is_some_and(|s| s.is_closing()));
        assert!(t.expire(100_000).is_empty(), "expires once");
    }

    #[test]
    fn a_touch_moves_the_deadline() {
        let t = SessionTracker::new(2000);
        let s = t.track(SessionId(1), 4000, 0);
        s.touch(3000);
        assert!(t.expire(6000).is_empty());
        assert_eq!(t.next_deadline(), Some(8000));
        assert_eq!(t.expire(8000), [SessionId(1)]);
    }

    #[test]
    fn a_new_timeout_counts_from_the_reattach() {
        let t = SessionTracker::new(1000);
        t.track(SessionId(1), 30_000, 0);
        t.track(SessionId(1), 2000, 500);
        assert_eq!(t.expire(3000), [SessionId(1)]);
    }

    #[test]
    fn a_new_reign_gives_everybody_time() {
        let t = SessionTracker::new(1000);
        for (id, owner) in [(1, 7), (2, 8)] {
            t.track(SessionId(id), 2000, 0).set_owner(owner);
        }
        assert_eq!(t.expire(3000), [SessionId(1), SessionId(2)]);
        t.restart(3100, |s, known| {
            known.filter(|_| s == SessionId(2)).map(|o| o - 7)
        });
        let owner = |id| t.get(SessionId(id)).and_then(|s| s.owner());
        assert_eq!((owner(1), owner(2)), (None, Some(1)));
        assert!(t.expire(5999).is_empty());
        assert_eq!(t.expire(6000), [SessionId(1), SessionId(2)]);
        t.reopen(|o| o + 4);
        assert_eq!((owner(1), owner(2)), (None, Some(5)));
        assert!(t.get(SessionId(1)).is_some_and(|s| !s.is_closing()));
    }

    #[test]
    fn ids_carry_the_server() {
        assert_eq!(
            first_session_id(ServerId(1), 0x016a_ea10).0,
            0x0100_016a_ea10_0000
        );
    }
}
