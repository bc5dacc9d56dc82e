//! Runs a program past its differences, to see as many kinds as possible in one go.

use crate::compare::differences;
use crate::difference::Difference;
use crate::generate::epilogue;
use crate::pair::{Launchers, Pair};
use crate::profiles::Profile;
use crate::program::Step;
use crate::runner::Ledger;

/// Fresh starts one program may cost.
const FRESH_STARTS: usize = 25;

/// A program to survey.
pub struct Survey<'a> {
    pub launchers: &'a Launchers,
    pub profile: &'a Profile,
    /// Of a scenario or a seed.
    pub name: &'a str,
    pub program: &'a [Step],
}

impl Survey<'_> {
    /// Runs the program and leaves a usable pair behind, or none. After a difference that puts the
    /// servers into different states it begins again on fresh ones, without the step at fault.
    /// Only the first difference of each kind is shown.
    pub fn run(&self, pair: &mut Option<Pair>, ledger: &mut Ledger) -> Result<(), String> {
        let mut left_out = Vec::new();
        let mut reported = Vec::new();
        while left_out.len() < FRESH_STARTS {
            let running = match pair.take() {
                Some(pair) => pair,
                None => Pair::start(self.launchers, self.profile)?,
            };
            match self.once(&running, &left_out, &mut reported, ledger) {
                Some(at) => left_out.push(at),
                None => {
                    // The next program may only have these servers if they still agree.
                    *pair = reported.is_empty().then_some(running);
                    return Ok(());
                }
            }
        }
        println!("  perhaps more, but {} ends here", self.name);
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
        let epilogue = epilogue();
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
            let difference = Difference {
                at,
                step: step.clone(),
                places,
                left,
                right,
            };
            if !reported.contains(&at) {
                reported.push(at);
                self.report(&difference, ledger);
            }
            if !difference.same_state() {
                return Some(at);
            }
        }
        None
    }

    fn report(&self, difference: &Difference, ledger: &mut Ledger) {
        ledger.differences += 1;
        let times = ledger.kinds.entry(difference.signature()).or_default();
        *times += 1;
        if *times == 1 {
            let names = [self.launchers.left.name, self.launchers.right.name];
            println!("DIFFERENCE profile {}, {}", self.profile.name, self.name);
            println!("  kind {}", difference.signature());
            print!("{}", difference.describe(names));
        }
    }
}
