//! The pure server against a small sequential model: random programs of several sessions, killed at
//! any moment, also in the middle of a snapshot, and recovered from what the disk had by then.
//!
//!     cargo test --test model                        300 seeds
//!     cargo test --test model -- --seeds 20000       more
//!     cargo test --test model -- --seed 4711         one
//!
//! Checked at every step: each reply byte for byte, its order, and that it does not come before its
//! transaction is durable; the digest that each transaction carries. Checked after each kill: the
//! recovered tree with all statistics and ACLs, digest, sessions and ephemerals are the model's at
//! the last transaction on the disk.

#[path = "model/disk.rs"]
mod disk;
#[path = "model/program.rs"]
mod program;
#[path = "model/reference.rs"]
mod reference;
#[allow(dead_code)]
#[path = "differential/rng.rs"]
mod rng;
#[path = "model/wire.rs"]
mod wire;
#[path = "model/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use disk::Disk;
use reference::{History, Node, State};
use rng::Rng;
use world::World;
use zabra::base::{Acl, SessionId, Zxid};
use zabra::tree::DataTree;

/// Starts and kills of one seed.
const LIVES: usize = 3;
const BEGIN: i64 = 1_700_000_000_000;

/// Everything in a tree, as the model keeps it.
fn nodes_of(tree: &DataTree) -> BTreeMap<String, Node> {
    let start = tree.walk_start();
    let lists: BTreeMap<i64, _> = start.acls.iter().cloned().collect();
    let mut nodes = BTreeMap::new();
    let walked: Result<(), ()> = tree.walk(&start, |n| {
        let acl = match n.acl {
            -1 => Acl::open(),
            id => lists[&id].to_vec(),
        };
        let data = n.data.as_deref().map(<[u8]>::to_vec);
        nodes.insert(
            n.path.text().to_owned(),
            Node {
                data,
                acl,
                stat: n.stat,
            },
        );
        Ok(())
    });
    walked.expect("nothing refuses");
    nodes
}

/// Starts from the directory and holds what comes of it against the model.
fn recover(disk: &Disk, state: &State, kept: i64) -> (DataTree, BTreeMap<i64, i32>) {
    let recovered = disk
        .recover()
        .unwrap_or_else(|e| panic!("{e}, of {:?}", disk.names()));
    assert_eq!(
        recovered.report.last_zxid,
        Zxid(kept),
        "{:?}",
        recovered.report
    );
    let (tree, sessions) = recovered.target.finish(Zxid(kept));
    let found = nodes_of(&tree);
    for p in found.keys().chain(state.nodes.keys()) {
        assert_eq!(
            found.get(p),
            state.nodes.get(p),
            "{p:?} after {:?}",
            disk.names()
        );
    }
    assert_eq!(
        sessions,
        state.sessions,
        "sessions after {:?}",
        disk.names()
    );
    assert_eq!(
        tree.digest().digest,
        state.digest(),
        "the digest of the recovered tree"
    );
    for session in sessions.keys() {
        let owned = tree.ephemerals_of(SessionId(*session));
        let owned: Vec<&str> = owned.iter().map(|p| p.text()).collect();
        assert_eq!(owned, state.owned(*session), "ephemerals of {session:#x}");
    }
    (tree, sessions)
}

/// Snapshots and transactions that a seed came through.
fn run(seed: u64) -> (usize, i64) {
    let (mut rng, mut disk) = (Rng::new(seed), Disk::default());
    let (mut state, mut kept, mut now) = (State::fresh(), 0, BEGIN);
    let mut snapshots = 0;
    disk.first_snapshot();
    for _ in 0..LIVES {
        let (tree, sessions) = recover(&disk, &state, kept);
        now += 1 + rng.below(5000) as i64;
        let left = 20 + rng.below(160);
        let history = History::new(Zxid(kept), state);
        let mut world = World::new(rng, disk, tree, &sessions, history, now);
        world.left = left;
        for session in sessions.keys() {
            if world.rng.chance(70) {
                world.resume(*session);
            }
        }
        world.open();
        while world.left > 0 {
            world.random_step();
            if world.maybe_snapshot().is_err() {
                break;
            }
        }
        snapshots += world.snapshots;
        (rng, disk, state, kept, now) = world.crash();
    }
    recover(&disk, &state, kept);
    (snapshots, kept)
}

/// `--name N` of the command line.
fn option(name: &str) -> Option<u64> {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|a| a == name)?;
    Some(
        args.get(at + 1)
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("{name} N")),
    )
}

fn main() {
    let (first, count) = match option("--seed") {
        Some(seed) => (seed, 1),
        None => (1, option("--seeds").unwrap_or(300)),
    };
    let next = AtomicU64::new(first);
    let (snapshots, txns, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let work = || loop {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= first + count {
            return;
        }
        match std::panic::catch_unwind(|| run(seed)) {
            Ok((n, last)) => {
                snapshots.fetch_add(n as u64, Relaxed);
                txns.fetch_add(last as u64, Relaxed);
            }
            Err(_) => {
                failed.fetch_add(1, Relaxed);
                println!("FAILED: cargo test --test model -- --seed {seed}");
            }
        }
    };
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            s.spawn(work);
        }
    });
    let (snapshots, txns, failed) = (
        snapshots.into_inner(),
        txns.into_inner(),
        failed.into_inner(),
    );
    println!("{count} seeds: {txns} transactions survived, {snapshots} snapshots taken");
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    // As the test harness ends, for those who add up.
    let (bad, good) = (u64::from(failed > 0), u64::from(failed == 0));
    println!(
        "test result: {verdict}. {good} passed; {bad} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    std::process::exit(i32::from(failed > 0));
}
