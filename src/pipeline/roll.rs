//! When to roll the log and take a snapshot (Apache: `SyncRequestProcessor.shouldSnapshot`).

/// A snapshot comes after between half of `snapCount` and all of it, so that the members of an
/// ensemble do not stop for it together; likewise for bytes.
#[derive(Debug)]
pub(super) struct RollClock {
    count: u32,
    bytes: u64,
    count_at: u32,
    bytes_at: Option<u64>,
    snap_count: u32,
    snap_size: Option<u64>,
    seed: u64,
}

impl RollClock {
    pub(super) fn new(snap_count: u32, snap_size: Option<u64>, seed: u64) -> Self {
        let mut clock = Self {
            count: 0,
            bytes: 0,
            count_at: 0,
            bytes_at: None,
            snap_count: snap_count.max(2),
            snap_size: snap_size.filter(|n| *n >= 2),
            seed: seed | 1,
        };
        clock.draw();
        clock
    }

    /// Notes a transaction of this many bytes; true when it is time.
    pub(super) fn appended(&mut self, bytes: usize) -> bool {
        self.count += 1;
        self.bytes += bytes as u64;
        let due = self.count > self.count_at || self.bytes_at.is_some_and(|at| self.bytes > at);
        if due {
            self.draw();
        }
        due
    }

    /// Notes transactions that lie in the log already.
    pub(super) fn replayed(&mut self, txns: u64) {
        self.count = u32::try_from(txns).unwrap_or(u32::MAX / 2);
    }

    fn draw(&mut self) {
        self.count = 0;
        self.bytes = 0;
        let half = self.snap_count / 2;
        self.count_at = half + (self.random() % u64::from(half.max(1))) as u32;
        self.bytes_at = self.snap_size.map(|n| n / 2 + self.random() % (n / 2));
    }

    /// xorshift64
    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_between_half_and_all() {
        for seed in 1..200 {
            let mut clock = RollClock::new(100, None, seed);
            let n = (1..).find(|_| clock.appended(10)).unwrap();
            assert!((51..=100).contains(&n), "{n}");
        }
    }

    #[test]
    fn bytes_count_too() {
        let mut clock = RollClock::new(1_000_000, Some(1000), 3);
        let n = (1..).find(|_| clock.appended(10)).unwrap();
        assert!((51..=101).contains(&n), "{n}");
    }
}
