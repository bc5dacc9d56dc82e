//! One znode.

use super::acl_table::AclId;
use super::children::Children;
use super::digest::{content_crc, node_digest};
use crate::base::{OwnerKind, Stat, StatPersisted, Thin, Zxid};
use crate::jute::Output as _;

/// A node of the tree (Apache: `DataNode`): 56 bytes, plus path and data, plus 48 bytes once it is
/// more than a persistent leaf as it was created.
#[derive(Debug)]
pub struct Znode {
    pub(crate) path: Thin,
    pub(crate) data: Option<Thin>,
    more: Option<Box<More>>,
    czxid: i64,
    ctime: i64,
    version: i32,
    pub(crate) acl: AclId,
    content_crc: u32,
}

/// What most nodes do not need: they are never changed, have no children and no owner.
#[derive(Debug)]
struct More {
    mzxid: i64,
    pzxid: i64,
    mtime: i64,
    owner: i64,
    cversion: i32,
    aversion: i32,
    children: Option<Box<Children>>,
}

const _: () = assert!(size_of::<Znode>() <= 56, "memory a znode is a promise");

impl Znode {
    pub(crate) fn new(path: Thin, data: Option<Thin>, acl: AclId, s: &StatPersisted) -> Self {
        let content_crc = content_crc(path.text(), data.as_deref());
        let mut node = Self {
            path,
            data,
            more: None,
            czxid: s.czxid,
            ctime: s.ctime,
            version: s.version,
            acl,
            content_crc,
        };
        let plain = StatPersisted {
            version: s.version,
            ..StatPersisted::created(Zxid(s.czxid), s.ctime, OwnerKind::Persistent)
        };
        if *s != plain {
            let more = node.more_mut();
            more.mzxid = s.mzxid;
            more.pzxid = s.pzxid;
            more.mtime = s.mtime;
            more.owner = s.ephemeral_owner;
            more.cversion = s.cversion;
            more.aversion = s.aversion;
        }
        node
    }

    fn more_mut(&mut self) -> &mut More {
        let (czxid, ctime) = (self.czxid, self.ctime);
        self.more.get_or_insert_with(|| {
            Box::new(More {
                mzxid: czxid,
                pzxid: czxid,
                mtime: ctime,
                owner: 0,
                cversion: 0,
                aversion: 0,
                children: None,
            })
        })
    }

    /// The stored statistics.
    pub fn stat(&self) -> StatPersisted {
        let mut s = StatPersisted {
            version: self.version,
            ..StatPersisted::created(Zxid(self.czxid), self.ctime, OwnerKind::Persistent)
        };
        if let Some(more) = &self.more {
            s.mzxid = more.mzxid;
            s.pzxid = more.pzxid;
            s.mtime = more.mtime;
            s.ephemeral_owner = more.owner;
            s.cversion = more.cversion;
            s.aversion = more.aversion;
        }
        s
    }

    /// Raises the counters a new child moves; a replayed older creation changes nothing.
    pub(crate) fn child_created(&mut self, parent_cversion: i32, zxid: i64) {
        let more = self.more_mut();
        let new = match parent_cversion {
            -1 => more.cversion.wrapping_add(1),
            n => n,
        };
        if new > more.cversion {
            more.cversion = new;
            more.pzxid = zxid;
        }
    }

    /// Notes that a child went; never moves backwards.
    pub(crate) fn child_deleted(&mut self, zxid: i64) {
        let more = self.more_mut();
        more.pzxid = more.pzxid.max(zxid);
    }

    pub(crate) fn set_data(&mut self, data: Option<Thin>, version: i32, zxid: i64, time: i64) {
        self.content_crc = content_crc(self.path.text(), data.as_deref());
        self.data = data;
        self.version = version;
        let more = self.more_mut();
        more.mzxid = zxid;
        more.mtime = time;
    }

    pub(crate) fn set_acl(&mut self, acl: AclId, aversion: i32) {
        self.acl = acl;
        self.more_mut().aversion = aversion;
    }

    pub(crate) fn children(&self) -> Option<&Children> {
        self.more.as_ref()?.children.as_deref()
    }

    /// Appends the names of the children as a jute vector of strings.
    pub(crate) fn write_names(&self, out: &mut Vec<u8>) {
        match self.children() {
            Some(c) => c.write_names(self.path.len() + 1, out),
            None => out.count(0),
        }
    }

    /// The child set, made when there is none.
    pub(crate) fn children_mut(&mut self) -> &mut Children {
        self.more_mut().children.get_or_insert_default()
    }

    /// Removes a child from the set, and the set with its last one.
    pub(crate) fn remove_child(&mut self, hash: u64, path: &[u8]) {
        let Some(more) = &mut self.more else { return };
        if let Some(c) = &mut more.children {
            c.remove(hash, path);
            if c.len() == 0 {
                more.children = None;
            }
        }
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
        OwnerKind::of(self.more.as_ref().map_or(0, |m| m.owner))
    }

    pub(crate) fn mzxid(&self) -> i64 {
        self.more.as_ref().map_or(self.czxid, |m| m.mzxid)
    }

    pub(crate) fn pzxid(&self) -> i64 {
        self.more.as_ref().map_or(self.czxid, |m| m.pzxid)
    }

    pub(crate) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, |d| d.len())
    }

    pub(crate) fn num_children(&self) -> usize {
        self.children().map_or(0, Children::len)
    }

    /// The statistics clients see.
    pub fn visible(&self) -> Stat {
        self.stat().visible(self.data_len(), self.num_children())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statistic_survives_both_forms() {
        let plain = StatPersisted::created(Zxid(7), 9, OwnerKind::Persistent);
        let odd = StatPersisted {
            czxid: 1,
            mzxid: 2,
            ctime: 3,
            mtime: 4,
            version: 5,
            cversion: 6,
            aversion: 7,
            ephemeral_owner: 8,
            pzxid: 9,
        };
        for s in [plain, odd, StatPersisted::default()] {
            let node = Znode::new(Thin::new(b"/a"), None, AclId::OPEN, &s);
            assert_eq!(node.stat(), s);
        }
        let node = Znode::new(Thin::new(b"/a"), None, AclId::OPEN, &plain);
        assert!(node.more.is_none());
        assert_eq!((node.mzxid(), node.pzxid(), node.stat().mtime), (7, 7, 9));
    }
}
