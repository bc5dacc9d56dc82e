//! Differential tester: runs the same programs of client operations against Apache ZooKeeper and
//! against Zabra and compares everything the clients see.
//!
//! Short run: `cargo test --test differential`. Long run:
//! `cargo test --release --test differential -- --seeds 50 --steps 2000`. `--help` lists the rest.
//!
//! A difference is printed with the program that led to it, shrunk to the few steps that matter,
//! and the command that runs those again. `--survey` goes on behind differences instead and shows
//! one of each kind; `--oracle` runs Apache against itself, where nothing may differ.
//!
//! | file | what it holds |
//! |---|---|
//! | `program`, `op`, `make` | steps and requests, and how they are written down |
//! | `generate`, `ops`, `values`, `quota`, `model`, `rng` | random programs |
//! | `scenarios/` | scripted ones |
//! | `world`, `conn`, `view`, `codec` | one server as its clients see it |
//! | `pair`, `servers`, `profiles` | two servers and their configuration |
//! | `compare`, `difference`, `deviations` | what counts as the same |
//! | `runner`, `survey` | running, shrinking, going on |
//! | `random`, `scripted`, `words`, `counters`, `alone`, `selftest` | the sections of a run |
//!
//! It has a codec, sockets and a notion of ZooKeeper of its own, on purpose: nothing here uses the
//! product's code.

mod alone;
mod args;
mod codec;
mod compare;
mod conn;
mod counters;
mod coverage;
mod deviations;
mod difference;
mod generate;
mod make;
mod model;
mod op;
mod ops;
mod pair;
mod profiles;
mod program;
mod quota;
mod random;
mod rng;
mod runner;
mod scenarios;
mod scripted;
mod selftest;
mod servers;
mod shape;
mod survey;
mod tamper;
mod values;
mod view;
mod words;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use crate::args::{Args, HELP};
use crate::pair::Launchers;
use crate::runner::Ledger;
use crate::servers::Launcher;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => return fail(&why),
    };
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("the servers differ"),
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("differential: {why}");
    ExitCode::FAILURE
}

fn run(args: &Args) -> Result<bool, String> {
    let mut right = if args.oracle {
        Launcher::apache()
    } else {
        Launcher::zabra()
    };
    if args.oracle {
        right.name = "apache-2";
    }
    let launchers = Launchers {
        left: Launcher::apache(),
        right,
    };
    if let Some(seed) = args.replay {
        return random::replay(args, &launchers, seed);
    }
    let started = Instant::now();
    if args.wants("selftest") {
        selftest::section()?;
    }
    let mut ledger = Ledger::default();
    if args.wants("scripted") {
        scripted::section(args, &launchers, &mut ledger)?;
    }
    if args.wants("random") {
        random::section(args, &launchers, &mut ledger)?;
    }
    if args.wants("words") {
        words::section(args, &launchers, &mut ledger)?;
    }
    if args.wants("counters") {
        counters::section(&launchers, &mut ledger)?;
    }
    // Apache would not survive it.
    if args.wants("alone") && !args.oracle {
        alone::section(&launchers.right, &mut ledger)?;
    }
    ledger.coverage.print();
    if args.complete() && !ledger.coverage.missing().is_empty() {
        return Err(format!(
            "requests never answered: {:?}",
            ledger.coverage.missing()
        ));
    }
    ledger.tally.print();
    if !ledger.kinds.is_empty() {
        println!("kinds of differences (request: apache / zabra):");
        ledger
            .kinds
            .iter()
            .for_each(|(kind, times)| println!("  x{times:<4} {kind}"));
    }
    println!(
        "{} steps, {} differences, {:.0} s",
        ledger.steps,
        ledger.differences,
        started.elapsed().as_secs_f32()
    );
    Ok(ledger.differences == 0)
}
