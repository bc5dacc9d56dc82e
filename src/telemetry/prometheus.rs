//! The Prometheus text exposition, in the shape of Apache 3.9 (simpleclient 0.9.0), of 3.10
//! (prometheus-metrics 1.x), or both at once.
//!
//! 3.9: HELP repeats the name, counters have no `_total`, every number is a Java double, quantiles
//! are 0.5 (basic) or 0.5, 0.9, 0.99 (advanced). Families come in table order; Apache's are in hash
//! order. Differs: no comma after the last label, which no parser asks for.

mod family;
mod process;

use std::fmt::Write as _;
use std::str::FromStr;

use family::{Family, Scalar};
pub use process::ProcessStats;

use super::facade;
use super::metrics::{GaugeSource, Handle, Kind, MetricDef, Metrics, Summary};

/// Content type of the exposition. Apache: `TextFormat.CONTENT_TYPE_004`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which release's names to use; `metrics.compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compat {
    /// What every public dashboard reads.
    #[default]
    V3_9,
    /// Counters end in `_total`, advanced summaries have 0.95 instead of 0.9.
    V3_10,
    /// Both names of each counter, all quantiles.
    Both,
}

impl FromStr for Compat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "3.9" => Ok(Self::V3_9),
            "3.10" => Ok(Self::V3_10),
            "both" => Ok(Self::Both),
            other => Err(format!("metrics.compat is 3.9, 3.10 or both, not {other}")),
        }
    }
}

impl Compat {
    fn has_3_9(self) -> bool {
        self != Self::V3_10
    }

    fn has_3_10(self) -> bool {
        self != Self::V3_9
    }

    fn quantiles(self, kind: Kind) -> &'static [(f64, &'static str)] {
        let advanced = matches!(kind, Kind::Advanced | Kind::AdvancedSet);
        match self {
            _ if !advanced => &[(0.5, "0.5")],
            Self::V3_9 => &[(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")],
            Self::V3_10 => &[(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")],
            Self::Both => &[(0.5, "0.5"), (0.9, "0.9"), (0.95, "0.95"), (0.99, "0.99")],
        }
    }
}

/// Everything that goes into one scrape.
pub struct Scrape<'a> {
    /// The recorded metrics. Call [`Metrics::rotate`] first.
    pub metrics: &'a Metrics,
    /// Who knows the gauges.
    pub gauges: &'a dyn GaugeSource,
    /// `process_*` and the stand-ins for `jvm_*`; `None` if `metricsProvider.exportJvmInfo=false`.
    pub process: Option<ProcessStats>,
    /// Which names to use.
    pub compat: Compat,
}

impl Scrape<'_> {
    /// The text. With `names` not empty (`?name[]=`), only samples of exactly these names.
    #[must_use]
    pub fn render(&self, names: &[String]) -> String {
        let mut families = self
            .process
            .as_ref()
            .map_or_else(Vec::new, |p| p.families(self.compat));
        for (def, handle) in self.metrics.rows() {
            self.add(&mut families, def, handle);
        }
        if self.compat == Compat::V3_10 {
            families.sort_by(|a, b| a.name.cmp(&b.name));
            // 3.9 shows the HELP and TYPE of a set without children, 3.10 nothing.
            families.retain(|family| !family.is_empty());
        }
        let mut text = String::with_capacity(64 * 1024);
        for family in &families {
            family.write(&mut text);
        }
        text.push_str(&facade::render_extra());
        if names.is_empty() {
            text
        } else {
            only(&text, names)
        }
    }

    fn add(&self, families: &mut Vec<Family>, def: &'static MetricDef, handle: Handle<'_>) {
        match handle {
            Handle::Gauge(gauge) => {
                // A gauge is shown while its owner exists.
                if let Some(number) = self.gauges.gauge(gauge) {
                    let mut family = Family::new(def.name, "gauge", def.name);
                    family.add("", None, None, Scalar::Double(number.as_f64()));
                    families.push(family);
                }
            }
            Handle::GaugeSet(set) => {
                let mut family = Family::new(def.name, "gauge", def.name);
                for (label, number) in self.gauges.gauge_set(set) {
                    let label = def.label.map(|key| (key, label));
                    family.add("", label, None, Scalar::Double(number.as_f64()));
                }
                families.push(family);
            }
            Handle::Counter(counter) => self.add_counter(families, def, &[(None, counter.get())]),
            Handle::CounterSet(set) => {
                let children: Vec<_> = set
                    .children()
                    .iter()
                    .map(|(l, c)| (Some(*l), c.get()))
                    .collect();
                self.add_counter(families, def, &children);
            }
            Handle::Summary(summary) => self.add_summary(families, def, &[(None, summary)]),
            Handle::SummarySet(set) => {
                let children: Vec<_> = set.children().iter().map(|(l, s)| (Some(*l), *s)).collect();
                self.add_summary(families, def, &children);
            }
        }
    }

    fn add_counter(
        &self,
        families: &mut Vec<Family>,
        def: &'static MetricDef,
        children: &[(Option<&str>, u64)],
    ) {
        let mut add = |name: &str, help: &str| {
            let mut family = Family::new(name, "counter", help);
            for (label, count) in children {
                let label = def.label.zip(label.map(str::to_owned));
                family.add("", label, None, Scalar::Double(*count as f64));
            }
            families.push(family);
        };
        let base = def.name.strip_suffix("_total");
        // A name that already ends in _total is the same in both.
        if self.compat.has_3_9() && (base.is_none() || !self.compat.has_3_10()) {
            add(def.name, def.name);
        }
        if self.compat.has_3_10() {
            let total = format!("{}_total", base.unwrap_or(def.name));
            add(&total, &format!("{} counter", def.name));
        }
    }

    fn add_summary(
        &self,
        families: &mut Vec<Family>,
        def: &'static MetricDef,
        children: &[(Option<&str>, &Summary)],
    ) {
        let mut help = def.name.to_owned();
        if self.compat == Compat::V3_10 {
            let _ = write!(help, " summary");
        }
        let mut family = Family::new(def.name, "summary", &help);
        for (label, summary) in children {
            let label = def.label.zip(label.map(str::to_owned));
            let window = summary.window();
            for (q, text) in self.compat.quantiles(def.kind) {
                let value = window.as_ref().map_or(f64::NAN, |w| w.quantile(*q) as f64);
                family.add("", label.clone(), Some(*text), Scalar::Double(value));
            }
            let totals = summary.totals();
            let count = match self.compat {
                Compat::V3_10 => Scalar::Integer(totals.count),
                Compat::V3_9 | Compat::Both => Scalar::Double(totals.count as f64),
            };
            family.add("_count", label.clone(), None, count);
            family.add("_sum", label, None, Scalar::Double(totals.sum as f64));
        }
        families.push(family);
    }
}

/// Keeps the samples whose name is in `names`, and HELP and TYPE of families that keep any.
/// Apache: `CollectorRegistry.filteredMetricFamilySamples`: `_count` and `_sum` are names of their own.
fn only(text: &str, names: &[String]) -> String {
    let mut kept = String::new();
    let mut heading = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            if line.starts_with("# HELP") {
                heading.clear();
            }
            heading.push_str(line);
            heading.push('\n');
            continue;
        }
        let name = line.split(['{', ' ']).next().unwrap_or(line);
        if names.iter().any(|wanted| wanted == name) {
            kept.push_str(&heading);
            heading.clear();
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests;
