//! The writes of one connection that are not answered yet, and their part of what all share.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;

use crate::proto::OpCode;

use super::edge::Edge;

/// A write handed to the sequencer, until its reply is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// When it was received, monotonic ms.
    pub(super) since_ms: i64,
    /// Length of its record.
    pub(super) bytes: usize,
    /// What it holds of the room for large requests, bytes.
    pub(super) large: usize,
    pub(super) op: OpCode,
    pub(super) xid: i32,
}

/// See the module; in the order of the replies to come.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Each with whether it is part of the edge's sums.
    writes: VecDeque<(Write, bool)>,
    syncs: usize,
}

impl InFlight {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len()
    }

    /// True while a sync is not answered.
    pub(super) fn has_sync(&self) -> bool {
        self.syncs > 0
    }

    pub(super) fn push(&mut self, write: Write, edge: &Edge) {
        edge.outstanding.fetch_add(1, Relaxed);
        edge.outstanding_bytes.fetch_add(write.bytes, Relaxed);
        self.syncs += usize::from(write.op == OpCode::Sync);
        self.writes.push_back((write, true));
    }

    /// The one that is answered now.
    pub(super) fn pop(&mut self, edge: &Edge) -> Option<Write> {
        let (write, counted) = self.writes.pop_front()?;
        self.syncs -= usize::from(write.op == OpCode::Sync);
        if counted {
            uncount(&write, edge);
        }
        Some(write)
    }

    /// Takes all of them out of the edge's sums.
    pub(super) fn give_back(&mut self, edge: &Edge) {
        for (write, counted) in &mut self.writes {
            if std::mem::take(counted) {
                uncount(write, edge);
            }
        }
    }
}

fn uncount(write: &Write, edge: &Edge) {
    edge.outstanding.fetch_sub(1, Relaxed);
    edge.outstanding_bytes.fetch_sub(write.bytes, Relaxed);
    edge.large.give_back(write.large);
}
