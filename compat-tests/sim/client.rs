//! A client: one session after the other, at one server after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use zabra::base::{Acl, ConnId, SessionId, Zxid};
use zabra::jute::{Jute, Output};
use zabra::pipeline::{self, ConnectRequest, Owner, Request};
use zabra::proto::OpCode;
use zabra::proto::request::MultiHeader;
use zabra::session::password_of;
use zabra::tree::{Inbox, Item};

use crate::rng::Rng;

pub const TIMEOUT: i32 = 4000;

/// What a request that is under way would do.
#[derive(Clone, Debug)]
pub enum Sent {
    Other,
    /// A sync: no write is sent until it is answered.
    Sync,
    /// The register's value becomes this.
    Set(u64),
    /// This ephemeral of ours comes.
    Ephemeral(String),
    /// The session ends.
    Close,
}

#[derive(Default)]
pub struct Client {
    pub id: usize,
    /// Server, role instance, connection.
    pub at: Option<(i64, u64, Arc<Inbox>)>,
    pub session: SessionId,
    pub connected: bool,
    pub seen: Zxid,
    pub sent: VecDeque<(i32, Sent)>,
    pub value: u64,
    pub acked: u64,
    pub made: bool,
    /// Ephemerals of this session that exist for sure.
    pub ephemerals: Vec<String>,
    /// Sessions that are over for sure.
    pub ended: Vec<SessionId>,
    pub sleeps_until: i64,
    pub xid: i32,
    pub counter: u64,
}

/// What a reply said.
pub struct Reply {
    pub zxid: Zxid,
}

impl Client {
    pub fn register(&self) -> String {
        format!("/r{}", self.id)
    }

    pub fn connect(&mut self, sid: i64, instance: u64, conn: u64) -> pipeline::Input {
        let inbox = Inbox::new(ConnId(conn), vec![], Arc::new(|_, _| true));
        self.at = Some((sid, instance, inbox.clone()));
        self.connected = false;
        self.sent.clear();
        pipeline::Input::Connect(ConnectRequest {
            inbox,
            session: self.session,
            password: match self.session {
                SessionId::NONE => Box::default(),
                s => Box::from(password_of(s)),
            },
            timeout: TIMEOUT,
        })
    }

    /// The connection is over; what was under way may or may not have happened.
    pub fn disconnect(&mut self) {
        self.at = None;
        self.connected = false;
        for (_, sent) in self.sent.drain(..) {
            if let Sent::Close = sent {
                self.ended.push(self.session);
                self.session = SessionId::NONE;
                self.ephemerals.clear();
            }
        }
    }

    /// Takes what came; replies with a zxid of their own.
    pub fn drain(&mut self) -> Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        let Some((_, _, inbox)) = self.at.clone() else {
            return Ok(replies);
        };
        while let Some(item) = inbox.pop(Zxid(i64::MAX)) {
            match item {
                Item::Connected(_, c) if c.session == SessionId::NONE => {
                    self.ended.push(self.session);
                    self.session = SessionId::NONE;
                    self.ephemerals.clear();
                }
                Item::Connected(_, c) => {
                    if self.session != SessionId::NONE && c.session != self.session {
                        return Err(format!("client {}: another session", self.id));
                    }
                    self.session = c.session;
                    self.connected = true;
                }
                Item::Reply(_, frame) => replies.push(self.reply(&frame)?),
                Item::Close(_) => {
                    self.disconnect();
                    break;
                }
                Item::Event(..) => {}
            }
        }
        if inbox.is_closed() {
            self.disconnect();
        }
        Ok(replies)
    }

    fn reply(&mut self, frame: &[u8]) -> Result<Reply, String> {
        let xid = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        let zxid = Zxid(i64::from_be_bytes(frame[8..16].try_into().unwrap()));
        let err = i32::from_be_bytes(frame[16..20].try_into().unwrap());
        let Some((want, sent)) = self.sent.pop_front() else {
            return Err(format!("client {}: a reply to nothing", self.id));
        };
        if want != xid {
            return Err(format!("client {}: reply {xid}, expected {want}", self.id));
        }
        if zxid < self.seen {
            return Err(format!("client {}: {zxid} after {}", self.id, self.seen));
        }
        self.seen = zxid;
        match sent {
            Sent::Set(v) if err == 0 => self.acked = v,
            Sent::Set(_) if err == -101 => self.made = false,
            Sent::Ephemeral(p) if err == 0 => self.ephemerals.push(p),
            Sent::Close if err == 0 => {
                self.ended.push(self.session);
                self.session = SessionId::NONE;
                self.ephemerals.clear();
            }
            _ => {}
        }
        Ok(Reply { zxid })
    }

    /// The next request.
    pub fn request(&mut self, rng: &mut Rng, now: i64, learner: bool) -> Option<pipeline::Input> {
        let (_, _, inbox) = self.at.clone()?;
        if self.sent.iter().any(|(_, s)| matches!(s, Sent::Close)) {
            return None;
        }
        if self.sent.iter().any(|(_, s)| matches!(s, Sent::Sync)) {
            return None;
        }
        self.xid += 1;
        self.counter += 1;
        let mut body = Vec::new();
        let (op, sent) = match rng.below(20) {
            _ if !self.made => {
                self.made = true;
                create(&mut body, &self.register(), 0);
                (OpCode::Create, Sent::Other)
            }
            0..=7 => {
                self.value += 1;
                set(&mut body, &self.register(), self.value);
                (OpCode::SetData, Sent::Set(self.value))
            }
            8..=10 => {
                let path = format!("/e{}-{}", self.id, self.counter);
                create(&mut body, &path, 1);
                (OpCode::Create, Sent::Ephemeral(path))
            }
            11..=12 => {
                create(&mut body, &format!("/n{}-{}", self.id, self.counter % 7), 0);
                (OpCode::Create, Sent::Other)
            }
            13..=14 => {
                body.string(Some(&format!("/n{}-{}", self.id, self.counter % 7)));
                body.int(-1);
                (OpCode::Delete, Sent::Other)
            }
            15..=16 => {
                self.value += 1;
                part(&mut body, OpCode::SetData);
                set(&mut body, &self.register(), self.value);
                part(&mut body, OpCode::Create);
                create(&mut body, "/shared-", 2);
                MultiHeader::END.encode(&mut body);
                (OpCode::Multi, Sent::Set(self.value))
            }
            17 if rng.chance(20) => (OpCode::CloseSession, Sent::Close),
            _ if learner => {
                body.string(Some("/"));
                (OpCode::Sync, Sent::Sync)
            }
            _ => {
                set(&mut body, "/nowhere", 1);
                (OpCode::SetData, Sent::Other)
            }
        };
        self.sent.push_back((self.xid, sent));
        Some(pipeline::Input::Request(Request {
            owner: Owner::Here,
            session: self.session,
            xid: self.xid,
            op,
            body: body.into(),
            ids: inbox.identities(),
            origin: Some(inbox),
            received_ms: now,
        }))
    }
}

fn part(body: &mut Vec<u8>, op: OpCode) {
    let header = MultiHeader {
        op: op as i32,
        done: false,
        err: -1,
    };
    header.encode(body);
}

fn create(body: &mut Vec<u8>, path: &str, flags: i32) {
    body.string(Some(path));
    body.buffer(Some(b"0"));
    Some(Acl::open()).encode(body);
    body.int(flags);
}

fn set(body: &mut Vec<u8>, path: &str, value: u64) {
    body.string(Some(path));
    body.buffer(Some(value.to_string().as_bytes()));
    body.int(-1);
}
