//! What a snapshot file holds, and who takes it (Apache: `FileSnap`, `DataTree.serialize`).
//!
//! ```text
//! "ZKSN" version=2 dbid=-1
//! sessions   count x (id, timeout)
//! ACL map    count x (id, list)
//! nodes      (path, data, acl id, stat) ...  path "/" ends them
//! seal 1     Adler-32 of everything so far as a long, then "/"
//! digest     zxid, version=2, digest; seal 2          (3.6+)
//! last zxid  zxid; seal 3                             (3.9+)
//! ```
//!
//! The tail does not say what it is: the number of bytes behind seal 1 does, 0, 33, 54, or 21 for
//! the last zxid alone.

use std::borrow::Cow;
use std::io;

use crate::base::{Acl, StatPersisted, Zxid};
use crate::jute::DecodeError;

/// First four bytes: `ZKSN`.
pub const MAGIC: [u8; 4] = *b"ZKSN";
/// Format version written.
pub const VERSION: i32 = 2;
/// Database id written.
pub const DBID: i64 = -1;
/// ACL id that stands for the open list and is in no map.
pub const OPEN_ACL_ID: i64 = -1;
/// The digest section's length, its seal included.
pub(super) const DIGEST_LEN: usize = 33;
/// The last-zxid section's length, its seal included.
pub(super) const LAST_ZXID_LEN: usize = 21;

/// How the stream is compressed (Apache: `zookeeper.snapshot.compression.method`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// One gzip member.
    Gz,
    /// The snappy-java stream container.
    Snappy,
}

impl Compression {
    /// What it appends to the file name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gz => ".gz",
            Self::Snappy => ".snappy",
        }
    }

    /// The method a name's last part (without the dot) selects.
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            s if s.eq_ignore_ascii_case("gz") => Some(Self::Gz),
            s if s.eq_ignore_ascii_case("snappy") => Some(Self::Snappy),
            _ => None,
        }
    }

    /// The setting's value; anything unknown means none, as in Apache.
    pub fn of_setting(value: &str) -> Self {
        Self::of_suffix(value).unwrap_or_default()
    }
}

/// The digest section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotDigest {
    /// Transaction after which the tree has this digest; 0 when none was applied.
    pub zxid: Zxid,
    /// Digest version; 2 is the only one that can be compared.
    pub version: i32,
    /// The tree's digest.
    pub digest: u64,
}

/// What a fully read snapshot says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Sessions passed on.
    pub sessions: u64,
    /// ACL lists passed on.
    pub acls: u64,
    /// Nodes passed on.
    pub nodes: u64,
    /// Uncompressed length, bytes.
    pub bytes: u64,
    /// The digest section, if there is one.
    pub digest: Option<SnapshotDigest>,
    /// The last-zxid section, if there is one. When the snapshot is fuzzy it may exceed both the
    /// name and the digest's zxid; restore goes by the name.
    pub last_zxid: Option<Zxid>,
}

/// A visitor's refusal: the snapshot is well-formed and not a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub Cow<'static, str>);

impl Refused {
    /// A refusal with these words.
    pub fn new(why: impl Into<Cow<'static, str>>) -> Self {
        Self(why.into())
    }
}

/// Takes a snapshot's records in file order: sessions, ACL lists, nodes, then the end. An attempt
/// that fails in the middle leaves its visitor half filled; it must be dropped, never reused.
pub trait SnapshotVisitor {
    /// A session and its timeout in milliseconds.
    ///
    /// # Errors
    /// To reject the snapshot.
    fn session(&mut self, id: i64, timeout: i32) -> Result<(), Refused>;

    /// An ACL list; null means open.
    ///
    /// # Errors
    /// To reject the snapshot.
    fn acl(&mut self, id: i64, acl: Option<Vec<Acl>>) -> Result<(), Refused>;

    /// A node. The root's path is empty; a parent comes before its children. `acl_id` may be
    /// missing from the lists when the snapshot is fuzzy.
    ///
    /// # Errors
    /// To reject the snapshot.
    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), Refused>;

    /// Every seal held.
    ///
    /// # Errors
    /// To reject the snapshot.
    fn end(&mut self, info: &SnapshotInfo) -> Result<(), Refused> {
        let _ = info;
        Ok(())
    }
}

/// A visitor that looks at nothing; reading with it verifies a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ignore;

impl SnapshotVisitor for Ignore {
    fn session(&mut self, _: i64, _: i32) -> Result<(), Refused> {
        Ok(())
    }
    fn acl(&mut self, _: i64, _: Option<Vec<Acl>>) -> Result<(), Refused> {
        Ok(())
    }
    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: StatPersisted) -> Result<(), Refused> {
        Ok(())
    }
}

/// Why a file is not a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It could not be read, or its compression is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It does not begin as one.
    #[error("no snapshot header")]
    Magic,
    /// It ends too early or holds an impossible value.
    #[error("at uncompressed offset {offset}: {why}")]
    Record {
        /// Where the record begins, in the uncompressed stream.
        offset: u64,
        /// What is wrong with it.
        why: DecodeError,
    },
    /// A checksum is wrong.
    #[error("CRC corruption in the {section}: stored {stored:#x}, computed {computed:#x}")]
    Seal {
        /// tree, digest or last zxid.
        section: &'static str,
        /// The seal's.
        stored: i64,
        /// Ours.
        computed: i64,
    },
    /// The bytes behind the first seal are no known tail.
    #[error("{0} bytes behind the tree are no known tail")]
    Tail(usize),
    /// A snapshot on the wire does not end as one.
    #[error("the snapshot does not end with its signature")]
    Signature,
    /// The visitor rejected it.
    #[error("{0}")]
    Refused(#[from] Refused),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_suffixes() {
        assert_eq!(Compression::of_setting("gz"), Compression::Gz);
        assert_eq!(Compression::of_setting("zstd"), Compression::None);
        assert_eq!(Compression::of_suffix("tmp"), None);
        for c in [Compression::Gz, Compression::Snappy] {
            assert_eq!(Compression::of_suffix(&c.suffix()[1..]), Some(c));
        }
    }
}
