//! A whole ensemble in virtual time: the peers' state machines over simulated disks, links and
//! clients, with crashes between any two effects, lost unsynced writes, broken, stalled and
//! partitioned links, slow, full and lost disks, clocks that jump, clients that leave unnoticed and leadership
//! that is handed over, all from one seed. Quorums are majorities, groups and weights; an observer is always there.
//!
//! What is checked: that nothing is said before it is durable (`promises.rs`); that the servers
//! commit one history (`check.rs`); that every reply, read and watch event is what that history says
//! at its zxid, in the order of its session and in real time (`model.rs`, `reads.rs`, `watches.rs`);
//! that sessions and ephemerals end together; that all agree once all is quiet. What the checks are
//! worth is measured with faulty drivers (`mutation.rs`), each of which must be found.
//!
//!     cargo test --test sim                              seeds for CI, and the mutations
//!     cargo test --test sim -- --seeds 10000             more
//!     cargo test --test sim -- --from 500 --seeds 100    others
//!     cargo test --test sim -- --seed 4711               one, with a trace
//!     cargo test --test sim -- --seeds 100 --mutation missed-trunc

#[path = "sim/check.rs"]
mod check;
#[path = "sim/client.rs"]
mod client;
#[path = "sim/disk.rs"]
mod disk;
#[path = "sim/event.rs"]
mod event;
#[path = "sim/faults.rs"]
mod faults;
#[path = "sim/handover.rs"]
mod handover;
#[path = "sim/io.rs"]
mod io;
#[path = "sim/link.rs"]
mod link;
#[path = "sim/mesh.rs"]
mod mesh;
#[path = "sim/model.rs"]
mod model;
#[path = "sim/mutation.rs"]
mod mutation;
#[path = "sim/node.rs"]
mod node;
#[path = "sim/promises.rs"]
mod promises;
#[path = "sim/reads.rs"]
mod reads;
#[path = "sim/requests.rs"]
mod requests;
#[allow(dead_code)]
#[path = "differential/rng.rs"]
mod rng;
#[path = "sim/visit.rs"]
mod visit;
#[path = "sim/watches.rs"]
mod watches;
#[path = "sim/world.rs"]
mod world;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use mutation::{MUTATIONS, Mutation};
use world::{Fail, World};

/// Faults last at least this long, ms, and at most twice as long.
const STORM_MS: usize = 6_000;
/// By then everybody must serve again, ms later.
const CONVERGE_MS: i64 = 20_000;
/// And sessions without a client are over, ms later.
const QUIET_MS: i64 = 14_000;

fn play(seed: u64, mutation: Option<Mutation>, trace: bool) -> Fail {
    let mut world = World::new(seed, mutation, trace);
    let storm = STORM_MS + world.rng.below(STORM_MS);
    world.run(storm as i64)?;
    world.heal()?;
    let healed = world.now;
    while world.now < healed + CONVERGE_MS && !world.all_serve() {
        // An epoch of 30 transactions is over in 0.3 s or so and takes with it whoever is being
        // sent a snapshot, which takes up to 1.5 s here: among writers that never pause a server
        // comes in by luck only, one epoch in six, and in one run of many thousands not in 20 s.
        // Real epochs have 2^32 transactions. Without writers no epoch ends.
        let in_vain = world.now > healed + CONVERGE_MS / 2;
        world.writing = !(in_vain && world.short_epochs());
        world.run(world.now + 200)?;
    }
    world.writing = true;
    if !world.all_serve() {
        return Err("not everybody serves after healing".into());
    }
    // Some more writes, then silence.
    world.run(world.now + 1500)?;
    world.writing = false;
    world.run(world.now + QUIET_MS)?;
    world.check_quiet()?;
    if trace {
        println!(
            "{} committed, {} answered, {:?}",
            world.committed.len(),
            world.acked.len(),
            world.leaders
        );
    }
    COMMITTED.fetch_add(world.committed.len() as u64, Relaxed);
    LEADERS.fetch_add(world.leaders.len() as u64, Relaxed);
    TURNS.fetch_add(world.turns, Relaxed);
    Ok(())
}

/// Seeds that once found something: syncs without an answer, a proposal of a reign that had ended, a
/// sync before held writes, writes of clients that had moved on (two), ephemeral nodes before their
/// sessions (four). And of the checks: a session that a client closes while it expires; epochs that
/// are too short for a snapshot (two). Each has a unit test as well: what a seed plays changes
/// whenever the simulator learns something.
const FOUND: [u64; 12] = [
    392, 2827, 4467, 5810, 1797, 2013, 7269, 7893, 226, 810, 6816, 2201,
];

static COMMITTED: AtomicU64 = AtomicU64::new(0);
static LEADERS: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);

/// Plays one seed; a panic is a failure too.
fn attempt(seed: u64, mutation: Option<Mutation>, trace: bool) -> Fail {
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| play(seed, mutation, trace)));
    played.unwrap_or_else(|e| {
        let text = e.downcast_ref::<String>().cloned();
        Err(format!(
            "panic: {}",
            text.unwrap_or_else(|| format!("{:?}", e.downcast_ref::<&str>()))
        ))
    })
}

/// The first failing seeds.
fn sweep(from: u64, seeds: u64, mutation: Option<Mutation>, stop_at: usize) -> Vec<(u64, String)> {
    let next = AtomicU64::new(from);
    let failures = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= from + seeds || failures.lock().unwrap().len() >= stop_at {
                        return;
                    }
                    if let Err(why) = attempt(seed, mutation, false) {
                        failures.lock().unwrap().push((seed, why));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).and_then(|v| v.parse::<u64>().ok());
    let mutation = value("--mutation").and_then(|m| MUTATIONS.iter().find(|(n, _)| *n == m));
    let mutation = mutation.map(|(_, m)| *m);
    if let Some(seed) = number("--seed") {
        return match attempt(seed, mutation, true) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                println!("seed {seed}: {why}");
                ExitCode::FAILURE
            }
        };
    }
    let from = number("--from").unwrap_or(1);
    let seeds = number("--seeds").unwrap_or(200);
    let mut failures = sweep(from, seeds, mutation, 20);
    if number("--seeds").is_none() && mutation.is_none() {
        for seed in FOUND {
            failures.extend(sweep(seed, 1, None, 1));
        }
    }
    for (seed, why) in &failures {
        println!("seed {seed}: {why}");
    }
    let (committed, leaders) = (COMMITTED.load(Relaxed), LEADERS.load(Relaxed));
    println!(
        "{seeds} seeds, {committed} transactions, {leaders} reigns, {} of them taken over, {} failures",
        TURNS.load(Relaxed),
        failures.len()
    );
    let mut good = failures.is_empty();
    if number("--seeds").is_none() && mutation.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
        for (name, mutation) in MUTATIONS {
            let found = sweep(1, 400, Some(mutation), 1);
            match found.first() {
                Some((seed, why)) => println!("{name}: found by seed {seed}: {why}"),
                None => {
                    println!("{name}: not found");
                    good = false;
                }
            }
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
