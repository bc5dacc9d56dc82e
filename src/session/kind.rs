//! Sessions of one server only, and how they become everybody's (Apache: `LocalSessionTracker`,
//! `UpgradeableSessionTracker`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::SessionId;

use super::tracker::{Session, SessionTracker};

/// Who knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionKind {
    /// The whole ensemble: it was opened by a transaction.
    Global,
    /// This server alone (`localSessionsEnabled`): it ends with the role.
    Local,
    /// This learner no longer, and the ensemble not yet: its transaction is on the way.
    Upgrading,
}

impl SessionKind {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::Local,
            2 => Self::Upgrading,
            _ => Self::Global,
        }
    }
}

/// How many sessions there are that are not global.
#[derive(Debug, Default)]
pub(super) struct KindCounts {
    local: AtomicUsize,
    upgrading: AtomicUsize,
}

impl KindCounts {
    fn cell(&self, kind: SessionKind) -> Option<&AtomicUsize> {
        match kind {
            SessionKind::Global => None,
            SessionKind::Local => Some(&self.local),
            SessionKind::Upgrading => Some(&self.upgrading),
        }
    }

    pub(super) fn came(&self, kind: SessionKind) {
        if let Some(cell) = self.cell(kind) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn went(&self, kind: SessionKind) {
        if let Some(cell) = self.cell(kind) {
            cell.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn local(&self) -> usize {
        self.local.load(Ordering::Relaxed)
    }

    pub(super) fn upgrading(&self) -> usize {
        self.upgrading.load(Ordering::Relaxed)
    }
}

impl Session {
    /// Who knows of it.
    pub fn kind(&self) -> SessionKind {
        SessionKind::of(self.kind.load(Ordering::Acquire))
    }

    /// The whole ensemble knows of it.
    pub fn is_global(&self) -> bool {
        self.kind() == SessionKind::Global
    }

    /// Only this server knows of it.
    pub fn is_local(&self) -> bool {
        self.kind() == SessionKind::Local
    }
}

impl SessionTracker {
    /// Opens a session of this server only.
    pub fn track_local(&self, id: SessionId, timeout: i32, now: i64) -> Arc<Session> {
        self.track_as(SessionKind::Local, id, timeout, now)
    }

    /// How many sessions of this server only live.
    pub fn local_len(&self) -> usize {
        self.counts.local()
    }

    /// True when the session lives and only this server knows of it.
    pub fn is_local(&self, id: SessionId) -> bool {
        self.get(id).is_some_and(|s| s.is_local())
    }

    /// A local session is to become everybody's: from now on it is `kind`. The timeout for its
    /// transaction; `None` when it is no local session.
    pub fn upgrade(&self, id: SessionId, kind: SessionKind) -> Option<i32> {
        let session = self.get(id).filter(|s| s.is_local())?;
        self.change(&session, kind);
        Some(session.created_timeout)
    }

    /// The session's transaction is applied: the whole ensemble knows of it.
    pub fn settle(&self, id: SessionId) {
        if let Some(session) = self.get(id).filter(|s| !s.is_global()) {
            self.change(&session, SessionKind::Global);
        }
    }

    fn change(&self, session: &Session, kind: SessionKind) {
        self.counts.went(session.kind());
        self.counts.came(kind);
        session.kind.store(kind as u8, Ordering::Release);
        self.file_anew(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SessionId = SessionId(7);

    #[test]
    fn local_ones_expire_by_themselves_and_are_not_among_all() {
        let t = SessionTracker::of_learner(1000);
        t.track(SessionId(1), 2000, 0);
        t.track_local(ID, 2000, 0);
        assert_eq!((t.len(), t.local_len()), (1, 1));
        assert_eq!(t.all(), [(SessionId(1), 2000)]);
        assert_eq!(t.next_deadline(), None, "the leader ends it");
        assert_eq!(t.next_local_deadline(), Some(3000));
        assert_eq!(t.expire_local(3000), [ID]);
        assert!(t.expire(100_000).is_empty());
        t.remove(ID);
        assert_eq!((t.len(), t.local_len()), (1, 0));
    }

    #[test]
    fn an_upgraded_one_is_the_ensembles_once_its_transaction_is_applied() {
        let t = SessionTracker::of_learner(1000);
        let session = t.track_local(ID, 2000, 0);
        assert_eq!(t.upgrade(ID, SessionKind::Upgrading), Some(2000));
        assert_eq!(t.upgrade(ID, SessionKind::Upgrading), None, "only once");
        assert_eq!((t.len(), t.local_len()), (0, 0));
        assert!(t.all().is_empty());
        assert!(t.expire_local(100_000).is_empty());
        t.settle(ID);
        assert_eq!((t.len(), t.local_len()), (1, 0));
        assert!(session.is_global(), "connections hold the same session");
    }

    #[test]
    fn a_leader_ends_the_upgraded_one_in_its_turn() {
        let t = SessionTracker::new(1000);
        t.track_local(ID, 2000, 0);
        t.upgrade(ID, SessionKind::Global);
        assert!(t.expire_local(3000).is_empty());
        assert_eq!(t.expire(3000), [ID]);
    }
}
