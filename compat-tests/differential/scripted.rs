//! The scripted section: runs the scenarios of each profile. A difference that leaves both servers
//! in the same state does not end its scenario, so one run shows as many as possible.

use std::time::Instant;

use crate::args::Args;
use crate::pair::Launchers;
use crate::profiles::PROFILES;
use crate::runner::Ledger;
use crate::scenarios::scripts;
use crate::survey::Survey;

/// Runs all scenarios that were asked for.
pub fn section(args: &Args, launchers: &Launchers, ledger: &mut Ledger) -> Result<(), String> {
    for profile in &PROFILES {
        let wanted = match &args.profile {
            Some(name) => name == profile.name,
            None => args.full || profile.scripted_by_default,
        };
        if !wanted {
            continue;
        }
        let started = Instant::now();
        let before = (ledger.steps, ledger.differences);
        let mut pair = None;
        for (name, script) in scripts(profile) {
            if args.without.iter().any(|w| w == name) {
                continue;
            }
            let name = &format!("scenario {name}");
            let program = &script.steps;
            Survey {
                launchers,
                profile,
                name,
                program,
            }
            .run(&mut pair, ledger)?;
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
