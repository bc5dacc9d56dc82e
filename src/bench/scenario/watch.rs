//! One set seen by many watchers.

use super::super::args::WatchArgs;
use super::super::clock::Clock;
use super::super::conn::{Class, Conn, Incoming};
use super::super::error::BenchError;
use super::super::pool::{Handler, Pool};
use super::super::process::{self, Meter, Used};
use super::super::progress::Progress;
use super::super::report::Report;
use super::super::stats::{Latency, Stats, by_name};
use super::super::wire::{self, Template};
use super::super::work::{Kind, Work};
use super::super::worker::BURST;
use super::{Deaf, clean, clear, pid};
use crate::jute::Jute as _;
use crate::proto::op::OpCode;
use crate::proto::request::{ReadRequest, SetDataRequest};

/// Arms the watches, sets, waits for the last event; again and again.
pub(in super::super) fn watch(args: &WatchArgs) -> Result<Report, BenchError> {
    let common = &args.common;
    if args.watchers == 0 || args.rounds == 0 {
        return Err(BenchError::Usage("watchers, rounds: above 0".into()));
    }
    let mut progress = Progress::new(common.quiet);
    let pid = pid(common);
    let path = prepare(args, &mut progress)?;
    let clock = Clock::start();
    let mut pool = Pool::new(common.addr, common.timeout, clock)?;
    let before = pid.and_then(process::resident);
    pool.open_sessions(args.watchers + 1, BURST, &mut Deaf)?;
    let (arm, set) = templates(&path);

    let mut seen = Seen::default();
    let (mut last, mut used, mut span) = (Stats::default(), Used::default(), 0);
    for round in 0..args.rounds {
        for index in 0..args.watchers {
            let now = clock.ns();
            pool.conns()[index].send(Class::Read, false, now, |out, xid| {
                arm.put(out, xid, std::iter::empty());
            });
            pool.flush(index)?;
        }
        pool.wait("arming watches", &mut seen, |p| p.in_flight() == 0)?;
        seen.begin(clock.ns());
        let meter = Meter::start(pid);
        let from = clock.ns();
        seen.set_at = from;
        pool.conns()[args.watchers].send(Class::Write, false, from, |out, xid| {
            set.put(out, xid, std::iter::empty());
        });
        pool.flush(args.watchers)?;
        // The pool cannot see into the handler, so turns are counted here.
        let give_up = clock.after(std::time::Duration::from_secs(60));
        while seen.events < args.watchers || pool.in_flight() > 0 {
            if clock.ns() > give_up {
                return Err(BenchError::Timeout(60, "waiting for watch events"));
            }
            pool.turn(give_up, &mut seen)?;
        }
        let in_round = meter.read();
        last.record(Class::Write, seen.last_at.saturating_sub(from));
        span += seen.last_at.saturating_sub(from);
        used.own += in_round.own;
        used.others += in_round.others;
        used.server = match (used.server, in_round.server) {
            (Some(a), Some(b)) => Some(a + b),
            (None, b) => b,
            (a, None) => a,
        };
        if round % 10 == 9 {
            progress.text(&format!("round {}", round + 1));
        }
    }
    progress.clear();
    let after = pid.and_then(process::resident);
    pool.close_sessions()?;
    let mut report = Report {
        work: format!(
            "a set seen by {} watchers, to the last event",
            args.watchers
        ),
        latency: Latency::of(&last.writes),
        errors: by_name(&seen.stats.errors),
        ..Report::default()
    };
    report.span(
        (args.watchers * args.rounds) as u64,
        span as f64 / 1e9,
        &used,
    );
    report.memory(before.zip(after));
    let each = Latency::of(&seen.stats.reads);
    report.extra.insert("event_p50_us".into(), each.p50_us);
    report.extra.insert("event_p99_us".into(), each.p99_us);
    clean(common, &mut progress)?;
    Ok(report)
}

fn prepare(args: &WatchArgs, progress: &mut Progress) -> Result<String, BenchError> {
    let work = Work {
        kind: Kind::Get,
        root: args.common.root.clone(),
        parents: 1,
        keys: 1,
        distribution: super::super::rng::Distribution::Uniform,
        size: 100,
        batch: 1,
        read_share: 100,
        flags: 0,
        seed: 1,
    };
    let mut client = clear(&args.common, &work, progress)?;
    let path = format!("{}/watched", work.parent(0));
    client.ensure(&path)?;
    Ok(path)
}

fn templates(path: &str) -> (Template, Template) {
    let arm = Template::new(OpCode::GetData, &|out: &mut Vec<u8>| {
        let path = wire::text(path);
        ReadRequest { path, watch: true }.encode(out);
    });
    let set = Template::new(OpCode::SetData, &|out: &mut Vec<u8>| {
        SetDataRequest {
            path: wire::text(path),
            data: Some(&[b'x'; 100]),
            version: -1,
        }
        .encode(out);
    });
    (arm, set)
}

/// Counts the events of a round.
#[derive(Default)]
struct Seen {
    events: usize,
    set_at: u64,
    last_at: u64,
    stats: Stats,
}

impl Seen {
    fn begin(&mut self, now: u64) {
        (self.events, self.last_at) = (0, now);
    }
}

impl Handler for Seen {
    fn incoming(&mut self, _: &mut Conn, what: Incoming, now: u64) -> Result<(), BenchError> {
        match what {
            Incoming::Event => {
                self.events += 1;
                self.last_at = now;
                let took = now.saturating_sub(self.set_at);
                self.stats.record(Class::Read, took);
            }
            Incoming::Reply { head, .. } if head.err != 0 => self.stats.error(head.err),
            Incoming::Reply { .. } | Incoming::Opened => {}
        }
        Ok(())
    }
}
