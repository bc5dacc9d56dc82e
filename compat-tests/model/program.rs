//! Random operations that mostly make sense.

use super::reference::{Kind, Op, State, Wanted};
use super::rng::Rng;

/// A node that is there, most of the time.
fn existing(rng: &mut Rng, state: &State) -> String {
    let all: Vec<&String> = state
        .nodes
        .keys()
        .filter(|p| !p.starts_with("/zookeeper"))
        .collect();
    match rng.chance(90) {
        true => (*rng.pick(&all)).clone(),
        false => format!("/n{}", rng.below(6)),
    }
}

fn version(rng: &mut Rng, now: Option<i32>) -> i32 {
    match rng.below(6) {
        0 => 77,
        1 | 2 => now.unwrap_or(0),
        _ => -1,
    }
}

fn data(rng: &mut Rng) -> Option<Vec<u8>> {
    match rng.below(5) {
        0 => None,
        1 => Some(vec![]),
        n => Some(vec![n as u8; rng.below(40)]),
    }
}

fn acl(rng: &mut Rng) -> Wanted {
    match rng.weighted(&[60, 5, 15, 15, 2]) {
        0 => Wanted::Open,
        1 => Wanted::ReadOnly,
        2 => Wanted::User(rng.below(3)),
        3 => Wanted::Creator,
        _ => Wanted::Empty,
    }
}

fn create(rng: &mut Rng, state: &State) -> Op {
    let above = existing(rng, state);
    let kind = match rng.weighted(&[50, 30, 10, 10]) {
        0 => Kind::Persistent,
        1 => Kind::Ephemeral,
        2 => Kind::Container,
        _ => Kind::Ttl(1 + rng.below(900) as i64),
    };
    Op::Create {
        path: format!("{above}/n{}", rng.below(6)),
        data: data(rng),
        acl: acl(rng),
        sequential: kind != Kind::Container && rng.chance(25),
        kind,
        two: rng.chance(50),
    }
}

/// A request of its own.
pub fn operation(rng: &mut Rng, state: &State) -> Op {
    match rng.weighted(&[85, 15]) {
        0 => loop {
            let op = part(rng, state);
            if !matches!(op, Op::Check(..)) {
                return op;
            }
        },
        _ => {
            let path = existing(rng, state);
            let now = state.nodes.get(&path).map(|n| n.stat.aversion);
            match path.is_empty() {
                true => Op::SetAcl(path, Wanted::Open, -1),
                false => Op::SetAcl(path, acl(rng), version(rng, now)),
            }
        }
    }
}

/// A part of a multi.
pub fn part(rng: &mut Rng, state: &State) -> Op {
    let path = existing(rng, state);
    let now = state.nodes.get(&path).map(|n| n.stat.version);
    match rng.weighted(&[45, 25, 25, 5]) {
        0 => create(rng, state),
        1 => Op::Delete(path, version(rng, now)),
        2 => Op::SetData(path, data(rng), version(rng, now)),
        _ => Op::Check(path, version(rng, now)),
    }
}
