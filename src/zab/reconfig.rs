//! What reconfigurations have in common on both sides of ZAB (Apache: `QuorumPeer`'s committed and
//! last seen verifier).

use super::quorum::JointQuorum;
use crate::base::ServerId;
use crate::config::Ensemble;
use crate::proto::OpCode;
use crate::proto::txn::{Entry, Txn, TxnHeader};

/// The committed configuration, and the last one that was proposed: the same, or a newer one that
/// may not be committed yet.
#[derive(Clone, Debug)]
pub struct Views {
    /// Committed.
    pub committed: Ensemble,
    /// Last seen.
    pub last_seen: Ensemble,
}

impl Views {
    /// `proposed` counts only when it is newer.
    pub fn new(committed: Ensemble, proposed: Option<Ensemble>) -> Self {
        let newer = proposed.filter(|p| p.version > committed.version);
        Self {
            last_seen: newer.unwrap_or_else(|| committed.clone()),
            committed,
        }
    }

    /// True while a newer configuration is on its way.
    pub fn is_changing(&self) -> bool {
        self.last_seen.version > self.committed.version
    }

    /// Who decides: a quorum of each.
    pub fn quorum(&self) -> JointQuorum {
        JointQuorum::of(&self.committed, Some(&self.last_seen))
    }

    /// A configuration was proposed; false when one as new is known.
    pub fn see(&mut self, config: Ensemble) -> bool {
        let newer = config.version > self.last_seen.version;
        if newer {
            self.last_seen = config;
        }
        newer
    }

    /// A leader's last seen configuration takes the place of ours; false when it is the same.
    pub fn replace_seen(&mut self, config: Ensemble) -> bool {
        let other = config.version != self.last_seen.version;
        if other {
            self.last_seen = match config.version > self.committed.version {
                true => config,
                false => self.committed.clone(),
            };
        }
        other
    }

    /// A configuration is committed; false when one as new is known to be.
    pub fn commit(&mut self, config: Ensemble) -> bool {
        if config.version <= self.committed.version {
            return false;
        }
        self.see(config.clone());
        self.committed = config;
        true
    }
}

/// The configuration that a transaction proposes, if it is a reconfiguration.
pub fn proposed(bytes: &[u8]) -> Option<Ensemble> {
    // The type is the last field of the header; most transactions end here.
    let kind = bytes.get(TxnHeader::LEN - 4..TxnHeader::LEN)?;
    if kind != (OpCode::Reconfig as i32).to_be_bytes() {
        return None;
    }
    let entry = Entry::from_bytes(bytes).ok()?;
    let Txn::SetData(t) = &entry.txn else {
        return None;
    };
    parse(t.data?)
}

/// A configuration as packets and transactions carry it; `None` when it cannot be read.
pub fn parse(text: &[u8]) -> Option<Ensemble> {
    let text = std::str::from_utf8(text).ok()?;
    match Ensemble::parse(text, true) {
        Ok(config) => Some(config),
        Err(e) => {
            tracing::error!(target: "o.a.z.s.q.QuorumPeer", "a configuration that cannot be read: {e}");
            None
        }
    }
}

/// Does `server` vote in both, at the same quorum addresses?
pub fn keeps_place(old: &Ensemble, new: &Ensemble, server: ServerId) -> bool {
    let place = |e: &Ensemble| {
        let found = e.voters().find(|s| s.id == server.0)?;
        let of = |a: &crate::config::server_line::PeerAddr| (a.host.clone(), a.quorum_port);
        Some(found.addresses.iter().map(of).collect::<Vec<_>>())
    };
    place(new).is_some_and(|p| place(old) == Some(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Ensemble {
        Ensemble::parse(text, true).unwrap()
    }

    #[test]
    fn newer_is_seen_and_committed_and_older_is_not() {
        let one = config("server.1=h:1:2\nversion=1");
        let two = config("server.1=h:1:2\nserver.2=i:1:2\nversion=2");
        let mut views = Views::new(one.clone(), None);
        assert!(!views.is_changing() && !views.see(one.clone()));
        assert!(views.see(two.clone()) && views.is_changing());
        assert!(views.quorum().is_voter(ServerId(2)));
        assert!(views.commit(two.clone()) && !views.is_changing());
        assert!(!views.commit(one.clone()) && !views.commit(two.clone()));
        let views = Views::new(two, Some(one));
        assert!(!views.is_changing(), "what is older never counts");
    }

    #[test]
    fn a_place_is_a_vote_and_an_address() {
        let a = config("server.1=h:1:2\nserver.2=i:1:2:observer");
        let moved = config("server.1=h:3:2\nserver.2=i:1:2");
        let elects_elsewhere = config("server.1=h:1:5");
        assert!(keeps_place(&a, &a, ServerId(1)));
        assert!(keeps_place(&a, &elects_elsewhere, ServerId(1)));
        assert!(!keeps_place(&a, &moved, ServerId(1)));
        assert!(
            !keeps_place(&a, &moved, ServerId(2)),
            "it gets its vote only now"
        );
        assert!(!keeps_place(&a, &elects_elsewhere, ServerId(2)));
    }

    #[test]
    fn only_reconfigurations_propose() {
        let header = |op: OpCode| TxnHeader {
            client_id: 1,
            cxid: 2,
            zxid: 3,
            time: 4,
            op: op as i32,
        };
        let bytes = |op, data: &[u8]| {
            let mut out = header(op).to_array().to_vec();
            Txn::SetData(crate::proto::txn::SetDataTxn {
                path: crate::proto::txn::some("/zookeeper/config"),
                data: Some(data),
                version: -1,
            })
            .encode(&mut out);
            out
        };
        let text = b"server.1=h:1:2:participant\nversion=3";
        assert_eq!(proposed(&bytes(OpCode::Reconfig, text)).unwrap().version, 3);
        assert!(proposed(&bytes(OpCode::SetData, text)).is_none());
        assert!(proposed(&bytes(OpCode::Reconfig, b"server.x=")).is_none());
        assert!(proposed(b"short").is_none());
    }
}
