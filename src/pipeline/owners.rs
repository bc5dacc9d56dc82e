//! Where the clients of sessions are, when leadership moves: the leader tells the heir, as a write
//! that a server sends again for a client that has moved on must still be refused (SessionMoved).
//!
//! Most is told before writes are held, a part at a time; what changed meanwhile behind that. While
//! they are held nothing changes.

use std::collections::BTreeMap;

use crate::base::hash::{Map, Set};
use crate::base::{ServerId, SessionId};
use crate::proto::quorum::payload::{GONE, Owners, UNOWNED};

use super::event::{BY_ID, Owner};
use super::server::Server;

/// Sessions unknown here whose owners are kept: no more openings can be under way.
const UNKNOWN_MAX: usize = 1 << 16;

/// What is noted while owners are told, and of what was told.
#[derive(Debug, Default)]
pub(super) struct OwnerNotes {
    /// As leader: sessions whose owner may have changed since telling began.
    changed: Option<Set<SessionId>>,
    /// As heir: owners of sessions that are not open here yet.
    told: Map<SessionId, u64>,
}

impl OwnerNotes {
    /// The session's owner may have changed.
    pub(super) fn note(&mut self, session: SessionId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(session);
        }
    }
}

impl Server {
    /// Leadership is about to move: all sessions, ascending. From now on changes are noted.
    pub fn begin_telling(&mut self) -> Vec<SessionId> {
        self.owners.changed = Some(Set::default());
        self.sessions.all().into_iter().map(|(s, _)| s).collect()
    }

    /// Sessions whose owner may have changed since telling began, ascending; changes are not noted
    /// any more.
    pub fn end_telling(&mut self) -> Vec<SessionId> {
        let changed = self.owners.changed.take().unwrap_or_default();
        let mut changed: Vec<_> = changed.into_iter().collect();
        changed.sort_unstable();
        changed
    }

    /// Where the clients of these sessions are; `sid` knows who is on a link.
    pub fn owners_of(
        &self,
        sessions: &[SessionId],
        sid: impl Fn(u64) -> Option<ServerId>,
    ) -> Owners {
        let mut groups: BTreeMap<i64, Vec<SessionId>> = BTreeMap::new();
        for id in sessions {
            let Some(session) = self.sessions.get(*id).filter(|s| s.is_global()) else {
                continue;
            };
            let who = match session.owner() {
                None => UNOWNED,
                Some(n) => {
                    let by_id = self.by_id(n, &sid);
                    let id = by_id ^ BY_ID;
                    i64::try_from(id).ok().filter(|_| by_id != Owner::GONE)
                }
                .unwrap_or(GONE),
            };
            groups.entry(who).or_default().push(*id);
        }
        Owners(groups.into_iter().collect())
    }

    /// An owner's number as another server, or this one in another reign, can note it.
    pub(super) fn by_id(&self, number: u64, sid: impl Fn(u64) -> Option<ServerId>) -> u64 {
        let owner = match number {
            n if n & BY_ID != 0 => return n,
            n if n == Owner::Here.number() => Some(self.options.server_id),
            n => sid(n.saturating_sub(2)),
        };
        owner.and_then(Owner::server).unwrap_or(Owner::GONE)
    }

    /// The leader, whose heir this server is, told this.
    pub fn owners_told(&mut self, owners: &Owners) {
        for (who, sessions) in &owners.0 {
            let number = match *who {
                UNOWNED => 0,
                who => Owner::server(ServerId(who)).unwrap_or(Owner::GONE),
            };
            for id in sessions {
                match self.sessions.get(*id) {
                    Some(session) => session.set_owner(number),
                    None if self.owners.told.len() < UNKNOWN_MAX => {
                        self.owners.told.insert(*id, number);
                    }
                    None => {}
                }
            }
        }
    }

    /// This server leads from now on: what it was told counts.
    pub(super) fn take_told(&mut self) {
        for (id, number) in std::mem::take(&mut self.owners.told) {
            if let Some(session) = self.sessions.get(id) {
                session.set_owner(number);
            }
        }
    }
}
