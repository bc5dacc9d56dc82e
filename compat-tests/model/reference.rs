//! What a server must do, said as simply as it can be: one map of nodes, one operation at a time.

use std::collections::BTreeMap;

use zabra::base::{Acl, Id, OwnerKind, Perms, SessionId, StatPersisted, Zxid};
use zabra::proto::Code;
use zabra::session::{DigestAlgorithm, digest_id};
use zabra::tree::{content_crc, node_digest};

/// Nodes that are always there; the root is "".
const RESERVED: [&str; 4] = ["", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub data: Option<Vec<u8>>,
    pub acl: Vec<Acl>,
    pub stat: StatPersisted,
}

/// Everything that must survive: nodes by path (the root is ""), sessions and their timeouts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub nodes: BTreeMap<String, Node>,
    pub sessions: BTreeMap<i64, i32>,
}

/// Kinds of nodes that a request can ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Persistent,
    Ephemeral,
    Container,
    Ttl(i64),
}

/// An ACL as a client asks for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    Open,
    ReadOnly,
    /// Everybody reads, user N does everything.
    User(usize),
    /// Whoever asks.
    Creator,
    Empty,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Create {
        path: String,
        data: Option<Vec<u8>>,
        acl: Wanted,
        kind: Kind,
        sequential: bool,
        /// create2, which answers with the stat.
        two: bool,
    },
    Delete(String, i32),
    SetData(String, Option<Vec<u8>>, i32),
    SetAcl(String, Wanted, i32),
    Check(String, i32),
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub path: Option<String>,
    /// Statistics, length of the data, children.
    pub stat: Option<(StatPersisted, usize, usize)>,
}

/// Who asks for what, and when.
pub struct Asking {
    pub session: i64,
    pub user: Option<usize>,
    /// The session's end is on its way.
    pub closing: bool,
    pub zxid: i64,
    pub time: i64,
}

/// Identity of user `n`.
pub fn user_id(n: usize) -> Id {
    let credential = format!("u{n}:p");
    Id::new(
        "digest",
        digest_id(DigestAlgorithm::default(), credential.as_bytes()),
    )
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(p, _)| p)
}

impl State {
    /// A new database.
    pub fn fresh() -> Self {
        let mut state = Self::default();
        for path in RESERVED {
            let config = path.ends_with("config");
            let stat = StatPersisted {
                aversion: if config { -1 } else { 0 },
                ..StatPersisted::default()
            };
            let acl = if config {
                Acl::read_only()
            } else {
                Acl::open()
            };
            let data = Some(vec![]);
            state
                .nodes
                .insert(path.to_owned(), Node { data, acl, stat });
        }
        state
    }

    fn children(&self, path: &str) -> usize {
        let below = format!("{path}/");
        let child = |p: &&String| p.starts_with(&below) && !p[below.len()..].contains('/');
        self.nodes
            .keys()
            .filter(child)
            .filter(|p| !p.is_empty())
            .count()
    }

    fn node(&self, path: &str) -> Result<&Node, Code> {
        self.nodes.get(path).ok_or(Code::NoNode)
    }

    fn allowed(node: &Node, wanted: Perms, who: &Asking) -> Result<(), Code> {
        let me = who.user.map(user_id);
        let fits = |a: &Acl| {
            a.perms.intersects(wanted) && (a.id == Id::anyone() || Some(&a.id) == me.as_ref())
        };
        match node.acl.iter().any(fits) {
            true => Ok(()),
            false => Err(Code::NoAuth),
        }
    }

    fn acl(wanted: Wanted, who: &Asking) -> Result<Vec<Acl>, Code> {
        let all = |id| Acl {
            perms: Perms(31),
            id,
        };
        Ok(match wanted {
            Wanted::Open => Acl::open(),
            Wanted::ReadOnly => Acl::read_only(),
            Wanted::User(n) => [Acl::read_only(), vec![all(user_id(n))]].concat(),
            Wanted::Creator => vec![all(user_id(who.user.ok_or(Code::InvalidAcl)?))],
            Wanted::Empty => return Err(Code::InvalidAcl),
        })
    }

    fn version(now: i32, expected: i32) -> Result<i32, Code> {
        match expected == -1 || expected == now {
            true => Ok(now + 1),
            false => Err(Code::BadVersion),
        }
    }

    fn done(&self, path: &str) -> Done {
        let stat = self.nodes.get(path).map(|n| {
            let len = n.data.as_ref().map_or(0, Vec::len);
            (n.stat, len, self.children(path))
        });
        let path = Some(path.to_owned());
        Done { path, stat }
    }

    /// Does one operation; an error changes nothing.
    pub fn apply(&mut self, op: &Op, who: &Asking) -> Result<Done, Code> {
        if who.closing {
            return Err(Code::SessionExpired);
        }
        match op {
            Op::Create {
                path,
                data,
                acl,
                kind,
                sequential,
                ..
            } => self.create(path, data.clone(), *acl, *kind, *sequential, who),
            Op::Delete(path, version) => {
                if RESERVED.contains(&path.as_str()) {
                    return Err(Code::BadArguments);
                }
                Self::allowed(self.node(parent(path))?, Perms::DELETE, who)?;
                Self::version(self.node(path)?.stat.version, *version)?;
                if self.children(path) > 0 {
                    return Err(Code::NotEmpty);
                }
                self.remove(path, who.zxid);
                Ok(Done {
                    path: None,
                    stat: None,
                })
            }
            Op::SetData(path, data, version) => {
                let node = self.node(path)?;
                Self::allowed(node, Perms::WRITE, who)?;
                let version = Self::version(node.stat.version, *version)?;
                let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
                node.data = data.clone();
                node.stat.version = version;
                node.stat.mzxid = who.zxid;
                node.stat.mtime = who.time;
                Ok(self.done(path))
            }
            Op::SetAcl(path, acl, version) => {
                let acl = Self::acl(*acl, who)?;
                let node = self.node(path)?;
                Self::allowed(node, Perms::ADMIN, who)?;
                let version = Self::version(node.stat.aversion, *version)?;
                let node = self.nodes.get_mut(path).ok_or(Code::NoNode)?;
                node.acl = acl;
                node.stat.aversion = version;
                Ok(self.done(path))
            }
            Op::Check(path, version) => {
                let node = self.node(path)?;
                Self::allowed(node, Perms::READ, who)?;
                Self::version(node.stat.version, *version)?;
                Ok(Done {
                    path: None,
                    stat: None,
                })
            }
        }
    }

    fn create(
        &mut self,
        wanted: &str,
        data: Option<Vec<u8>>,
        acl: Wanted,
        kind: Kind,
        sequential: bool,
        who: &Asking,
    ) -> Result<Done, Code> {
        let acl = Self::acl(acl, who)?;
        let above = self.node(parent(wanted))?;
        Self::allowed(above, Perms::CREATE, who)?;
        let path = match sequential {
            true => format!("{wanted}{:010}", above.stat.cversion),
            false => wanted.to_owned(),
        };
        if self.nodes.contains_key(&path) {
            return Err(Code::NodeExists);
        }
        if let OwnerKind::Ephemeral(_) = OwnerKind::of(above.stat.ephemeral_owner) {
            return Err(Code::NoChildrenForEphemerals);
        }
        let above = self.nodes.get_mut(parent(wanted)).ok_or(Code::NoNode)?;
        above.stat.cversion += 1;
        above.stat.pzxid = who.zxid;
        let owner = match kind {
            Kind::Persistent => OwnerKind::Persistent,
            Kind::Ephemeral => OwnerKind::Ephemeral(SessionId(who.session)),
            Kind::Container => OwnerKind::Container,
            Kind::Ttl(ms) => OwnerKind::Ttl(ms),
        };
        let stat = StatPersisted {
            czxid: who.zxid,
            mzxid: who.zxid,
            pzxid: who.zxid,
            ctime: who.time,
            mtime: who.time,
            ephemeral_owner: owner.stored(),
            ..StatPersisted::default()
        };
        self.nodes.insert(path.clone(), Node { data, acl, stat });
        Ok(self.done(&path))
    }

    fn remove(&mut self, path: &str, zxid: i64) {
        self.nodes.remove(path);
        if let Some(above) = self.nodes.get_mut(parent(path)) {
            above.stat.pzxid = zxid;
        }
    }

    /// All or nothing; the error says which one failed.
    pub fn multi(&mut self, ops: &[Op], who: &Asking) -> Result<Vec<Done>, (usize, Code)> {
        let before = self.nodes.clone();
        let mut all = Vec::new();
        for (n, op) in ops.iter().enumerate() {
            match self.apply(op, who) {
                Ok(done) => all.push(done),
                Err(code) => {
                    self.nodes = before;
                    return Err((n, code));
                }
            }
        }
        Ok(all)
    }

    /// The end of a session, and of what it owns.
    pub fn close(&mut self, session: i64, zxid: i64) {
        for path in self.owned(session) {
            self.remove(&path, zxid);
        }
        self.sessions.remove(&session);
    }

    /// Ephemerals of a session, sorted.
    pub fn owned(&self, session: i64) -> Vec<String> {
        let owner = OwnerKind::Ephemeral(SessionId(session)).stored();
        let mine = self
            .nodes
            .iter()
            .filter(|(_, n)| n.stat.ephemeral_owner == owner);
        mine.map(|(p, _)| p.clone()).collect()
    }

    /// The reaper's delete of a container or TTL node.
    pub fn reap(&mut self, path: &str, zxid: i64, now: i64) {
        let stat = &self.nodes[path].stat;
        let due = match OwnerKind::of(stat.ephemeral_owner) {
            OwnerKind::Container => stat.cversion > 0,
            OwnerKind::Ttl(ms) => now - stat.mtime > ms,
            _ => false,
        };
        assert!(due, "{path} is reaped too early: {stat:?}");
        assert_eq!(self.children(path), 0, "{path} is reaped with children");
        self.remove(path, zxid);
    }

    /// The digest, from nothing but the nodes.
    pub fn digest(&self) -> u64 {
        let one =
            |(p, n): (&String, &Node)| node_digest(p, content_crc(p, n.data.as_deref()), &n.stat);
        self.nodes.iter().map(one).fold(0, u64::wrapping_add)
    }
}

/// The state after each transaction, from `first` on.
#[derive(Debug)]
pub struct History {
    first: i64,
    states: Vec<State>,
}

impl History {
    pub fn new(first: Zxid, state: State) -> Self {
        Self {
            first: first.0,
            states: vec![state],
        }
    }

    pub fn last(&self) -> i64 {
        self.first + self.states.len() as i64 - 1
    }

    pub fn now(&self) -> &State {
        &self.states[self.states.len() - 1]
    }

    pub fn push(&mut self, zxid: i64, state: State) {
        assert_eq!(zxid, self.last() + 1, "zxids go up by one");
        self.states.push(state);
    }

    pub fn at(&self, zxid: i64) -> &State {
        &self.states[(zxid - self.first) as usize]
    }
}
