//! One metric family on its way to text.

use std::fmt;

use metrics_exporter_prometheus::LabelSet;
use metrics_exporter_prometheus::formatting::{
    write_help_line, write_metric_line, write_type_line,
};

use crate::telemetry::java_num::JavaDouble;

/// A number as the exposition shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    /// As simpleclient's `doubleToGoString`: Java's form but for the infinities.
    Double(f64),
    /// Counts of 3.10.
    Integer(u64),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Double(f64::INFINITY) => f.write_str("+Inf"),
            Self::Double(f64::NEG_INFINITY) => f.write_str("-Inf"),
            Self::Double(value) => JavaDouble(value).fmt(f),
            Self::Integer(value) => value.fmt(f),
        }
    }
}

/// HELP, TYPE and samples that belong together.
pub(super) struct Family {
    pub(super) name: String,
    kind: &'static str,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    quantile: Option<&'static str>,
    value: Scalar,
}

impl Family {
    pub(super) fn new(name: &str, kind: &'static str, help: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            help: help.to_owned(),
            samples: Vec::new(),
        }
    }

    /// A sample of the name plus `suffix`, with at most one label besides the quantile.
    pub(super) fn add(
        &mut self,
        suffix: &'static str,
        label: Option<(&'static str, String)>,
        quantile: Option<&'static str>,
        value: Scalar,
    ) {
        self.add_labelled(suffix, label.into_iter().collect(), quantile, value);
    }

    pub(super) fn add_labelled(
        &mut self,
        suffix: &'static str,
        labels: Vec<(&'static str, String)>,
        quantile: Option<&'static str>,
        value: Scalar,
    ) {
        self.samples.push(Sample {
            suffix,
            labels,
            quantile,
            value,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub(super) fn write(&self, out: &mut String) {
        write_help_line(out, &self.name, None, None, &self.help);
        write_type_line(out, &self.name, None, None, self.kind);
        for sample in &self.samples {
            // Not the helper's own suffix: it would leave the second `_count` off
            // `node_children_watch_count_count`.
            let name = format!("{}{}", self.name, sample.suffix);
            let labels: Vec<metrics::Label> = sample
                .labels
                .iter()
                .map(|(k, v)| metrics::Label::new(*k, v.clone()))
                .collect();
            let key = metrics::Key::from_parts("", labels);
            let labels = LabelSet::from_key_and_global(&key, &Default::default());
            let quantile = sample.quantile.map(|q| ("quantile", q));
            write_metric_line(out, &name, None, &labels, quantile, sample.value, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (scalar, text) in [
            (Scalar::Double(0.0), "0.0"),
            (Scalar::Double(1e9), "1.0E9"),
            (Scalar::Double(f64::NAN), "NaN"),
            (Scalar::Double(f64::INFINITY), "+Inf"),
            (Scalar::Double(f64::NEG_INFINITY), "-Inf"),
            (Scalar::Integer(4), "4"),
        ] {
            assert_eq!(scalar.to_string(), text);
        }
    }
}
