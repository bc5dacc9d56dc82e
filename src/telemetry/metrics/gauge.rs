//! Values that live elsewhere and are asked for when somebody looks.

use super::{Gauge, GaugeSet};

/// A gauge value. `mntr` prints the two kinds differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Printed as an integer.
    Int(i64),
    /// Printed as a Java double.
    Float(f64),
}

impl Number {
    /// The value as a double, as Prometheus wants it.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Who knows the gauges: the runtime. Asked at each scrape and each `mntr`, so it may take locks but
/// must not wait for anything.
pub trait GaugeSource: Send + Sync {
    /// The value now, or `None` when its owner does not exist (leader gauges on a follower): the
    /// gauge is then not shown at all.
    fn gauge(&self, gauge: Gauge) -> Option<Number>;

    /// The children of a gauge set: (label, value), in the order to be shown.
    fn gauge_set(&self, set: GaugeSet) -> Vec<(String, Number)>;
}
