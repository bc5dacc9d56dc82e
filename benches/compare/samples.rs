//! Numbers as they were measured.

use std::collections::BTreeMap;

use zabra::bench::report::Report;

use crate::rows::Row;
use crate::server::Kind;

/// Every number of every round.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    values: BTreeMap<(&'static str, &'static str, Kind), Vec<f64>>,
    noise: BTreeMap<&'static str, f64>,
    errors: BTreeMap<(&'static str, Kind), u64>,
}

impl Samples {
    /// Adds one number.
    pub(crate) fn add(&mut self, row: &Row, metric: &'static str, kind: Kind, value: f64) {
        let key = (row.name, metric, kind);
        self.values.entry(key).or_default().push(value);
    }

    /// Adds the row's numbers out of a report of the load tool.
    pub(crate) fn add_report(&mut self, row: &Row, kind: Kind, report: &Report) {
        for metric in row.metrics {
            if let Some(value) = (metric.of)(report) {
                self.add(row, metric.name, kind, value);
            }
        }
        let noise = self.noise.entry(row.name).or_default();
        *noise = noise.max(report.other_cores);
        let errors = report.errors.values().sum::<u64>();
        *self.errors.entry((row.name, kind)).or_default() += errors;
    }

    /// The median of a number over the rounds.
    pub(crate) fn median(&self, row: &Row, metric: &'static str, kind: Kind) -> Option<f64> {
        let mut values = self.values.get(&(row.name, metric, kind))?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    /// All rounds of a number.
    pub(crate) fn all(&self, row: &Row, metric: &'static str, kind: Kind) -> Vec<f64> {
        let key = (row.name, metric, kind);
        self.values.get(&key).cloned().unwrap_or_default()
    }

    /// Most cores that other processes took during the row.
    pub(crate) fn noise(&self, row: &Row) -> f64 {
        self.noise.get(row.name).copied().unwrap_or(0.0)
    }

    /// Requests of the row that were answered with an error.
    pub(crate) fn errors(&self, row: &Row, kind: Kind) -> u64 {
        self.errors.get(&(row.name, kind)).copied().unwrap_or(0)
    }
}
