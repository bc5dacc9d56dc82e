//! Changes proposed but not yet applied (Apache: `ZooKeeperServer.ChangeRecord`,
//! `outstandingChanges`).

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::base::hash::Map;
use crate::base::{OwnerKind, SessionId, StatPersisted, Thin, Zxid, path};
use crate::telemetry::metrics::METRICS;
use crate::tree::{AclId, AclList, DataTree, NodeFacts, content_crc, node_digest};

/// An ACL as a change knows it.
#[derive(Clone, Debug)]
pub(super) enum ChangedAcl {
    /// As the tree has it.
    Known(AclId),
    /// Not in the tree's table yet.
    New(AclList),
}

/// A node as it will be once everything proposed is applied.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) zxid: Zxid,
    /// False for a node that will be gone.
    pub(super) exists: bool,
    pub(super) stat: StatPersisted,
    pub(super) children: i64,
    pub(super) acl: ChangedAcl,
    pub(super) data_len: usize,
    /// CRC of path and data: all that a digest needs of them.
    pub(super) content_crc: u32,
    digest: u64,
}

impl Change {
    fn of(facts: NodeFacts, digest: u64) -> Self {
        Self {
            zxid: Zxid::ZERO,
            exists: true,
            stat: facts.stat,
            children: facts.children as i64,
            acl: ChangedAcl::Known(facts.acl),
            data_len: facts.data_len,
            content_crc: facts.content_crc,
            digest,
        }
    }

    /// A node that will be created.
    pub(super) fn created(p: &str, stat: StatPersisted, acl: AclList, data: Option<&[u8]>) -> Self {
        Self {
            zxid: Zxid(stat.czxid),
            exists: true,
            stat,
            children: 0,
            acl: ChangedAcl::New(acl),
            data_len: data.map_or(0, <[u8]>::len),
            content_crc: content_crc(p, data),
            digest: 0,
        }
    }

    pub(super) fn owner(&self) -> OwnerKind {
        OwnerKind::of(self.stat.ephemeral_owner)
    }
}

/// What each path was before the request being prepared, and the digest.
#[derive(Debug, Default)]
struct Undo {
    active: bool,
    digest: u64,
    /// Changes entered; of those of one path only what was before the first is kept.
    entered: u64,
    before: Vec<(Thin, Option<Change>)>,
}

/// What one transaction changes.
#[derive(Debug)]
struct Proposed {
    zxid: Zxid,
    /// Changes entered, of one path perhaps many.
    entered: u64,
    /// Each path once.
    paths: SmallVec<[Thin; 3]>,
}

/// The tree as it will be, laid over the tree as it is.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    by_path: Map<Thin, Change>,
    by_zxid: VecDeque<Proposed>,
    /// Digest of the tree once everything proposed is applied.
    digest: u64,
    keep_digest: bool,
    undo: Undo,
}

impl Outstanding {
    pub(super) fn new(tree: &DataTree, keep_digest: bool) -> Self {
        Self {
            digest: tree.digest().digest,
            keep_digest,
            ..Self::default()
        }
    }

    /// The digest after everything proposed so far.
    pub(super) fn digest(&self) -> Option<u64> {
        self.keep_digest.then_some(self.digest)
    }

    /// How many paths have changes.
    pub(super) fn len(&self) -> usize {
        self.by_path.len()
    }

    /// The node as it will be; `None` when there will be none.
    pub(super) fn get(&self, tree: &DataTree, p: &str) -> Option<Change> {
        let stored = path::stored(p);
        if let Some(change) = self.by_path.get(stored.as_bytes()) {
            return change.exists.then(|| change.clone());
        }
        let facts = tree.facts(stored)?;
        let digest = self.digest_of(stored, facts.content_crc, &facts.stat);
        Some(Change::of(facts, digest))
    }

    fn digest_of(&self, stored: &str, content_crc: u32, stat: &StatPersisted) -> u64 {
        if self.keep_digest {
            node_digest(stored, content_crc, stat)
        } else {
            0
        }
    }

    /// Enters what a node will be. `change` came from [`Outstanding::get`] or is new.
    pub(super) fn put(&mut self, p: &str, mut change: Change, zxid: Zxid) {
        let stored = path::stored(p);
        let before = change.digest;
        change.zxid = zxid;
        change.digest = match change.exists {
            true => self.digest_of(stored, change.content_crc, &change.stat),
            false => 0,
        };
        self.digest = self.digest.wrapping_sub(before).wrapping_add(change.digest);
        self.undo.entered += u64::from(self.undo.active);
        match self.by_path.get_key_value_mut(stored.as_bytes()) {
            // A multi of creates changes their parent again and again.
            Some((_, slot)) if slot.zxid == zxid => {
                *slot = change;
                if let Some(last) = self.by_zxid.back_mut() {
                    last.entered += 1;
                }
            }
            Some((key, slot)) => {
                let (key, old) = (key.clone(), std::mem::replace(slot, change));
                self.note(zxid, key, Some(old));
            }
            None => {
                let key = Thin::new(stored.as_bytes());
                self.by_path.insert(key.clone(), change);
                self.note(zxid, key, None);
            }
        }
    }

    /// The first change of a path by this transaction.
    fn note(&mut self, zxid: Zxid, key: Thin, old: Option<Change>) {
        if self.undo.active {
            self.undo.before.push((key.clone(), old));
        }
        match self.by_zxid.back_mut().filter(|p| p.zxid == zxid) {
            Some(last) => {
                last.entered += 1;
                last.paths.push(key);
            }
            None => self.by_zxid.push_back(Proposed {
                zxid,
                entered: 1,
                paths: SmallVec::from_iter([key]),
            }),
        }
    }

    /// From here on changes may be taken back.
    pub(super) fn begin(&mut self) {
        self.undo.active = true;
        self.undo.digest = self.digest;
    }

    /// Keeps what was entered since [`Outstanding::begin`].
    pub(super) fn keep(&mut self) {
        self.undo.active = false;
        self.count_queued();
        self.undo.before.clear();
    }

    /// What is taken back counts too, as in Apache.
    fn count_queued(&mut self) {
        let entered = std::mem::take(&mut self.undo.entered);
        METRICS.outstanding_changes_queued.add(entered);
    }

    /// Takes back what was entered since [`Outstanding::begin`] under `zxid`, if anything was.
    pub(super) fn roll_back(&mut self, zxid: Zxid) {
        if !std::mem::take(&mut self.undo.active) {
            return;
        }
        self.count_queued();
        for (key, old) in self.undo.before.drain(..).rev() {
            match old {
                Some(change) => self.by_path.insert(key, change),
                None => self.by_path.remove(&key),
            };
        }
        if self.by_zxid.back().is_some_and(|p| p.zxid == zxid) {
            self.by_zxid.pop_back();
        }
        self.digest = self.undo.digest;
    }

    /// Everything up to `zxid` is in the tree now.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        while let Some(proposed) = self.by_zxid.pop_front_if(|p| p.zxid <= zxid) {
            METRICS.outstanding_changes_removed.add(proposed.entered);
            for p in proposed.paths {
                if self.by_path.get(&p).is_some_and(|c| c.zxid <= zxid) {
                    self.by_path.remove(&p);
                }
            }
        }
    }

    /// Ephemerals the session will own, sorted.
    pub(super) fn ephemerals_of(&self, tree: &DataTree, session: SessionId) -> Vec<Thin> {
        let mut paths: std::collections::BTreeSet<Thin> =
            tree.ephemerals_of(session).into_iter().collect();
        for (p, change) in &self.by_path {
            if change.exists && change.owner() == OwnerKind::Ephemeral(session) {
                paths.insert(p.clone());
            } else {
                paths.remove(p);
            }
        }
        paths.into_iter().collect()
    }
}
