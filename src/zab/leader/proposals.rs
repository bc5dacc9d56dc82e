//! Proposals that are not committed yet (Apache: `Leader.outstandingProposals`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::{ServerId, Zxid};
use crate::zab::link::Logged;
use crate::zab::quorum::JointQuorum;

#[derive(Debug)]
struct Outstanding {
    zxid: Zxid,
    bytes: Arc<[u8]>,
    /// Who decides about it.
    quorum: Arc<JointQuorum>,
    since_ms: i64,
}

/// In zxid order, with what each server has logged.
///
/// A server acknowledges in order, so that one zxid for each server says it all.
#[derive(Debug)]
pub(super) struct Proposals {
    outstanding: VecDeque<Outstanding>,
    acked: BTreeMap<ServerId, Zxid>,
    last: Zxid,
}

impl Proposals {
    pub(super) fn new(last: Zxid) -> Self {
        Self {
            outstanding: VecDeque::new(),
            acked: BTreeMap::new(),
            last,
        }
    }

    /// The last zxid proposed, or where the epoch begins.
    pub(super) fn last(&self) -> Zxid {
        self.last
    }

    /// The epoch begins: its first transaction is 1.
    pub(super) fn begin(&mut self, opening: Zxid) {
        self.last = opening;
    }

    pub(super) fn len(&self) -> usize {
        self.outstanding.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// # Panics
    /// When the zxid is not the next one.
    pub(super) fn push(
        &mut self,
        zxid: Zxid,
        bytes: Arc<[u8]>,
        quorum: Arc<JointQuorum>,
        since_ms: i64,
    ) {
        assert_eq!(
            self.last.next(),
            Some(zxid),
            "proposals take zxids in order"
        );
        self.last = zxid;
        self.outstanding.push_back(Outstanding {
            zxid,
            bytes,
            quorum,
            since_ms,
        });
    }

    /// `server` has everything up to `zxid` on stable storage; false when that was never proposed.
    pub(super) fn ack(&mut self, server: ServerId, zxid: Zxid) -> bool {
        if zxid > self.last {
            return false;
        }
        let upto = self.acked.entry(server).or_default();
        *upto = (*upto).max(zxid);
        true
    }

    /// The last proposal that `server` has acknowledged.
    pub(super) fn acked(&self, server: ServerId) -> Zxid {
        self.acked.get(&server).copied().unwrap_or_default()
    }

    /// `server` may have lost what it acknowledged.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.acked.remove(&server);
    }

    /// How old an open proposal is, ms.
    pub(super) fn age(&self, zxid: Zxid, now: i64) -> Option<i64> {
        let at = self.outstanding.partition_point(|p| p.zxid < zxid);
        let found = self.outstanding.get(at).filter(|p| p.zxid == zxid)?;
        Some(now - found.since_ms)
    }

    /// The next proposal that its quorum has, and since when it was open.
    pub(super) fn take_decided(&mut self) -> Option<(Zxid, Arc<[u8]>, i64)> {
        let head = self.outstanding.front()?;
        let has = |s| self.acked.get(&s).is_some_and(|z| *z >= head.zxid);
        if !head.quorum.is_quorum(has) {
            return None;
        }
        let decided = self.outstanding.pop_front();
        decided.map(|p| (p.zxid, p.bytes, p.since_ms))
    }

    /// Those behind `zxid`.
    pub(super) fn after(&self, zxid: Zxid) -> Vec<Logged> {
        let behind = self.outstanding.iter().filter(|p| p.zxid > zxid);
        behind.map(|p| (p.zxid, p.bytes.clone())).collect()
    }

    /// True when `server` has not acknowledged a proposal that is older than `since_ms`.
    pub(super) fn waits_for(&self, server: ServerId, since_ms: i64) -> bool {
        let acked = self.acked.get(&server).copied().unwrap_or_default();
        self.outstanding
            .iter()
            .find(|p| p.zxid > acked)
            .is_some_and(|p| p.since_ms < since_ms)
    }

    pub(super) fn into_entries(self) -> Vec<Logged> {
        let all = self.outstanding.into_iter();
        all.map(|p| (p.zxid, p.bytes)).collect()
    }
}
