//! Indexes beside the tree: whose ephemerals there are, which nodes the reaper looks at.

use std::collections::BTreeSet;

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::base::hash::PathState;
use crate::base::{OwnerKind, SessionId, Thin};

/// Paths by their kind of owner. Written by the sequencer only.
#[derive(Debug, Default)]
pub(crate) struct Owned {
    by_session: DashMap<SessionId, BTreeSet<Thin>, PathState>,
    reaped: Mutex<BTreeSet<Thin>>,
}

impl Owned {
    pub(crate) fn add(&self, kind: OwnerKind, path: &Thin) {
        match kind {
            OwnerKind::Persistent => {}
            OwnerKind::Ephemeral(s) => {
                self.by_session.entry(s).or_default().insert(path.clone());
            }
            OwnerKind::Container | OwnerKind::Ttl(_) => {
                self.reaped.lock().insert(path.clone());
            }
        }
    }

    pub(crate) fn remove(&self, kind: OwnerKind, path: &[u8]) {
        match kind {
            OwnerKind::Persistent => {}
            OwnerKind::Ephemeral(s) => {
                let empty = self.by_session.get_mut(&s).is_some_and(|mut paths| {
                    paths.remove(path);
                    paths.is_empty()
                });
                if empty {
                    self.by_session.remove(&s);
                }
            }
            OwnerKind::Container | OwnerKind::Ttl(_) => {
                self.reaped.lock().remove(path);
            }
        }
    }

    /// Ephemerals of one session, sorted.
    pub(crate) fn of_session(&self, s: SessionId) -> Vec<Thin> {
        self.by_session
            .get(&s)
            .map(|p| p.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Sessions that own ephemerals, sorted.
    pub(crate) fn sessions(&self) -> Vec<SessionId> {
        let mut all: Vec<_> = self.by_session.iter().map(|e| *e.key()).collect();
        all.sort_unstable();
        all
    }

    /// How many ephemerals there are.
    pub(crate) fn count(&self) -> usize {
        self.by_session.iter().map(|e| e.value().len()).sum()
    }

    /// Containers and TTL nodes, sorted.
    pub(crate) fn reaped(&self) -> Vec<Thin> {
        self.reaped.lock().iter().cloned().collect()
    }
}
