//! What a server of an ensemble keeps between roles: the tree, the sessions, the last transactions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Zxid;
use crate::proto::txn::{Entry, Txn};
use crate::tree::DataTree;
use crate::tree::apply::apply;
use crate::zab::CommittedLog;

/// The database (Apache: `ZKDatabase`).
#[derive(Clone)]
pub struct Data {
    /// The nodes.
    pub tree: Arc<DataTree>,
    /// Sessions and their timeouts, ms.
    pub sessions: BTreeMap<i64, i32>,
    /// The transactions applied last.
    pub recent: CommittedLog,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Data(at {}, recent from {})",
            self.tree.applied(),
            self.recent.base()
        )
    }
}

impl Data {
    /// The last transaction in it.
    pub fn last(&self) -> Zxid {
        self.recent.last()
    }

    /// Notes a transaction that was applied elsewhere.
    pub fn note(&mut self, zxid: Zxid, bytes: &Arc<[u8]>) {
        if zxid > self.recent.last() {
            self.recent.push(zxid, bytes.clone());
        }
    }

    /// Applies a transaction while nobody is served. Applying again what a fuzzy snapshot holds
    /// already changes nothing.
    pub fn apply(&mut self, zxid: Zxid, bytes: &Arc<[u8]>) {
        let Ok(entry) = Entry::from_bytes(bytes) else {
            // Checked before it was logged.
            return;
        };
        match &entry.txn {
            Txn::CreateSession(t) => {
                self.sessions.insert(entry.session().0, t.timeout);
            }
            Txn::CloseSession(_) => {
                self.sessions.remove(&entry.session().0);
            }
            _ => {}
        }
        apply(&self.tree, &entry, false, &mut Vec::new());
        self.note(zxid, bytes);
    }
}
