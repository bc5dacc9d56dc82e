//! One znode.

use super::acl_table::AclId;
use super::children::Children;
use super::digest::{content_crc, node_digest};
use crate::base::{OwnerKind, Stat, StatPersisted, Thin};

/// A node of the tree (Apache: `DataNode`): 96 bytes, plus path, data and child set.
#[derive(Debug)]
pub struct Znode {
    pub(crate) path: Thin,
    pub(crate) data: Option<Thin>,
    pub(crate) children: Option<Box<Children>>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    owner: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    pub(crate) acl: AclId,
    content_crc: u32,
}

const _: () = assert!(size_of::<Znode>() == 96, "memory a znode is a promise");

impl Znode {
    pub(crate) fn new(path: Thin, data: Option<Thin>, acl: AclId, s: &StatPersisted) -> Self {
        let content_crc = content_crc(path.text(), data.as_deref());
        let mut node = Self {
            path,
            data,
            children: None,
            czxid: 0,
            mzxid: 0,
            pzxid: 0,
            ctime: 0,
            mtime: 0,
            owner: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
            acl,
            content_crc,
        };
        node.set_stat(s);
        node
    }

    /// The stored statistics.
    pub fn stat(&self) -> StatPersisted {
        StatPersisted {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            ephemeral_owner: self.owner,
            pzxid: self.pzxid,
        }
    }

    pub(crate) fn set_stat(&mut self, s: &StatPersisted) {
        self.czxid = s.czxid;
        self.mzxid = s.mzxid;
        self.pzxid = s.pzxid;
        self.ctime = s.ctime;
        self.mtime = s.mtime;
        self.owner = s.ephemeral_owner;
        self.version = s.version;
        self.cversion = s.cversion;
        self.aversion = s.aversion;
    }

    /// Raises the counters a new child moves; a replayed older creation changes nothing.
    pub(crate) fn child_created(&mut self, parent_cversion: i32, zxid: i64) {
        let new = if parent_cversion == -1 {
            self.cversion.wrapping_add(1)
        } else {
            parent_cversion
        };
        if new > self.cversion {
            self.cversion = new;
            self.pzxid = zxid;
        }
    }

    /// Notes that a child went; never moves backwards.
    pub(crate) fn child_deleted(&mut self, zxid: i64) {
        self.pzxid = self.pzxid.max(zxid);
    }

    pub(crate) fn set_data(&mut self, data: Option<Thin>, version: i32, zxid: i64, time: i64) {
        self.content_crc = content_crc(self.path.text(), data.as_deref());
        self.data = data;
        self.version = version;
        self.mzxid = zxid;
        self.mtime = time;
    }

    pub(crate) fn set_acl(&mut self, acl: AclId, aversion: i32) {
        self.acl = acl;
        self.aversion = aversion;
    }

    /// Digest of this node, see [`node_digest`].
    pub(crate) fn digest(&self) -> u64 {
        node_digest(self.path.text(), self.content_crc, &self.stat())
    }

    /// CRC of path and data.
    pub(crate) fn content_crc(&self) -> u32 {
        self.content_crc
    }

    /// Who owns it.
    pub fn owner(&self) -> OwnerKind {
        OwnerKind::of(self.owner)
    }

    pub(crate) fn mzxid(&self) -> i64 {
        self.mzxid
    }

    pub(crate) fn pzxid(&self) -> i64 {
        self.pzxid
    }

    pub(crate) fn mtime(&self) -> i64 {
        self.mtime
    }

    pub(crate) fn stored_cversion(&self) -> i32 {
        self.cversion
    }

    pub(crate) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |d| d.len())
    }

    pub(crate) fn num_children(&self) -> usize {
        self.children.as_ref().map_or(0, |c| c.len())
    }

    /// The statistics clients see.
    pub fn visible(&self) -> Stat {
        self.stat().visible(self.data_len(), self.num_children())
    }
}
