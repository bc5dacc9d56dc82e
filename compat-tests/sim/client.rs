//! A client: one session after the other, at one server after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use zabra::base::{ConnId, Epoch, SessionId, Zxid};
use zabra::pipeline::{self, ConnectRequest};
use zabra::proto::event::{EventType, XID_NOTIFICATION};
use zabra::session::password_of;
use zabra::tree::{Inbox, Item};

use crate::model::Model;
use crate::watches::Watches;

pub const TIMEOUT: i32 = 4000;

/// What a request wants.
#[derive(Clone, Debug)]
pub enum Ask {
    /// A node comes.
    Create { path: String, ephemeral: bool },
    /// A sequential node comes below this one.
    Sequential(String),
    /// A node's data becomes this, if it has that version.
    Set {
        path: String,
        value: u64,
        version: i32,
    },
    /// A node goes.
    Delete(String),
    /// All of these or none.
    Multi(Vec<Ask>),
    /// What was decided before comes here.
    Sync,
    /// The session ends.
    Close,
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Sent {
    pub xid: i32,
    pub ask: Ask,
    /// The last transaction that anybody was told of when it was sent.
    pub since: Zxid,
}

/// A reply, as it came.
pub struct Reply {
    pub sent: Sent,
    pub session: SessionId,
    pub zxid: Zxid,
    pub err: i32,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct Client {
    pub id: usize,
    /// Server, role instance, connection.
    pub at: Option<(i64, u64, Arc<Inbox>)>,
    pub session: SessionId,
    pub connected: bool,
    pub connected_at: i64,
    /// It has told this server what it watches.
    pub rearmed: bool,
    /// The last zxid of a reply.
    pub seen: Zxid,
    pub sent: VecDeque<Sent>,
    pub watches: Watches,
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
    /// Children of the queue, as read last.
    pub queue: Vec<String>,
    /// The epoch of the role it is connected to.
    pub epoch: Epoch,
    /// When it last showed that it lives.
    pub touched: i64,
    /// An event that a bad server keeps back.
    pub held: Option<Item>,
}

impl Client {
    pub fn home(&self) -> String {
        format!("/c{}", self.id)
    }

    pub fn connect(&mut self, sid: i64, instance: u64, conn: u64) -> pipeline::Input {
        let inbox = Inbox::new(ConnId(conn), vec![], Arc::new(|_, _| true));
        self.at = Some((sid, instance, inbox.clone()));
        self.connected = false;
        self.rearmed = false;
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
        self.held = None;
        let closing = self.sent.iter().any(|s| matches!(s.ask, Ask::Close));
        self.sent.clear();
        if closing {
            self.over();
        }
    }

    /// The session is over.
    pub fn over(&mut self) {
        self.ended.push(self.session);
        self.session = SessionId::NONE;
        self.ephemerals.clear();
        self.watches.clear();
    }

    /// Takes an item that came; a reply needs to be looked at.
    pub fn take(&mut self, model: &Model, item: Item, now: i64) -> Result<Option<Reply>, String> {
        match item {
            Item::Connected(_, c) if c.session == SessionId::NONE => self.over(),
            Item::Connected(_, c) => {
                if self.session != SessionId::NONE && c.session != self.session {
                    return Err("another session".into());
                }
                self.session = c.session;
                self.connected = true;
                self.connected_at = now;
            }
            Item::Reply(zxid, frame) => return self.reply(model, zxid, &frame).map(Some),
            Item::Close(_) => self.disconnect(),
            Item::Event(zxid, frame) => {
                let int = |at: usize| i32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
                let kinds = [
                    EventType::Created,
                    EventType::Deleted,
                    EventType::DataChanged,
                    EventType::ChildrenChanged,
                ];
                let kind = kinds.into_iter().find(|k| *k as i32 == int(20));
                let path = String::from_utf8_lossy(&frame[32..]).into_owned();
                if int(4) != XID_NOTIFICATION || int(24) != 3 {
                    return Err(format!("a strange event, {frame:?}"));
                }
                let kind = kind.ok_or("an event of no kind")?;
                self.watches.told(model, &(zxid, kind, path))?;
            }
        }
        Ok(None)
    }

    fn reply(&mut self, model: &Model, tag: Zxid, frame: &[u8]) -> Result<Reply, String> {
        let xid = i32::from_be_bytes(frame[4..8].try_into().unwrap());
        let zxid = Zxid(i64::from_be_bytes(frame[8..16].try_into().unwrap()));
        let err = i32::from_be_bytes(frame[16..20].try_into().unwrap());
        let sent = self.sent.pop_front().ok_or("a reply to nothing")?;
        if sent.xid != xid || zxid != tag {
            return Err(format!("reply {xid} of {zxid} ({tag}) to {sent:?}"));
        }
        let session = self.session;
        self.sees(model, zxid)?;
        match &sent.ask {
            Ask::Set { path, value, .. } if err == 0 && *path == self.home() => {
                self.acked = *value;
            }
            Ask::Set { path, .. } if err == -101 && *path == self.home() => self.made = false,
            Ask::Create { path, ephemeral } if err == 0 && *ephemeral => {
                self.ephemerals.push(path.clone());
            }
            Ask::Close if err == 0 => self.over(),
            _ => {}
        }
        Ok(Reply {
            sent,
            session,
            zxid,
            err,
            body: frame[20..].to_vec(),
        })
    }

    /// An answer tagged `zxid` came: nothing older may come behind it, and every event of what it
    /// shows has come.
    pub fn sees(&mut self, model: &Model, zxid: Zxid) -> Result<(), String> {
        if zxid < self.seen {
            return Err(format!("{zxid} after {}", self.seen));
        }
        self.seen = zxid;
        self.watches.seen(model, zxid)
    }
}
