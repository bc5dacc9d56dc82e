//! How many bytes of large requests may be in process (Apache: `ZooKeeperServer.isLargeRequest`,
//! `checkRequestSizeWhenReceivingMessage`).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::telemetry::metrics::METRICS;

/// The sum of all large requests that are not answered yet, and its bound.
#[derive(Debug)]
pub struct LargeRequests {
    /// Longer ones are large, bytes; `None` when none is.
    threshold: Option<usize>,
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl LargeRequests {
    /// None under way. `threshold` is `largeRequestThreshold`, `bytes_max` is `largeRequestMaxBytes`.
    pub fn new(threshold: Option<usize>, bytes_max: usize) -> Self {
        Self {
            threshold,
            bytes_max,
            bytes: AtomicUsize::new(0),
        }
    }

    /// Is there room for a request of this many bytes, of which only the length has come?
    pub fn has_room(&self, len: usize) -> bool {
        !self.is_large(len) || self.fits(self.bytes.load(Relaxed).saturating_add(len))
    }

    /// Takes room for a request; the bytes to give back when it is answered. `None` when there is no
    /// room.
    pub fn take(&self, len: usize) -> Option<usize> {
        if !self.is_large(len) {
            return Some(0);
        }
        let sum = self.bytes.fetch_add(len, Relaxed).saturating_add(len);
        if self.fits(sum) {
            return Some(len);
        }
        self.give_back(len);
        None
    }

    /// Gives back what [`LargeRequests::take`] took.
    pub fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.bytes.fetch_sub(bytes, Relaxed);
        }
    }

    fn is_large(&self, len: usize) -> bool {
        self.threshold.is_some_and(|threshold| len > threshold)
    }

    fn fits(&self, sum: usize) -> bool {
        let fits = sum <= self.bytes_max;
        if !fits {
            METRICS.large_requests_rejected.inc();
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_large_ones_count() {
        let large = LargeRequests::new(Some(100), 250);
        assert_eq!(large.take(100), Some(0), "longer ones are large");
        assert_eq!(large.take(120), Some(120));
        assert!(large.has_room(130) && !large.has_room(131));
        assert!(large.has_room(100), "small ones always pass");
        assert_eq!(large.take(131), None);
        assert_eq!(large.take(130), Some(130), "what was refused is not held");
        large.give_back(120);
        assert_eq!(large.take(101), Some(101));
    }

    #[test]
    fn off_means_no_bound() {
        let large = LargeRequests::new(None, 1);
        assert!(large.has_room(usize::MAX));
        assert_eq!(large.take(usize::MAX), Some(0));
    }
}
