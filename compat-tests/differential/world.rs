//! One server seen by the clients of a program: runs steps and tells what each connection saw.
//!
//! After each step every open connection gets one more request, the barrier. Its reply comes behind
//! everything the step caused there, so two servers can be compared step by step.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::codec::frame;
use crate::conn::{Conn, Got};
use crate::op::ZxidRef;
use crate::op::{CLOSE, Op, PING, SYNC};
use crate::program::{Hello, Password, SLOTS, Slot, Step};
use crate::tamper::{Fate, Tamperer};
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

    // ---- connecting -------------------------------------------------------------------------

    fn reconnect(&mut self, slot: Slot, hello: &Hello, take_over: bool, then: &[Op]) -> Outcome {
        let old = self.clients[slot].conn.take();
        if take_over {
            self.clients[slot].old = old;
        }
        let mut out = vec![(Place::Slot(slot), self.connect(slot, hello, then))];
        if let Some(mut old) = self.clients[slot].old.take() {
            out.push((Place::Old(slot), self.until_closed(&mut old)));
        }
        out
    }

    /// Opens a connection for a client. It is kept when the server granted a session.
    fn connect(&mut self, slot: Slot, hello: &Hello, then: &[Op]) -> Vec<Seen> {
        self.clients[slot].conn = None;
        let Ok(mut conn) = Conn::open(self.addr) else {
            return vec![Seen::Closed];
        };
        let last = self.memory.last_zxid;
        let mut bytes = frame(&hello.encode(last, self.clients[slot].session));
        self.clients[slot].xid = 0;
        for op in then {
            let xid = self.next_xid(slot);
            bytes.extend(frame(&op.encode(xid, last)));
        }
        conn.send(&bytes);
        let mut seen = Vec::new();
        let Some(own) = self.read_hello(&mut conn, &mut seen) else {
            seen.extend(self.until_closed(&mut conn));
            return seen;
        };
        self.clients[slot].session = own;
        self.clients[slot].alive = true;
        let open = self.replies(slot, &mut conn, then, &mut seen);
        self.clients[slot].conn = open.then_some(conn);
        seen
    }

    /// Reads the ConnectResponse; returns the session when there is one.
    fn read_hello(&mut self, conn: &mut Conn, seen: &mut Vec<Seen>) -> Option<(i64, [u8; 16])> {
        match self.next(conn, true, PATIENCE) {
            Got::Frame(frame) => {
                let (hello, own) = self.memory.hello(&frame);
                seen.push(hello);
                own
            }
            Got::Closed => None,
            Got::Silent => {
                seen.push(Seen::Silent);
                None
            }
            Got::BadLength(n) => {
                seen.push(bad_length(n));
                None
            }
        }
    }

    fn lonely(&mut self, hello: Option<&Hello>, raw: &[u8], then: &[Op]) -> Vec<Seen> {
        let Ok(mut conn) = Conn::open(self.addr) else {
            return vec![Seen::Closed];
        };
        let last = self.memory.last_zxid;
        let mut bytes = Vec::new();
        if let Some(hello) = hello {
            bytes.extend(frame(&hello.encode(last, (0, [0; 16]))));
        }
        bytes.extend_from_slice(raw);
        for (op, xid) in then.iter().zip(1..) {
            bytes.extend(frame(&op.encode(xid, last)));
        }
        conn.send(&bytes);
        let mut seen = Vec::new();
        let mut open = true;
        if hello.is_some() && self.read_hello(&mut conn, &mut seen).is_some() {
            open = self.replies(MONITOR, &mut conn, then, &mut seen);
        }
        if open {
            seen.extend(self.until_closed(&mut conn));
        }
        seen
    }

    // ---- requests ---------------------------------------------------------------------------

    fn next_xid(&mut self, slot: Slot) -> i32 {
        self.clients[slot].xid += 1;
        self.clients[slot].xid
    }

    fn send(
        &mut self,
        slot: Slot,
        batch: &[Op],
        xid: Option<i32>,
        chunk: Option<usize>,
    ) -> Vec<Seen> {
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![Seen::NotConnected];
        };
        let last = self.memory.last_zxid;
        let mut bytes = Vec::new();
        for op in batch {
            let xid = xid.unwrap_or_else(|| self.next_xid(slot));
            bytes.extend(frame(&op.encode(xid, last)));
        }
        match chunk {
            Some(chunk) => conn.send_chunks(&bytes, chunk),
            None => conn.send(&bytes),
        }
        let mut seen = Vec::new();
        let open = self.replies(slot, &mut conn, batch, &mut seen);
        self.clients[slot].conn = open.then_some(conn);
        seen
    }

    /// Reads until each request is answered or the connection ends. False when it ended.
    fn replies(&mut self, slot: Slot, conn: &mut Conn, ops: &[Op], seen: &mut Vec<Seen>) -> bool {
        for op in ops {
            match self.reply(slot, conn, op, seen) {
                Some(err) if op.closes_after(err) => {
                    seen.extend(self.until_closed(conn));
                    return false;
                }
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    /// Reads events up to the reply to one request. `None` when the connection ended instead.
    fn reply(&mut self, slot: Slot, conn: &mut Conn, op: &Op, seen: &mut Vec<Seen>) -> Option<i32> {
        loop {
            let frame = match self.next(conn, false, PATIENCE) {
                Got::Frame(frame) => frame,
                Got::Closed => {
                    seen.push(Seen::Closed);
                    return None;
                }
                Got::Silent => {
                    seen.push(Seen::Silent);
                    return None;
                }
                Got::BadLength(n) => {
                    seen.push(bad_length(n));
                    return None;
                }
            };
            if is_event(&frame) {
                seen.push(self.memory.event(&frame));
                continue;
            }
            let (reply, err) = self.memory.reply(op, &frame);
            if let Seen::Reply { zxid, err: 0, .. } = reply
                && op.code() == CLOSE
            {
                self.unordered.insert(zxid);
                if slot != MONITOR {
                    self.clients[slot].alive = false;
                }
            }
            seen.push(reply);
            return err;
        }
    }

    fn garbage(&mut self, slot: Slot, bytes: &[u8]) -> Vec<Seen> {
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![Seen::NotConnected];
        };
        conn.send(bytes);
        self.until_closed(&mut conn)
    }

    /// Reads frames until the end. Replies are decoded as those of an opcode without a body.
    fn until_closed(&mut self, conn: &mut Conn) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            match self.next(conn, false, PATIENCE) {
                Got::Frame(frame) if is_event(&frame) => seen.push(self.memory.event(&frame)),
                Got::Frame(frame) => {
                    seen.push(self.memory.reply(&Op::Bare { code: 0 }, &frame).0);
                }
                Got::Closed => {
                    seen.push(Seen::Closed);
                    return seen;
                }
                Got::Silent => {
                    seen.push(Seen::Silent);
                    return seen;
                }
                Got::BadLength(n) => {
                    seen.push(bad_length(n));
                    return seen;
                }
            }
        }
    }

    fn next(&mut self, conn: &mut Conn, hello: bool, wait: Duration) -> Got {
        let Some(tamper) = &mut self.tamper else {
            return conn.next(wait);
        };
        match conn.next(wait) {
            Got::Frame(frame) => match tamper.pass(frame, hello) {
                Fate::Keep(frame) => Got::Frame(frame),
                Fate::Drop => conn.next(Duration::from_millis(300)),
                Fate::Later(frame) => {
                    let next = conn.next(wait);
                    conn.unread(&frame);
                    next
                }
            },
            other => other,
        }
    }

    // ---- time -------------------------------------------------------------------------------

    /// Brings the session back with the shortest timeout, then lets it run out.
    fn expire(&mut self, slot: Slot, keep_open: bool) -> Outcome {
        let hello = Hello::again(1, Password::Right, ZxidRef::Last(0));
        let then: Vec<Op> = self.opening.clone().into_iter().collect();
        self.clients[slot].conn = None;
        let mut seen = self.connect(slot, &hello, &then);
        let Some(mut conn) = self.clients[slot].conn.take() else {
            return vec![(Place::Slot(slot), seen)];
        };
        let from = self.memory.last_zxid;
        if keep_open {
            seen.extend(self.until_closed(&mut conn));
        } else {
            drop(conn);
        }
        seen.push(self.await_txns(from, 1));
        self.clients[slot].alive = false;
        self.unordered.insert(from + 1);
        vec![(Place::Slot(slot), seen)]
    }

    /// Asks the monitor until the server's zxid is `txns` above `from`.
    fn await_txns(&mut self, from: i64, txns: i64) -> Seen {
        let deadline = Instant::now() + PATIENCE;
        let ping = [Op::Bare { code: PING }];
        while self.memory.last_zxid < from + txns && Instant::now() < deadline {
            let mut seen = self.send(MONITOR, &ping, Some(-2), None);
            if !matches!(seen.pop(), Some(Seen::Reply { .. })) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Seen::Txns(self.memory.last_zxid - from)
    }

    fn finish(&mut self, slot: Slot) -> Outcome {
        let mut ops: Vec<Op> = self.opening.clone().into_iter().collect();
        ops.push(Op::Bare { code: CLOSE });
        let client = &mut self.clients[slot];
        let seen = if !client.alive {
            client.conn = None;
            return Vec::new();
        } else if client.conn.is_some() {
            self.send(slot, &ops, None, None)
        } else {
            let hello = Hello::again(LONG_TIMEOUT_MS, Password::Right, ZxidRef::Last(0));
            self.connect(slot, &hello, &ops)
        };
        vec![(Place::Slot(slot), seen)]
    }

    // ---- barriers ---------------------------------------------------------------------------

    /// Ends the step on each open connection and appends what came before the barrier's reply.
    fn barriers(&mut self, out: &mut Outcome) {
        let op = match self.steps % 3 {
            0 => Op::Bare { code: PING },
            1 => Op::Path {
                code: SYNC,
                path: Some(b"/".to_vec()),
            },
            _ => Op::PathWatch {
                code: 3,
                path: Some(b"/".to_vec()),
                watch: false,
            },
        };
        // A ping with another xid would be answered all the same, but Apache would count it as
        // outstanding for ever.
        let xid = match op.code() {
            PING => -2,
            _ => BARRIER_XID + i32::try_from(self.steps).expect("fewer steps than xids"),
        };
        let bytes = frame(&op.encode(xid, 0));
        for client in &mut self.clients {
            if let Some(conn) = &mut client.conn {
                conn.send(&bytes);
            }
        }
        for slot in 0..=MONITOR {
            let Some(mut conn) = self.clients[slot].conn.take() else {
                continue;
            };
            let mut seen = Vec::new();
            let err = self.reply(slot, &mut conn, &op, &mut seen);
            match seen.pop() {
                Some(Seen::Reply {
                    xid: got,
                    zxid,
                    err,
                    body,
                }) if got == xid => {
                    seen.push(Seen::Barrier { zxid, err, body });
                }
                other => seen.extend(other),
            }
            match err {
                Some(err) if op.closes_after(err) => seen.extend(self.until_closed(&mut conn)),
                Some(_) => self.clients[slot].conn = Some(conn),
                None => {}
            }
            let place = if slot == MONITOR {
                Place::Monitor
            } else {
                Place::Slot(slot)
            };
            match out.iter_mut().find(|(p, _)| *p == place) {
                Some((_, list)) => list.extend(seen),
                None => out.push((place, seen)),
            }
        }
    }

    /// Within a closeSession the order of ephemerals is the server's choice: sorts the events of
    /// such a transaction by path, keeping the order of events with the same path.
    fn sort_unordered(&self, out: &mut Outcome) {
        let free = |seen: &Seen| match seen {
            Seen::Event { zxid, path, .. } if self.unordered.contains(zxid) => Some(path.clone()),
            _ => None,
        };
        for (_, list) in out {
            let mut at = 0;
            while at < list.len() {
                let run = list[at..].iter().take_while(|s| free(s).is_some()).count();
                list[at..at + run].sort_by_key(free);
                at += run.max(1);
            }
        }
    }
}

fn is_event(frame: &[u8]) -> bool {
    frame.starts_with(&[0xff; 4])
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
