//! Rows about a million nodes: one server, filled once, restarted in several ways.

use std::time::{Duration, Instant};

use crate::options::Options;
use crate::rows::{Row, row};
use crate::samples::Samples;
use crate::server::{Kind, Server};
use crate::{Outcome, say};

/// Nothing but the log.
const NO_SNAPSHOTS: &str = "-Dzookeeper.snapCount=100000000";
/// One snapshot after the other at the rate below.
const MANY_SNAPSHOTS: &str = "-Dzookeeper.snapCount=8000";
/// Sets per second while snapshots are written.
const SET_RATE: u64 = 2_000;

/// Fills, restarts from the log, restarts from a snapshot, sets without and with snapshots.
pub(crate) fn measure(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let nodes = options.nodes();
    let wanted = |name: &str| Some(row(name)).filter(|r| options.wants(r));
    let mut server = Server::start(options, kind, &[NO_SNAPSHOTS])?;

    note(kind, &format!("{nodes} nodes"));
    let report = server.bench(&format!("fill -k {nodes} --size 100 --keep"))?;
    if let Some(row) = wanted("memory") {
        let each = report.extra.get("resident_bytes_per_znode").copied();
        samples.add(row, "B/znode", kind, each.unwrap_or(f64::NAN));
    }

    let before = server.snapshot();
    restart(
        &mut server,
        "log",
        NO_SNAPSHOTS,
        wanted("restart-log"),
        samples,
    )?;
    if wanted("restart-snap").is_none() && wanted("snapshot").is_none() {
        return Ok(());
    }
    make_snapshot(&mut server, before, nodes)?;
    restart(
        &mut server,
        "snapshot",
        NO_SNAPSHOTS,
        wanted("restart-snap"),
        samples,
    )?;
    if let Some(row) = wanted("snapshot") {
        sets(options, &mut server, row, samples)?;
    }
    Ok(())
}

fn note(kind: Kind, what: &str) {
    say(&format!("{:<8} {what}", kind.name()));
}

fn restart(
    server: &mut Server,
    from: &str,
    props: &str,
    row: Option<&'static Row>,
    samples: &mut Samples,
) -> Outcome<()> {
    note(server.kind(), &format!("restart from {from}"));
    server.kill();
    server.launch(&[props])?;
    if let Some(row) = row {
        samples.add(row, "s", server.kind(), server.start_time().as_secs_f64());
    }
    Ok(())
}

/// Sees to it that a snapshot holds the nodes: Apache writes one at each start; otherwise a server
/// with a small snapCount is given something to do.
fn make_snapshot(server: &mut Server, before: Option<(u64, u64)>, nodes: u64) -> Outcome<()> {
    if settled(server, before, nodes, Duration::from_secs(2)) {
        return Ok(());
    }
    server.kill();
    server.launch(&["-Dzookeeper.snapCount=1000"])?;
    server.bench(&format!("set -n 3000 --keep --reuse {}", place(nodes)))?;
    if settled(server, before, nodes, Duration::from_secs(60)) {
        Ok(())
    } else {
        Err(format!("{} writes no snapshot", server.kind().name()))
    }
}

/// A newer snapshot is there, large enough for the nodes, and no longer grows.
fn settled(server: &Server, before: Option<(u64, u64)>, nodes: u64, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    let mut last = None;
    while Instant::now() < until {
        let now = server.snapshot();
        // Paths and data alone are 131 bytes each; a compressed snapshot would still hold a few.
        let large = now.is_some_and(|(_, size)| size > nodes * 8);
        if large && now != before && now == last {
            return true;
        }
        last = now;
        std::thread::sleep(Duration::from_millis(500));
    }
    false
}

/// The words that find the nodes which `fill` made.
fn place(nodes: u64) -> String {
    format!("--keys {nodes} --parents {}", nodes.div_ceil(1000).max(1))
}

fn sets(
    options: &Options,
    server: &mut Server,
    row: &'static Row,
    samples: &mut Samples,
) -> Outcome<()> {
    let span = options.span(20.0, 8.0);
    let words = format!(
        "set -s 50 -f 64 --rate {SET_RATE} --size 100 -d {span} --warmup 3 --keep --reuse {}",
        place(options.nodes())
    );
    note(server.kind(), "sets without snapshots");
    let without = server.bench(&words)?;
    server.kill();
    server.launch(&[MANY_SNAPSHOTS])?;
    note(server.kind(), "sets while snapshots are written");
    let before = server.snapshots();
    let with = server.bench(&words)?;
    let made = server.snapshots() - before;
    note(
        server.kind(),
        &format!(
            "{made} snapshots; p99.9 {:.0} us, without {:.0} us",
            with.latency.p999_us, without.latency.p999_us
        ),
    );
    if made == 0 {
        return Err(format!(
            "{} wrote no snapshot under sets",
            server.kind().name()
        ));
    }
    let times = with.latency.p999_us / without.latency.p999_us;
    samples.add(row, "times", server.kind(), times);
    Ok(())
}
