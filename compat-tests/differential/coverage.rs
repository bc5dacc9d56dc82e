//! Counts which requests were answered how, so that a blind spot of the generator shows.

use std::collections::BTreeMap;

use crate::op::{ALL_CODES, Op, name};
use crate::program::Step;
use crate::view::{Seen, Val};
use crate::world::{Outcome, Place};

/// Answers by opcode and error code, as the oracle gave them.
#[derive(Default)]
pub struct Coverage {
    answers: BTreeMap<(i32, i32), usize>,
    /// Codes inside multi results.
    inner: BTreeMap<i32, usize>,
    /// Watch events by type.
    events: BTreeMap<i32, usize>,
    /// Steps that did nothing because their slot was not connected after all.
    idle: usize,
}

impl Coverage {
    /// Counts what one step brought.
    pub fn note(&mut self, step: &Step, outcome: &Outcome) {
        for (place, list) in outcome {
            for seen in list {
                match seen {
                    Seen::Event { kind, .. } => *self.events.entry(*kind).or_default() += 1,
                    // Programs are made so that the oracle answers or closes; a wait that runs out
                    // compares nothing.
                    Seen::Silent => println!("the oracle kept silent at {place}: {step}"),
                    Seen::NotConnected => self.idle += 1,
                    _ => {}
                }
            }
            if step.slot().is_some_and(|slot| *place == Place::Slot(slot)) {
                self.note_replies(step.ops(), list);
            }
        }
    }

    fn note_replies(&mut self, ops: &[Op], list: &[Seen]) {
        let replies = list.iter().filter_map(|seen| match seen {
            Seen::Reply { err, body, .. } => Some((*err, body)),
            _ => None,
        });
        for (op, (err, body)) in ops.iter().zip(replies) {
            *self.answers.entry((op.code(), err)).or_default() += 1;
            for value in body {
                if let (14 | 22, Val::List("result", Some(fields))) = (op.code(), value)
                    && let Some(Val::Num("err", err)) = fields.get(2)
                {
                    let err = i32::try_from(*err).unwrap_or(i32::MIN);
                    *self.inner.entry(err).or_default() += 1;
                }
            }
        }
    }

    /// Opcodes of the table that were never answered with success or, where that is their only
    /// answer, at all.
    pub fn missing(&self) -> Vec<&'static str> {
        let only_refused = [13, 16];
        ALL_CODES
            .iter()
            .filter(|code| {
                !self
                    .answers
                    .keys()
                    .any(|(c, err)| c == *code && (*err == 0 || only_refused.contains(code)))
            })
            .filter_map(|code| name(*code))
            .collect()
    }

    /// One line for each opcode.
    pub fn print(&self) {
        println!("answers by request (error code x times):");
        let mut codes: Vec<i32> = self.answers.keys().map(|(code, _)| *code).collect();
        codes.dedup();
        for code in codes {
            let of_code = self
                .answers
                .range((code, i32::MIN)..=(code, i32::MAX))
                .rev();
            let list: Vec<_> = of_code.map(|((_, err), n)| format!("{err} x{n}")).collect();
            let name = name(code).map_or_else(|| format!("opcode {code}"), str::to_owned);
            println!("  {name:22} {}", list.join(", "));
        }
        let show = |map: &BTreeMap<i32, usize>| {
            map.iter()
                .map(|(k, n)| format!("{k} x{n}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        println!("  inside multis          {}", show(&self.inner));
        println!("  events by type         {}", show(&self.events));
        println!("  steps without effect   {}", self.idle);
    }
}
