//! The scripted section: runs the scenarios of each profile. A difference that leaves both servers
//! in the same state does not end its scenario, so one run shows as many as possible.

use std::time::Instant;

use crate::args::Args;
use crate::compare::differences;
use crate::pair::{Launchers, Pair};
use crate::profiles::{PROFILES, Profile};
use crate::program::Step;
use crate::runner::{Difference, Ledger};
use crate::scenarios::scripts;
use crate::view::Seen;
use crate::world::{Outcome, Place};

/// Differences shown of one scenario before it is given up.
const ENOUGH: usize = 15;

/// Runs all scenarios that were asked for.
pub fn section(args: &Args, launchers: &Launchers, ledger: &mut Ledger) -> Result<(), String> {
    for profile in &PROFILES {
        if args
            .profile
            .as_deref()
            .is_some_and(|name| name != profile.name)
        {
            continue;
        }
        let started = Instant::now();
        let before = (ledger.steps, ledger.differences);
        let mut pair = None;
        for (name, script) in scripts(profile) {
            if args.without.iter().any(|w| w == name) {
                continue;
            }
            let running = match pair.take() {
                Some(pair) => pair,
                None => Pair::start(launchers, profile)?,
            };
            if scenario(&running, launchers, profile, name, &script.steps, ledger) {
                pair = Some(running);
            }
        }
        println!(
            "scripted, profile {}: {} steps, {} differences, {:.1} s",
            profile.name,
            ledger.steps - before.0,
            ledger.differences - before.1,
            started.elapsed().as_secs_f32()
        );
    }
    Ok(())
}

/// Runs one scenario. False when the servers can no longer be compared.
fn scenario(
    pair: &Pair,
    launchers: &Launchers,
    profile: &Profile,
    name: &str,
    program: &[Step],
    ledger: &mut Ledger,
) -> bool {
    let mut found = 0;
    for (at, step) in program
        .iter()
        .chain(&crate::generate::epilogue())
        .enumerate()
    {
        let (left, right) = pair.step(step);
        ledger.steps += 1;
        ledger.coverage.note(step, &left);
        let places = differences(&left, &right, &mut ledger.tally);
        if places.is_empty() {
            continue;
        }
        found += 1;
        ledger.differences += 1;
        let same_state = state(&left) == state(&right);
        let difference = Difference {
            at,
            step: step.clone(),
            places,
            left,
            right,
        };
        let names = [launchers.left.name, launchers.right.name];
        println!("DIFFERENCE profile {} scenario {name}", profile.name);
        print!("{}", difference.describe(names));
        if !same_state {
            println!("  the servers are no longer in the same state; scenario {name} ends here");
            return false;
        }
        if found == ENOUGH {
            println!("  and perhaps more; scenario {name} ends here");
            return false;
        }
    }
    true
}

/// Which connections are open, and at which zxid.
fn state(outcome: &Outcome) -> Vec<(Place, i64)> {
    let open = |(place, seen): &(Place, Vec<Seen>)| match seen.last() {
        Some(Seen::Barrier { zxid, .. }) => Some((*place, *zxid)),
        _ => None,
    };
    let mut state: Vec<_> = outcome.iter().filter_map(open).collect();
    state.sort_unstable();
    state
}
