//! Reads a snapshot once, front to back, with bounded memory (Apache: `FileSnap.deserialize`,
//! `SnapStream.checkSealIntegrity`).
//!
//! Differs: Apache expects exactly the tail sections that its own flags enable and rejects files
//! written under others; here the number of bytes left decides. Apache stops looking behind the
//! last section it expects; here any other byte is an error.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

use std::io::{self, Read};

use flate2::read::GzDecoder;
use simd_adler32::Adler32;

use crate::base::text::java_utf8;
use crate::base::{Acl, Id, Perms, Zxid};
use crate::jute::{DecodeError, Input};

use super::dir::{Dir, ReadAt, Sequential, read_full};
use super::snappy::{self, SnappyReader};
use super::snapshot::{
    Compression, DIGEST_LEN, Ignore, LAST_ZXID_LEN, MAGIC, SnapshotDigest, SnapshotError,
    SnapshotInfo, SnapshotVisitor,
};
use super::snapshot_records::NodeRecord;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;
const HEADER_LEN: usize = 16;
/// A terminator or the end of a seal: the string "/".
const SLASH: [u8; 5] = [0, 0, 0, 1, b'/'];
const STAT_LEN: usize = 60;

/// Reads one snapshot from an uncompressed stream.
pub struct SnapshotReader<R> {
    from: R,
    buf: Vec<u8>,
    /// Of `buf`: hashed up to here, decoded up to here, filled up to here.
    hashed: usize,
    at: usize,
    to: usize,
    /// Stream offset of `buf[0]`.
    base: u64,
    adler: Adler32,
    length_max: usize,
    info: SnapshotInfo,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads from `from`; strings and buffers may be up to `length_max` bytes long.
    pub fn new(from: R, length_max: usize) -> Self {
        Self {
            from,
            buf: vec![0; CHUNK],
            hashed: 0,
            at: 0,
            to: 0,
            base: 0,
            adler: Adler32::new(),
            length_max,
            info: SnapshotInfo::default(),
        }
    }

    /// Reads everything, to the end of the stream, and gives it to `visitor`.
    ///
    /// # Errors
    /// When it is not a whole snapshot, or the visitor refuses; then the visitor holds part of one.
    pub fn read(
        mut self,
        visitor: &mut (impl SnapshotVisitor + ?Sized),
    ) -> Result<SnapshotInfo, SnapshotError> {
        self.header()?;
        self.sessions(visitor)?;
        self.acls(visitor)?;
        while self.node(visitor)? {}
        self.seal("tree")?;
        self.tail()?;
        self.info.bytes = self.offset();
        visitor.end(&self.info)?;
        Ok(self.info)
    }

    fn header(&mut self) -> Result<(), SnapshotError> {
        if !self.fill(HEADER_LEN)? || !self.unread().starts_with(&MAGIC) {
            return Err(SnapshotError::Magic);
        }
        self.at = self.at.saturating_add(HEADER_LEN);
        Ok(())
    }

    fn sessions(
        &mut self,
        visitor: &mut (impl SnapshotVisitor + ?Sized),
    ) -> Result<(), SnapshotError> {
        for _ in 0..self.int()? {
            let (id, timeout) = (self.long()?, self.int()?);
            visitor.session(id, timeout)?;
            self.info.sessions = self.info.sessions.saturating_add(1);
        }
        Ok(())
    }

    fn acls(&mut self, visitor: &mut (impl SnapshotVisitor + ?Sized)) -> Result<(), SnapshotError> {
        for _ in 0..self.int()? {
            let id = self.long()?;
            let acl = match self.int()? {
                -1 => None,
                count => {
                    let mut list = Vec::new();
                    for _ in 0..count {
                        list.push(self.acl()?);
                    }
                    Some(list)
                }
            };
            visitor.acl(id, acl)?;
            self.info.acls = self.info.acls.saturating_add(1);
        }
        Ok(())
    }

    fn acl(&mut self) -> Result<Acl, SnapshotError> {
        Ok(Acl {
            perms: Perms(self.int()?),
            id: Id {
                scheme: self.string()?,
                id: self.string()?,
            },
        })
    }

    /// One node; false at the terminator.
    fn node(
        &mut self,
        visitor: &mut (impl SnapshotVisitor + ?Sized),
    ) -> Result<bool, SnapshotError> {
        const INT: usize = 4;
        let path_len = self.length_at(0)?.ok_or(self.wrong(DecodeError::Null))?;
        let data_at = INT.saturating_add(path_len);
        self.need(data_at)?;
        if self.unread().starts_with(&SLASH) && path_len == 1 {
            self.at = self.at.saturating_add(SLASH.len());
            return Ok(false);
        }
        let data_len = self.length_at(data_at)?;
        let acl_at = data_at
            .saturating_add(INT)
            .saturating_add(data_len.unwrap_or(0));
        let end = acl_at.saturating_add(8 + STAT_LEN);
        self.need(end)?;
        let record = self.unread().get(..end).unwrap_or_default();
        let mut rest = Input::with_limit(record, self.length_max);
        let parsed = NodeRecord::decode(&mut rest).map_err(|why| self.wrong(why))?;
        let n = parsed.ok_or(self.wrong(DecodeError::Null))?;
        visitor.node(&java_utf8(n.path), n.data, n.acl_id, n.stat)?;
        self.at = self.at.saturating_add(end);
        self.info.nodes = self.info.nodes.saturating_add(1);
        Ok(true)
    }

    fn tail(&mut self) -> Result<(), SnapshotError> {
        const BOTH: usize = DIGEST_LEN + LAST_ZXID_LEN;
        self.fill(BOTH + 1)?;
        let left = self.unread().len();
        if !matches!(left, 0 | LAST_ZXID_LEN | DIGEST_LEN | BOTH) {
            return Err(SnapshotError::Tail(left));
        }
        if left >= DIGEST_LEN {
            self.info.digest = Some(SnapshotDigest {
                zxid: Zxid(self.long()?),
                version: self.int()?,
                digest: self.long()? as u64,
            });
            self.seal("digest")?;
        }
        if matches!(left, LAST_ZXID_LEN | BOTH) {
            self.info.last_zxid = Some(Zxid(self.long()?));
            self.seal("last zxid")?;
        }
        Ok(())
    }

    fn seal(&mut self, section: &'static str) -> Result<(), SnapshotError> {
        self.hash();
        let computed = i64::from(self.adler.finish());
        let stored = self.long()?;
        self.need(SLASH.len())?;
        if stored != computed || !self.unread().starts_with(&SLASH) {
            return Err(SnapshotError::Seal {
                section,
                stored,
                computed,
            });
        }
        self.at = self.at.saturating_add(SLASH.len());
        Ok(())
    }

    /// The length field at `skip` bytes from here; `None` is null.
    fn length_at(&mut self, skip: usize) -> Result<Option<usize>, SnapshotError> {
        self.need(skip.saturating_add(4))?;
        let field = self.unread().get(skip..).and_then(|b| b.first_chunk::<4>());
        let announced = i32::from_be_bytes(*field.ok_or(self.wrong(DecodeError::Short))?);
        match usize::try_from(announced) {
            Ok(n) if n <= self.length_max => Ok(Some(n)),
            _ if announced == -1 => Ok(None),
            _ => Err(self.wrong(DecodeError::Length(announced))),
        }
    }

    fn string(&mut self) -> Result<String, SnapshotError> {
        let len = self.length_at(0)?.ok_or(self.wrong(DecodeError::Null))?;
        let end = len.saturating_add(4);
        self.need(end)?;
        let text = java_utf8(self.unread().get(4..end).unwrap_or_default()).into_owned();
        self.at = self.at.saturating_add(end);
        Ok(text)
    }

    fn int(&mut self) -> Result<i32, SnapshotError> {
        self.take().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Result<i64, SnapshotError> {
        self.take().map(i64::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        self.need(N)?;
        let bytes = self.unread().first_chunk::<N>().copied();
        let bytes = bytes.ok_or(self.wrong(DecodeError::Short))?;
        self.at = self.at.saturating_add(N);
        Ok(bytes)
    }

    fn need(&mut self, n: usize) -> Result<(), SnapshotError> {
        match self.fill(n)? {
            true => Ok(()),
            false => Err(self.wrong(DecodeError::Short)),
        }
    }

    fn wrong(&self, why: DecodeError) -> SnapshotError {
        SnapshotError::Record {
            offset: self.offset(),
            why,
        }
    }

    fn offset(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    fn unread(&self) -> &[u8] {
        self.buf.get(self.at..self.to).unwrap_or_default()
    }

    /// Hashes what has been decoded.
    fn hash(&mut self) {
        self.adler
            .write(self.buf.get(self.hashed..self.at).unwrap_or_default());
        self.hashed = self.at;
    }

    /// Has at least `n` unread bytes if the stream does. The buffer grows by doubling with what is
    /// there, never to an announced length at once.
    fn fill(&mut self, n: usize) -> io::Result<bool> {
        if self.to.saturating_sub(self.at) >= n {
            return Ok(true);
        }
        self.hash();
        self.buf.copy_within(self.at..self.to, 0);
        self.base = self.base.saturating_add(self.at as u64);
        self.to = self.to.saturating_sub(self.at);
        (self.at, self.hashed) = (0, 0);
        while self.to < n {
            if self.to == self.buf.len() {
                self.buf.resize(self.buf.len().saturating_mul(2), 0);
            }
            match self
                .from
                .read(self.buf.get_mut(self.to..).unwrap_or_default())
            {
                Ok(0) => return Ok(false),
                Ok(got) => self.to = self.to.saturating_add(got),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

/// The uncompressed stream of a snapshot file.
pub fn uncompressed(file: Box<dyn ReadAt>, compression: Compression) -> Box<dyn Read> {
    let bytes = Sequential::new(file);
    match compression {
        Compression::None => Box::new(bytes),
        Compression::Gz => Box::new(GzDecoder::new(io::BufReader::with_capacity(CHUNK, bytes))),
        Compression::Snappy => Box::new(SnappyReader::new(io::BufReader::with_capacity(
            CHUNK, bytes,
        ))),
    }
}

/// Reads the snapshot `name` of `dir`.
///
/// # Errors
/// As [`SnapshotReader::read`].
pub fn read_file(
    dir: &dyn Dir,
    name: &str,
    compression: Compression,
    length_max: usize,
    visitor: &mut (impl SnapshotVisitor + ?Sized),
) -> Result<SnapshotInfo, SnapshotError> {
    let stream = uncompressed(dir.open(name)?, compression);
    SnapshotReader::new(stream, length_max).read(visitor)
}

/// Reads a file to its end and checks every seal.
///
/// # Errors
/// As [`SnapshotReader::read`].
pub fn verify(
    dir: &dyn Dir,
    name: &str,
    compression: Compression,
    length_max: usize,
) -> Result<SnapshotInfo, SnapshotError> {
    read_file(dir, name, compression, length_max, &mut Ignore)
}

/// Apache's cheap check (`SnapStream.isValidSnapshot`): plain files end in "/", compressed ones
/// begin as such. True says little; false says the file is none.
///
/// # Errors
/// What the device says.
pub fn looks_whole(dir: &dyn Dir, name: &str, compression: Compression) -> io::Result<bool> {
    let file = dir.open(name)?;
    let len = file.len()?;
    let mut bytes = [0; 8];
    let (at, want): (u64, &[u8]) = match compression {
        Compression::None if len < 10 => return Ok(false),
        Compression::None => (len.saturating_sub(5), &SLASH),
        Compression::Gz => (0, &[0x1f, 0x8b]),
        Compression::Snappy => (0, &snappy::MAGIC),
    };
    let n = read_full(&*file, &mut bytes, at)?;
    Ok(bytes.get(..n).unwrap_or_default().starts_with(want))
}
