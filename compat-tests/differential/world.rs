//! One server seen by the clients of a program: runs steps and tells what each connection saw.
//!
//! After each step every open connection gets one more request, the barrier. Its reply comes behind
//! everything the step caused there, so two servers can be compared step by step.

mod barriers;
mod connecting;
mod endings;
mod requests;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::frame;
use crate::conn::Conn;
use crate::op::{CLOSE, Op};
use crate::program::{Hello, SLOTS, Slot, Step};
use crate::tamper::Tamperer;
use crate::view::{Memory, Seen};

/// How long a reply or a close may take. Generous: the machine may be busy, and a wait that long
/// only happens when the servers differ anyway.
const PATIENCE: Duration = Duration::from_secs(10);

/// Session timeout ordinary clients ask for; far longer than any run.
pub const LONG_TIMEOUT_MS: i32 = 3_000_000;

/// Xid of the first barrier of a connection; programs stay far below.
const BARRIER_XID: i32 = 0x7000_0000;

/// Where something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Monitor,
    Slot(Slot),
    /// The connection a slot had before it connected again.
    Old(Slot),
    Lonely,
}

/// What each connection saw during one step, in order.
pub type Outcome = Vec<(Place, Vec<Seen>)>;

#[derive(Default)]
struct Client {
    conn: Option<Conn>,
    /// A connection the server should close because the client came back on a new one.
    old: Option<Conn>,
    session: (i64, [u8; 16]),
    alive: bool,
    xid: i32,
}

/// One server and its clients. The last client is the monitor, which no program touches.
pub struct World {
    addr: SocketAddr,
    clients: Vec<Client>,
    memory: Memory,
    /// What a connection has to send before anything else (profiles that enforce auth).
    opening: Option<Op>,
    tamper: Option<Tamperer>,
    steps: usize,
    /// Transactions of this step that may fire their events in any order (closeSession).
    unordered: BTreeSet<i64>,
}

const MONITOR: usize = SLOTS;

impl World {
    /// Connects the monitor. Fails when the server is not there.
    pub fn open(addr: SocketAddr, opening: Option<Op>) -> Result<Self, String> {
        let mut world = Self {
            addr,
            clients: (0..=MONITOR).map(|_| Client::default()).collect(),
            memory: Memory::new(),
            opening,
            tamper: None,
            steps: 0,
            unordered: BTreeSet::new(),
        };
        let then: Vec<Op> = world.opening.clone().into_iter().collect();
        let seen = world.connect(MONITOR, &Hello::new(LONG_TIMEOUT_MS), &then);
        match world.clients[MONITOR].conn {
            Some(_) => Ok(world),
            None => Err(format!("the monitor got no session at {addr}: {seen:?}")),
        }
    }

    pub fn set_tamper(&mut self, tamper: Option<Tamperer>) -> Option<Tamperer> {
        std::mem::replace(&mut self.tamper, tamper)
    }

    /// The id of a slot's last session; 0 before there is one.
    pub fn session(&self, slot: Slot) -> i64 {
        self.clients[slot].session.0
    }

    /// Sends one request on each of two slots at the same time. Returns the zxid of both replies
    /// and the error code of the second.
    pub fn race(&mut self, requests: [(Slot, Op); 2]) -> Result<(i64, i64, i32), String> {
        let last = self.memory.last_zxid;
        for (slot, op) in &requests {
            let bytes = frame(&op.encode(self.next_xid(*slot), last));
            if let Some(conn) = &mut self.clients[*slot].conn {
                conn.send(&bytes);
            }
        }
        let mut got = Vec::new();
        for (slot, op) in &requests {
            let mut conn = self.clients[*slot].conn.take().ok_or("not connected")?;
            let mut seen = Vec::new();
            self.reply(*slot, &mut conn, op, &mut seen);
            if op.code() != CLOSE {
                self.clients[*slot].conn = Some(conn);
            }
            match seen.pop() {
                Some(Seen::Reply { zxid, err, .. }) => got.push((zxid, err)),
                other => return Err(format!("{op} was answered by {other:?}")),
            }
        }
        Ok((got[0].0, got[1].0, got[1].1))
    }

    /// Runs one step and collects what every connection saw up to its barrier.
    pub fn run(&mut self, step: &Step) -> Outcome {
        self.steps += 1;
        self.unordered.clear();
        let mut out = self.act(step);
        self.barriers(&mut out);
        self.sort_unordered(&mut out);
        out
    }

    fn act(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Connect {
                slot,
                hello,
                take_over,
                then,
            } => self.reconnect(*slot, hello, *take_over, then),
            Step::Drop { slot } => {
                self.clients[*slot].conn = None;
                Vec::new()
            }
            Step::Send { slot, batch, chunk } => {
                vec![(Place::Slot(*slot), self.send(*slot, batch, None, *chunk))]
            }
            Step::SendXid { slot, xid, op } => {
                let batch = std::slice::from_ref(op);
                vec![(
                    Place::Slot(*slot),
                    self.send(*slot, batch, Some(*xid), None),
                )]
            }
            Step::Garbage { slot, bytes } => vec![(Place::Slot(*slot), self.garbage(*slot, bytes))],
            Step::Expire { slot, keep_open } => self.expire(*slot, *keep_open),
            Step::Lonely { hello, raw, then } => {
                vec![(Place::Lonely, self.lonely(hello.as_ref(), raw, then))]
            }
            Step::SendAwait { slot, op, txns } => {
                let mut seen = self.send(*slot, std::slice::from_ref(op), None, None);
                if !matches!(seen.as_slice(), [Seen::NotConnected]) {
                    let from = self.memory.last_zxid;
                    seen.push(self.await_txns(from, *txns));
                }
                vec![(Place::Slot(*slot), seen)]
            }
            Step::Finish { slot } => self.finish(*slot),
        }
    }
}

fn bad_length(n: i32) -> Seen {
    Seen::Broken {
        what: "frame length",
        frame: n.to_be_bytes().to_vec(),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Monitor => write!(f, "monitor"),
            Self::Slot(n) => write!(f, "slot {n}"),
            Self::Old(n) => write!(f, "slot {n}, old connection"),
            Self::Lonely => write!(f, "lonely connection"),
        }
    }
}
