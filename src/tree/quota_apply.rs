//! Keeping the usage text of quotas true (Apache: `DataTree.updateQuotaStat`).
//!
//! These changes are no transactions: no version, no zxid, no event, no digest. They never fail.

use super::apply::Applier;
use super::locked::Locked;
use super::quota::{LIMITS, STATS, StatsTrack, limits_path, root_of_node, stats_path};
use super::tree::DataTree;
use crate::base::{Thin, path};

impl Applier<'_, '_> {
    pub(super) fn quota_after_create(&mut self, p: &str, bytes: i64) {
        if let Some(root) = root_of_node(p, LIMITS) {
            self.locked.tree.quotas.write().add(root);
        } else if let Some(root) = root_of_node(p, STATS) {
            recount(&mut self.locked, root);
        }
        self.charge(p, 1, bytes);
    }

    pub(super) fn quota_after_delete(&mut self, p: &str, bytes: i64) {
        if let Some(root) = root_of_node(p, LIMITS) {
            self.locked.tree.quotas.write().remove(root);
        }
        self.charge(p, -1, -bytes);
    }

    pub(super) fn quota_after_set(&mut self, p: &str, bytes: i64) {
        self.charge(p, 0, bytes);
    }

    fn charge(&mut self, p: &str, count: i64, bytes: i64) {
        let tree = self.locked.tree;
        let Some(root) = tree.quotas.read().root_of(p).map(str::to_owned) else {
            return;
        };
        let stats = stats_path(&root);
        // A quota that came up inside this multi may lie outside the shards it holds.
        let Some(node) = self.locked.get(&stats) else {
            return;
        };
        let mut usage = StatsTrack::parse(node.data.as_deref().unwrap_or_default());
        usage.count = usage.count.saturating_add(count);
        usage.bytes = usage.bytes.saturating_add(bytes);
        self.locked
            .overwrite(&stats, Thin::new(usage.to_string().as_bytes()));
    }
}

/// Counts a subtree and writes the result into its stats node, if there is one.
fn recount(locked: &mut Locked<'_>, root: &str) {
    let (count, bytes) = locked.usage(root);
    let text = StatsTrack::usage(count, bytes).to_string();
    locked.overwrite(&stats_path(root), Thin::new(text.as_bytes()));
}

/// After loading a snapshot: finds every quota and counts its usage.
pub(super) fn rebuild(tree: &DataTree) {
    let mut locked = Locked::all(tree);
    let mut left = vec![Thin::new(super::quota::PREFIX.as_bytes())];
    while let Some(p) = left.pop() {
        let Some(node) = locked.get(p.text()) else {
            continue;
        };
        match node.children() {
            Some(c) => left.extend(c.iter().cloned()),
            None if path::name(p.text()) == LIMITS => {
                if let Some(root) = root_of_node(p.text(), LIMITS) {
                    tree.quotas.write().add(root);
                    recount(&mut locked, root);
                }
            }
            None => {}
        }
    }
}

impl DataTree {
    /// Every quota: its root, limits and usage.
    pub fn all_quotas(&self) -> Vec<(String, StatsTrack, StatsTrack)> {
        let roots = self.quotas.read().all();
        roots
            .iter()
            .filter_map(|root| self.quota_for(root.text()))
            .collect()
    }

    /// Limits and usage of the quota that covers `p`, if it has one.
    pub fn quota_for(&self, p: &str) -> Option<(String, StatsTrack, StatsTrack)> {
        let root = self.quotas.read().root_of(p).map(str::to_owned)?;
        let read = |p: &str| {
            self.with_node(p, |n| {
                StatsTrack::parse(n.data.as_deref().unwrap_or_default())
            })
        };
        let limits = read(&limits_path(&root))?;
        // Without the node that usage is counted in there is nothing to enforce.
        let usage = read(&stats_path(&root))?;
        Some((root, limits, usage))
    }
}
