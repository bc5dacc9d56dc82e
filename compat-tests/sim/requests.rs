//! What clients write.

use zabra::base::Acl;
use zabra::jute::{Jute, Output};
use zabra::pipeline::{self, Owner, Request};
use zabra::proto::OpCode;
use zabra::proto::request::MultiHeader;

use crate::client::{Ask, Client, Sent};
use crate::rng::Rng;

/// Parents that everybody writes below.
pub const SHARED: [&str; 4] = ["/m", "/m/a", "/m/b", "/q"];

impl Client {
    /// The next write.
    pub fn wants(&mut self, rng: &mut Rng, syncs: bool, children: &[String]) -> Ask {
        self.counter += 1;
        if !self.made {
            self.made = true;
            return created(self.home());
        }
        match rng.below(24) {
            0..=5 => self.set(self.home(), -1),
            // Compare and set, with a version that is often right.
            6..=8 => {
                let path = *rng.pick(&SHARED[1..3]);
                let version = rng.below(1 + (self.counter as usize / 3) % 40) as i32;
                self.set(path.to_owned(), version)
            }
            9..=11 => Ask::Create {
                path: format!("{}/e{}", self.home(), self.counter),
                ephemeral: true,
            },
            12 => created((*rng.pick(&SHARED)).to_owned()),
            13..=14 => created(format!("/q/n{}", self.counter % 7)),
            15..=16 => Ask::Delete(format!("/q/n{}", self.counter % 7)),
            17..=18 => {
                let (a, b) = (self.set("/m/a".into(), -1), self.set("/m/b".into(), -1));
                let mut parts = vec![a, b];
                if rng.chance(30) {
                    parts.push(Ask::Sequential("/q".into()));
                }
                Ask::Multi(parts)
            }
            19 if !children.is_empty() => Ask::Delete(rng.pick(children).clone()),
            20 if rng.chance(20) => Ask::Close,
            20 if !self.ephemerals.is_empty() => {
                let n = rng.below(self.ephemerals.len());
                Ask::Delete(self.ephemerals.swap_remove(n))
            }
            21..=23 if syncs => Ask::Sync,
            _ => self.set("/nowhere".into(), -1),
        }
    }

    fn set(&mut self, path: String, version: i32) -> Ask {
        self.value += 1;
        Ask::Set {
            path,
            value: self.value,
            version,
        }
    }

    /// Sends `sent`.
    pub fn request(&mut self, sent: Sent, mono_ms: i64) -> Option<pipeline::Input> {
        let (_, _, inbox) = self.at.clone()?;
        let mut body = Vec::new();
        let op = encode(&sent.ask, &mut body);
        let xid = sent.xid;
        self.sent.push_back(sent);
        Some(pipeline::Input::Request(Request {
            owner: Owner::Here,
            session: self.session,
            xid,
            op,
            body: body.into(),
            ids: inbox.identities(),
            origin: Some(inbox),
            received_ms: mono_ms,
        }))
    }
}

fn created(path: String) -> Ask {
    Ask::Create {
        path,
        ephemeral: false,
    }
}

fn encode(ask: &Ask, body: &mut Vec<u8>) -> OpCode {
    match ask {
        Ask::Create { path, ephemeral } => create(body, path, i32::from(*ephemeral)),
        Ask::Sequential(parent) => create(body, &format!("{parent}/s"), 2),
        Ask::Set {
            path,
            value,
            version,
        } => {
            body.string(Some(path));
            body.buffer(Some(value.to_string().as_bytes()));
            body.int(*version);
            OpCode::SetData
        }
        Ask::Delete(path) => {
            body.string(Some(path));
            body.int(-1);
            OpCode::Delete
        }
        Ask::Multi(parts) => {
            for part in parts {
                let mut inner = Vec::new();
                let op = encode(part, &mut inner) as i32;
                let header = MultiHeader {
                    op,
                    done: false,
                    err: -1,
                };
                header.encode(body);
                body.extend(inner);
            }
            MultiHeader::END.encode(body);
            OpCode::Multi
        }
        Ask::Sync => {
            body.string(Some("/"));
            OpCode::Sync
        }
        Ask::Close => OpCode::CloseSession,
    }
}

fn create(body: &mut Vec<u8>, path: &str, flags: i32) -> OpCode {
    body.string(Some(path));
    body.buffer(Some(b"0"));
    Some(Acl::open()).encode(body);
    body.int(flags);
    OpCode::Create
}
