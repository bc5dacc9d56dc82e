//! Count, sum, extremes and quantiles of a stream of numbers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::buckets::{BUCKETS, EXACT, TAIL, index, representative};
use super::stripe::{Padded, STRIPES, slot};

/// Turns of the quantile window. Apache: Prometheus simpleclient `Summary`, 5 age buckets.
pub const WINDOW_TURNS: usize = 5;
/// One turn of the quantile window, in ms: 10 minutes in five.
pub const WINDOW_TURN_MS: i64 = 120_000;

/// A stream of values of which count, sum, minimum, maximum and quantiles are kept.
/// Apache: `org.apache.zookeeper.metrics.Summary`, both detail levels.
///
/// [`record`](Self::record) takes no lock. A value below 16 (most latencies, in ms) costs one atomic
/// addition on a line of the thread's own stripe: count and sum follow from the histogram. Larger
/// values cost one more on a shared bucket. Memory is taken by the first record: about 5 KiB, plus
/// 16 bytes per used bucket and turn of the window.
pub struct Summary {
    core: OnceLock<Box<Core>>,
}

/// What one thread writes mostly alone.
struct Stripe {
    exact: [AtomicU64; EXACT],
    /// Sum of the values that are not in `exact`.
    tail_sum: AtomicU64,
}

struct Core {
    stripes: [Padded<Stripe>; STRIPES],
    tail: [AtomicU64; TAIL],
    /// Smallest and largest value of the tail, exact; `u64::MAX` and 0 when there is none.
    tail_min: AtomicU64,
    tail_max: AtomicU64,
    window: Mutex<Window>,
}

/// Bucket counts at past turns; the window is what came after the oldest.
struct Window {
    next_turn_ms: Option<i64>,
    turns: VecDeque<Sparse>,
}

/// The used buckets of a histogram: (bucket, count).
type Sparse = Arc<[(u16, u64)]>;

/// What a summary holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of values.
    pub count: u64,
    /// Their sum; wraps at 2^64.
    pub sum: u64,
    /// Smallest value, 0 if there is none.
    pub min: u64,
    /// Largest value, 0 if there is none.
    pub max: u64,
}

/// Bucket counts to take quantiles of.
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
    min: u64,
    max: u64,
}

impl Summary {
    /// An empty summary; takes no memory yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            core: OnceLock::new(),
        }
    }

    /// Adds one value, in the unit of the metric (mostly ms).
    ///
    /// Differs: a negative value (clocks of two servers apart) counts as 0, Apache adds it as it is.
    #[inline]
    pub fn record(&self, value: i64) {
        let value = u64::try_from(value).unwrap_or(0);
        self.core.get_or_init(Core::new).record(value);
    }

    /// Adds a size or a length.
    #[inline]
    pub fn record_len(&self, len: usize) {
        self.core.get_or_init(Core::new).record(len as u64);
    }

    /// Count, sum and extremes since the start or the last [`reset`](Self::reset).
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.core
            .get()
            .map_or_else(Totals::default, |core| core.totals())
    }

    /// Everything since the start or the last [`reset`](Self::reset), or `None` if nothing was
    /// recorded. Apache's default provider takes its percentiles from this.
    #[must_use]
    pub fn lifetime(&self) -> Option<Histogram> {
        let core = self.core.get()?;
        Histogram::of(core.counts(), core.totals())
    }

    /// The last 8 to 10 minutes, or `None` if nothing was recorded in them. The Prometheus provider
    /// takes its quantiles from this.
    #[must_use]
    pub fn window(&self) -> Option<Histogram> {
        let core = self.core.get()?;
        Histogram::of(core.window_counts(), core.totals())
    }

    /// Moves the window on to `now_ms` (monotonic). Call it at least once per turn, and before each
    /// scrape; cheap when no turn is due.
    pub fn rotate(&self, now_ms: i64) {
        if let Some(core) = self.core.get() {
            core.rotate(now_ms);
        }
    }

    /// Back to empty (`srst`). What is recorded at the same moment may be lost.
    pub fn reset(&self) {
        if let Some(core) = self.core.get() {
            core.reset();
        }
    }
}

impl Default for Summary {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    #[cold]
    fn new() -> Box<Self> {
        Box::new(Self {
            stripes: [const {
                Padded(Stripe {
                    exact: [const { AtomicU64::new(0) }; EXACT],
                    tail_sum: AtomicU64::new(0),
                })
            }; STRIPES],
            tail: [const { AtomicU64::new(0) }; TAIL],
            tail_min: AtomicU64::new(u64::MAX),
            tail_max: AtomicU64::new(0),
            window: Mutex::new(Window {
                next_turn_ms: None,
                turns: VecDeque::new(),
            }),
        })
    }

    #[inline]
    fn record(&self, value: u64) {
        let Some(Padded(stripe)) = self.stripes.get(slot()) else {
            return;
        };
        if let Some(bucket) = usize::try_from(value)
            .ok()
            .and_then(|v| stripe.exact.get(v))
        {
            bucket.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(bucket) = self.tail.get(index(value) - EXACT) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        stripe.tail_sum.fetch_add(value, Ordering::Relaxed);
        // Looked at first: new extremes are rare, and a plain load shares the line.
        if value > self.tail_max.load(Ordering::Relaxed) {
            self.tail_max.fetch_max(value, Ordering::Relaxed);
        }
        if value < self.tail_min.load(Ordering::Relaxed) {
            self.tail_min.fetch_min(value, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> Box<[u64; BUCKETS]> {
        let mut counts = Box::new([0u64; BUCKETS]);
        let (exact, tail) = counts.split_at_mut(EXACT);
        for Padded(stripe) in &self.stripes {
            for (sum, bucket) in exact.iter_mut().zip(&stripe.exact) {
                *sum = sum.wrapping_add(bucket.load(Ordering::Relaxed));
            }
        }
        for (sum, bucket) in tail.iter_mut().zip(&self.tail) {
            *sum = bucket.load(Ordering::Relaxed);
        }
        counts
    }

    fn totals(&self) -> Totals {
        let counts = self.counts();
        let count = counts.iter().fold(0u64, |sum, c| sum.wrapping_add(*c));
        if count == 0 {
            return Totals::default();
        }
        let exact = &counts[..EXACT];
        let exact_sum: u64 = exact
            .iter()
            .zip(0u64..)
            .fold(0, |sum, (c, v)| sum.wrapping_add(c.wrapping_mul(v)));
        let sum = self.stripes.iter().fold(exact_sum, |sum, Padded(stripe)| {
            sum.wrapping_add(stripe.tail_sum.load(Ordering::Relaxed))
        });
        let used = |(value, count): (u64, &u64)| (*count > 0).then_some(value);
        let exact_min = (0u64..).zip(exact).find_map(used);
        let exact_max = (0u64..).zip(exact).filter_map(used).last();
        let tail_min = self.tail_min.load(Ordering::Relaxed);
        let tail_max = self.tail_max.load(Ordering::Relaxed);
        Totals {
            count,
            sum,
            min: exact_min.unwrap_or(tail_min),
            max: if tail_max > 0 {
                tail_max
            } else {
                exact_max.unwrap_or(0)
            },
        }
    }

    fn window_counts(&self) -> Box<[u64; BUCKETS]> {
        let mut counts = self.counts();
        let window = self.window.lock();
        // Until five turns have passed, the window reaches back to the start.
        if window.turns.len() == WINDOW_TURNS
            && let Some(oldest) = window.turns.front()
        {
            for (bucket, past) in oldest.iter() {
                if let Some(count) = counts.get_mut(usize::from(*bucket)) {
                    *count = count.saturating_sub(*past);
                }
            }
        }
        counts
    }

    fn rotate(&self, now_ms: i64) {
        let mut window = self.window.lock();
        let Some(due) = window.next_turn_ms else {
            window.next_turn_ms = Some(now_ms.saturating_add(WINDOW_TURN_MS));
            return;
        };
        if now_ms < due {
            return;
        }
        let late = now_ms.saturating_sub(due) / WINDOW_TURN_MS;
        let next = due.saturating_add(late.saturating_add(1).saturating_mul(WINDOW_TURN_MS));
        window.next_turn_ms = Some(next);
        let turn = sparse(&self.counts());
        let turns = usize::try_from(late)
            .unwrap_or(WINDOW_TURNS)
            .saturating_add(1);
        for _ in 0..turns.min(WINDOW_TURNS) {
            if window.turns.len() == WINDOW_TURNS {
                window.turns.pop_front();
            }
            // An idle summary keeps one copy for all turns.
            let turn = match window.turns.back() {
                Some(last) if **last == *turn => Arc::clone(last),
                _ => Arc::clone(&turn),
            };
            window.turns.push_back(turn);
        }
    }

    fn reset(&self) {
        let mut window = self.window.lock();
        window.turns.clear();
        for Padded(stripe) in &self.stripes {
            stripe
                .exact
                .iter()
                .for_each(|bucket| bucket.store(0, Ordering::Relaxed));
            stripe.tail_sum.store(0, Ordering::Relaxed);
        }
        self.tail
            .iter()
            .for_each(|bucket| bucket.store(0, Ordering::Relaxed));
        self.tail_min.store(u64::MAX, Ordering::Relaxed);
        self.tail_max.store(0, Ordering::Relaxed);
    }
}

fn sparse(counts: &[u64; BUCKETS]) -> Sparse {
    (0u16..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(b, count)| (b, *count))
        .collect()
}

impl Histogram {
    fn of(counts: Box<[u64; BUCKETS]>, totals: Totals) -> Option<Self> {
        let Totals { min, max, .. } = totals;
        counts
            .iter()
            .any(|count| *count > 0)
            .then_some(Self { counts, min, max })
    }

    /// The value below or at which a share of `q` (0 to 1) of all values lie. Off by at most 3.1 %,
    /// exact below 16.
    #[must_use]
    pub fn quantile(&self, q: f64) -> u64 {
        let total: u64 = self
            .counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count));
        let rank = ((total as f64 * q).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return representative(bucket).max(self.min).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_zero_and_has_no_quantiles() {
        let summary = Summary::new();
        assert_eq!(summary.totals(), Totals::default());
        assert!(summary.lifetime().is_none());
        assert!(summary.window().is_none());
    }

    #[test]
    fn totals_of_small_and_large_values() {
        let summary = Summary::new();
        for value in [0, 3, 3, 15, 16, 1_000_000, -4] {
            summary.record(value);
        }
        let totals = summary.totals();
        assert_eq!(
            totals,
            Totals {
                count: 7,
                sum: 1_000_037,
                min: 0,
                max: 1_000_000
            }
        );
        summary.reset();
        assert_eq!(summary.totals(), Totals::default());
        summary.record_len(70);
        assert_eq!(
            summary.totals(),
            Totals {
                count: 1,
                sum: 70,
                min: 70,
                max: 70
            }
        );
    }

    #[test]
    fn threads_add_up() {
        let summary = Summary::new();
        std::thread::scope(|scope| {
            for thread in 0..9i64 {
                let summary = &summary;
                scope.spawn(move || (0..1_000).for_each(|i| summary.record(i + thread)));
            }
        });
        let totals = summary.totals();
        assert_eq!(totals.count, 9_000);
        assert_eq!(
            totals.sum,
            (0..9u64).map(|t| 499_500 + 1_000 * t).sum::<u64>()
        );
        assert_eq!((totals.min, totals.max), (0, 1_007));
    }

    #[test]
    fn quantiles_are_close() {
        let summary = Summary::new();
        (1..=10_000).for_each(|value| summary.record(value));
        let all = summary.lifetime().expect("values");
        for (q, want) in [
            (0.5, 5_000u64),
            (0.95, 9_500),
            (0.99, 9_900),
            (0.999, 9_990),
        ] {
            let got = all.quantile(q);
            assert!(got.abs_diff(want) * 32 <= want, "{q}: {got}");
        }
        assert_eq!(all.quantile(1.0), 9_984);
        assert_eq!(all.quantile(0.0), 1);
    }

    #[test]
    fn the_window_forgets_after_ten_minutes() {
        let summary = Summary::new();
        summary.record(5);
        summary.rotate(0);
        for minute in [2, 4, 6, 8] {
            summary.rotate(minute * 60_000);
            assert_eq!(summary.window().expect("kept").quantile(0.5), 5);
        }
        summary.rotate(10 * 60_000);
        assert!(summary.window().is_none());
        assert_eq!(summary.totals().count, 1);
        summary.record(9);
        assert_eq!(summary.window().expect("new").quantile(0.5), 9);
    }

    #[test]
    fn a_late_rotation_makes_up_for_the_missed_turns() {
        let summary = Summary::new();
        summary.rotate(0);
        summary.record(5);
        summary.rotate(0);
        summary.rotate(60 * 60_000);
        assert!(summary.window().is_none());
        summary.record(1);
        summary.rotate(60 * 60_000 + 1);
        assert!(summary.window().is_some());
    }
}
