//! What waits for a learner (Apache: the marker packets of `LearnerHandler`).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::base::ServerId;
use crate::telemetry::metrics::METRICS;

/// One packet of so many is timed.
const TIMED_ONE_OF: u64 = 64;

/// Looks at the queue of one link. Until the learner has said who it is, nothing is recorded.
#[derive(Debug, Default)]
pub struct QueueMeter {
    label: OnceLock<String>,
    packets: AtomicU64,
}

impl QueueMeter {
    /// The learner at the other end.
    pub fn name(&self, sid: ServerId) {
        let _ = self.label.set(sid.0.to_string());
    }

    /// A packet is queued: now, if it is one that is timed.
    pub(super) fn entered(&self) -> Option<Instant> {
        let n = self.packets.fetch_add(1, Ordering::Relaxed);
        n.is_multiple_of(TIMED_ONE_OF).then(Instant::now)
    }

    /// A packet is about to be written.
    pub(super) fn left(&self, since: Option<Instant>) {
        if let (Some(label), Some(since)) = (self.label.get(), since) {
            let ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            METRICS.learner_handler_qp_time_ms.with(label).record(ms);
        }
    }

    /// So many packets wait behind the one that is taken.
    pub(super) fn length(&self, packets: usize) {
        if let Some(label) = self.label.get() {
            let n = i64::try_from(packets).unwrap_or(i64::MAX);
            METRICS.learner_handler_qp_size.with(label).record(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_timed_and_only_for_whom_has_a_name() {
        let meter = QueueMeter::default();
        let timed = (0..130).filter(|_| meter.entered().is_some()).count();
        assert_eq!(timed, 3);
        let label = "-7007";
        let sizes = METRICS.learner_handler_qp_size.with(label);
        let before = sizes.totals().count;
        meter.length(5);
        assert_eq!(sizes.totals().count, before);
        meter.name(ServerId(-7007));
        meter.length(5);
        meter.left(meter.entered());
        assert_eq!(sizes.totals().count, before + 1);
    }
}
