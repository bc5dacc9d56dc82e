//! Node statistics: the stored form and the form clients see.

use super::ids::{SessionId, Zxid};

/// What the stored `ephemeralOwner` says about a znode (Apache: `EphemeralType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    /// Owner 0: lives until deleted.
    Persistent,
    /// Owned by a session and deleted with it.
    Ephemeral(SessionId),
    /// Deleted by the reaper once it had children and has none.
    Container,
    /// Deleted by the reaper when childless and untouched for this many milliseconds.
    Ttl(i64),
}

/// Stored owner of a container node.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// Longest TTL, milliseconds: 40 bits.
pub const TTL_MAX: i64 = (1 << 40) - 1;
const TTL_MARK: i64 = 0xff00_0000_0000_0000_u64 as i64;
const TTL_MASK: i64 = 0xffff_ff00_0000_0000_u64 as i64;

impl OwnerKind {
    /// Reads a stored owner. A value with the TTL mark and zero reserved bits is a TTL node whatever
    /// the flags of this run say.
    ///
    /// Differs: Apache asks `extendedTypesEnabled` and deletes TTL nodes at start when it is off.
    pub fn of(owner: i64) -> Self {
        match owner {
            0 => Self::Persistent,
            CONTAINER_OWNER => Self::Container,
            o if o & TTL_MASK == TTL_MARK && o & TTL_MAX != 0 => Self::Ttl(o & TTL_MAX),
            o => Self::Ephemeral(SessionId(o)),
        }
    }

    /// The stored owner.
    pub fn stored(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral(s) => s.0,
            Self::Container => CONTAINER_OWNER,
            Self::Ttl(ms) => TTL_MARK | (ms & TTL_MAX),
        }
    }

    /// The owner clients see: 0 unless the node is ephemeral.
    pub fn visible(self) -> i64 {
        match self {
            Self::Ephemeral(s) => s.0,
            Self::Persistent | Self::Container | Self::Ttl(_) => 0,
        }
    }
}

/// Statistics as snapshots hold them (60 bytes; Apache: `StatPersisted`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatPersisted {
    /// Zxid of the creating transaction.
    pub czxid: i64,
    /// Zxid of the last change of data.
    pub mzxid: i64,
    /// Wall-clock milliseconds of the creating transaction.
    pub ctime: i64,
    /// Wall-clock milliseconds of the last change of data.
    pub mtime: i64,
    /// Changes of data.
    pub version: i32,
    /// Children ever created here (the stored form counts creations only).
    pub cversion: i32,
    /// Changes of the ACL.
    pub aversion: i32,
    /// Stored owner; see [`OwnerKind`].
    pub ephemeral_owner: i64,
    /// Zxid of the last creation or deletion of a child.
    pub pzxid: i64,
}

impl StatPersisted {
    /// Statistics of a node created by transaction `zxid` at `time`.
    pub fn created(zxid: Zxid, time: i64, owner: OwnerKind) -> Self {
        Self {
            czxid: zxid.0,
            mzxid: zxid.0,
            pzxid: zxid.0,
            ctime: time,
            mtime: time,
            ephemeral_owner: owner.stored(),
            ..Self::default()
        }
    }

    /// What clients see of a node with this much data and this many children.
    /// The reported cversion counts deletions too: twice the creations less the children left.
    pub fn visible(&self, data_len: usize, num_children: usize) -> Stat {
        let children = num_children as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: OwnerKind::of(self.ephemeral_owner).visible(),
            data_length: data_len as i32,
            num_children: children,
            pzxid: self.pzxid,
        }
    }
}

/// Statistics as clients see them (68 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each field as in `StatPersisted`
pub struct Stat {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_round_trip() {
        for k in [
            OwnerKind::Persistent,
            OwnerKind::Container,
            OwnerKind::Ttl(1),
            OwnerKind::Ttl(TTL_MAX),
            OwnerKind::Ephemeral(SessionId(0x0100_016a_ea10_0000)),
        ] {
            assert_eq!(OwnerKind::of(k.stored()), k);
        }
    }

    #[test]
    fn reserved_ttl_bits_make_a_session() {
        let odd = TTL_MARK | (1 << 41) | 5;
        assert_eq!(OwnerKind::of(odd), OwnerKind::Ephemeral(SessionId(odd)));
    }

    #[test]
    fn a_fresh_root_reports_cversion_minus_one() {
        assert_eq!(StatPersisted::default().visible(0, 1).cversion, -1);
    }
}
