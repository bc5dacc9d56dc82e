//! The thread that owns the pure server and the log: takes inputs in batches, steps, carries the
//! effects out.
//!
//! Standalone, log and sequencer are one thread. While a sync runs, requests gather in the channel;
//! they are the next batch. A hand-over to a thread of its own would cost every lone write two
//! wake-ups and gain nothing: the next batch cannot be synced before this one anyway.

use std::sync::Arc;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::base::Zxid;
use crate::base::limits::BATCH_BYTES_MAX;
use crate::config::ExitCode;
use crate::conn::Clock;
use crate::pipeline::{Effects, Input, LogOp, Server, SnapshotJob};
use crate::store::StoreError;
use crate::store::os::LogWriter;
use crate::telemetry::metrics::METRICS;

use super::clock::SystemClock;
use super::fatal;

/// Most inputs stepped before their effects are carried out.
const INPUTS_MAX: usize = 4096;

/// The sequencer's hands.
pub struct Sequencer {
    /// The core.
    pub server: Server,
    /// Its inputs.
    pub inputs: Receiver<Input>,
    /// The log.
    pub log: LogWriter,
    /// To the snapshot thread.
    pub snapshots: Sender<SnapshotJob>,
    /// The clocks.
    pub clock: Arc<SystemClock>,
    /// A sync slower than this is logged, ms.
    pub fsync_warning_ms: u64,
    /// Told when the inputs' senders are gone and the log is closed.
    pub closed: Sender<()>,
    /// Asks for the end.
    pub stop: Receiver<()>,
}

impl Sequencer {
    /// Runs until asked to stop. Errors of the log end the process: what was not synced is not
    /// acknowledged, and nothing is retried.
    pub fn run(mut self) {
        let mut effects = Effects::default();
        loop {
            let first = self.wait();
            if self.stop.try_recv().is_ok() {
                break;
            }
            let now = self.clock.now();
            METRICS
                .prep_processor_queue_size
                .record_len(self.inputs.len());
            let mut bytes = 0;
            self.server
                .step(now, first.unwrap_or(Input::Tick), &mut effects);
            for _ in 0..INPUTS_MAX {
                let Ok(input) = self.inputs.try_recv() else {
                    break;
                };
                if let Input::Request(r) = &input {
                    bytes += r.body.len();
                }
                self.server.step(now, input, &mut effects);
                if bytes > BATCH_BYTES_MAX / 2 {
                    break;
                }
            }
            self.carry_out(&mut effects, now.mono_ms);
        }
        if let Err(e) = self.log.close() {
            tracing::error!(target: "o.a.z.s.SyncRequestProcessor", "closing the log: {e}");
        }
        let _ = self.closed.send(());
    }

    /// The next input, or none when it is time for a tick.
    fn wait(&self) -> Option<Input> {
        let due = self.server.next_tick().map(|ms| self.clock.instant(ms));
        let got = match due {
            Some(at) => self.inputs.recv_deadline(at),
            None => self
                .inputs
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
        };
        got.ok()
    }

    /// Logs what was prepared since `since` (monotonic ms), applies it, wakes whom it concerns, and goes
    /// round until nothing is left. The times that are recorded are those of whole batches.
    fn carry_out(&mut self, effects: &mut Effects, since: i64) {
        let mut since = since;
        // Applying may itself give work to the log (an expiry behind a commit); go round until it
        // is quiet.
        while !effects.log.is_empty() {
            wake(effects);
            let start = self.clock.mono_ms();
            // One thread prepares and logs: what is prepared waits while the rest of its batch is.
            METRICS.prep_process_time.record(start - since);
            METRICS.sync_processor_queue_time_ms.record(start - since);
            let durable = self.write(std::mem::take(&mut effects.log));
            let end = self.clock.mono_ms();
            METRICS.sync_process_time.record(end - start);
            METRICS
                .sync_processor_queue_and_flush_time_ms
                .record(end - since);
            match durable {
                Ok(Some(zxid)) => {
                    let now = self.clock.now();
                    self.server.step(now, Input::Durable(zxid), effects);
                    since = now.mono_ms;
                }
                Ok(None) => {}
                Err(e) => fatal::unrecoverable("SyncThread:0", &e, ExitCode::UnexpectedError),
            }
        }
        wake(effects);
        if let Some(job) = effects.snapshot.take() {
            // The snapshot thread is gone only when the process is ending.
            let _ = self.snapshots.send(job);
        }
    }

    /// Appends and syncs; the last zxid that is durable now.
    fn write(&mut self, ops: Vec<LogOp>) -> Result<Option<Zxid>, StoreError> {
        METRICS.sync_processor_queue_size.record_len(ops.len());
        METRICS.sync_processor_request_queued.add(ops.len() as u64);
        let mut last = None;
        let mut count = 0;
        let mut roll = false;
        for op in ops {
            match op {
                LogOp::Append(zxid, bytes) => {
                    self.log.append(zxid, &bytes)?;
                    last = Some(zxid);
                    count += 1;
                }
                LogOp::Roll => roll = true,
            }
        }
        METRICS.sync_processor_batch_size.record(count);
        let start = self.clock.mono_ms();
        if roll {
            self.log.roll()?
        } else {
            self.log.commit()?
        }
        let ms = self.clock.mono_ms() - start;
        METRICS.fsynctime.record(ms);
        METRICS.sync_processor_queue_flush_time_ms.record(ms);
        if u64::try_from(ms).is_ok_and(|ms| ms > self.fsync_warning_ms) {
            super::view::FSYNC_THRESHOLD_EXCEEDED
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tracing::warn!(
                target: "o.a.z.s.p.FileTxnLog",
                "fsync-ing the write ahead log in SyncThread:0 took {ms}ms which will adversely effect operation latency.File size is {} bytes. See the ZooKeeper troubleshooting guide",
                self.log.current_size()
            );
        }
        Ok(last)
    }
}

fn wake(effects: &mut Effects) {
    effects.wakes.drain(..).for_each(|inbox| inbox.wake());
}
