//! A program: the list of steps that both servers get, one after another.

use std::fmt;

use crate::codec::{Bytes, Enc, hex, show};
use crate::op::{Op, ZxidRef};

/// A client of the program: at most one session and one connection at a time.
pub type Slot = usize;

/// How many slots a program may use.
pub const SLOTS: usize = 5;

/// A ConnectRequest with every field free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub protocol: i32,
    pub last_zxid: ZxidRef,
    pub timeout: i32,
    pub session: HelloSession,
    pub password: Password,
    /// `None` leaves the optional trailing byte away, as clients up to 3.3 do.
    pub read_only: Option<u8>,
}

/// Which session a ConnectRequest asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloSession {
    New,
    /// The session this slot had last.
    Own,
    Exact(i64),
}

/// The password a ConnectRequest carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// The one the server gave for the session.
    Right,
    /// The right one with its last bit turned over.
    Wrong,
    Exact(Bytes),
}

impl Hello {
    /// What an ordinary client sends first.
    pub fn new(timeout: i32) -> Self {
        Self {
            protocol: 0,
            last_zxid: ZxidRef::Exact(0),
            timeout,
            session: HelloSession::New,
            password: Password::Exact(Some(vec![0; 16])),
            read_only: Some(0),
        }
    }

    /// A client that comes back to its session.
    pub fn again(timeout: i32, password: Password, last_zxid: ZxidRef) -> Self {
        let session = HelloSession::Own;
        Self {
            last_zxid,
            session,
            password,
            ..Self::new(timeout)
        }
    }

    /// The payload, given what the client knows.
    pub fn encode(&self, last_zxid: i64, own: (i64, [u8; 16])) -> Vec<u8> {
        let mut enc = Enc::default();
        enc.i32(self.protocol);
        enc.i64(self.last_zxid.resolve(last_zxid));
        enc.i32(self.timeout);
        enc.i64(match self.session {
            HelloSession::New => 0,
            HelloSession::Own => own.0,
            HelloSession::Exact(id) => id,
        });
        enc.bytes(&match &self.password {
            Password::Right => Some(own.1.to_vec()),
            Password::Wrong => {
                let mut changed = own.1;
                changed[15] ^= 1;
                Some(changed.to_vec())
            }
            Password::Exact(bytes) => bytes.clone(),
        });
        if let Some(read_only) = self.read_only {
            enc.0.push(read_only);
        }
        enc.0
    }
}

/// One thing to do to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Open a connection for the slot, say hello, and send `then` right behind it. A connection the
    /// slot still has is left open when `take_over` (the server must close it), else closed first.
    Connect {
        slot: Slot,
        hello: Hello,
        take_over: bool,
        then: Vec<Op>,
    },
    /// Close the TCP connection; the session lives on.
    Drop { slot: Slot },
    /// Send requests without waiting in between. `chunk` splits the bytes into small writes.
    Send {
        slot: Slot,
        batch: Vec<Op>,
        chunk: Option<usize>,
    },
    /// As `Send` of one request, under an xid of the program's choice.
    SendXid { slot: Slot, xid: i32, op: Op },
    /// Bytes that make the server close the slot's connection.
    Garbage { slot: Slot, bytes: Vec<u8> },
    /// Let the session expire, its connection open or closed.
    Expire { slot: Slot, keep_open: bool },
    /// A connection of its own that ends with the server closing it: an optional hello, raw bytes
    /// right behind, then requests. A hello that gets a session must end with closeSession.
    Lonely {
        hello: Option<Hello>,
        raw: Vec<u8>,
        then: Vec<Op>,
    },
    /// Send one request, then wait until the server has committed `txns` more transactions by
    /// itself (reapers of container and TTL nodes).
    SendAwait { slot: Slot, op: Op, txns: i64 },
    /// End the slot's session, whatever state it is in.
    Finish { slot: Slot },
}

impl Step {
    /// The requests in it, in the order of their replies.
    pub fn ops(&self) -> &[Op] {
        match self {
            Self::Send { batch: ops, .. }
            | Self::Connect { then: ops, .. }
            | Self::Lonely { then: ops, .. } => ops,
            Self::SendXid { op, .. } | Self::SendAwait { op, .. } => std::slice::from_ref(op),
            _ => &[],
        }
    }

    /// The slot that acts.
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Connect { slot, .. }
            | Self::Drop { slot }
            | Self::Send { slot, .. }
            | Self::SendXid { slot, .. }
            | Self::SendAwait { slot, .. }
            | Self::Garbage { slot, .. }
            | Self::Expire { slot, .. }
            | Self::Finish { slot } => Some(*slot),
            Self::Lonely { .. } => None,
        }
    }

    /// A word for the kind of step.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Drop { .. } => "drop",
            Self::Send { .. } | Self::SendXid { .. } | Self::SendAwait { .. } => "send",
            Self::Garbage { .. } => "garbage",
            Self::Expire { .. } => "expire",
            Self::Lonely { .. } => "lonely",
            Self::Finish { .. } => "finish",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect {
                slot,
                hello,
                take_over,
                then,
            } => {
                write!(f, "slot {slot} connect {hello}")?;
                if *take_over {
                    write!(f, ", old connection still open")?;
                }
                then.iter()
                    .try_for_each(|op| write!(f, "\n      then {op}"))
            }
            Self::Drop { slot } => write!(f, "slot {slot} drop connection"),
            Self::Send { slot, batch, chunk } => {
                write!(f, "slot {slot} send")?;
                if let Some(chunk) = chunk {
                    write!(f, " in writes of {chunk} bytes")?;
                }
                match batch.as_slice() {
                    [op] => write!(f, " {op}"),
                    ops => ops.iter().try_for_each(|op| write!(f, "\n      {op}")),
                }
            }
            Self::SendXid { slot, xid, op } => write!(f, "slot {slot} send xid={xid} {op}"),
            Self::Garbage { slot, bytes } => write!(f, "slot {slot} garbage {}", hex(bytes)),
            Self::Expire { slot, keep_open } => {
                write!(
                    f,
                    "slot {slot} expire, connection {}",
                    if *keep_open { "open" } else { "closed" }
                )
            }
            Self::Lonely { hello, raw, then } => {
                write!(f, "lonely connection:")?;
                if let Some(hello) = hello {
                    write!(f, " {hello}")?;
                }
                write!(f, " raw={}", hex(&raw[..raw.len().min(64)]))?;
                then.iter()
                    .try_for_each(|op| write!(f, "\n      then {op}"))
            }
            Self::SendAwait { slot, op, txns } => {
                write!(f, "slot {slot} send {op}, await {txns} more transactions")
            }
            Self::Finish { slot } => write!(f, "slot {slot} finish"),
        }
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = match &self.password {
            Password::Right => "right".to_owned(),
            Password::Wrong => "wrong".to_owned(),
            Password::Exact(bytes) => show(bytes),
        };
        write!(
            f,
            "(protocol={} lastZxid={:?} timeout={} session={:?} password={password} readOnly={:?})",
            self.protocol, self.last_zxid, self.timeout, self.session, self.read_only
        )
    }
}
