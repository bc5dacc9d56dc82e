//! `mntr`: every metric as `zk_<key>`, in the shape of Apache's default provider.
//!
//! Differs: with the Prometheus provider Apache changes the shape (labels in names, every number a
//! double), which breaks parsers; we keep this one with either provider.

use std::fmt;

use super::view::ServerView;
use crate::telemetry::java_num::{JavaDouble, average};
use crate::telemetry::metrics::{Gauge, Handle, Kind, Metrics, Number, Summary};

/// A value of `mntr` and of the admin command `monitor`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Version or state.
    Text(String),
    /// Most numbers.
    Integer(u64),
    /// A gauge.
    Gauge(Number),
    /// An average.
    Float(f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Integer(value) => value.fmt(f),
            Self::Gauge(Number::Int(value)) => value.fmt(f),
            Self::Gauge(Number::Float(value)) | Self::Float(value) => JavaDouble(*value).fmt(f),
        }
    }
}

/// The reply of the word.
#[must_use]
pub fn render(view: &dyn ServerView, metrics: &Metrics) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(32 * 1024);
    for (key, value) in values(view, metrics) {
        let _ = writeln!(out, "zk_{key}\t{value}");
    }
    out
}

/// All keys, without the `zk_`, and their values: first version and state, then the metrics in
/// table order, which is the order of Apache's provider kind by kind. Apache: `MonitorCommand`,
/// `DefaultMetricsProvider.dump`.
#[must_use]
pub fn values(view: &dyn ServerView, metrics: &Metrics) -> Vec<(String, Value)> {
    let mut out = Values(Vec::with_capacity(1_024));
    out.text("version", view.version());
    out.text("server_state", view.mode().name().to_owned());
    if let Some(state) = view.peer_state() {
        out.text("peer_state", state);
    }
    if let Some(master) = view.observer_master_id() {
        out.push(
            "observer_master_id".to_owned(),
            Value::Gauge(Number::Int(master.0)),
        );
    }
    let gauges = view.gauges();
    for (def, handle) in metrics.rows() {
        match handle {
            Handle::Gauge(gauge) => {
                if let Some(number) = gauges.gauge(gauge) {
                    out.push(def.name.to_owned(), Value::Gauge(number));
                    if gauge == Gauge::Learners && view.prints_followers() {
                        out.push("followers".to_owned(), Value::Gauge(number));
                    }
                }
            }
            Handle::GaugeSet(set) => {
                for (label, number) in gauges.gauge_set(set) {
                    out.push(format!("{label}_{}", def.name), Value::Gauge(number));
                }
            }
            Handle::Counter(counter) => {
                out.push(def.name.to_owned(), Value::Integer(counter.get()));
            }
            Handle::CounterSet(set) => {
                for (label, counter) in set.children() {
                    out.push(
                        format!("{label}_{}", def.name),
                        Value::Integer(counter.get()),
                    );
                }
            }
            Handle::Summary(summary) => {
                out.summary(def.name, summary, def.kind == Kind::Advanced);
            }
            Handle::SummarySet(set) => {
                for (label, summary) in set.children() {
                    let name = format!("{label}_{}", def.name);
                    out.summary(&name, summary, def.kind == Kind::AdvancedSet);
                }
            }
        }
    }
    out.0
}

struct Values(Vec<(String, Value)>);

impl Values {
    fn push(&mut self, key: String, value: Value) {
        self.0.push((key, value));
    }

    fn text(&mut self, key: &str, text: String) {
        self.push(key.to_owned(), Value::Text(text));
    }

    /// Apache: `AvgMinMaxCounter.values` and `AvgMinMaxPercentileCounter.values`.
    fn summary(&mut self, name: &str, summary: &Summary, percentiles: bool) {
        let totals = summary.totals();
        self.push(
            format!("avg_{name}"),
            Value::Float(average(totals.sum, totals.count)),
        );
        self.push(format!("min_{name}"), Value::Integer(totals.min));
        self.push(format!("max_{name}"), Value::Integer(totals.max));
        self.push(format!("cnt_{name}"), Value::Integer(totals.count));
        self.push(format!("sum_{name}"), Value::Integer(totals.sum));
        if percentiles {
            let all = summary.lifetime();
            for (q, prefix) in [(0.5, "p50"), (0.95, "p95"), (0.99, "p99"), (0.999, "p999")] {
                let value = all.as_ref().map_or(0, |all| all.quantile(q));
                self.push(format!("{prefix}_{name}"), Value::Integer(value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::admin::fake::FakeServer;
    use crate::admin::view::Mode;

    fn loaded() -> Box<Metrics> {
        let metrics = Box::new(Metrics::new());
        (0..450).for_each(|i| metrics.readlatency.record(i % 6));
        metrics.response_bytes.add(78_390);
        for namespace in ["app", "zookeeper", "kafka", "locks"] {
            metrics.write_per_namespace.with(namespace).record_len(56);
        }
        for namespace in ["app", "zookeeper"] {
            metrics.read_per_namespace.with(namespace).record_len(84);
        }
        metrics
    }

    fn with_learners() -> Box<Metrics> {
        let metrics = loaded();
        for learner in ["1", "3", "4"] {
            metrics.learner_handler_qp_size.with(learner).record(0);
            metrics.learner_handler_qp_time_ms.with(learner).record(1);
        }
        metrics
    }

    /// Key to what the value looks like.
    fn shape(text: &str) -> BTreeMap<&str, &'static str> {
        let kind = |value: &str| match value.parse::<i64>() {
            Ok(_) => "integer",
            Err(_) if value.parse::<f64>().is_ok() => "double",
            Err(_) => "text",
        };
        text.lines()
            .map(|line| line.split_once('\t').expect("a tab"))
            .map(|(key, value)| (key, kind(value)))
            .collect()
    }

    fn assert_covers(ours: &str, golden: &str) {
        let ours = shape(ours);
        for (key, kind) in shape(golden) {
            assert_eq!(ours.get(key), Some(&kind), "{key}");
        }
    }

    #[test]
    fn a_standalone_server_has_every_line_of_apache() {
        let golden = include_str!("../../compat-tests/golden/ops/3.9.4-standalone-mntr.txt");
        let ours = render(&FakeServer::standalone(), &loaded());
        assert_covers(&ours, golden);
        let golden = shape(golden);
        for key in shape(&ours).into_keys() {
            let addition = key.starts_with("zk_op_count_") || key.starts_with("zk_ttl_node_");
            assert!(addition || golden.contains_key(key), "{key} is made up");
        }
    }

    #[test]
    fn a_leader_and_an_observer_have_every_line_of_apache() {
        let golden = include_str!("../../compat-tests/golden/ops/3.9.4-leader-mntr.txt");
        assert_covers(&render(&FakeServer::leader(), &with_learners()), golden);
        let golden = include_str!("../../compat-tests/golden/ops/3.9.4-observer-mntr.txt");
        assert_covers(&render(&FakeServer::observer(), &loaded()), golden);
    }

    #[test]
    fn the_first_lines_are_fixed() {
        let first = |server: &FakeServer| -> Vec<String> {
            let text = render(server, &loaded());
            text.lines()
                .take(4)
                .map(|line| line.split('\t').next().unwrap_or("").to_owned())
                .collect()
        };
        let ensemble = [
            "zk_version",
            "zk_server_state",
            "zk_peer_state",
            "zk_observer_master_id",
        ];
        assert_eq!(first(&FakeServer::observer()), ensemble);
        assert_eq!(first(&FakeServer::leader())[..3], ensemble[..3]);
        assert_eq!(first(&FakeServer::standalone())[..2], ensemble[..2]);
    }

    #[test]
    fn values_look_like_apaches() {
        let text = render(&FakeServer::standalone(), &loaded());
        for line in [
            "zk_server_state\tstandalone",
            "zk_avg_latency\t0.417",
            "zk_znode_count\t214",
            "zk_connection_drop_probability\t0.0",
            "zk_app_quota_bytes_limit_per_namespace\t1000000",
            "zk_response_bytes\t78390",
            "zk_avg_readlatency\t2.5",
            "zk_min_readlatency\t0",
            "zk_max_readlatency\t5",
            "zk_cnt_readlatency\t450",
            "zk_sum_readlatency\t1125",
            "zk_p50_readlatency\t2",
            "zk_p999_readlatency\t5",
            "zk_avg_updatelatency\t0.0",
            "zk_p99_updatelatency\t0",
            "zk_avg_app_write_per_namespace\t56.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
    }

    #[test]
    fn followers_only_on_demand() {
        let mut leader = FakeServer::leader();
        assert!(!render(&leader, &loaded()).contains("zk_followers"));
        leader.prints_followers = true;
        assert!(render(&leader, &loaded()).contains("zk_followers\t3\n"));
        assert_eq!(leader.mode, Mode::Leader);
    }

    /// What Telegraf's zookeeper input does to each line: `^zk_(\w+)\s+([\w\.\-]+)`.
    fn telegraf_accepts(line: &str) -> bool {
        let Some(rest) = line.strip_prefix("zk_") else {
            return false;
        };
        let key_len = rest
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let (key, rest) = rest.split_at(key_len);
        let value = rest.trim_start();
        let starts = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        !key.is_empty() && value.len() < rest.len() && value.starts_with(starts)
    }

    #[test]
    fn telegraf_and_exporters_can_read_every_line() {
        for server in [
            FakeServer::standalone(),
            FakeServer::leader(),
            FakeServer::observer(),
        ] {
            let text = render(&server, &with_learners());
            assert!(text.ends_with('\n'));
            let mut keys = BTreeSet::new();
            for line in text.lines() {
                assert!(telegraf_accepts(line), "{line}");
                assert!(keys.insert(line.split('\t').next()), "{line} twice");
            }
        }
        assert!(!telegraf_accepts("zk_key\t"));
        assert!(!telegraf_accepts("zk_x{key=\"app\"}\t1"));
    }
}
