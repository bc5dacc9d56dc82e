//! A server's disk: what is durable, what would be lost, and what recovery makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use zabra::base::{Epoch, Zxid};
use zabra::pipeline::{SnapStreamReader, SnapStreamWriter, SnapshotJob};
use zabra::quorum::Data;
use zabra::store::SnapProgress;
use zabra::tree::{DataTree, TreeOptions};
use zabra::zab::leader::History;
use zabra::zab::{CommittedLog, Logged};

/// Transactions kept in memory for learners: few, so that all ways of synchronising are met.
const KEPT: usize = 30;

#[derive(Default)]
pub struct Disk {
    pub accepted: Epoch,
    pub current: Epoch,
    pub log: Vec<Logged>,
    /// How many of them are durable.
    pub durable: usize,
    pub snaps: Vec<(Zxid, Vec<u8>)>,
    /// It came in the place of one that had data, and says so (`db.autocreate=false`).
    pub lost: bool,
}

/// In the order of the epochs; whether each begins where it should is for the model to say.
fn follows(last: Zxid, next: Zxid) -> bool {
    last.next() == Some(next) || next.epoch() > last.epoch()
}

/// The snapshot's stream; the tree may be ahead of the job, as it is for a real one.
pub fn stream(job: SnapshotJob) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SnapStreamWriter::new(job.tree.clone(), job);
    while writer.next_chunk(&mut out) {}
    out
}

pub fn load(zxid: Zxid, bytes: &[u8]) -> Data {
    let mut reader = SnapStreamReader::new(TreeOptions::default(), 1 << 20);
    let done = reader.push(bytes).expect("our own stream");
    assert!(matches!(done, SnapProgress::Done(n) if n == bytes.len()));
    let (tree, sessions) = reader.finish(zxid).expect("a whole stream");
    Data {
        tree: Arc::new(tree),
        sessions,
        recent: CommittedLog::new(zxid, KEPT, 0),
    }
}

impl Disk {
    /// Appends; the transaction before it.
    pub fn append(&mut self, zxid: Zxid, bytes: Arc<[u8]>) -> Result<Zxid, String> {
        let snap = self.snaps.last().map_or(Zxid::ZERO, |s| s.0);
        let last = self.log.last().map_or(snap, |l| l.0.max(snap));
        if !follows(last, zxid) {
            return Err(format!("log: {zxid} behind {last}"));
        }
        self.log.push((zxid, bytes));
        Ok(last)
    }

    pub fn recover(&self) -> Result<(History, Data), String> {
        let data = self.replay(Zxid(i64::MAX))?;
        // Transactions of an epoch that was accepted prove that it began (`store/epochs.rs`).
        let history = History {
            last: data.last(),
            accepted: self.accepted,
            current: self.current.max(data.last().epoch()),
        };
        if self.current > self.accepted || history.last.epoch() > self.accepted {
            return Err(format!("recovery: {history:?}"));
        }
        Ok((history, data))
    }

    /// Where a history without a transaction ends: nobody is to count on one that was lost.
    fn nothing(&self) -> Zxid {
        match self.lost && self.log.is_empty() {
            true => Zxid(-1),
            false => Zxid::ZERO,
        }
    }

    fn replay(&self, upto: Zxid) -> Result<Data, String> {
        let snap = self
            .snaps
            .iter()
            .filter(|s| s.0 <= upto)
            .max_by_key(|s| s.0);
        let mut data = match snap {
            Some((zxid, bytes)) => load(*zxid, bytes),
            None => Data {
                tree: Arc::new(DataTree::fresh(TreeOptions::default())),
                sessions: BTreeMap::new(),
                recent: CommittedLog::new(self.nothing(), KEPT, 0),
            },
        };
        for (zxid, bytes) in &self.log {
            if *zxid <= data.last() || *zxid > upto {
                continue;
            }
            if !follows(data.last(), *zxid) {
                return Err(format!("replay: {zxid} behind {}", data.last()));
            }
            data.apply(*zxid, bytes);
        }
        Ok(data)
    }

    /// Cuts behind `zxid` if that place can be reached.
    pub fn truncate(&mut self, zxid: Zxid, really: bool) -> Result<Data, String> {
        let Ok(at) = self.replay(zxid) else {
            return self.replay(Zxid(i64::MAX));
        };
        let reached = at.last() == zxid || (zxid.counter() == 0 && at.last() < zxid);
        // Before a log that was replaced by a snapshot there is nothing.
        let hidden = self.snaps.iter().all(|s| s.0 > zxid) && !self.snaps.is_empty();
        let whole = self
            .log
            .first()
            .is_none_or(|l| l.0.counter() == 1 && l.0.epoch().0 == 1);
        if !reached || (hidden && !whole) {
            return self.replay(Zxid(i64::MAX));
        }
        if really {
            self.log.retain(|l| l.0 <= zxid);
            self.snaps.retain(|s| s.0 <= zxid);
            self.durable = self.log.len();
        }
        Ok(at)
    }

    /// A snapshot in the place of everything.
    pub fn replace(&mut self, zxid: Zxid, bytes: Vec<u8>) {
        self.snaps = vec![(zxid, bytes)];
        self.log.clear();
        self.durable = 0;
    }

    pub fn read(&self, from: Zxid, upto: Zxid) -> Option<Vec<Logged>> {
        let at = self.log.iter().position(|l| l.0 == from)? + 1;
        let found = self.log[at..self.durable.max(at)].iter();
        Some(found.take_while(|l| l.0 <= upto).cloned().collect())
    }

    /// Power loss: any end of what was not synced is gone.
    pub fn crash(&mut self, keep: usize) {
        let keep = keep.clamp(self.durable, self.log.len().max(self.durable));
        self.log.truncate(keep);
        self.durable = self.log.len();
    }

    /// The last thing that is durable.
    pub fn end(&self) -> Zxid {
        let snap = self.snaps.last().map_or(Zxid::ZERO, |s| s.0);
        self.log[..self.durable]
            .last()
            .map_or(snap, |l| l.0.max(snap))
    }

    /// Is this transaction safe here?
    pub fn holds(&self, zxid: Zxid) -> bool {
        self.snaps.iter().any(|s| s.0 >= zxid)
            || self.log[..self.durable]
                .binary_search_by_key(&zxid, |l| l.0)
                .is_ok()
    }
}
