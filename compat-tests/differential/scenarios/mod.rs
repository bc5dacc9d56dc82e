//! Scripted programs: tables of cases, each once, where random programs would need luck.

mod access;
mod modes;
mod multis;
mod reaper;
mod requests;
mod sessions;
mod trees;
mod watches;
mod wire;

use crate::op::{Op, ZxidRef};
use crate::profiles::Profile;
use crate::program::{Hello, Password, Slot, Step};
use crate::world::LONG_TIMEOUT_MS;

/// A program being written down.
pub struct Script {
    pub root: String,
    pub steps: Vec<Step>,
    pub profile: &'static Profile,
}

/// Writes one scenario.
type Writer = fn(&mut Script);

/// All scenarios for ordinary profiles, in the order they run. `fresh` must be the first.
const SCENARIOS: [(&str, Writer); 24] = [
    ("fresh", trees::fresh),
    ("handshakes", wire::handshakes),
    ("garbage", wire::garbage),
    ("largest", wire::largest),
    ("opcodes", wire::opcodes),
    ("xids", wire::xids),
    ("truncated", requests::truncated),
    ("nulls", requests::nulls),
    ("lengths", requests::lengths),
    ("paths", requests::paths),
    ("flags", modes::flags),
    ("reads", modes::reads),
    ("stats", trees::stats),
    ("sequences", trees::sequences),
    ("quota", trees::quota),
    ("multis", multis::multis),
    ("multireads", multis::multireads),
    ("acl-ids", access::ids),
    ("permissions", access::permissions),
    ("auth", access::auth),
    ("watches", watches::matrix),
    ("watch-removal", watches::removal),
    ("catch-up", watches::catch_up),
    ("sessions", sessions::sessions),
];

/// The scenarios of a profile with their programs.
pub fn scripts(profile: &'static Profile) -> Vec<(&'static str, Script)> {
    let table: &[(&str, Writer)] = match profile.name {
        "reaper" => &[("reaper", reaper::reaper)],
        _ => &SCENARIOS,
    };
    let write = |(name, writer): &(&'static str, Writer)| {
        let mut script = Script {
            root: format!("/s-{name}"),
            steps: Vec::new(),
            profile,
        };
        script.connect(0);
        script.connect(1);
        let root = script.root.clone();
        script.send(0, crate::make::create(&root, 0));
        writer(&mut script);
        (*name, script)
    };
    table.iter().map(write).collect()
}

impl Script {
    /// A path below the scenario's root.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    fn opening(&self) -> Vec<Op> {
        self.profile.opening().into_iter().collect()
    }

    pub fn step(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// A new session.
    pub fn connect(&mut self, slot: Slot) {
        let then = self.opening();
        self.step(Step::Connect {
            slot,
            hello: Hello::new(LONG_TIMEOUT_MS),
            take_over: false,
            then,
        });
    }

    /// A new connection for the slot's session.
    pub fn again(&mut self, slot: Slot) {
        self.hello(
            slot,
            Hello::again(LONG_TIMEOUT_MS, Password::Right, ZxidRef::Last(0)),
            false,
        );
    }

    /// A connection with a hello of one's own.
    pub fn hello(&mut self, slot: Slot, hello: Hello, take_over: bool) {
        let then = self.opening();
        self.step(Step::Connect {
            slot,
            hello,
            take_over,
            then,
        });
    }

    /// A hello that will be refused: nothing may follow it.
    pub fn refused(&mut self, slot: Slot, hello: Hello) {
        self.step(Step::Connect {
            slot,
            hello,
            take_over: false,
            then: Vec::new(),
        });
    }

    pub fn send(&mut self, slot: Slot, op: Op) {
        self.step(Step::Send {
            slot,
            batch: vec![op],
            chunk: None,
        });
    }

    pub fn batch(&mut self, slot: Slot, batch: Vec<Op>) {
        self.step(Step::Send {
            slot,
            batch,
            chunk: None,
        });
    }

    /// A request that ends the connection; the session comes back on a new one.
    pub fn send_closing(&mut self, slot: Slot, op: Op) {
        self.send(slot, op);
        self.again(slot);
    }

    pub fn finish(&mut self, slot: Slot) {
        self.step(Step::Finish { slot });
    }

    /// A connection of its own: hello, requests, close.
    pub fn lonely(&mut self, hello: Hello, ops: Vec<Op>) {
        let mut then = self.opening();
        then.extend(ops);
        then.push(Op::Bare {
            code: crate::op::CLOSE,
        });
        self.step(Step::Lonely {
            hello: Some(hello),
            raw: Vec::new(),
            then,
        });
    }
}
