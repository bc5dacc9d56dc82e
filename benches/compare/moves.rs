//! Leaders that die or hand over, and followers that come back.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zabra::bench::simple::Client;
use zabra::bench::wire;
use zabra::proto::op::OpCode;
use zabra::proto::request::SetDataRequest;

use crate::ensemble::Ensemble;
use crate::options::Options;
use crate::rows::{Way, row};
use crate::samples::Samples;
use crate::server::{Kind, zabra};
use crate::{Outcome, say};

/// How often leadership moves in a round.
const MOVES: usize = 3;
/// Longest wait of one attempt of the writer.
const PATIENCE: Duration = Duration::from_secs(2);
/// What the writer writes.
const NODE: &str = "/zabra-bench-moves";
/// All of the transactions that a follower misses are in the leader's memory.
const LONG_MEMORY: &str = "-Dzookeeper.commitLogCount=250000";

/// Measures the rows of this kind that are wanted.
pub(crate) fn measure(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    if options.any(Way::Failover) {
        moves(options, kind, samples)?;
    }
    if options.wants(row("return-diff")) {
        diff(options, kind, samples)?;
    }
    if options.wants(row("return-snap")) {
        snap(options, kind, samples)?;
    }
    Ok(())
}

fn moves(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let (killed, handed) = (row("failover"), row("handover"));
    let mut ensemble = Ensemble::start(options, kind, &[])?;
    let first = Client::open(ensemble.members[0].addr()).and_then(|mut c| c.ensure(NODE));
    first.map_err(|e| e.to_string())?;
    for _ in 0..MOVES {
        if options.wants(killed) {
            say(&format!("{:<8} {}", kind.name(), killed.title));
            let leader = ensemble.settle()?;
            let writer = Writer::start(&ensemble, Some(leader))?;
            ensemble.members[leader].kill();
            samples.add(killed, "ms", kind, writer.longest()?);
            ensemble.again(leader)?;
        }
        if options.wants(handed) && kind == Kind::Zabra {
            say(&format!("{:<8} {}", kind.name(), handed.title));
            let leader = ensemble.settle()?;
            let writer = Writer::start(&ensemble, None)?;
            let done = Command::new(zabra())
                .arg("handover")
                .arg(ensemble.members[leader].data())
                .output()
                .map_err(|e| format!("handover: {e}"))?;
            if !done.status.success() {
                return Err(String::from_utf8_lossy(&done.stderr).into_owned());
            }
            samples.add(handed, "ms", kind, writer.longest()?);
        }
    }
    Ok(())
}

/// One session after the other that writes without a pause.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<Duration>>,
}

impl Writer {
    /// Writes for a second, then returns; `not` is left alone.
    fn start(ensemble: &Ensemble, not: Option<usize>) -> Outcome<Self> {
        let members = ensemble.members.iter().enumerate();
        let some = members.filter(|(i, _)| Some(*i) != not);
        let addresses: Vec<_> = some.map(|(_, m)| m.addr()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || write(&addresses, &told));
        std::thread::sleep(Duration::from_secs(1));
        Ok(Self { stop, thread })
    }

    /// Goes on for three seconds more; the longest time between two writes, ms.
    fn longest(self) -> Outcome<f64> {
        std::thread::sleep(Duration::from_secs(3));
        self.stop.store(true, Ordering::Relaxed);
        let gap = self.thread.join().map_err(|_| "the writer panicked")??;
        Ok(gap.as_secs_f64() * 1e3)
    }
}

fn write(addresses: &[SocketAddr], stop: &AtomicBool) -> Outcome<Duration> {
    let (mut longest, mut last): (Duration, Option<Instant>) = (Duration::ZERO, None);
    let set = SetDataRequest {
        path: wire::text(NODE),
        data: Some(b"x"),
        version: -1,
    };
    let mut next = addresses.iter().cycle();
    let mut client: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let written = match &mut client {
            Some(c) => c.call(OpCode::SetData, &set),
            None => {
                let address = next.next().ok_or("no member to write to")?;
                client = Client::open_within(*address, PATIENCE).ok();
                continue;
            }
        };
        match written {
            Ok((0, _)) => {
                let now = Instant::now();
                longest = longest.max(last.map_or(Duration::ZERO, |l| now - l));
                last = Some(now);
            }
            Ok((err, _)) => return Err(format!("error {err} of a set")),
            Err(_) => client = None,
        }
    }
    last.map(|l| longest.max(l.elapsed()))
        .ok_or_else(|| "nothing could be written".into())
}

/// A follower that missed transactions comes back.
fn diff(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let row = row("return-diff");
    let txns = options.nodes() / 10;
    say(&format!("{:<8} {}", kind.name(), row.title));
    let mut ensemble = Ensemble::start(options, kind, &[LONG_MEMORY])?;
    let leader = ensemble.settle()?;
    let away = (leader + 1) % 3;
    ensemble.members[away].kill();
    let words = format!("set -s 50 -f 16 --size 100 -n {txns} --keep");
    ensemble.members[leader].bench(&words)?;
    let time = ensemble.again(away)?;
    samples.add(row, "s", kind, time.as_secs_f64());
    Ok(())
}

/// A follower without anything comes back.
fn snap(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let row = row("return-snap");
    let nodes = options.nodes();
    say(&format!("{:<8} {}", kind.name(), row.title));
    let mut ensemble = Ensemble::start(options, kind, &[])?;
    let leader = ensemble.settle()?;
    ensemble.members[leader].bench(&format!("fill -k {nodes} --size 100 --keep"))?;
    let away = (leader + 1) % 3;
    ensemble.members[away].kill();
    let dir = ensemble.members[away].data().join("version-2");
    std::fs::remove_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let time = ensemble.again(away)?;
    samples.add(row, "s", kind, time.as_secs_f64());
    Ok(())
}
