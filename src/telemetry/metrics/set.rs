//! Metrics with one label: a child per value of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Counter, Summary};

/// Chains of the label table. Learners are few, namespaces rarely more than some dozens.
const CHAINS: usize = 64;
/// Most children of one set. Clients choose the namespaces, so there has to be an end.
///
/// Differs: Apache has none; past it we record into a child that is not shown.
pub const CHILDREN_MAX: usize = 1_000;

/// Longest label with a child of its own, bytes; longer ones share the child that is not shown.
const LABEL_LEN_MAX: usize = 256;

/// A family of metrics told apart by a label, e.g. `write_per_namespace`.
/// Apache: `CounterSet` and `SummarySet`.
///
/// Children are added by their first use and stay; finding one takes no lock. Keep the reference
/// where one label is recorded often.
pub struct Set<M> {
    chains: [OnceLock<Box<Node<M>>>; CHAINS],
    len: AtomicUsize,
    overflow: M,
}

struct Node<M> {
    label: Box<str>,
    child: M,
    next: OnceLock<Box<Node<M>>>,
}

/// A family of counters.
pub type CounterSet = Set<Counter>;
/// A family of summaries.
pub type SummarySet = Set<Summary>;

impl Set<Counter> {
    /// A family without children.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chains: [const { OnceLock::new() }; CHAINS],
            len: AtomicUsize::new(0),
            overflow: Counter::new(),
        }
    }
}

impl Set<Summary> {
    /// A family without children.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chains: [const { OnceLock::new() }; CHAINS],
            len: AtomicUsize::new(0),
            overflow: Summary::new(),
        }
    }
}

impl Default for Set<Counter> {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for Set<Summary> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Default> Set<M> {
    /// The child named `label`, added if it is new.
    pub fn with(&self, label: &str) -> &M {
        // Labels stay for good, and clients choose them.
        if label.len() > LABEL_LEN_MAX {
            return &self.overflow;
        }
        let Some(mut link) = self.chains.get(chain_of(label)) else {
            return &self.overflow;
        };
        loop {
            let node = match link.get() {
                Some(node) => node,
                None if self.len.load(Ordering::Relaxed) >= CHILDREN_MAX => return &self.overflow,
                // Another thread may have put another label here; then the walk goes on.
                None => link.get_or_init(|| {
                    self.len.fetch_add(1, Ordering::Relaxed);
                    Box::new(Node {
                        label: label.into(),
                        child: M::default(),
                        next: OnceLock::new(),
                    })
                }),
            };
            if *node.label == *label {
                return &node.child;
            }
            link = &node.next;
        }
    }

    /// All children, sorted by label.
    #[must_use]
    pub fn children(&self) -> Vec<(&str, &M)> {
        let mut all = Vec::with_capacity(self.len.load(Ordering::Relaxed));
        for chain in &self.chains {
            let mut link = chain;
            while let Some(node) = link.get() {
                all.push((&*node.label, &node.child));
                link = &node.next;
            }
        }
        all.sort_unstable_by_key(|(label, _)| *label);
        all
    }
}

/// FNV-1a; labels are short and the table is small.
fn chain_of(label: &str) -> usize {
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The remainder is below CHAINS.
    (hash % CHAINS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_race_for_a_label_share_the_child() {
        let set = CounterSet::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..200 {
                        set.with(&format!("ns{i}")).inc();
                    }
                });
            }
        });
        let children = set.children();
        assert_eq!(children.len(), 200);
        assert!(children.iter().all(|(_, counter)| counter.get() == 8));
        assert!(children.is_sorted_by_key(|(label, _)| *label));
    }

    #[test]
    fn a_client_cannot_make_us_keep_a_long_name() {
        let set = CounterSet::new();
        set.with(&"n".repeat(LABEL_LEN_MAX + 1)).inc();
        set.with(&"n".repeat(LABEL_LEN_MAX)).inc();
        assert_eq!(set.children().len(), 1);
    }

    #[test]
    fn the_number_of_children_is_bounded() {
        let set = SummarySet::new();
        for i in 0..CHILDREN_MAX + 50 {
            set.with(&i.to_string()).record(1);
        }
        assert_eq!(set.children().len(), CHILDREN_MAX);
        assert_eq!(set.with("7").totals().count, 1);
    }
}
