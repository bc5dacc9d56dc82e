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
        let digest = self.tree.digest().digest;
        if entry.digest.is_some_and(|d| d.digest as u64 == digest) {
            self.tree.trust_digests();
        }
        self.note(zxid, bytes);
    }
}

#[cfg(test)]
mod tests {
    use crate::proto::OpCode;
    use crate::proto::txn::{CreateTxn, TxnDigest, TxnHeader, some};
    use crate::tree::TreeOptions;

    use super::*;

    fn data() -> Data {
        Data {
            tree: Arc::new(DataTree::fresh(TreeOptions::default())),
            sessions: BTreeMap::new(),
            recent: CommittedLog::new(Zxid::ZERO, 500, 1 << 20),
        }
    }

    /// The creation of `/n<zxid>` with the digest it has for who applies everything in turn.
    fn creation(of: &Data, zxid: i64) -> Arc<[u8]> {
        let name = format!("/n{zxid}");
        let txn = Txn::Create(CreateTxn {
            path: some(&name),
            data: Some(b"x"),
            acl: Some(vec![crate::base::Acl::open()[0].clone()]),
            ephemeral: false,
            parent_cversion: zxid as i32,
        });
        let header = TxnHeader {
            zxid,
            op: OpCode::Create as i32,
            ..TxnHeader::default()
        };
        let mut entry = Entry {
            header,
            txn,
            digest: None,
        };
        apply(&of.tree, &entry, false, &mut vec![]);
        entry.digest = Some(TxnDigest {
            version: 2,
            digest: of.tree.digest().digest as i64,
        });
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        bytes.into()
    }

    #[test]
    fn what_had_no_transaction_since_it_came_has_no_digest_to_remember() {
        let received = data();
        received.tree.doubt_digests();
        received.tree.trust_digests();
        assert_eq!(received.tree.digest_log(), []);
    }

    #[test]
    fn no_digest_of_a_mixture_is_remembered() {
        let sender = data();
        let sent: Vec<_> = (1..=256).map(|z| creation(&sender, z)).collect();
        // A snapshot that says it is of 100, and holds what came until 130.
        let mut received = data();
        received.tree.doubt_digests();
        for bytes in &sent[..130] {
            let entry = Entry::from_bytes(bytes).expect("a transaction");
            apply(&received.tree, &entry, false, &mut vec![]);
        }
        received.tree.set_loaded(Zxid(100));
        for (i, bytes) in sent.iter().enumerate().skip(100) {
            received.apply(Zxid(i as i64 + 1), bytes);
        }
        let (ours, theirs) = (received.tree.digest_log(), sender.tree.digest_log());
        assert_eq!(theirs.len(), 2, "at 128 and 256");
        assert_eq!(ours, theirs[1..], "128 was applied to a tree that had 130");
    }
}
