//! Pings on many idle sessions.

use std::time::Duration;

use super::super::args::HeartbeatArgs;
use super::super::clock::Clock;
use super::super::conn::{Conn, Incoming};
use super::super::error::BenchError;
use super::super::pool::{Handler, Pool};
use super::super::process::{self, Meter};
use super::super::progress::Progress;
use super::super::report::Report;
use super::super::stats::{Latency, Stats};
use super::super::worker::BURST;
use super::{Deaf, pid, seconds};

/// How long the server is watched doing nothing.
const IDLE: Duration = Duration::from_secs(3);

/// Opens the sessions, watches the server idle, then under pings.
pub(in super::super) fn heartbeat(args: &HeartbeatArgs) -> Result<Report, BenchError> {
    let common = &args.common;
    if args.sessions == 0 || !args.rate.is_finite() || args.rate <= 0.0 {
        return Err(BenchError::Usage("sessions, rate: above 0".into()));
    }
    let mut progress = Progress::new(common.quiet);
    let pid = pid(common);
    let clock = Clock::start();
    let mut pool = Pool::new(common.addr, common.timeout, clock)?;
    let before = pid.and_then(process::resident);
    progress.text("opening sessions");
    pool.open_sessions(args.sessions, BURST, &mut Deaf)?;

    progress.text("idle");
    let meter = Meter::start(pid);
    let until = clock.after(IDLE);
    while clock.ns() < until {
        pool.turn(until, &mut Deaf)?;
    }
    let idle = meter.read();
    let after = pid.and_then(process::resident);

    progress.text("pinging");
    let mut pings = Pings::default();
    let interval = 1e9 / args.rate;
    let meter = Meter::start(pid);
    let (from, until) = (clock.ns(), clock.after(seconds(args.duration)?));
    let mut due = from as f64;
    let mut index = 0;
    while clock.ns() < until {
        let now = clock.ns() as f64;
        while due <= now {
            pool.ping(index, due as u64)?;
            index = (index + 1) % args.sessions;
            due += interval;
        }
        pool.turn(until.min(due as u64), &mut pings)?;
    }
    let span = (clock.ns() - from) as f64 / 1e9;
    let used = meter.read();
    progress.clear();
    let mut report = Report {
        work: format!(
            "heartbeats of {} sessions, {} per second",
            args.sessions, args.rate
        ),
        latency: Latency::of(&pings.stats.pings),
        ..Report::default()
    };
    report.span(pings.stats.pings.len(), span, &used);
    report.memory(before.zip(after));
    if let Some(grown) = report.server_grown {
        let each = grown as f64 / args.sessions as f64;
        report
            .extra
            .insert("resident_bytes_per_session".into(), each);
    }
    if let Some(ns) = idle.server {
        let cores = ns as f64 / IDLE.as_nanos() as f64;
        report.extra.insert("server_idle_cores".into(), cores);
    }
    pool.close_sessions()?;
    Ok(report)
}

#[derive(Default)]
struct Pings {
    stats: Stats,
}

impl Handler for Pings {
    fn incoming(&mut self, _: &mut Conn, what: Incoming, now: u64) -> Result<(), BenchError> {
        if let Incoming::Reply { class, at, .. } = what {
            self.stats.record(class, now.saturating_sub(at));
        }
        Ok(())
    }
}
