//! What a row of the table says.

use super::{Counter, CounterSet, Gauge, GaugeSet, Summary, SummarySet};

/// What a metric is, as providers and scrapers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value asked for at scrape time.
    Gauge,
    /// Gauges told apart by a label.
    GaugeSet,
    /// A growing number.
    Counter,
    /// Counters told apart by a label.
    CounterSet,
    /// A summary with average, extremes, count and sum; Prometheus: the median.
    Basic,
    /// A basic summary plus percentiles.
    Advanced,
    /// Basic summaries told apart by a label.
    BasicSet,
    /// Advanced summaries told apart by a label.
    AdvancedSet,
}

impl Kind {
    /// All kinds in the order in which Apache's default provider dumps them.
    pub const DUMP_ORDER: [Self; 8] = [
        Self::Gauge,
        Self::GaugeSet,
        Self::Counter,
        Self::CounterSet,
        Self::Basic,
        Self::Advanced,
        Self::BasicSet,
        Self::AdvancedSet,
    ];
}

/// What the number of a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Things or events.
    Count,
    /// Milliseconds.
    Ms,
    /// Bytes.
    Bytes,
    /// A share, 0 to 1.
    Ratio,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricDef {
    /// Apache's name: without prefix in Prometheus, with `zk_` in `mntr`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Name of the label of a set.
    pub label: Option<&'static str>,
    /// What it counts.
    pub unit: Unit,
    /// What it means. Apache's exposition prints the name instead.
    pub help: &'static str,
}

/// Where the values of a row are.
pub enum Handle<'a> {
    /// Ask the [`GaugeSource`](super::GaugeSource).
    Gauge(Gauge),
    /// Ask the [`GaugeSource`](super::GaugeSource).
    GaugeSet(GaugeSet),
    /// A counter.
    Counter(&'a Counter),
    /// A family of counters.
    CounterSet(&'a CounterSet),
    /// A summary, basic or advanced.
    Summary(&'a Summary),
    /// A family of summaries, basic or advanced.
    SummarySet(&'a SummarySet),
}
