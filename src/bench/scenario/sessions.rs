//! Many sessions opened in bursts.

use super::super::args::SessionsArgs;
use super::super::clock::Clock;
use super::super::conn::{Class, Conn, Incoming};
use super::super::error::BenchError;
use super::super::pool::{Handler, Pool};
use super::super::process::{self, Meter};
use super::super::progress::Progress;
use super::super::report::Report;
use super::super::stats::{Latency, Stats};
use super::pid;

/// Opens them, then closes them.
pub(in super::super) fn sessions(args: &SessionsArgs) -> Result<Report, BenchError> {
    let common = &args.common;
    let mut progress = Progress::new(common.quiet);
    let pid = pid(common);
    let clock = Clock::start();
    let mut pool = Pool::new(common.addr, common.timeout, clock)?;
    let mut opening = Opening::default();
    let before = pid.and_then(process::resident);
    let meter = Meter::start(pid);
    let from = clock.ns();
    let mut shown = from;
    while pool.open() < args.sessions {
        let wanted = args.burst.clamp(1, args.sessions - pool.open());
        pool.open_sessions(wanted, wanted, &mut opening)?;
        let now = clock.ns();
        if now - shown > 1_000_000_000 {
            shown = now;
            let rate = pool.open() as f64 * 1e9 / (now - from) as f64;
            progress.text(&format!("{:>9} sessions open  {rate:.0} /s", pool.open()));
        }
    }
    let span = (clock.ns() - from) as f64 / 1e9;
    let used = meter.read();
    let after = pid.and_then(process::resident);
    progress.clear();
    let mut report = Report {
        work: format!(
            "{} sessions opened in bursts of {}",
            args.sessions, args.burst
        ),
        latency: Latency::of(&opening.stats.writes),
        ..Report::default()
    };
    report.span(args.sessions as u64, span, &used);
    report.memory(before.zip(after));
    let n = args.sessions as f64;
    if let Some(grown) = report.server_grown {
        let each = grown as f64 / n;
        report
            .extra
            .insert("resident_bytes_per_session".into(), each);
    }
    let (meter, from) = (Meter::start(pid), clock.ns());
    pool.close_sessions()?;
    let span = (clock.ns() - from) as f64 / 1e9;
    report.extra.insert("closed_per_s".into(), n / span);
    if let Some(ns) = meter.read().server {
        let each = ns as f64 / 1e3 / n;
        report.extra.insert("server_cpu_us_per_close".into(), each);
    }
    Ok(report)
}

#[derive(Default)]
struct Opening {
    stats: Stats,
}

impl Handler for Opening {
    fn incoming(&mut self, conn: &mut Conn, what: Incoming, now: u64) -> Result<(), BenchError> {
        if let Incoming::Opened = what {
            let took = now.saturating_sub(conn.last_sent);
            self.stats.record(Class::Write, took);
        }
        Ok(())
    }
}
