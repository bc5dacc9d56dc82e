//! What the sessions of a load ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::conn::{Class, Conn};
use super::rng::{Distribution, Keys, Rng};
use super::wire::{self, Template};
use crate::jute::Jute as _;
use crate::proto::op::OpCode;
use crate::proto::request::{DeleteRequest, MultiHeader, ReadRequest, SetDataRequest};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// getData.
    Get,
    /// exists.
    Exists,
    /// setData.
    Set,
    /// create of a path that is not there.
    Create,
    /// delete of a path that is there.
    Delete,
    /// A multi of creates.
    Multi,
    /// getChildren.
    List,
    /// getData and setData.
    Mixed,
    /// A create, then its delete, and so on.
    Churn,
}

impl Kind {
    /// True when the nodes it asks for must be there before.
    pub fn needs_nodes(self) -> bool {
        !matches!(self, Self::Create | Self::Multi | Self::Churn)
    }
}

/// A kind of request with its parameters.
#[derive(Clone, Debug)]
pub struct Work {
    /// What is asked for.
    pub kind: Kind,
    /// Everything lies under this node.
    pub root: String,
    /// Nodes are spread over this many parents.
    pub parents: u64,
    /// Nodes that reads, sets and deletes choose from.
    pub keys: u64,
    /// How they choose.
    pub distribution: Distribution,
    /// Data of a node, bytes.
    pub size: usize,
    /// Creates in one multi.
    pub batch: usize,
    /// Part of reads in mixed work, percent.
    pub read_share: u64,
    /// Create mode: 0 persistent, 1 ephemeral, 2 and 3 the same with sequence numbers.
    pub flags: i32,
    /// Seed of the choices.
    pub seed: u64,
}

impl Work {
    /// The path of a parent.
    pub fn parent(&self, parent: u64) -> String {
        format!("{}/p{:05}", self.root, parent % 100_000)
    }

    /// A parent's path with a place for its number, and a node's below it.
    fn path(&self) -> String {
        format!("{}/p#####/n##########", self.root)
    }

    /// Bytes that do not compress to nothing and hold no place mark.
    fn data(&self) -> Vec<u8> {
        let mut rng = Rng::new(self.seed);
        (0..self.size).map(|_| b'a' + rng.below(26) as u8).collect()
    }
}

/// Makes the requests of one thread.
pub struct Requests {
    work: Work,
    first: Template,
    second: Option<Template>,
    keys: Keys,
    rng: Rng,
    /// The next number for something that has not been there yet; common to all threads.
    fresh: Arc<AtomicU64>,
    /// In churn: what each session has to delete.
    standing: Vec<Option<u64>>,
}

impl Requests {
    /// Requests of thread `thread`; new nodes are numbered by `fresh`.
    pub fn new(work: &Work, thread: u64, fresh: Arc<AtomicU64>) -> Self {
        let (first, second) = templates(work);
        Self {
            keys: Keys::new(work.distribution, work.keys, thread * 7919),
            rng: Rng::new(work.seed.wrapping_add(thread)),
            work: work.clone(),
            first,
            second,
            fresh,
            standing: Vec::new(),
        }
    }

    /// Requests one session may have in flight; churn takes turns.
    pub fn in_flight_max(&self, wanted: usize) -> usize {
        if self.work.kind == Kind::Churn {
            1
        } else {
            wanted
        }
    }

    /// Queues the next request of this session, due at `at`; false when there is nothing left.
    pub fn next(&mut self, conn: &mut Conn, at: u64) -> bool {
        let parents = self.work.parents;
        let one = |key: u64| [key % parents, key].into_iter();
        match self.work.kind {
            Kind::Get | Kind::Exists => {
                let key = self.keys.draw(&mut self.rng);
                let t = &self.first;
                conn.send(Class::Read, false, at, |out, xid| t.put(out, xid, one(key)));
            }
            Kind::Set => {
                let key = self.keys.draw(&mut self.rng);
                let t = &self.first;
                conn.send(Class::Write, false, at, |out, xid| {
                    t.put(out, xid, one(key))
                });
            }
            Kind::Create => {
                let key = self.take(1);
                let t = &self.first;
                conn.send(Class::Write, false, at, |out, xid| {
                    t.put(out, xid, one(key))
                });
            }
            Kind::Delete => {
                let key = self.take(1);
                if key >= self.work.keys {
                    return false;
                }
                let t = &self.first;
                conn.send(Class::Write, false, at, |out, xid| {
                    t.put(out, xid, one(key))
                });
            }
            Kind::Multi => {
                let n = self.work.batch as u64;
                let from = self.take(n);
                let numbers = (from..from + n).flat_map(one);
                let t = &self.first;
                conn.send(Class::Write, true, at, |out, xid| t.put(out, xid, numbers));
            }
            Kind::List => {
                let parent = self.rng.below(parents);
                let t = &self.first;
                conn.send(Class::Read, false, at, |out, xid| {
                    t.put(out, xid, std::iter::once(parent));
                });
            }
            Kind::Mixed => {
                let key = self.keys.draw(&mut self.rng);
                let read = self.rng.below(100) < self.work.read_share;
                let (t, class) = match &self.second {
                    Some(set) if !read => (set, Class::Write),
                    _ => (&self.first, Class::Read),
                };
                conn.send(class, false, at, |out, xid| t.put(out, xid, one(key)));
            }
            Kind::Churn => self.churn(conn, at),
        }
        true
    }

    fn churn(&mut self, conn: &mut Conn, at: u64) {
        let parents = self.work.parents;
        if self.standing.len() <= conn.index {
            self.standing.resize(conn.index + 1, None);
        }
        let (t, key) = match (self.standing[conn.index].take(), &self.second) {
            (Some(key), Some(delete)) => (delete, key),
            _ => {
                let key = self.take(1);
                self.standing[conn.index] = Some(key);
                (&self.first, key)
            }
        };
        conn.send(Class::Write, false, at, |out, xid| {
            t.put(out, xid, [key % parents, key].into_iter());
        });
    }

    fn take(&self, n: u64) -> u64 {
        self.fresh.fetch_add(n, Ordering::Relaxed)
    }
}

fn templates(work: &Work) -> (Template, Option<Template>) {
    let path = work.path();
    let data = work.data();
    let read = |op: OpCode, path: &str| {
        Template::new(op, &|out: &mut Vec<u8>| {
            let path = wire::text(path);
            ReadRequest { path, watch: false }.encode(out);
        })
    };
    let set = || {
        Template::new(OpCode::SetData, &|out: &mut Vec<u8>| {
            SetDataRequest {
                path: wire::text(&path),
                data: Some(&data),
                version: -1,
            }
            .encode(out);
        })
    };
    let create = || {
        let sequential = format!("{}/p#####/s-", work.root);
        let path = if work.flags & 2 == 0 {
            &path
        } else {
            &sequential
        };
        Template::new(OpCode::Create, &|out: &mut Vec<u8>| {
            wire::create(path, &data, work.flags).encode(out);
        })
    };
    let delete = || {
        Template::new(OpCode::Delete, &|out: &mut Vec<u8>| {
            DeleteRequest {
                path: wire::text(&path),
                version: -1,
            }
            .encode(out);
        })
    };
    match work.kind {
        Kind::Get => (read(OpCode::GetData, &path), None),
        Kind::Exists => (read(OpCode::Exists, &path), None),
        Kind::List => (
            read(OpCode::GetChildren, &format!("{}/p#####", work.root)),
            None,
        ),
        Kind::Set => (set(), None),
        Kind::Create => (create(), None),
        Kind::Delete => (delete(), None),
        Kind::Mixed => (read(OpCode::GetData, &path), Some(set())),
        Kind::Churn => (create(), Some(delete())),
        Kind::Multi => (multi(work, &path, &data), None),
    }
}

fn multi(work: &Work, path: &str, data: &[u8]) -> Template {
    Template::new(OpCode::Multi, &|out: &mut Vec<u8>| {
        for _ in 0..work.batch {
            MultiHeader {
                op: OpCode::Create as i32,
                done: false,
                err: -1,
            }
            .encode(out);
            wire::create(path, data, work.flags).encode(out);
        }
        MultiHeader::END.encode(out);
    })
}
