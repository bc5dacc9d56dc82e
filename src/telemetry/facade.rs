//! The `metrics` crate's facade over our table.
//!
//! A name of the table (`metrics::counter!("commit_count")`) leads to the handle in the table; any
//! other name, from our extensions or a library, is kept by the Prometheus exporter's own recorder
//! and shown after the table by [`prometheus`](super::prometheus).

use std::sync::{Arc, OnceLock};

use metrics::{
    CounterFn, HistogramFn, Key, KeyName, Metadata, Recorder, SetRecorderError, SharedString, Unit,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::metrics::{Counter, Handle, METRICS, Summary, TABLE};

static EXTRA: OnceLock<PrometheusHandle> = OnceLock::new();

/// Routes the facade's macros.
pub struct Facade {
    extra: PrometheusRecorder,
}

/// Makes [`Facade`] the recorder of this process.
///
/// # Errors
/// If a recorder is already installed.
pub fn install() -> Result<(), SetRecorderError<Facade>> {
    let facade = Facade::new();
    let handle = facade.extra.handle();
    metrics::set_global_recorder(facade)?;
    let _ = EXTRA.set(handle);
    Ok(())
}

/// The exposition of what is not in the table; empty before [`install`].
#[must_use]
pub fn render_extra() -> String {
    EXTRA
        .get()
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

impl Facade {
    /// A recorder over [`METRICS`] and a fresh store for other names.
    #[must_use]
    pub fn new() -> Self {
        Self {
            extra: PrometheusBuilder::new().build_recorder(),
        }
    }
}

impl Default for Facade {
    fn default() -> Self {
        Self::new()
    }
}

fn handle_of(name: &str) -> Option<Handle<'static>> {
    METRICS
        .rows()
        .find(|(def, _)| def.name == name)
        .map(|(_, handle)| handle)
}

fn in_table(name: &KeyName) -> bool {
    TABLE.iter().any(|def| def.name == name.as_str())
}

/// The value of the only label that sets have.
fn label_of(key: &Key) -> &str {
    key.labels().next().map_or("", metrics::Label::value)
}

struct CounterRef(&'static Counter);

impl CounterFn for CounterRef {
    fn increment(&self, value: u64) {
        self.0.add(value);
    }

    fn absolute(&self, value: u64) {
        self.0.add(value.saturating_sub(self.0.get()));
    }
}

struct SummaryRef(&'static Summary);

impl HistogramFn for SummaryRef {
    fn record(&self, value: f64) {
        // Saturates; NaN counts as 0.
        self.0.record(value.round() as i64);
    }
}

impl Recorder for Facade {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if !in_table(&key) {
            self.extra.describe_counter(key, unit, description);
        }
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if !in_table(&key) {
            self.extra.describe_gauge(key, unit, description);
        }
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if !in_table(&key) {
            self.extra.describe_histogram(key, unit, description);
        }
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Counter {
        let counter = match handle_of(key.name()) {
            None => return self.extra.register_counter(key, metadata),
            Some(Handle::Counter(counter)) => counter,
            Some(Handle::CounterSet(set)) => set.with(label_of(key)),
            // A name of the table with another kind would show up twice.
            Some(_) => return metrics::Counter::noop(),
        };
        metrics::Counter::from_arc(Arc::new(CounterRef(counter)))
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Gauge {
        match handle_of(key.name()) {
            None => self.extra.register_gauge(key, metadata),
            // Gauges of the table are asked for, not set.
            Some(_) => metrics::Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Histogram {
        let summary = match handle_of(key.name()) {
            None => return self.extra.register_histogram(key, metadata),
            Some(Handle::Summary(summary)) => summary,
            Some(Handle::SummarySet(set)) => set.with(label_of(key)),
            Some(_) => return metrics::Histogram::noop(),
        };
        metrics::Histogram::from_arc(Arc::new(SummaryRef(summary)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_table_reach_the_table() {
        let facade = Facade::new();
        let before = METRICS.snapshot_rate_limited_count.get();
        metrics::with_local_recorder(&facade, || {
            metrics::counter!("snapshot_rate_limited_count").increment(2);
            metrics::histogram!("ack_latency", "key" => "facade").record(7.4);
            metrics::gauge!("znode_count").set(3.0);
            metrics::counter!("zabra_other").increment(1);
        });
        assert_eq!(METRICS.snapshot_rate_limited_count.get(), before + 2);
        assert_eq!(METRICS.ack_latency.with("facade").totals().sum, 7);
        let extra = facade.extra.handle().render();
        assert!(extra.contains("\nzabra_other 1\n"), "{extra}");
        assert!(!extra.contains("znode_count"), "{extra}");
    }
}
