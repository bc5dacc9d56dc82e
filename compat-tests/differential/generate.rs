//! Makes a program from a seed. The program depends on nothing else, so the same seed, number of
//! steps and set of left-out kinds can always be run again.

use crate::codec::{Enc, frame};
use crate::model::Model;
use crate::op::{CLOSE, Op, PING, ZxidRef};
use crate::ops::{KINDS, Maker, ends_connection};
use crate::program::{Hello, HelloSession, Password, SLOTS, Slot, Step};
use crate::quota::quota_step;
use crate::rng::Rng;
use crate::values::{open_acl, s};
use crate::world::LONG_TIMEOUT_MS;

/// Kinds of steps beyond a single request, with their weights. The names serve `--without`.
pub const STEPS: [(&str, usize); 11] = [
    ("single", 700),
    ("batch", 110),
    ("reattach", 40),
    ("drop", 15),
    ("close", 15),
    ("expire", 4),
    ("garbage", 15),
    ("lonely", 20),
    ("quota", 60),
    ("xid", 15),
    ("bulk", 6),
];

/// What the generator believes about a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// No session yet.
    #[default]
    Fresh,
    Connected,
    /// The session lives, the connection is gone.
    Apart,
    /// The session is closed or expired.
    Dead,
}

/// What goes into a program.
pub struct Recipe<'a> {
    pub seed: u64,
    pub steps: usize,
    /// Root node of this program; nothing else may use it on the same server.
    pub root: String,
    /// Names from `KINDS` and `STEPS` that must not occur.
    pub without: &'a [String],
    /// What a profile that enforces auth makes connections send first.
    pub opening: Option<Op>,
}

struct Generator<'a> {
    recipe: &'a Recipe<'a>,
    rng: Rng,
    model: Model,
    slots: [State; SLOTS],
    op_weights: Vec<usize>,
    step_weights: Vec<usize>,
}

/// The whole program: a few steps to begin with, then `recipe.steps` random ones.
pub fn generate(recipe: &Recipe<'_>) -> Vec<Step> {
    let weight = |(name, weight): &(&str, usize)| {
        if recipe.without.iter().any(|w| w == name) {
            0
        } else {
            *weight
        }
    };
    let mut generator = Generator {
        rng: Rng::new(recipe.seed),
        model: Model::with_root(&recipe.root),
        slots: [State::Fresh; SLOTS],
        op_weights: KINDS.iter().map(weight).collect(),
        step_weights: STEPS.iter().map(weight).collect(),
        recipe,
    };
    let mut program = generator.prologue();
    for _ in 0..recipe.steps {
        let step = generator.step();
        program.push(step);
    }
    program
}

/// Ends every session a program may have left.
pub fn epilogue() -> Vec<Step> {
    (0..SLOTS).map(|slot| Step::Finish { slot }).collect()
}

impl Generator<'_> {
    fn prologue(&mut self) -> Vec<Step> {
        let mut steps: Vec<Step> = (0..3).map(|slot| self.new_session(slot)).collect();
        let path = s(&self.recipe.root);
        let create = Op::Create {
            code: 1,
            path,
            data: s("root"),
            acl: open_acl(),
            flags: 0,
        };
        steps.push(Step::Send {
            slot: 0,
            batch: vec![create],
            chunk: None,
        });
        for name in ["a", "b", "a/b", "a/b/c"] {
            let path = s(&format!("{}/{name}", self.recipe.root));
            let create = Op::Create {
                code: 1,
                path,
                data: s("x"),
                acl: open_acl(),
                flags: 0,
            };
            self.model.apply(0, &create);
            steps.push(Step::Send {
                slot: 0,
                batch: vec![create],
                chunk: None,
            });
        }
        steps
    }

    fn maker(&mut self, slot: Slot, pipelined: bool) -> Maker<'_> {
        Maker {
            slot,
            pipelined,
            rng: &mut self.rng,
            model: &self.model,
            root: &self.recipe.root,
            weights: &self.op_weights,
        }
    }

    fn slots_in(&self, state: State) -> Vec<Slot> {
        (0..SLOTS)
            .filter(|slot| self.slots[*slot] == state)
            .collect()
    }

    fn step(&mut self) -> Step {
        let connected = self.slots_in(State::Connected);
        if connected.len() < SLOTS && (connected.len() < 2 || self.rng.chance(12)) {
            let others: Vec<Slot> = (0..SLOTS)
                .filter(|slot| self.slots[*slot] != State::Connected)
                .collect();
            let slot = *self.rng.pick(&others);
            return self.connect(slot);
        }
        let slot = *self.rng.pick(&connected);
        match STEPS[self.rng.weighted(&self.step_weights)].0 {
            "single" => {
                let op = self.maker(slot, false).any();
                self.send(slot, vec![op])
            }
            "batch" => self.batch(slot),
            "bulk" => self.bulk(slot),
            "quota" => quota_step(&mut self.rng, &self.recipe.root, slot),
            "reattach" => self.reattach(slot, true),
            "drop" => {
                self.slots[slot] = State::Apart;
                Step::Drop { slot }
            }
            "close" => self.send(slot, vec![Op::Bare { code: CLOSE }]),
            "expire" => {
                self.end_session(slot);
                Step::Expire {
                    slot,
                    keep_open: self.rng.chance(50),
                }
            }
            "garbage" => self.garbage(slot),
            "lonely" => self.lonely(),
            "xid" => {
                let xid = *self.rng.pick(&[0, 1, -3, -4, -8, -100, i32::MAX, i32::MIN]);
                let op = self.maker(slot, false).calm();
                self.model.apply(slot, &op);
                Step::SendXid { slot, xid, op }
            }
            other => unreachable!("{other} is not in STEPS"),
        }
    }

    /// Sends requests and notes what they probably do.
    fn send(&mut self, slot: Slot, batch: Vec<Op>) -> Step {
        for op in &batch {
            self.model.apply(slot, op);
            if matches!(op, Op::Bare { code: CLOSE }) {
                self.end_session(slot);
            } else if ends_connection(op) {
                self.slots[slot] = State::Apart;
            }
        }
        let chunk = self.rng.chance(4).then(|| 1 + self.rng.below(7));
        Step::Send { slot, batch, chunk }
    }

    fn end_session(&mut self, slot: Slot) {
        self.slots[slot] = State::Dead;
        self.model.session_gone(slot);
    }

    /// Requests sent without waiting; `send` notes what they do. Apache may answer auth, sasl and unknown opcodes before
    /// earlier requests (DEV 10), so those stay out, but for auth in front of everything.
    fn batch(&mut self, slot: Slot) -> Step {
        let mut batch = Vec::new();
        if self.rng.chance(10) {
            let op = self.maker(slot, true).any();
            if op.code() == 100 && !ends_connection(&op) {
                batch.push(op);
            }
        }
        for _ in 0..2 + self.rng.below(14) {
            let op = self.maker(slot, true).calm();
            let last = op.code() == 7;
            batch.push(op);
            if last {
                // What follows may or may not see the new ACL (DEV-12).
                break;
            }
        }
        if self.rng.chance(6) {
            batch.push(Op::Bare { code: CLOSE });
        }
        self.send(slot, batch)
    }

    /// A wide or a deep part of the tree in one go.
    fn bulk(&mut self, slot: Slot) -> Step {
        let mut base = crate::values::known_path(&mut self.rng, &self.model);
        let deep = self.rng.chance(50);
        let flags = if deep {
            0
        } else {
            *self.rng.pick(&[0, 1, 2, 3])
        };
        let mut batch = Vec::new();
        for n in 0..20 + self.rng.below(20) {
            let path = if deep {
                format!("{base}/x")
            } else {
                format!("{base}/w{n}-")
            };
            let op = Op::Create {
                code: 1,
                path: s(&path),
                data: None,
                acl: open_acl(),
                flags,
            };
            if deep {
                base = path;
            }
            self.model.apply(slot, &op);
            batch.push(op);
        }
        Step::Send {
            slot,
            batch,
            chunk: None,
        }
    }

    // ---- connecting -------------------------------------------------------------------------

    fn opening(&mut self) -> Vec<Op> {
        match &self.recipe.opening {
            Some(op) if !self.rng.chance(8) => vec![op.clone()],
            _ => Vec::new(),
        }
    }

    fn new_session(&mut self, slot: Slot) -> Step {
        self.slots[slot] = State::Connected;
        let mut hello = Hello::new(LONG_TIMEOUT_MS);
        hello.read_only = *self
            .rng
            .pick(&[Some(0), Some(0), Some(0), Some(1), Some(7), None]);
        hello.password = match self.rng.below(6) {
            0 => Password::Exact(None),
            1 => Password::Exact(Some(Vec::new())),
            2 => Password::Exact(Some(vec![7; 16])),
            _ => hello.password,
        };
        hello.protocol = *self.rng.pick(&[0, 0, 0, 1, -1, i32::MAX]);
        Step::Connect {
            slot,
            hello,
            take_over: false,
            then: self.opening(),
        }
    }

    fn connect(&mut self, slot: Slot) -> Step {
        match self.slots[slot] {
            State::Apart => self.reattach(slot, false),
            State::Dead if self.rng.chance(25) => self.reattach(slot, false),
            _ => self.new_session(slot),
        }
    }

    /// Comes back to a session, dead or alive, sometimes with a wrong claim.
    fn reattach(&mut self, slot: Slot, connected: bool) -> Step {
        let alive = self.slots[slot] != State::Dead;
        // Apache closes the old connection even when the password is wrong (DEV 2), so a wrong
        // claim is only made without one.
        let take_over = connected && self.rng.chance(50);
        let mut hello = Hello::again(LONG_TIMEOUT_MS, Password::Right, ZxidRef::Last(0));
        let mut granted = alive;
        match self.rng.below(20) {
            0..=2 if !take_over => {
                hello.password = match self.rng.below(6) {
                    0 => Password::Exact(None),
                    1 => Password::Exact(Some(Vec::new())),
                    2 => Password::Exact(Some(vec![0; 16])),
                    3 => Password::Exact(Some(vec![0; 15])),
                    _ => Password::Wrong,
                };
                granted = false;
            }
            3 => {
                hello.last_zxid = ZxidRef::Last(1 + self.rng.below(3) as i64);
                granted = false;
            }
            4 => hello.last_zxid = ZxidRef::Exact(*self.rng.pick(&[0, -1, i64::MIN])),
            5 => hello.read_only = *self.rng.pick(&[Some(1), None]),
            _ => {}
        }
        let mut then = Vec::new();
        if granted {
            then = self.opening();
            if self.rng.chance(60) {
                let op = self.maker(slot, true).calm();
                then.extend(matches!(op.code(), 101 | 105).then_some(op));
            }
            self.slots[slot] = State::Connected;
        } else if alive {
            self.slots[slot] = State::Apart;
        }
        // A connection refused over its zxid is refused before the old one is looked at.
        let take_over = take_over && granted;
        Step::Connect {
            slot,
            hello,
            take_over,
            then,
        }
    }

    // ---- damage -----------------------------------------------------------------------------

    /// Bytes that end an established connection.
    fn garbage(&mut self, slot: Slot) -> Step {
        self.slots[slot] = State::Apart;
        let bytes = match self.rng.below(8) {
            0 => frame(&[]),
            1 => frame(&[0, 0, 0, 1]),
            2 => frame(&[0, 0, 0, 1, 0, 0, 0]),
            3 => (-1_i32).to_be_bytes().to_vec(),
            4 => i32::MIN.to_be_bytes().to_vec(),
            5 => i32::MAX.to_be_bytes().to_vec(),
            6 => b"ruok".to_vec(),
            _ => frame(&Hello::new(LONG_TIMEOUT_MS).encode(0, (0, [0; 16]))),
        };
        Step::Garbage { slot, bytes }
    }

    /// A connection that shows how handshakes are answered and leaves no session behind.
    fn lonely(&mut self) -> Step {
        let mut hello = Hello::new(LONG_TIMEOUT_MS);
        let close = vec![Op::Bare { code: CLOSE }];
        match self.rng.below(10) {
            0..=3 => {
                hello.timeout = *self.rng.pick(&[
                    0,
                    1,
                    -1,
                    i32::MIN,
                    i32::MAX,
                    99,
                    200,
                    201,
                    400,
                    1_000,
                    4_000_000,
                    3_600_001,
                ]);
                hello.read_only = *self.rng.pick(&[Some(0), Some(1), Some(255), None]);
                hello.password = Password::Exact(
                    self.rng
                        .pick(&[None, Some(vec![]), Some(vec![1; 3]), Some(vec![1; 40])])
                        .clone(),
                );
                let mut then = self
                    .recipe
                    .opening
                    .clone()
                    .map_or_else(Vec::new, |op| vec![op]);
                then.push(Op::Bare { code: PING });
                then.extend(close);
                Step::Lonely {
                    hello: Some(hello),
                    raw: Vec::new(),
                    then,
                }
            }
            4 => {
                hello.session = HelloSession::Exact(*self.rng.pick(&[1, -1, i64::MIN, i64::MAX]));
                hello.read_only = *self.rng.pick(&[Some(0), Some(1), None]);
                Step::Lonely {
                    hello: Some(hello),
                    raw: Vec::new(),
                    then: Vec::new(),
                }
            }
            5 => {
                hello.last_zxid = *self.rng.pick(&[ZxidRef::Last(1), ZxidRef::Exact(i64::MAX)]);
                Step::Lonely {
                    hello: Some(hello),
                    raw: Vec::new(),
                    then: Vec::new(),
                }
            }
            _ => Step::Lonely {
                hello: None,
                raw: self.bad_handshake(),
                then: Vec::new(),
            },
        }
    }

    fn bad_handshake(&mut self) -> Vec<u8> {
        let good = Hello::new(LONG_TIMEOUT_MS).encode(0, (0, [0; 16]));
        match self.rng.below(9) {
            0 => frame(&[]),
            1 => frame(&good[..10]),
            2 => frame(&good[..27]),
            3 => frame(&good[..30]),
            4 => (-1_i32).to_be_bytes().to_vec(),
            5 => 0x10_0000_i32.to_be_bytes().to_vec(),
            6 => b"zzzz".to_vec(),
            7 => {
                let mut patched = good;
                patched[24..28].copy_from_slice(&(-2_i32).to_be_bytes());
                frame(&patched)
            }
            _ => {
                let mut enc = Enc(good[..24].to_vec());
                enc.i32(i32::MAX);
                enc.0.extend_from_slice(&[0; 8]);
                frame(&enc.0)
            }
        }
    }
}
