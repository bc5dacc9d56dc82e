//! What a load measures: counts, errors and latency histograms.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::conn::Class;
use crate::proto::code::Code;

/// Latencies and errors of one thread, or of all when merged.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Latency of reads, ns.
    pub reads: Histogram<u64>,
    /// Latency of writes, ns.
    pub writes: Histogram<u64>,
    /// Latency of pings, ns.
    pub pings: Histogram<u64>,
    /// How often each error code was answered, outside the warm-up too.
    pub errors: BTreeMap<i32, u64>,
    /// Watch events received.
    pub events: u64,
    /// Bytes of the answers.
    pub bytes: u64,
}

/// Longest latency told apart, ns; longer ones count as this.
const LATENCY_MAX_NS: u64 = 600_000_000_000;

impl Default for Stats {
    fn default() -> Self {
        let histogram =
            || Histogram::new_with_max(LATENCY_MAX_NS, 3).expect("bounds known to be valid");
        Self {
            reads: histogram(),
            writes: histogram(),
            pings: histogram(),
            errors: BTreeMap::new(),
            events: 0,
            bytes: 0,
        }
    }
}

impl Stats {
    /// Notes one latency.
    pub fn record(&mut self, class: Class, ns: u64) {
        let histogram = match class {
            Class::Read => &mut self.reads,
            Class::Write => &mut self.writes,
            Class::Ping => &mut self.pings,
        };
        histogram.saturating_record(ns);
    }

    /// Notes an error code.
    pub fn error(&mut self, code: i32) {
        *self.errors.entry(code).or_default() += 1;
    }

    /// Takes in what another thread measured.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.reads, &other.reads),
            (&mut self.writes, &other.writes),
            (&mut self.pings, &other.pings),
        ] {
            mine.add(theirs).expect("histograms of one shape");
        }
        for (&code, &n) in &other.errors {
            *self.errors.entry(code).or_default() += n;
        }
        self.events += other.events;
        self.bytes += other.bytes;
    }

    /// All latencies together.
    pub fn all(&self) -> Histogram<u64> {
        let mut all = self.reads.clone();
        all.add(&self.writes).expect("histograms of one shape");
        all.add(&self.pings).expect("histograms of one shape");
        all
    }
}

/// A histogram in a few numbers, us.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: f64,
    /// 90th percentile.
    pub p90_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// The worst.
    pub max_us: f64,
}

impl Latency {
    /// Reads the numbers off a histogram of ns.
    pub fn of(h: &Histogram<u64>) -> Self {
        let at = |q: f64| h.value_at_quantile(q) as f64 / 1e3;
        Self {
            count: h.len(),
            mean_us: h.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: h.max() as f64 / 1e3,
        }
    }
}

/// Error counts by Apache's names.
pub fn by_name(errors: &BTreeMap<i32, u64>) -> BTreeMap<String, u64> {
    errors
        .iter()
        .map(|(&code, &n)| {
            let name = Code::of(code).map_or_else(|| code.to_string(), |c| c.name().to_owned());
            (name, n)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_stats_are_the_sum() {
        let mut a = Stats::default();
        a.record(Class::Read, 1_000);
        let mut b = Stats::default();
        b.record(Class::Write, 3_000);
        b.error(-101);
        a.merge(&b);
        let l = Latency::of(&a.all());
        assert_eq!(l.count, 2);
        assert!(l.max_us >= 3.0 && l.p50_us < 1.01, "{l:?}");
        assert_eq!(by_name(&a.errors)["NONODE"], 1);
    }
}
