//! Runs programs on a pair of servers, stops at the first difference, and shrinks it.

use std::collections::BTreeMap;

use crate::compare::differences;
use crate::coverage::Coverage;
use crate::deviations::Tally;
use crate::difference::Difference;
use crate::generate::epilogue;
use crate::pair::{Launchers, Pair};
use crate::profiles::Profile;
use crate::program::Step;

/// What a whole run collects.
#[derive(Default)]
pub struct Ledger {
    pub tally: Tally,
    pub coverage: Coverage,
    pub steps: usize,
    pub differences: usize,
    /// Differences of a survey by kind.
    pub kinds: BTreeMap<String, usize>,
    /// Print each step and what the oracle showed.
    pub verbose: bool,
}

/// Runs a program, then ends its sessions.
pub fn run(pair: &Pair, program: &[Step], ledger: &mut Ledger) -> Option<Difference> {
    for (at, step) in program.iter().chain(&epilogue()).enumerate() {
        let (left, right) = pair.step(step);
        ledger.steps += 1;
        ledger.coverage.note(step, &left);
        if ledger.verbose {
            println!("{at}: {step}");
            for (place, list) in &left {
                list.iter().for_each(|seen| println!("    {place}: {seen}"));
            }
        }
        let places = differences(&left, &right, &mut ledger.tally);
        if !places.is_empty() {
            return Some(Difference {
                at,
                step: step.clone(),
                places,
                left,
                right,
            });
        }
    }
    None
}

/// A smaller program that still shows a difference.
pub struct Shrunk {
    /// Indices of the steps that are left.
    pub keep: Vec<usize>,
    pub difference: Difference,
}

/// Leaves out more and more steps as long as a difference remains, in at most `budget` runs.
/// `make` builds the program below a root node of the given name, so that servers which agreed on
/// one attempt can be used for the next.
pub fn shrink(
    launchers: &Launchers,
    profile: &Profile,
    make: &dyn Fn(&str) -> Vec<Step>,
    until: usize,
    budget: usize,
) -> Result<Option<Shrunk>, String> {
    let mut lab = Lab {
        launchers,
        profile,
        make,
        pair: None,
        left: budget,
        number: 0,
    };
    let length = make("").len();
    let mut keep: Vec<usize> = (0..=until).filter(|at| *at < length).collect();
    let Some(mut best) = lab.attempt(&keep)? else {
        return Ok(None);
    };
    let mut chunk = keep.len().div_ceil(2);
    while lab.left > 0 {
        let mut start = 0;
        let before = keep.len();
        while start < keep.len() && lab.left > 0 {
            let end = (start + chunk).min(keep.len());
            let fewer = [&keep[..start], &keep[end..]].concat();
            match lab.attempt(&fewer)? {
                Some(difference) => {
                    keep = fewer;
                    // Nothing behind the differing step matters.
                    keep.truncate(difference.at + 1);
                    best = difference;
                }
                None => start = end,
            }
        }
        if chunk == 1 && keep.len() == before {
            break;
        }
        chunk = (chunk / 2).max(1);
    }
    Ok(Some(Shrunk {
        keep,
        difference: best,
    }))
}

struct Lab<'a> {
    launchers: &'a Launchers,
    profile: &'a Profile,
    make: &'a dyn Fn(&str) -> Vec<Step>,
    pair: Option<Pair>,
    left: usize,
    number: usize,
}

impl Lab<'_> {
    fn attempt(&mut self, keep: &[usize]) -> Result<Option<Difference>, String> {
        self.left = self.left.saturating_sub(1);
        let pair = match self.pair.take() {
            Some(pair) => pair,
            None => Pair::start(self.launchers, self.profile)?,
        };
        // Below a fresh root the servers know nothing of the attempt before.
        self.number += 1;
        let program = (self.make)(&format!("x{}", self.number));
        let program: Vec<Step> = keep.iter().map(|at| program[*at].clone()).collect();
        let found = run(&pair, &program, &mut Ledger::default());
        if found.is_none() {
            self.pair = Some(pair);
        }
        Ok(found)
    }
}
