//! What a client saw, decoded and made comparable: session ids become numbers in order of creation,
//! clock values become a judgement, lists without a promised order are sorted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::codec::{Bytes, Dec, Short, hex, session_password, show};
use crate::op::Op;

/// One field of a reply body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Val {
    Num(&'static str, i64),
    Text(&'static str, Bytes),
    Stat(Box<StatView>),
    /// Elements whose order is part of the contract.
    List(&'static str, Option<Vec<Self>>),
    /// Elements in an order the server is free to choose; sorted here.
    Set(&'static str, Option<Vec<Self>>),
    /// Bytes nothing is known about.
    Raw(&'static str, Vec<u8>),
}

/// A `Stat` with the fields that depend on the run replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatView {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: Time,
    pub mtime: Time,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub owner: Owner,
    pub data_length: i32,
    pub children: i32,
    pub pzxid: i64,
}

/// A wall-clock value of a `Stat`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Time {
    Zero,
    /// Lies within the run, is the same for one zxid everywhere, and does not fall as zxids grow.
    Good,
    Bad(String),
}

/// `ephemeralOwner`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    Nobody,
    /// The nth session the client got from this server.
    Session(usize),
    Unknown(i64),
}

/// The session a ConnectResponse names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionView {
    Zero,
    /// A new id: its top byte, and the distance to the id handed out before it.
    New {
        top: u8,
        step: Option<i64>,
    },
    Known(usize),
}

/// The password of a ConnectResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordView {
    /// What Apache derives from the id.
    Derived,
    Zeros,
    Other(Bytes),
}

/// One thing that happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Hello {
        protocol: i32,
        timeout: i32,
        session: SessionView,
        password: PasswordView,
        read_only: Option<u8>,
        extra: Vec<u8>,
    },
    Reply {
        xid: i32,
        zxid: i64,
        err: i32,
        body: Vec<Val>,
    },
    Event {
        zxid: i64,
        err: i32,
        kind: i32,
        state: i32,
        path: Bytes,
        extra: Vec<u8>,
    },
    /// The reply to the request that ends each step on each connection.
    Barrier {
        zxid: i64,
        err: i32,
        body: Vec<Val>,
    },
    /// A frame that does not decode, with the field that failed.
    Broken {
        what: &'static str,
        frame: Vec<u8>,
    },
    Closed,
    /// Nothing came in the time allowed.
    Silent,
    /// The slot had no connection, so the step did nothing.
    NotConnected,
    /// Transactions the server committed by itself.
    Txns(i64),
}

/// A session id and its password.
pub type Credentials = (i64, [u8; 16]);

/// What one server has told us so far, as far as later values depend on it.
#[derive(Default)]
pub struct Memory {
    /// Session ids in order of creation.
    sessions: Vec<i64>,
    /// Clock value of each transaction whose time was seen.
    times: BTreeMap<i64, i64>,
    /// The newest zxid seen in any frame.
    pub last_zxid: i64,
    started: i64,
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Memory {
    pub fn new() -> Self {
        Self {
            started: now_ms(),
            ..Self::default()
        }
    }

    fn note_zxid(&mut self, zxid: i64) {
        self.last_zxid = self.last_zxid.max(zxid);
    }

    fn time(&mut self, zxid: i64, ms: i64) -> Time {
        const SLACK_MS: i64 = 2_000;
        if ms == 0 {
            return Time::Zero;
        }
        if ms < self.started - SLACK_MS || ms > now_ms() + SLACK_MS {
            return Time::Bad(format!("{ms} lies outside the run"));
        }
        match self.times.get(&zxid) {
            Some(known) if *known == ms => return Time::Good,
            Some(known) => return Time::Bad(format!("{ms} but {known} before for zxid {zxid}")),
            None => {}
        }
        if let Some((z, t)) = self.times.range(..zxid).next_back()
            && *t > ms
        {
            return Time::Bad(format!("{ms} at zxid {zxid} but already {t} at zxid {z}"));
        }
        if let Some((z, t)) = self.times.range(zxid..).next()
            && *t < ms
        {
            return Time::Bad(format!("{ms} at zxid {zxid} but only {t} at zxid {z}"));
        }
        self.times.insert(zxid, ms);
        Time::Good
    }

    fn owner(&self, id: i64) -> Owner {
        match self.sessions.iter().position(|s| *s == id) {
            _ if id == 0 => Owner::Nobody,
            Some(n) => Owner::Session(n),
            None => Owner::Unknown(id),
        }
    }

    /// Decodes a ConnectResponse. The session in it, when there is one, comes second.
    pub fn hello(&mut self, frame: &[u8]) -> (Seen, Option<Credentials>) {
        let mut dec = Dec::new(frame);
        match self.try_hello(&mut dec) {
            Ok(decoded) => decoded,
            Err(Short(what)) => (
                Seen::Broken {
                    what,
                    frame: frame.to_vec(),
                },
                None,
            ),
        }
    }

    fn try_hello(&mut self, dec: &mut Dec<'_>) -> Result<(Seen, Option<Credentials>), Short> {
        let protocol = dec.i32("protocolVersion")?;
        let timeout = dec.i32("timeOut")?;
        let id = dec.i64("sessionId")?;
        let password = dec.bytes("passwd")?;
        let read_only = if dec.rest().is_empty() {
            None
        } else {
            Some(dec.bool("readOnly")?)
        };
        let session = match self.owner(id) {
            Owner::Nobody => SessionView::Zero,
            Owner::Session(n) => SessionView::Known(n),
            Owner::Unknown(_) => {
                let step = self.sessions.last().map(|last| id.wrapping_sub(*last));
                self.sessions.push(id);
                SessionView::New {
                    top: id.to_be_bytes()[0],
                    step,
                }
            }
        };
        let bytes: Option<[u8; 16]> = password.as_deref().and_then(|p| p.try_into().ok());
        let view = match bytes {
            Some(p) if p == [0; 16] => PasswordView::Zeros,
            Some(p) if p == session_password(id) => PasswordView::Derived,
            _ => PasswordView::Other(password),
        };
        let own = bytes.filter(|_| id != 0).map(|p| (id, p));
        let extra = dec.rest().to_vec();
        Ok((
            Seen::Hello {
                protocol,
                timeout,
                session,
                password: view,
                read_only,
                extra,
            },
            own,
        ))
    }

    /// Decodes a frame with xid -1.
    pub fn event(&mut self, frame: &[u8]) -> Seen {
        let mut dec = Dec::new(frame);
        let mut read = || {
            dec.i32("xid")?;
            let (zxid, err) = (dec.i64("zxid")?, dec.i32("err")?);
            let (kind, state) = (dec.i32("type")?, dec.i32("state")?);
            let path = dec.bytes("path")?;
            Ok(Seen::Event {
                zxid,
                err,
                kind,
                state,
                path,
                extra: dec.rest().to_vec(),
            })
        };
        read().unwrap_or_else(|Short(what)| Seen::Broken {
            what,
            frame: frame.to_vec(),
        })
    }

    /// Decodes the reply to `op`. Returns the error code too.
    pub fn reply(&mut self, op: &Op, frame: &[u8]) -> (Seen, Option<i32>) {
        let mut dec = Dec::new(frame);
        match self.try_reply(op, &mut dec) {
            Ok(seen @ Seen::Reply { err, .. }) => (seen, Some(err)),
            Ok(seen) => (seen, None),
            Err(Short(what)) => (
                Seen::Broken {
                    what,
                    frame: frame.to_vec(),
                },
                None,
            ),
        }
    }

    fn try_reply(&mut self, op: &Op, dec: &mut Dec<'_>) -> Result<Seen, Short> {
        let (xid, zxid, err) = (dec.i32("xid")?, dec.i64("zxid")?, dec.i32("err")?);
        self.note_zxid(zxid);
        let mut body = Vec::new();
        // A multiRead with a forbidden part fails as a whole but still carries what it had read.
        let partial = op.code() == 22 && !dec.rest().is_empty();
        if err == 0 || partial {
            self.body(op.code(), dec, &mut body)?;
        }
        if !dec.rest().is_empty() {
            body.push(Val::Raw("extra", dec.rest().to_vec()));
        }
        Ok(Seen::Reply {
            xid,
            zxid,
            err,
            body,
        })
    }

    fn body(&mut self, code: i32, dec: &mut Dec<'_>, out: &mut Vec<Val>) -> Result<(), Short> {
        match code {
            1 | 9 => out.push(text(dec, "path")?),
            15 | 19 | 21 => {
                out.push(text(dec, "path")?);
                out.push(self.stat(dec)?);
            }
            3 | 5 | 7 => out.push(self.stat(dec)?),
            4 | 16 => {
                out.push(text(dec, "data")?);
                out.push(self.stat(dec)?);
            }
            6 => {
                let acl = dec.vec("acl", |d| {
                    let perms = Val::Num("perms", i64::from(d.i32("perms")?));
                    let id = vec![perms, text(d, "scheme")?, text(d, "id")?];
                    Ok(Val::List("entry", Some(id)))
                })?;
                out.push(Val::List("acl", acl));
                out.push(self.stat(dec)?);
            }
            8 | 103 => out.push(set(dec, "paths", |d| text(d, "path"))?),
            12 => {
                out.push(set(dec, "children", |d| text(d, "child"))?);
                out.push(self.stat(dec)?);
            }
            14 | 22 => self.multi(dec, out)?,
            102 => out.push(text(dec, "token")?),
            104 => out.push(Val::Num("total", i64::from(dec.i32("total")?))),
            106 => out.push(Val::Num("err", i64::from(dec.i32("err")?))),
            107 => out.push(set(dec, "clientInfo", |d| {
                Ok(Val::List(
                    "info",
                    Some(vec![text(d, "scheme")?, text(d, "user")?]),
                ))
            })?),
            _ => {}
        }
        Ok(())
    }

    fn multi(&mut self, dec: &mut Dec<'_>, out: &mut Vec<Val>) -> Result<(), Short> {
        loop {
            let kind = dec.i32("result type")?;
            let done = dec.bool("result done")?;
            let err = dec.i32("result err")?;
            let mut one = vec![
                Val::Num("type", i64::from(kind)),
                Val::Num("done", i64::from(done)),
                Val::Num("err", i64::from(err)),
            ];
            if done != 0 {
                out.push(Val::List("end", Some(one)));
                return Ok(());
            }
            match kind {
                -1 => one.push(Val::Num("code", i64::from(dec.i32("error result")?))),
                2 | 13 => {}
                1 | 4 | 5 | 8 | 15 => self.body(kind, dec, &mut one)?,
                _ => return Err(Short("result type is unknown")),
            }
            out.push(Val::List("result", Some(one)));
        }
    }

    fn stat(&mut self, dec: &mut Dec<'_>) -> Result<Val, Short> {
        let (czxid, mzxid) = (dec.i64("czxid")?, dec.i64("mzxid")?);
        let (ctime, mtime) = (dec.i64("ctime")?, dec.i64("mtime")?);
        Ok(Val::Stat(Box::new(StatView {
            czxid,
            mzxid,
            ctime: self.time(czxid, ctime),
            mtime: self.time(mzxid, mtime),
            version: dec.i32("version")?,
            cversion: dec.i32("cversion")?,
            aversion: dec.i32("aversion")?,
            owner: self.owner(dec.i64("ephemeralOwner")?),
            data_length: dec.i32("dataLength")?,
            children: dec.i32("numChildren")?,
            pzxid: dec.i64("pzxid")?,
        })))
    }
}

fn text(dec: &mut Dec<'_>, what: &'static str) -> Result<Val, Short> {
    Ok(Val::Text(what, dec.bytes(what)?))
}

fn set(
    dec: &mut Dec<'_>,
    what: &'static str,
    each: impl FnMut(&mut Dec<'_>) -> Result<Val, Short>,
) -> Result<Val, Short> {
    let mut items = dec.vec(what, each)?;
    if let Some(items) = &mut items {
        items.sort();
    }
    Ok(Val::Set(what, items))
}

impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Num(what, n) => write!(f, "{what}={n}"),
            Self::Text(what, t) => write!(f, "{what}={}", show(t)),
            Self::Stat(s) => write!(
                f,
                "stat(c={} m={} p={} ctime={:?} mtime={:?} v={} cv={} av={} owner={:?} len={} children={})",
                s.czxid,
                s.mzxid,
                s.pzxid,
                s.ctime,
                s.mtime,
                s.version,
                s.cversion,
                s.aversion,
                s.owner,
                s.data_length,
                s.children
            ),
            Self::List(what, None) | Self::Set(what, None) => write!(f, "{what}=null"),
            Self::List(what, Some(items)) | Self::Set(what, Some(items)) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "{what}[{}]", items.join(" "))
            }
            Self::Raw(what, bytes) => write!(f, "{what}=0x{}", hex(bytes)),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply {
                xid,
                zxid,
                err,
                body,
            } => {
                write!(f, "reply xid={xid} zxid={zxid} err={err}")?;
                body.iter().try_for_each(|v| write!(f, " {v}"))
            }
            Self::Event {
                zxid,
                err,
                kind,
                state,
                path,
                extra,
            } => {
                write!(f, "event type={kind} state={state} path={}", show(path))?;
                write!(f, " zxid={zxid} err={err} extra={}", hex(extra))
            }
            Self::Broken { what, frame } => write!(f, "broken at {what}: {}", hex(frame)),
            other => write!(f, "{other:?}"),
        }
    }
}
