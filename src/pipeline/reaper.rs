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
    next_look: i64,
    next_delete: i64,
    waiting: VecDeque<Thin>,
}

impl Reaper {
    pub(super) fn new(o: &ServerOptions, now: Now) -> Self {
        Self {
            interval_ms: o.reap_interval_ms.max(1),
            per_minute: i64::from(o.reap_per_minute.max(1)),
            never_used_ms: o.reap_never_used_ms,
            next_look: now.mono_ms + o.reap_interval_ms.max(1),
            next_delete: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Nodes to delete now; the first look comes one period after the start.
    pub(super) fn due(&mut self, tree: &DataTree, now: Now) -> Vec<Thin> {
        if now.mono_ms >= self.next_look {
            self.next_look = now.mono_ms + self.interval_ms;
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
    pub(super) fn next(&self) -> i64 {
        match self.waiting.is_empty() {
            true => self.next_look,
            false => self.next_delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreeOptions;

    #[test]
    fn looks_again_without_anybody_asking() {
        let options = ServerOptions {
            reap_interval_ms: 500,
            ..ServerOptions::default()
        };
        let mut reaper = Reaper::new(
            &options,
            Now {
                mono_ms: 1000,
                wall_ms: 0,
            },
        );
        assert_eq!(reaper.next(), 1500);
        let tree = DataTree::fresh(TreeOptions::default());
        assert!(
            reaper
                .due(
                    &tree,
                    Now {
                        mono_ms: 1500,
                        wall_ms: 0
                    }
                )
                .is_empty()
        );
        assert_eq!(reaper.next(), 2000);
    }
}
