//! The only reader of the system's clocks.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::conn::Clock;
use crate::pipeline::Now;

/// Monotonic time counts from an origin that a restart does not repeat soon: session ids are made
/// from it, as in Apache (`Time.currentElapsedTime`).
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
    origin_ms: i64,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            origin_ms: wall_ms(),
        }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl SystemClock {
    /// Both clocks.
    pub fn now(&self) -> Now {
        Now {
            mono_ms: self.mono_ms(),
            wall_ms: wall_ms(),
        }
    }

    /// The instant of a monotonic ms.
    pub fn instant(&self, mono_ms: i64) -> Instant {
        let since = u64::try_from(mono_ms - self.origin_ms).unwrap_or(0);
        self.origin + Duration::from_millis(since)
    }
}

impl Clock for SystemClock {
    fn mono_ms(&self) -> i64 {
        self.origin_ms + i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }

    fn wall_ms(&self) -> i64 {
        wall_ms()
    }
}
