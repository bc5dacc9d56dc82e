//! The reference: what the committed transactions, in their order, make of a tree. Everything any
//! client sees is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use zabra::base::{SessionId, Stat, Zxid, path};
use zabra::proto::event::EventType;
use zabra::proto::txn::{Entry, SubTxn, Txn, path as text};

use crate::client::Ask;

/// A node at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub data: Vec<u8>,
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub version: i32,
    pub owner: i64,
}

/// What a transaction was.
#[derive(Clone, Copy, Debug)]
pub struct Deed {
    pub session: SessionId,
    pub cxid: i32,
    pub err: i32,
    /// It ends its session.
    pub closes: bool,
}

/// See the module. Nothing is forgotten: every state since the beginning can be asked for.
#[derive(Default)]
pub struct Model {
    /// Sessions are local until they create an ephemeral node.
    pub local: bool,
    pub last: Zxid,
    /// Counter at which epochs open.
    opening: u32,
    nodes: BTreeMap<String, Vec<(Zxid, Option<State>)>>,
    /// Of each node: when which child came (true) or went.
    children: BTreeMap<String, Vec<(Zxid, bool, String)>>,
    /// Whom each transaction would tell.
    pub triggers: BTreeMap<Zxid, Vec<(EventType, String)>>,
    deeds: BTreeMap<Zxid, Deed>,
    asked: BTreeSet<(i64, i32)>,
    /// Of each session, the last request that was looked at.
    latest: BTreeMap<i64, i32>,
    alive: BTreeMap<i64, BTreeSet<String>>,
    /// Sessions that are over.
    over: BTreeSet<i64>,
}

impl Model {
    /// Nothing yet, where epochs open at this counter, with or without local sessions.
    pub fn new(opening: u32, local: bool) -> Self {
        Self {
            opening,
            local,
            ..Self::default()
        }
    }

    /// The node at `path` after everything up to `at`.
    pub fn node(&self, path: &str, at: Zxid) -> Option<&State> {
        let versions = self.nodes.get(path)?;
        let n = versions.partition_point(|v| v.0 <= at);
        versions[..n].last()?.1.as_ref()
    }

    /// Its children, by full path.
    pub fn children(&self, path: &str, at: Zxid) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (zxid, came, child) in self.children.get(path).into_iter().flatten() {
            if *zxid > at {
                break;
            }
            match came {
                true => found.insert(child.as_str()),
                false => found.remove(child.as_str()),
            };
        }
        found
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        let there = |v: &&Vec<(Zxid, Option<State>)>| v.last().is_some_and(|v| v.1.is_some());
        self.nodes.values().filter(there).count()
    }

    pub fn deed(&self, zxid: Zxid) -> Option<Deed> {
        self.deeds.get(&zxid).copied()
    }

    pub fn lives(&self, session: SessionId) -> bool {
        self.alive.contains_key(&session.0)
    }

    /// Something happened to the node itself, or to its children, behind `since` and up to `at`.
    pub fn changed(&self, path: &str, since: Zxid, at: Zxid, children: bool) -> bool {
        let versions = self.nodes.get(path).into_iter().flatten();
        let own = |v: &&(Zxid, Option<State>)| match (&v.1, children) {
            // A child that comes or goes leaves a version of its parent, too.
            (Some(s), false) => s.mzxid == v.0.0,
            (Some(s), true) => s.pzxid == v.0.0,
            (None, _) => true,
        };
        versions
            .filter(|v| v.0 > since && v.0 <= at)
            .any(|v| own(&v))
    }

    /// What `ask` must be answered when it is decided at `zxid`.
    pub fn verdict(&self, ask: &Ask, zxid: Zxid) -> i32 {
        let before = Zxid(zxid.0 - 1);
        match ask {
            Ask::Create { path: p, .. } => {
                if self.node(p, before).is_some() {
                    -110
                } else if !path::parent(p).is_empty()
                    && self.node(path::parent(p), before).is_none()
                {
                    -101
                } else {
                    0
                }
            }
            Ask::Sequential(parent) => self.node(parent, before).map_or(-101, |_| 0),
            Ask::Set { path, version, .. } => match self.node(path, before) {
                None => -101,
                Some(s) if *version != -1 && s.version != *version => -103,
                Some(_) => 0,
            },
            Ask::Delete(path) => match self.node(path, before) {
                None => -101,
                Some(_) if !self.children(path, before).is_empty() => -111,
                Some(_) => 0,
            },
            // No part of one changes what another looks at.
            Ask::Multi(parts) => {
                let mut verdicts = parts.iter().map(|p| self.verdict(p, zxid));
                verdicts.find(|v| *v != 0).unwrap_or(0)
            }
            Ask::Sync | Ask::Close => 0,
        }
    }

    /// The next committed transaction.
    pub fn apply(&mut self, zxid: Zxid, bytes: &[u8]) -> Result<(), String> {
        let follows = self.last.next() == Some(zxid)
            || (zxid.epoch() > self.last.epoch() && zxid.counter() == self.opening + 1);
        if !follows {
            return Err(format!("{zxid} is committed behind {}", self.last));
        }
        self.last = zxid;
        let entry = Entry::from_bytes(bytes).map_err(|e| format!("{zxid}: {e}"))?;
        if entry.zxid() != zxid {
            return Err(format!("{zxid} says that it is {}", entry.zxid()));
        }
        let (session, cxid) = (entry.session(), entry.header.cxid);
        let opens = matches!(entry.txn, Txn::CreateSession(_));
        if cxid != 0 && !self.asked.insert((session.0, cxid)) {
            return Err(format!("{session} {cxid} is carried out twice, now {zxid}"));
        }
        let err = match &entry.txn {
            Txn::Error(e) => e.err,
            Txn::Multi(t) => t
                .txns
                .iter()
                .flatten()
                .map(failed)
                .find(|e| *e != 0)
                .unwrap_or(0),
            _ => 0,
        };
        // What comes behind a later request is none of its session's any more: its client has moved on.
        let latest = self.latest.entry(session.0).or_default();
        if !matches!(err, -112 | -118) && cxid != 0 {
            if cxid < *latest {
                let other = *latest;
                return Err(format!(
                    "{session} {cxid} is done behind {other}, at {zxid}"
                ));
            }
            *latest = cxid;
        }
        let unknown = !opens && session != SessionId::NONE && !self.lives(session);
        // A client may close what expires already (as with Apache): that must do nothing more. A
        // server closes nothing twice of itself.
        let closes = matches!(entry.txn, Txn::CloseSession(_));
        let again = closes && cxid != 0 && self.over.contains(&session.0);
        if err == 0 && unknown && !self.local && !again {
            return Err(format!("{zxid} of {session}, which is over: {entry:?}"));
        }
        let deed = Deed {
            session,
            cxid,
            err,
            closes,
        };
        self.deeds.insert(zxid, deed);
        if err != 0 {
            return Ok(());
        }
        self.carry_out(zxid, session, &entry.txn)
            .map_err(|e| format!("{zxid}: {e}: {entry:?}"))
    }

    fn carry_out(&mut self, zxid: Zxid, session: SessionId, txn: &Txn<'_>) -> Result<(), String> {
        match txn {
            Txn::CreateSession(_) => {
                if self.alive.insert(session.0, BTreeSet::new()).is_some() {
                    return Err("it lives already".into());
                }
                self.asked.retain(|(s, _)| *s != session.0);
            }
            Txn::CloseSession(body) => {
                let own = self.alive.remove(&session.0).unwrap_or_default();
                self.over.insert(session.0);
                let named = body.as_ref().and_then(|b| b.paths.as_ref());
                let named: Option<BTreeSet<String>> =
                    named.map(|n| n.iter().map(|p| text(p).to_owned()).collect());
                if named.is_some_and(|n| n != own) {
                    return Err(format!("its ephemerals are {own:?}"));
                }
                for p in own {
                    self.remove(zxid, &p)?;
                }
            }
            Txn::Create(t) => {
                let p = text(&t.path);
                let owner = if t.ephemeral { session.0 } else { 0 };
                self.create(zxid, p, t.data.unwrap_or_default(), owner)?;
            }
            Txn::Delete(t) => {
                let p = text(&t.path);
                let owner = self.node(p, zxid).map_or(0, |s| s.owner);
                self.remove(zxid, p)?;
                if let Some(own) = self.alive.get_mut(&owner) {
                    own.remove(p);
                }
            }
            Txn::SetData(t) => {
                let p = text(&t.path);
                let state = self.node(p, zxid).cloned();
                let mut state = state.ok_or("there is no such node")?;
                state.version += 1;
                if state.version != t.version {
                    return Err(format!("the version should be {}", state.version));
                }
                state.data = t.data.unwrap_or_default().to_vec();
                state.mzxid = zxid.0;
                self.put(zxid, p, Some(state));
                self.trigger(zxid, EventType::DataChanged, p);
            }
            Txn::Multi(t) => {
                for part in t.txns.iter().flatten() {
                    let mut input = zabra::jute::Input::new(part.data.unwrap_or_default());
                    let txn = Txn::decode(part.op, &mut input).map_err(|e| e.to_string())?;
                    self.carry_out(zxid, session, &txn)?;
                }
            }
            Txn::Error(_) | Txn::Check(_) => {}
            _ => return Err("nobody asked for that".into()),
        }
        Ok(())
    }

    fn create(&mut self, zxid: Zxid, p: &str, data: &[u8], owner: i64) -> Result<(), String> {
        if self.node(p, zxid).is_some() {
            return Err("it is there already".into());
        }
        let state = State {
            data: data.to_vec(),
            czxid: zxid.0,
            mzxid: zxid.0,
            pzxid: zxid.0,
            version: 0,
            owner,
        };
        self.put(zxid, p, Some(state));
        if owner != 0 {
            let own = self.alive.get_mut(&owner).ok_or("its owner is over")?;
            own.insert(p.to_owned());
        }
        self.trigger(zxid, EventType::Created, p);
        self.child(zxid, true, p)
    }

    fn remove(&mut self, zxid: Zxid, p: &str) -> Result<(), String> {
        if self.node(p, zxid).is_none() {
            return Err(format!("there is no {p}"));
        }
        if !self.children(p, zxid).is_empty() {
            return Err(format!("{p} has children"));
        }
        self.put(zxid, p, None);
        self.trigger(zxid, EventType::Deleted, p);
        self.child(zxid, false, p)
    }

    fn child(&mut self, zxid: Zxid, came: bool, p: &str) -> Result<(), String> {
        let parent = path::shown(path::parent(p));
        let list = self.children.entry(parent.to_owned()).or_default();
        list.push((zxid, came, p.to_owned()));
        self.trigger(zxid, EventType::ChildrenChanged, parent);
        if parent == "/" {
            return Ok(());
        }
        let mut state = self.node(parent, zxid).cloned().ok_or("no parent")?;
        state.pzxid = zxid.0;
        self.put(zxid, parent, Some(state));
        Ok(())
    }

    fn put(&mut self, zxid: Zxid, p: &str, state: Option<State>) {
        let versions = self.nodes.entry(p.to_owned()).or_default();
        match versions.last_mut() {
            Some(last) if last.0 == zxid => last.1 = state,
            _ => versions.push((zxid, state)),
        }
    }

    fn trigger(&mut self, zxid: Zxid, kind: EventType, p: &str) {
        let all = self.triggers.entry(zxid).or_default();
        all.push((kind, p.to_owned()));
    }

    /// Compares what a read of `path` found at `at`.
    pub fn check_node(
        &self,
        path: &str,
        at: Zxid,
        found: Option<(Option<&[u8]>, &Stat)>,
    ) -> Result<(), String> {
        let want = self.node(path, at);
        let same = match (want, &found) {
            (None, None) => true,
            (Some(w), Some((data, stat))) => {
                data.is_none_or(|d| d == w.data)
                    && stat.czxid == w.czxid
                    && stat.mzxid == w.mzxid
                    && stat.pzxid == w.pzxid
                    && stat.version == w.version
                    && stat.ephemeral_owner == w.owner
                    && stat.data_length as usize == w.data.len()
                    && stat.num_children as usize == self.children(path, at).len()
            }
            _ => false,
        };
        match same {
            true => Ok(()),
            false => Err(format!("{path} at {at} reads {found:?}, it is {want:?}")),
        }
    }
}

/// The error of a part of a multi. One is enough for nothing to happen.
fn failed(part: &SubTxn<'_>) -> i32 {
    let mut input = zabra::jute::Input::new(part.data.unwrap_or_default());
    match Txn::decode(part.op, &mut input) {
        Ok(Txn::Error(e)) => e.err,
        _ => 0,
    }
}
