//! Coverage-guided fuzzing of everything that decodes outside bytes. See `run` beside this crate.
//!
//! One program for all targets, so that it is built once: `ZABRA_FUZZ` names the target, and with
//! `ZABRA_FUZZ_SEEDS=DIR` its first inputs are written to DIR and nothing else happens.
#![no_main]

mod bound;
mod client;
mod disk;
mod files;
mod records;
mod seed_files;
mod seeds;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: bound::Counting = bound::Counting;

/// A decoder under test: its name, what it does with an input, and what to begin with.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:literal $run:path, $seeds:path;)*) => {
        const TARGETS: &[Target] = &[$(Target { name: $name, run: $run, seeds: $seeds }),*];
    };
}

targets! {
    "records" records::record, seeds::records;
    "txn" records::txn, seeds::txns;
    "log" disk::log, seed_files::logs;
    "snapshot" disk::snapshot, seed_files::snapshots;
    "snapshot-gz" disk::gz, seed_files::gz;
    "snapshot-snappy" disk::snappy, seed_files::snappy;
    "zoo-cfg" files::zoo_cfg, seed_files::zoo_cfg;
    "files" files::small, seed_files::small_files;
    "connect" client::first_bytes, seeds::first_bytes;
    "requests" client::requests, seeds::requests;
}

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("ZABRA_FUZZ").unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|t| t.name == name) else {
        TARGETS.iter().for_each(|t| println!("{}", t.name));
        std::process::exit(i32::from(name != "list"));
    };
    if let Some(dir) = std::env::var_os("ZABRA_FUZZ_SEEDS") {
        std::fs::create_dir_all(&dir).expect("a folder for the seeds");
        for (n, seed) in (target.seeds)().iter().enumerate() {
            let file = std::path::Path::new(&dir).join(format!("seed-{n}"));
            std::fs::write(file, seed).expect("a seed can be written");
        }
        std::process::exit(0);
    }
    let _ = CHOSEN.set(target);
}

fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(data);
    }
});
