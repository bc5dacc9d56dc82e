//! The random section: seeded programs under each profile.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::args::{Args, show_ranges};
use crate::difference::Difference;
use crate::generate::{Recipe, generate};
use crate::pair::{Launchers, Pair};
use crate::profiles::{PROFILES, Profile};
use crate::program::Step;
use crate::runner::{Ledger, Shrunk, run, shrink};
use crate::survey::Survey;

/// Runs all programs that were asked for. Servers are shared by the programs of a profile until
/// they differ; both then start afresh, so that one difference does not cause others.
pub fn section(args: &Args, launchers: &Launchers, ledger: &mut Ledger) -> Result<(), String> {
    for profile in PROFILES.iter().filter(|p| p.share > 0) {
        if args
            .profile
            .as_deref()
            .is_some_and(|name| name != profile.name)
        {
            continue;
        }
        let seeds = match args.profile {
            Some(_) => args.seeds,
            None => (args.seeds * profile.share as u64).div_ceil(10),
        };
        let started = Instant::now();
        let before = (ledger.steps, ledger.differences);
        let mut pair = None;
        for seed in args.first_seed..args.first_seed + seeds {
            if !args.survey && ledger.differences >= args.max_differences {
                break;
            }
            one_seed(args, launchers, profile, seed, &mut pair, ledger)?;
        }
        println!(
            "random, profile {}: {} ({seeds} programs, {} steps, {} differences, {:.1} s)",
            profile.name,
            profile.why,
            ledger.steps - before.0,
            ledger.differences - before.1,
            started.elapsed().as_secs_f32()
        );
    }
    Ok(())
}

fn program(args: &Args, profile: &Profile, seed: u64, suffix: &str) -> Vec<Step> {
    generate(&Recipe {
        seed,
        steps: args.steps,
        root: format!("/s{seed}{suffix}"),
        without: &args.without,
        opening: profile.opening(),
    })
}

fn one_seed(
    args: &Args,
    launchers: &Launchers,
    profile: &Profile,
    seed: u64,
    pair: &mut Option<Pair>,
    ledger: &mut Ledger,
) -> Result<(), String> {
    if args.survey {
        let program = &program(args, profile, seed, "");
        let name = &format!("seed {seed}");
        return Survey {
            launchers,
            profile,
            name,
            program,
        }
        .run(pair, ledger);
    }
    let running = match pair.take() {
        Some(pair) => pair,
        None => Pair::start(launchers, profile)?,
    };
    let Some(found) = run(&running, &program(args, profile, seed, ""), ledger) else {
        *pair = Some(running);
        return Ok(());
    };
    ledger.differences += 1;
    let mut running = running;
    for server in &mut running.servers {
        if !server.is_running() {
            println!(
                "{} is no longer running; {}",
                server.name,
                server.log_tail()
            );
        }
    }
    drop(running);
    report(args, launchers, profile, seed, &found)
}

fn report(
    args: &Args,
    launchers: &Launchers,
    profile: &Profile,
    seed: u64,
    found: &Difference,
) -> Result<(), String> {
    let names = [launchers.left.name, launchers.right.name];
    let mut text = format!("DIFFERENCE profile {} seed {seed}\n", profile.name);
    text.push_str(&found.describe(names));
    if args.shrink > 0 {
        let make = |suffix: &str| program(args, profile, seed, suffix);
        match shrink(launchers, profile, &make, found.at, args.shrink)? {
            None => text.push_str(
                "  not seen again on fresh servers: it needs the programs before it, or timing\n",
            ),
            Some(small) => text.push_str(&shrunk_text(args, profile, seed, &small, names)),
        }
    }
    print!("{text}");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential");
    let file = dir.join(format!("{}-{seed}.txt", profile.name));
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(&file, &text))
        .map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    println!("  written to {}", file.display());
    Ok(())
}

fn shrunk_text(
    args: &Args,
    profile: &Profile,
    seed: u64,
    small: &Shrunk,
    names: [&str; 2],
) -> String {
    let program = program(args, profile, seed, "");
    let mut text = format!("  smallest program found, {} steps:\n", small.keep.len());
    for at in &small.keep {
        text.push_str(&format!("    {at}: {}\n", program[*at]));
    }
    text.push_str("  its difference:\n");
    text.push_str(&small.difference.describe(names));
    let without = match args.without.as_slice() {
        [] => String::new(),
        kinds => format!(" --without {}", kinds.join(",")),
    };
    text.push_str(&format!(
        "  again: cargo test --test differential -- --profile {} --seed {seed} --steps {} \
         --replay{without} --keep {}\n",
        profile.name,
        args.steps,
        show_ranges(&small.keep)
    ));
    text
}

/// Runs one program on fresh servers, or some of its steps.
pub fn replay(args: &Args, launchers: &Launchers, seed: u64) -> Result<bool, String> {
    let profile = Profile::named(args.profile.as_deref().unwrap_or("main"))?;
    let mut program = program(args, profile, seed, "");
    if let Some(keep) = &args.keep {
        program = keep
            .iter()
            .filter_map(|at| program.get(*at).cloned())
            .collect();
    }
    let pair = Pair::start(launchers, profile)?;
    let mut ledger = Ledger {
        verbose: args.verbose,
        ..Ledger::default()
    };
    let found = run(&pair, &program, &mut ledger);
    match &found {
        Some(found) => print!(
            "DIFFERENCE profile {} seed {seed}\n{}",
            profile.name,
            found.describe([launchers.left.name, launchers.right.name])
        ),
        None => println!("seed {seed}: no difference in {} steps", program.len()),
    }
    Ok(found.is_none())
}
