//! Deleting containers and TTL nodes whose time has come (Apache: `ContainerManager`).

use std::collections::VecDeque;

use crate::base::Thin;
use crate::tree::DataTree;

use super::event::{Now, ServerOptions};

/// Looks for candidates once a period and lets them go at a bounded rate.
#[derive(Debug)]
pub(super) struct Reaper {
    interval_ms: i64,
    per_minute: i64,
    never_used_ms: i64,
    next_look: Option<i64>,
    next_delete: i64,
    waiting: VecDeque<Thin>,
}

impl Reaper {
    pub(super) fn new(o: &ServerOptions) -> Self {
        Self {
            interval_ms: o.reap_interval_ms.max(1),
            per_minute: i64::from(o.reap_per_minute.max(1)),
            never_used_ms: o.reap_never_used_ms,
            next_look: None,
            next_delete: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Nodes to delete now; the first look comes one period after the first call.
    pub(super) fn due(&mut self, tree: &DataTree, now: Now) -> Vec<Thin> {
        let look = *self.next_look.get_or_insert(now.mono_ms + self.interval_ms);
        if now.mono_ms >= look {
            self.next_look = Some(now.mono_ms + self.interval_ms);
            if self.waiting.is_empty() {
                self.waiting = tree.reapable(now.wall_ms, self.never_used_ms).into();
                self.next_delete = now.mono_ms;
            }
        }
        let mut due = Vec::new();
        let gap = (60_000 / self.per_minute).max(1);
        while now.mono_ms >= self.next_delete
            && let Some(p) = self.waiting.pop_front()
        {
            self.next_delete += gap;
            due.push(p);
        }
        due
    }

    /// When to call again, monotonic ms.
    pub(super) fn next(&self) -> Option<i64> {
        match self.waiting.is_empty() {
            true => self.next_look,
            false => Some(self.next_delete),
        }
    }
}
