//! A small tree with the replay rules, to hold the store's output against Apache's.

use std::collections::{BTreeMap, BTreeSet};

use zabra::base::path::{ancestors_from, name, parent, shown, stored};
use zabra::base::{Acl, OwnerKind, SessionId, StatPersisted, Zxid};
use zabra::jute::Input;
use zabra::proto::OpCode;
use zabra::proto::txn::{DIGEST_VERSION, Entry, MultiTxn, Txn, TxnHeader, path};
use zabra::store::snapshot::OPEN_ACL_ID;
use zabra::store::{Recovery, Refused, SnapshotDigest, SnapshotInfo, SnapshotVisitor};

use super::golden::{Tree, View};

const QUOTA: &str = "/zookeeper/quota";
const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

#[derive(Clone, Debug)]
struct Node {
    data: Option<Vec<u8>>,
    /// `None`: the snapshot named a list that it does not hold.
    acl: Option<Vec<Acl>>,
    stat: StatPersisted,
    children: BTreeSet<String>,
}

/// The database.
#[derive(Debug, Default)]
pub(crate) struct Model {
    nodes: BTreeMap<String, Node>,
    pub(crate) sessions: BTreeMap<i64, i32>,
    acls: BTreeMap<i64, Vec<Acl>>,
    quotas: BTreeSet<String>,
    pub(crate) digest: u64,
    /// The snapshot's digest, until the transaction it belongs to has been applied.
    awaited: Option<SnapshotDigest>,
    /// Comparisons that held and that did not.
    pub(crate) digests: (u64, u64),
}

fn node_digest(path: &str, node: &Node) -> u64 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let s = &node.stat;
    let mut crc = crc32fast::Hasher::new();
    crc.update(path.as_bytes());
    crc.update(node.data.as_deref().unwrap_or_default());
    for long in [s.czxid, s.mzxid, s.pzxid, s.ctime, s.mtime] {
        crc.update(&long.to_be_bytes());
    }
    for int in [s.version, s.cversion, s.aversion] {
        crc.update(&int.to_be_bytes());
    }
    crc.update(&s.ephemeral_owner.to_be_bytes());
    u64::from(crc.finalize())
}

impl Model {
    /// What clients see.
    pub(crate) fn view(&self) -> Tree {
        let view = |(path, n): (&String, &Node)| {
            let view = View {
                data: n.data.clone(),
                stat: n
                    .stat
                    .visible(n.data.as_ref().map_or(0, Vec::len), n.children.len()),
                acl: n.acl.clone().unwrap_or_default(),
            };
            (shown(path).to_owned(), view)
        };
        self.nodes.iter().map(view).collect()
    }

    fn put(&mut self, path: &str, node: Node) {
        self.digest = self.digest.wrapping_add(node_digest(path, &node));
        if !path.is_empty()
            && let Some(above) = self.nodes.get_mut(parent(path))
        {
            above.children.insert(name(path).to_owned());
        }
        self.nodes.insert(path.to_owned(), node);
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut Node)) -> bool {
        let Some(node) = self.nodes.get_mut(path) else {
            return false;
        };
        self.digest = self.digest.wrapping_sub(node_digest(path, node));
        change(node);
        self.digest = self.digest.wrapping_add(node_digest(path, node));
        true
    }

    fn raise(&mut self, path: &str, cversion: i32, zxid: i64) -> bool {
        self.change(path, |p| {
            let cversion = match cversion {
                -1 => p.stat.cversion + 1,
                n => n,
            };
            if cversion > p.stat.cversion {
                p.stat.cversion = cversion;
                p.stat.pzxid = zxid;
            }
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn create(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl: Option<Vec<Acl>>,
        owner: OwnerKind,
        cversion: i32,
        h: &TxnHeader,
    ) {
        let acl = acl.unwrap_or_else(Acl::open);
        if !self.nodes.contains_key(parent(path)) {
            return;
        }
        if self.change(path, |n| n.acl = Some(acl.clone())) {
            if OpCode::of(h.op) == Some(OpCode::Create) {
                self.raise(parent(path), cversion, h.zxid);
            }
            return;
        }
        self.raise(parent(path), cversion, h.zxid);
        let node = Node {
            data: data.map(<[u8]>::to_vec),
            acl: Some(acl),
            stat: StatPersisted::created(Zxid(h.zxid), h.time, owner),
            children: BTreeSet::new(),
        };
        self.put(path, node);
        if let Some(real) = parent(path).strip_prefix(QUOTA) {
            match name(path) {
                LIMITS => drop(self.quotas.insert(real.to_owned())),
                STATS => self.recount(real),
                _ => {}
            }
        }
        self.account(path, data.map_or(0, |d| d.len() as i64), 1);
    }

    fn delete(&mut self, path: &str, zxid: i64) {
        let (above, child) = (parent(path), name(path));
        self.change(above, |p| {
            p.children.remove(child);
            p.stat.pzxid = p.stat.pzxid.max(zxid);
        });
        let Some(node) = self.nodes.remove(path) else {
            return;
        };
        self.digest = self.digest.wrapping_sub(node_digest(path, &node));
        if child == LIMITS
            && let Some(real) = above.strip_prefix(QUOTA)
        {
            self.quotas.remove(real);
        }
        self.account(path, -(node.data.map_or(0, |d| d.len() as i64)), -1);
    }

    fn close(&mut self, session: i64, paths: &[String], zxid: i64) {
        self.sessions.remove(&session);
        paths.iter().for_each(|p| self.delete(p, zxid));
        let owner = OwnerKind::Ephemeral(SessionId(session)).stored();
        let left: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, n)| session != 0 && n.stat.ephemeral_owner == owner)
            .map(|(p, _)| p.clone())
            .collect();
        left.iter().for_each(|p| self.delete(p, zxid));
    }

    fn apply(&mut self, h: &TxnHeader, txn: &Txn<'_>) {
        match txn {
            Txn::Create(t) => {
                let owner = match t.ephemeral {
                    true => OwnerKind::Ephemeral(SessionId(h.client_id)),
                    false => OwnerKind::Persistent,
                };
                let acl = t.acl.clone();
                self.create(path(&t.path), t.data, acl, owner, t.parent_cversion, h);
            }
            Txn::CreateContainer(t) => {
                let (owner, acl) = (OwnerKind::Container, t.acl.clone());
                self.create(path(&t.path), t.data, acl, owner, t.parent_cversion, h);
            }
            Txn::CreateTtl(t) => {
                let (owner, acl) = (OwnerKind::Ttl(t.ttl), t.acl.clone());
                self.create(path(&t.path), t.data, acl, owner, t.parent_cversion, h);
            }
            Txn::Delete(t) => self.delete(path(&t.path), h.zxid),
            Txn::SetData(t) => {
                let at = stored(path(&t.path));
                let before = self.data_len(at);
                let set = self.change(at, |n| {
                    n.data = t.data.map(<[u8]>::to_vec);
                    n.stat.mtime = h.time;
                    n.stat.mzxid = h.zxid;
                    n.stat.version = t.version;
                });
                if set {
                    self.account(at, self.data_len(at) - before, 0);
                }
            }
            Txn::SetAcl(t) => {
                self.change(stored(path(&t.path)), |n| {
                    n.acl = Some(t.acl.clone().unwrap_or_else(Acl::open));
                    n.stat.aversion = t.version;
                });
            }
            Txn::Multi(m) => self.multi(h, m),
            Txn::CreateSession(t) => drop(self.sessions.insert(h.client_id, t.timeout)),
            Txn::CloseSession(t) => {
                let listed = t.as_ref().and_then(|t| t.paths.as_ref());
                let paths: Vec<String> = listed
                    .into_iter()
                    .flatten()
                    .map(|p| path(p).to_owned())
                    .collect();
                self.close(h.client_id, &paths, h.zxid);
            }
            Txn::Check(_) | Txn::Error(_) => {}
        }
    }

    fn multi(&mut self, h: &TxnHeader, multi: &MultiTxn<'_>) {
        let subs = multi.txns.as_deref().unwrap_or_default();
        if subs.iter().any(|s| OpCode::of(s.op) == Some(OpCode::Error)) {
            return;
        }
        for sub in subs {
            let header = TxnHeader {
                op: sub.op,
                ..h.clone()
            };
            let mut bytes = Input::new(sub.data.unwrap_or_default());
            match Txn::decode(sub.op, &mut bytes) {
                Ok(txn) => self.apply(&header, &txn),
                Err(_) => return,
            }
        }
    }

    fn data_len(&self, path: &str) -> i64 {
        let data = self.nodes.get(path).and_then(|n| n.data.as_ref());
        data.map_or(0, |d| d.len() as i64)
    }

    fn recount(&mut self, real: &str) {
        let below = format!("{real}/");
        let (mut count, mut bytes) = (0, 0);
        for (path, node) in &self.nodes {
            if path == real || path.starts_with(&below) {
                count += 1;
                bytes += node.data.as_ref().map_or(0, Vec::len);
            }
        }
        if let Some(stats) = self.nodes.get_mut(&format!("{QUOTA}{real}/{STATS}")) {
            stats.data = Some(format!("count={count},bytes={bytes}").into_bytes());
        }
    }

    /// Rewrites the statistics of the deepest quota above `path`; odd ones are left alone.
    fn account(&mut self, path: &str, bytes: i64, count: i64) {
        let quota = ancestors_from(path).find(|p| self.quotas.contains(*p));
        let Some(stats) = quota.and_then(|q| self.nodes.get_mut(&format!("{QUOTA}{q}/{STATS}")))
        else {
            return;
        };
        let Some(mut values) = parse_stats(stats.data.as_deref().unwrap_or_default()) else {
            return;
        };
        let mut take = |key: &str| values.remove(key).unwrap_or(-1);
        let (count, bytes) = (take("count") + count, take("bytes") + bytes);
        let mut text = format!("count={count},bytes={bytes}");
        for (i, (key, value)) in values.iter().enumerate() {
            text += if i == 0 { "=" } else { "" };
            text += &format!(";{key}={value}");
        }
        stats.data = Some(text.into_bytes());
    }

    fn compare(&mut self, expected: u64) {
        match expected == self.digest {
            true => self.digests.0 += 1,
            false => self.digests.1 += 1,
        }
    }
}

fn parse_stats(data: &[u8]) -> Option<BTreeMap<String, i64>> {
    let text = std::str::from_utf8(data).ok()?;
    let mut values = BTreeMap::new();
    for word in text.split([',', ';']).filter(|w| !w.is_empty()) {
        let mut parts = word.split('=');
        let (key, value) = (parts.next()?, parts.next()?);
        let value = match value {
            "" => -1,
            v => v.parse().ok()?,
        };
        values.insert(key.to_owned(), value);
    }
    Some(values)
}

impl SnapshotVisitor for Model {
    fn session(&mut self, id: i64, timeout: i32) -> Result<(), Refused> {
        self.sessions.insert(id, timeout);
        Ok(())
    }

    fn acl(&mut self, id: i64, acl: Option<Vec<Acl>>) -> Result<(), Refused> {
        self.acls.insert(id, acl.unwrap_or_else(Acl::open));
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), Refused> {
        if !path.is_empty() && !self.nodes.contains_key(parent(path)) {
            return Err(Refused::new(format!(
                "Invalid Datatree, no parent of {path}"
            )));
        }
        let acl = match acl_id {
            OPEN_ACL_ID => Some(Acl::open()),
            id => self.acls.get(&id).cloned(),
        };
        let node = Node {
            data: data.map(<[u8]>::to_vec),
            acl,
            stat,
            children: BTreeSet::new(),
        };
        self.put(path, node);
        Ok(())
    }

    fn end(&mut self, info: &SnapshotInfo) -> Result<(), Refused> {
        self.awaited = info.digest.filter(|d| d.zxid > Zxid::ZERO);
        let registered: Vec<String> = self
            .nodes
            .iter()
            .filter(|(p, n)| name(p) == LIMITS && n.children.is_empty())
            .filter_map(|(p, _)| parent(p).strip_prefix(QUOTA))
            .filter(|real| !real.is_empty())
            .map(str::to_owned)
            .collect();
        for real in registered {
            self.recount(&real);
            self.quotas.insert(real);
        }
        Ok(())
    }
}

impl Recovery for Model {
    fn begin_empty(&mut self) {
        for path in ["", "/zookeeper", QUOTA, "/zookeeper/config"] {
            let config = path.ends_with("config");
            let node = Node {
                data: Some(Vec::new()),
                acl: Some(if config {
                    Acl::read_only()
                } else {
                    Acl::open()
                }),
                stat: StatPersisted {
                    aversion: if config { -1 } else { 0 },
                    ..StatPersisted::default()
                },
                children: BTreeSet::new(),
            };
            self.put(path, node);
        }
    }

    fn txn(&mut self, entry: &Entry<'_>, bytes: &[u8]) -> Result<(), Refused> {
        let mut again = Vec::new();
        entry.encode(&mut again);
        if !bytes.starts_with(&again) {
            return Err(Refused::new("the entry does not encode to what it was"));
        }
        // A digest of an earlier transaction than those replayed says nothing (a new epoch).
        self.awaited = self.awaited.filter(|d| d.zxid >= entry.zxid());
        self.apply(&entry.header, &entry.txn);
        if let Some(d) = self.awaited {
            if d.zxid == entry.zxid() {
                self.awaited = None;
                self.compare(d.digest);
            }
        } else if let Some(d) = &entry.digest
            && d.version == DIGEST_VERSION
        {
            self.compare(d.digest as u64);
        }
        Ok(())
    }
}
