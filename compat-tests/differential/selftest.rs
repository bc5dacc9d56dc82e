//! The tester tests itself: pure checks first, then Apache against Apache with one altered answer
//! at a time. Each alteration must be noticed, and without any there must be nothing to notice.

use crate::args;
use crate::codec;
use crate::compare;
use crate::generate::{Recipe, generate};
use crate::pair::{Launchers, Pair};
use crate::profiles::Profile;
use crate::program::Step;
use crate::runner::{Ledger, run};
use crate::servers::Launcher;
use crate::tamper::{ALL, Tamperer};

/// Runs all checks. Fails with the first thing that is wrong with the tester.
pub fn section() -> Result<(), String> {
    codec::check();
    compare::check();
    crate::shape::check();
    args::check();
    let mut second = Launcher::apache();
    second.name = "apache-2";
    let launchers = Launchers {
        left: Launcher::apache(),
        right: second,
    };
    let profile = Profile::named("main")?;
    let mut pair = Pair::start(&launchers, profile)?;
    let names = [launchers.left.name, launchers.right.name];
    if let Some(found) = run(&pair, &program(0), &mut Ledger::default()) {
        return Err(format!(
            "selftest: Apache differs from itself\n{}",
            found.describe(names)
        ));
    }
    for (n, kind) in ALL.into_iter().enumerate() {
        for skip in [0, 3] {
            pair.tamper(Some(Tamperer::new(kind, skip)));
            let found = run(
                &pair,
                &program(1 + 2 * n + usize::from(skip > 0)),
                &mut Ledger::default(),
            );
            let struck = pair.tamper(None);
            match (struck, found) {
                (false, _) => return Err(format!("selftest: no answer to alter for {kind}")),
                (true, None) => {
                    return Err(format!("selftest: {kind} (skip {skip}) was not noticed"));
                }
                // The servers themselves agree; new clients can go on with them.
                (true, Some(_)) => pair.new_players(profile)?,
            }
        }
    }
    println!(
        "selftest: {} kinds of altered answers, all noticed",
        ALL.len()
    );
    Ok(())
}

fn program(number: usize) -> Vec<Step> {
    generate(&Recipe {
        seed: 4711,
        steps: 60,
        root: format!("/selftest{number}"),
        without: &["expire".to_owned()],
        opening: None,
    })
}
