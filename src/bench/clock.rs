//! Nanoseconds since the run began.

use std::time::{Duration, Instant};

/// A monotonic clock; every thread of a run shares its origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start; wraps after five centuries.
    pub fn ns(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    /// The clock's reading `ahead` from now.
    pub fn after(self, ahead: Duration) -> u64 {
        self.ns().saturating_add(ahead.as_nanos() as u64)
    }
}
