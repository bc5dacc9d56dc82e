//! A number that only grows.

use std::sync::atomic::{AtomicU64, Ordering};

use super::stripe::{Padded, STRIPES, slot};

/// A count of events, or a sum of bytes or milliseconds. Apache: `org.apache.zookeeper.metrics.Counter`.
///
/// Adding is one atomic addition on a cache line that few other threads write; reading adds the
/// stripes up and may miss what is being added meanwhile.
pub struct Counter {
    stripes: [Padded<AtomicU64>; STRIPES],
}

impl Counter {
    /// A counter at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stripes: [const { Padded(AtomicU64::new(0)) }; STRIPES],
        }
    }

    /// Counts one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Counts `delta`. Wraps at 2^64.
    #[inline]
    pub fn add(&self, delta: u64) {
        if let Some(stripe) = self.stripes.get(slot()) {
            stripe.0.fetch_add(delta, Ordering::Relaxed);
        }
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.stripes
            .iter()
            .fold(0, |sum, s| sum.wrapping_add(s.0.load(Ordering::Relaxed)))
    }

    /// Back to zero (`srst`). What is added at the same moment may be lost.
    pub fn reset(&self) {
        for stripe in &self.stripes {
            stripe.0.store(0, Ordering::Relaxed);
        }
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up() {
        let counter = Counter::new();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.inc();
                    }
                    counter.add(5);
                });
            }
        });
        assert_eq!(counter.get(), 12 * 10_005);
        counter.reset();
        assert_eq!(counter.get(), 0);
    }
}
