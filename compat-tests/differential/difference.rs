//! A step on which the servers disagree: how it is shown, and how two of a kind are recognised.

use crate::compare::at;
use crate::op::{Op, name};
use crate::program::Step;
use crate::view::{Seen, Val};
use crate::world::{Outcome, Place};

/// One disagreement.
pub struct Difference {
    /// Index into the program; its length or more for the steps that end the sessions.
    pub at: usize,
    pub step: Step,
    pub places: Vec<Place>,
    pub left: Outcome,
    pub right: Outcome,
}

impl Difference {
    /// The step and both answers; what both saw alike before and after is only counted.
    pub fn describe(&self, names: [&str; 2]) -> String {
        let mut out = format!("  step {}: {}\n", self.at, self.step);
        for place in &self.places {
            let sides = [at(&self.left, *place), at(&self.right, *place)];
            let (head, tail) = common(sides[0], sides[1]);
            for (name, seen) in names.iter().zip(sides) {
                out.push_str(&format!("  {name:8} {place}:"));
                if head + tail > 0 {
                    out.push_str(&format!(" ({head} alike before, {tail} behind)"));
                }
                out.push('\n');
                for seen in &seen[head..seen.len() - tail] {
                    out.push_str(&format!("      {seen}\n"));
                }
            }
        }
        out
    }

    /// Whether both servers are left in the same state, as far as one can see: the same
    /// connections open, at the same zxid.
    pub fn same_state(&self) -> bool {
        state(&self.left) == state(&self.right)
    }

    /// A text that is the same for differences which probably have the same cause.
    pub fn signature(&self) -> String {
        let Some(place) = self
            .places
            .iter()
            .find(|p| **p == self.actor())
            .or(self.places.first())
        else {
            return String::new();
        };
        let (left, right) = (at(&self.left, *place), at(&self.right, *place));
        let (head, _) = common(left, right);
        let answered = |seen: &&Seen| matches!(seen, Seen::Reply { .. });
        let replies = left[..head].iter().filter(answered).count();
        let what = match self.step.ops().get(replies) {
            Some(op) => op_kind(op),
            None => self.step.kind().to_owned(),
        };
        let sides = [left.get(head), right.get(head)];
        let [a, b] = short_pair(sides[0], sides[1]);
        format!("{what}: {a} / {b}")
    }

    fn actor(&self) -> Place {
        match self.step.slot() {
            Some(slot) => Place::Slot(slot),
            None => Place::Lonely,
        }
    }
}

/// How many elements both lists share at the beginning and, apart from those, at the end.
fn common(left: &[Seen], right: &[Seen]) -> (usize, usize) {
    let head = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let (left, right) = (&left[head..], &right[head..]);
    let tail = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    (head, tail)
}

fn state(outcome: &Outcome) -> Vec<(Place, i64)> {
    let open = |(place, seen): &(Place, Vec<Seen>)| match seen.last() {
        Some(Seen::Barrier { zxid, .. }) => Some((*place, *zxid)),
        _ => None,
    };
    let mut state: Vec<_> = outcome.iter().filter_map(open).collect();
    state.sort_unstable();
    state
}

fn op_kind(op: &Op) -> String {
    let own = name(op.code()).map_or_else(|| format!("opcode {}", op.code()), str::to_owned);
    match op {
        Op::Mangled { .. } => format!("mangled {own}"),
        Op::Multi { ops, .. } => {
            let mut kinds: Vec<String> = ops.iter().map(op_kind).collect();
            kinds.sort();
            kinds.dedup();
            // Long lists say little about the cause.
            if kinds.len() > 2 {
                own
            } else {
                format!("{own} of {}", kinds.join(", "))
            }
        }
        _ => own,
    }
}

fn short_pair(left: Option<&Seen>, right: Option<&Seen>) -> [String; 2] {
    match (left, right) {
        (
            Some(Seen::Reply {
                zxid, err, body, ..
            }),
            Some(Seen::Reply {
                zxid: zxid2,
                err: err2,
                body: body2,
                ..
            }),
        ) if err == err2 => {
            let zxid = if zxid == zxid2 { "" } else { " other zxid" };
            let at = body.iter().zip(body2).take_while(|(a, b)| a == b).count();
            [body, body2].map(|b| format!("err {err}{zxid} {}", short_value(b.get(at))))
        }
        _ => [left, right].map(short_seen),
    }
}

fn short_seen(seen: Option<&Seen>) -> String {
    match seen {
        None => "nothing".to_owned(),
        Some(Seen::Reply { err, .. }) => format!("err {err}"),
        Some(Seen::Event { kind, .. }) => format!("event {kind}"),
        Some(Seen::Barrier { .. }) => "no reply".to_owned(),
        Some(Seen::Broken { what, .. }) => format!("broken at {what}"),
        Some(other) => format!("{other:?}"),
    }
}

fn short_value(value: Option<&Val>) -> String {
    match value {
        None => "end".to_owned(),
        Some(Val::Num(what, _) | Val::Text(what, _) | Val::Set(what, _) | Val::Raw(what, _)) => {
            (*what).to_owned()
        }
        Some(Val::Stat(_)) => "stat".to_owned(),
        Some(Val::List(what, items)) => {
            let numbers = items.iter().flatten().filter_map(|item| match item {
                Val::Num(what, n) => Some(format!("{what} {n}")),
                _ => None,
            });
            format!("{what} {}", numbers.collect::<Vec<_>>().join(" "))
        }
    }
}
