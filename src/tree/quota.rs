//! Quotas (Apache: `Quotas`, `StatsTrack`, `PathTrie`).
//!
//! A quota on `/a` is two ordinary nodes, `/zookeeper/quota/a/zookeeper_limits` and
//! `.../zookeeper_stats`; the server keeps the text of the second true as the subtree changes.

use std::fmt;

use crate::base::hash::Set;
use crate::base::{Thin, path};

/// Where quotas live.
pub const PREFIX: &str = "/zookeeper/quota";
/// Name of the node a client writes the limits to.
pub const LIMITS: &str = "zookeeper_limits";
/// Name of the node the server writes the usage to.
pub const STATS: &str = "zookeeper_stats";

/// Paths that have a quota (stored form).
#[derive(Debug, Default)]
pub struct QuotaRoots {
    roots: Set<Thin>,
}

impl QuotaRoots {
    /// No quota anywhere.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    pub(crate) fn add(&mut self, root: &str) {
        self.roots.insert(Thin::new(root.as_bytes()));
    }

    pub(crate) fn remove(&mut self, root: &str) {
        self.roots.remove(root.as_bytes());
    }

    /// The deepest root that holds `p`. A quota on the root of the tree is ignored, as in Apache.
    pub fn root_of<'p>(&self, p: &'p str) -> Option<&'p str> {
        if self.is_empty() {
            return None;
        }
        path::ancestors_from(p).find(|a| !a.is_empty() && self.roots.contains(a.as_bytes()))
    }

    /// Every root, sorted.
    pub fn all(&self) -> Vec<Thin> {
        let mut all: Vec<_> = self.roots.iter().cloned().collect();
        all.sort_unstable();
        all
    }
}

/// The quota root that a `zookeeper_limits` or `zookeeper_stats` path speaks of.
/// `None` for anything else, and for a quota node directly below `/zookeeper/quota`.
///
/// Differs: Apache fails while applying that last one, and dies of it on every start.
pub fn root_of_node<'p>(p: &'p str, name: &str) -> Option<&'p str> {
    let root = p
        .strip_prefix(PREFIX)?
        .strip_suffix(name)?
        .strip_suffix('/')?;
    (!root.is_empty()).then_some(root)
}

/// The path of the stats node of a quota root.
pub fn stats_path(root: &str) -> String {
    format!("{PREFIX}{root}/{STATS}")
}

/// The path of the limits node of a quota root.
pub fn limits_path(root: &str) -> String {
    format!("{PREFIX}{root}/{LIMITS}")
}

/// The text of a limits or stats node: soft count and bytes, and hard limits. -1 is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsTrack {
    /// Soft limit or usage of nodes.
    pub count: i64,
    /// Soft limit or usage of bytes.
    pub bytes: i64,
    /// Hard limit of nodes.
    pub count_hard: i64,
    /// Hard limit of bytes.
    pub bytes_hard: i64,
}

impl Default for StatsTrack {
    fn default() -> Self {
        Self {
            count: -1,
            bytes: -1,
            count_hard: -1,
            bytes_hard: -1,
        }
    }
}

impl StatsTrack {
    /// Reads the text. Whatever does not parse counts as not given: bookkeeping must never fail
    /// once a transaction is in the log.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut track = Self::default();
        for pair in text.split([',', ';']).filter(|p| !p.is_empty()) {
            let mut words = pair.split('=');
            let key = words.next().unwrap_or_default();
            let value = words.next().unwrap_or_default().parse().unwrap_or(-1);
            match key {
                "count" => track.count = value,
                "bytes" => track.bytes = value,
                "countHardLimit" => track.count_hard = value,
                "byteHardLimit" => track.bytes_hard = value,
                _ => {}
            }
        }
        track
    }

    /// The usage of a subtree, without hard limits.
    pub fn usage(count: i64, bytes: i64) -> Self {
        Self {
            count,
            bytes,
            ..Self::default()
        }
    }
}

impl fmt::Display for StatsTrack {
    /// Count first, bytes second; hard limits, if any, behind `=;` in the order of their names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.count, self.bytes)?;
        if self.bytes_hard > -1 || self.count_hard > -1 {
            write!(f, "=")?;
        }
        if self.bytes_hard > -1 {
            write!(f, ";byteHardLimit={}", self.bytes_hard)?;
        }
        if self.count_hard > -1 {
            write!(f, ";countHardLimit={}", self.count_hard)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_root_wins() {
        let mut q = QuotaRoots::default();
        q.add("/a");
        q.add("/a/b");
        assert_eq!(q.root_of("/a/b/c"), Some("/a/b"));
        assert_eq!(q.root_of("/a/b"), Some("/a/b"));
        assert_eq!(q.root_of("/a/x"), Some("/a"));
        assert_eq!(q.root_of("/ab"), None);
        assert_eq!(q.root_of("/"), None);
    }

    #[test]
    fn quota_nodes_name_their_root() {
        assert_eq!(
            root_of_node("/zookeeper/quota/a/b/zookeeper_limits", LIMITS),
            Some("/a/b")
        );
        assert_eq!(
            root_of_node("/zookeeper/quota/zookeeper_limits", LIMITS),
            None
        );
        assert_eq!(
            root_of_node("/zookeeper1/quota/a/zookeeper_limits", LIMITS),
            None
        );
    }

    #[test]
    fn text_round_trips() {
        let plain = StatsTrack::parse(b"count=3,bytes=10");
        assert_eq!((plain.count, plain.bytes), (3, 10));
        assert_eq!(plain.to_string(), "count=3,bytes=10");
        let hard = StatsTrack::parse(b"count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=2");
        assert_eq!((hard.bytes_hard, hard.count_hard), (5, 2));
        assert_eq!(
            hard.to_string(),
            "count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=2"
        );
        assert_eq!(StatsTrack::parse(b"rubbish"), StatsTrack::default());
    }
}
