//! A load: sessions on a few threads, closed or open loop, warm-up, then a measured span.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::error::BenchError;
use super::process::{self, Meter, Used};
use super::progress::Progress;
use super::stats::Stats;
use super::work::{Requests, Work};
use super::worker::Worker;

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After this span, measured behind the warm-up.
    Time(Duration),
    /// After this many requests; there is no warm-up then.
    Count(u64),
}

/// A load to be put on a server.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the server listens.
    pub addr: SocketAddr,
    /// Sessions in all.
    pub sessions: usize,
    /// Unanswered requests a session may have.
    pub in_flight: usize,
    /// Threads of the tool.
    pub threads: usize,
    /// Requests per second in all; `None` sends as answers come in.
    pub rate: Option<f64>,
    /// Unmeasured span at the start.
    pub warmup: Duration,
    /// When it ends.
    pub end: End,
    /// Session timeout, ms.
    pub timeout_ms: i32,
    /// The server's process, when it is on this machine.
    pub pid: Option<u32>,
    /// More processes whose CPU counts as the server's.
    pub also: Vec<u32>,
    /// What is asked for.
    pub work: Work,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Latencies and errors.
    pub stats: Stats,
    /// Measured span, s.
    pub seconds: f64,
    /// Requests answered in it.
    pub done: u64,
    /// CPU used in it.
    pub used: Used,
    /// The server's resident memory before the load and at its end, bytes.
    pub resident: Option<(u64, u64)>,
}

/// Span of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Span {
    /// Not measured yet.
    Warmup = 0,
    /// Measured.
    Measured = 1,
    /// No new requests.
    Over = 2,
}

/// What coordinator and workers share.
pub(super) struct Shared {
    span: AtomicU8,
    /// Requests that may still be sent.
    pub(super) budget: Option<AtomicI64>,
    /// Answers, all spans, one count a thread.
    pub(super) done: Vec<AtomicU64>,
    /// Error answers, all threads.
    pub(super) errors: AtomicU64,
}

impl Shared {
    pub(super) fn span(&self) -> Span {
        match self.span.load(Ordering::Relaxed) {
            0 => Span::Warmup,
            1 => Span::Measured,
            _ => Span::Over,
        }
    }

    fn enter(&self, span: Span) {
        self.span.store(span as u8, Ordering::Relaxed);
    }

    fn done(&self) -> u64 {
        self.done.iter().map(|d| d.load(Ordering::Relaxed)).sum()
    }
}

/// What a worker tells.
enum News {
    Ready,
    Finished(Box<Result<Stats, BenchError>>),
}

impl Load {
    fn pids(&self) -> impl Iterator<Item = u32> {
        self.pid.into_iter().chain(self.also.iter().copied())
    }

    /// Puts the load on the server and measures.
    ///
    /// # Errors
    /// When the server cannot be reached, hangs up or breaks the protocol.
    pub fn run(&self, progress: &mut Progress) -> Result<Outcome, BenchError> {
        let threads = self.threads.clamp(1, self.sessions.max(1));
        let shared = Arc::new(Shared {
            span: AtomicU8::new(Span::Warmup as u8),
            budget: match self.end {
                End::Count(n) => Some(AtomicI64::new(n as i64)),
                End::Time(_) => None,
            },
            done: (0..threads).map(|_| AtomicU64::new(0)).collect(),
            errors: AtomicU64::new(0),
        });
        let before = self.pid.and_then(process::resident);
        let (tell, news) = channel();
        let clock = Clock::start();
        let fresh = Arc::new(AtomicU64::new(0));
        let mut starts = Vec::new();
        for thread in 0..threads {
            let (load, shared) = (self.clone(), Arc::clone(&shared));
            let requests = Requests::new(&self.work, thread as u64, Arc::clone(&fresh));
            let (start, started) = channel();
            let tell = tell.clone();
            std::thread::Builder::new()
                .name(format!("bench-{thread}"))
                .spawn(move || {
                    let worker = Worker::new(&load, thread, threads, clock, shared);
                    run_worker(worker, requests, &tell, &started);
                })
                .map_err(BenchError::io("thread"))?;
            starts.push(start);
        }
        drop(tell);
        for _ in 0..threads {
            if let Ok(News::Finished(result)) = news.recv() {
                (*result)?;
            }
        }
        self.conduct(&shared, &news, starts, progress, before)
    }

    /// All sessions are open: starts, warms up, measures, stops.
    fn conduct(
        &self,
        shared: &Shared,
        news: &Receiver<News>,
        starts: Vec<Sender<()>>,
        progress: &mut Progress,
        before: Option<u64>,
    ) -> Result<Outcome, BenchError> {
        let mut crew = Crew {
            news,
            left: starts.len(),
            stats: Stats::default(),
            failed: None,
        };
        let (warmup, span) = match self.end {
            End::Time(span) => (self.warmup, span),
            End::Count(_) => (Duration::ZERO, Duration::MAX),
        };
        if warmup.is_zero() {
            shared.enter(Span::Measured);
        }
        let mut meter = Meter::start(self.pids());
        let mut from = (Instant::now(), shared.done());
        for start in &starts {
            // A worker that is gone tells why in its news.
            let _ = start.send(());
        }
        if !warmup.is_zero() {
            crew.watch(warmup, shared, progress, "warm-up");
            shared.enter(Span::Measured);
            meter = Meter::start(self.pids());
            from = (Instant::now(), shared.done());
        }
        crew.watch(span, shared, progress, "measured");
        let seconds = from.0.elapsed().as_secs_f64();
        let used = meter.read();
        let done = shared.done() - from.1;
        let after = self.pid.and_then(process::resident);
        shared.enter(Span::Over);
        crew.watch(Duration::MAX, shared, progress, "closing");
        progress.clear();
        if let Some(e) = crew.failed {
            return Err(e);
        }
        Ok(Outcome {
            stats: crew.stats,
            seconds,
            done,
            used,
            resident: before.zip(after),
        })
    }
}

fn run_worker(
    worker: Result<Worker, BenchError>,
    requests: Requests,
    tell: &Sender<News>,
    started: &Receiver<()>,
) {
    let result = worker.and_then(|mut worker| {
        worker.open()?;
        let _ = tell.send(News::Ready);
        // No start means that another worker failed.
        if started.recv().is_ok() {
            worker.work(requests)
        } else {
            Ok(Stats::default())
        }
    });
    let _ = tell.send(News::Finished(Box::new(result)));
}

/// The workers as the coordinator sees them.
struct Crew<'a> {
    news: &'a Receiver<News>,
    left: usize,
    stats: Stats,
    failed: Option<BenchError>,
}

impl Crew<'_> {
    /// Waits for `span` or until no worker is left, with a progress line each second.
    fn watch(&mut self, span: Duration, shared: &Shared, progress: &mut Progress, what: &str) {
        let start = Instant::now();
        let (mut last, mut done) = (start, shared.done());
        while self.left > 0 {
            let rest = span.saturating_sub(start.elapsed());
            if rest.is_zero() {
                return;
            }
            match self.news.recv_timeout(rest.min(Duration::from_secs(1))) {
                Ok(News::Finished(result)) => {
                    self.left -= 1;
                    match *result {
                        Ok(stats) => self.stats.merge(&stats),
                        Err(e) => {
                            shared.enter(Span::Over);
                            self.failed.get_or_insert(e);
                        }
                    }
                }
                Ok(News::Ready) => {}
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let now = shared.done();
                    let rate = (now - done) as f64 / last.elapsed().as_secs_f64();
                    (last, done) = (Instant::now(), now);
                    let errors = shared.errors.load(Ordering::Relaxed);
                    progress.line(what, start.elapsed(), now, rate, errors);
                }
            }
        }
    }
}
