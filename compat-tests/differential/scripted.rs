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
const ENOUGH: usize = 40;

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
            let scenario = Scenario {
                launchers,
                profile,
                name,
                program: &script.steps,
            };
            scenario.run(&mut pair, ledger)?;
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

struct Scenario<'a> {
    launchers: &'a Launchers,
    profile: &'a Profile,
    name: &'a str,
    program: &'a [Step],
}

impl Scenario<'_> {
    /// Runs the scenario and leaves a usable pair behind, or none. After a difference that puts the
    /// servers into different states it begins again on fresh ones, without the step at fault.
    fn run(&self, pair: &mut Option<Pair>, ledger: &mut Ledger) -> Result<(), String> {
        let mut left_out = Vec::new();
        let mut reported = Vec::new();
        while reported.len() < ENOUGH {
            let running = match pair.take() {
                Some(pair) => pair,
                None => Pair::start(self.launchers, self.profile)?,
            };
            match self.once(&running, &left_out, &mut reported, ledger) {
                Some(at) => left_out.push(at),
                None => {
                    *pair = Some(running);
                    return Ok(());
                }
            }
        }
        println!("  perhaps more, but scenario {} ends here", self.name);
        Ok(())
    }

    /// The index of the step that put the servers apart.
    fn once(
        &self,
        pair: &Pair,
        left_out: &[usize],
        reported: &mut Vec<usize>,
        ledger: &mut Ledger,
    ) -> Option<usize> {
        let epilogue = crate::generate::epilogue();
        for (at, step) in self.program.iter().chain(&epilogue).enumerate() {
            if left_out.contains(&at) {
                continue;
            }
            let (left, right) = pair.step(step);
            ledger.steps += 1;
            ledger.coverage.note(step, &left);
            let places = differences(&left, &right, &mut ledger.tally);
            if places.is_empty() {
                continue;
            }
            let apart = state(&left) != state(&right);
            if !reported.contains(&at) {
                reported.push(at);
                ledger.differences += 1;
                let names = [self.launchers.left.name, self.launchers.right.name];
                let difference = Difference {
                    at,
                    step: step.clone(),
                    places,
                    left,
                    right,
                };
                println!(
                    "DIFFERENCE profile {} scenario {}",
                    self.profile.name, self.name
                );
                print!("{}", difference.describe(names));
            }
            if apart || reported.len() >= ENOUGH {
                return Some(at);
            }
        }
        None
    }
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
