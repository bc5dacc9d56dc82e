//! Writes a snapshot as a stream (Apache: `FileSnap.serialize`, `SnapStream.sealStream`).

use std::io::{self, Write};

use flate2::write::GzEncoder;
use simd_adler32::Adler32;

use crate::base::{Acl, StatPersisted, Zxid};
use crate::jute::Output;

use super::snappy::SnappyWriter;
use super::snapshot::{Compression, DBID, MAGIC, SnapshotDigest, VERSION};
use super::snapshot_records::{encode_acl, encode_node, encode_session};

/// Bytes gathered before they are hashed, compressed and passed on.
const CHUNK: usize = 64 * 1024;
const SLASH: &str = "/";

enum Packer<W: Write> {
    Plain(W),
    Gz(Box<GzEncoder<W>>),
    Snappy(Box<SnappyWriter<W>>),
}

impl<W: Write> Packer<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(w) => w.write_all(bytes),
            Self::Gz(w) => w.write_all(bytes),
            Self::Snappy(w) => w.write_all(bytes),
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(w) => Ok(w),
            Self::Gz(w) => w.finish(),
            Self::Snappy(w) => w.finish(),
        }
    }
}

/// Writes one snapshot. Calls in this order: [`sessions`](Self::sessions), [`acls`](Self::acls),
/// [`node`](Self::node) for the root (empty path) and then each parent before its children,
/// [`finish`](Self::finish). A snapshot that is not finished is not one.
pub struct SnapshotWriter<W: Write> {
    to: Packer<W>,
    buf: Vec<u8>,
    adler: Adler32,
    bytes: u64,
}

impl<W: Write> SnapshotWriter<W> {
    /// Starts with the header.
    pub fn new(to: W, compression: Compression) -> Self {
        let to = match compression {
            Compression::None => Packer::Plain(to),
            Compression::Gz => {
                Packer::Gz(Box::new(GzEncoder::new(to, flate2::Compression::default())))
            }
            Compression::Snappy => Packer::Snappy(Box::new(SnappyWriter::new(to))),
        };
        let mut buf = Vec::with_capacity(2 * CHUNK);
        buf.raw(&MAGIC);
        buf.int(VERSION);
        buf.long(DBID);
        Self {
            to,
            buf,
            adler: Adler32::new(),
            bytes: 0,
        }
    }

    /// Each session's id and timeout in milliseconds.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn sessions(&mut self, sessions: &[(i64, i32)]) -> io::Result<()> {
        self.buf.count(sessions.len());
        for (id, timeout) in sessions {
            encode_session(&mut self.buf, *id, *timeout);
            self.pass_on()?;
        }
        Ok(())
    }

    /// Each ACL list under its id.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn acls<'a, I>(&mut self, acls: I) -> io::Result<()>
    where
        I: IntoIterator<Item = (i64, &'a [Acl])>,
        I::IntoIter: ExactSizeIterator,
    {
        let acls = acls.into_iter();
        self.buf.count(acls.len());
        for (id, list) in acls {
            encode_acl(&mut self.buf, id, list);
            self.pass_on()?;
        }
        Ok(())
    }

    /// A node; the root's path is empty.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: &StatPersisted,
    ) -> io::Result<()> {
        encode_node(&mut self.buf, path, data, acl_id, stat);
        self.pass_on()
    }

    /// Ends the nodes, writes the seals and the tail, and gives back the writer and the
    /// uncompressed length.
    ///
    /// Without a digest the last zxid is left out too: 3.6 to 3.9 with default flags reject a file
    /// that has it alone. With neither, every version and every flag combination reads the file.
    ///
    /// # Errors
    /// What the writer below says.
    pub fn finish(
        mut self,
        digest: Option<SnapshotDigest>,
        last_zxid: Option<Zxid>,
    ) -> io::Result<(W, u64)> {
        self.buf.string(Some(SLASH));
        self.seal()?;
        if let Some(d) = digest {
            self.buf.long(d.zxid.0);
            self.buf.int(d.version);
            self.buf.long(d.digest as i64);
            self.seal()?;
            if let Some(zxid) = last_zxid {
                self.buf.long(zxid.0);
                self.seal()?;
            }
        }
        self.write_out()?;
        let mut to = self.to.finish()?;
        to.flush()?;
        Ok((to, self.bytes))
    }

    fn seal(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.buf.long(i64::from(self.adler.finish()));
        self.buf.string(Some(SLASH));
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        match self.buf.len() {
            0..CHUNK => Ok(()),
            _ => self.write_out(),
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.adler.write(&self.buf);
        self.to.write_all(&self.buf)?;
        self.bytes += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::snappy::SnappyReader;
    use super::super::snapshot::{Refused, SnapshotError, SnapshotInfo, SnapshotVisitor};
    use super::super::snapshot_read::SnapshotReader;
    use super::*;

    type Node = (String, Option<Vec<u8>>, i64, StatPersisted);

    #[derive(Debug, Default, PartialEq)]
    struct All {
        sessions: Vec<(i64, i32)>,
        acls: Vec<(i64, Option<Vec<Acl>>)>,
        nodes: Vec<Node>,
        ended: Option<SnapshotInfo>,
    }

    impl SnapshotVisitor for All {
        fn session(&mut self, id: i64, timeout: i32) -> Result<(), Refused> {
            self.sessions.push((id, timeout));
            Ok(())
        }
        fn acl(&mut self, id: i64, acl: Option<Vec<Acl>>) -> Result<(), Refused> {
            self.acls.push((id, acl));
            Ok(())
        }
        fn node(
            &mut self,
            path: &str,
            data: Option<&[u8]>,
            acl_id: i64,
            stat: StatPersisted,
        ) -> Result<(), Refused> {
            self.nodes
                .push((path.to_owned(), data.map(<[u8]>::to_vec), acl_id, stat));
            Ok(())
        }
        fn end(&mut self, info: &SnapshotInfo) -> Result<(), Refused> {
            self.ended = Some(*info);
            Ok(())
        }
    }

    const LIMIT: usize = 1 << 21;
    const DIGEST: SnapshotDigest = SnapshotDigest {
        zxid: Zxid(7),
        version: 2,
        digest: 0xdead_beef_0123,
    };

    fn sample(
        c: Compression,
        digest: Option<SnapshotDigest>,
        last: Option<Zxid>,
        nodes: &[Node],
    ) -> Vec<u8> {
        let mut w = SnapshotWriter::new(Vec::new(), c);
        w.sessions(&[(0x0100_0000_0000_0001, 30_000)]).unwrap();
        let (a, b) = (Acl::open(), Acl::read_only());
        w.acls([(1, &a[..]), (2, &b[..])]).unwrap();
        for (path, data, acl, stat) in nodes {
            w.node(path, data.as_deref(), *acl, stat).unwrap();
        }
        w.finish(digest, last).unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<(All, SnapshotInfo), SnapshotError> {
        let mut all = All::default();
        let info = SnapshotReader::new(bytes, LIMIT).read(&mut all)?;
        Ok((all, info))
    }

    fn nodes() -> Vec<Node> {
        let stat = StatPersisted {
            czxid: 5,
            ..StatPersisted::default()
        };
        vec![
            (String::new(), Some(vec![]), -1, stat),
            ("/a".to_owned(), None, 1, stat),
            ("/a/ä".to_owned(), Some(vec![9; 300_000]), 2, stat),
        ]
    }

    #[test]
    fn every_tail_reads_back() {
        for (digest, last, tail) in [
            (None, None, 0),
            (Some(DIGEST), None, 33),
            (Some(DIGEST), Some(Zxid(8)), 54),
        ] {
            let bytes = sample(Compression::None, digest, last, &nodes());
            let (all, info) = read(&bytes).unwrap();
            assert_eq!(all.nodes, nodes());
            assert_eq!((info.digest, info.last_zxid), (digest, last));
            assert_eq!((info.sessions, info.acls, info.nodes), (1, 2, 3));
            assert_eq!((info.bytes, all.ended), (bytes.len() as u64, Some(info)));
            let bare = sample(Compression::None, None, None, &nodes());
            assert_eq!(bytes.len() - bare.len(), tail);
        }
    }

    #[test]
    fn the_last_zxid_never_stands_alone_but_is_read() {
        let bare = sample(Compression::None, None, None, &nodes());
        let alone = sample(Compression::None, None, Some(Zxid(8)), &nodes());
        assert_eq!(alone, bare);
        let mut bytes = bare;
        bytes.long(8);
        let sum = i64::from(simd_adler32::adler32(&&bytes[..]));
        bytes.long(sum);
        bytes.string(Some("/"));
        assert_eq!(read(&bytes).unwrap().1.last_zxid, Some(Zxid(8)));
    }

    #[test]
    fn no_cut_and_no_flip_goes_unnoticed() {
        let small = nodes()[..2].to_vec();
        let bytes = sample(Compression::None, Some(DIGEST), Some(Zxid(8)), &small);
        let tails = [bytes.len() - 54, bytes.len() - 21];
        for cut in (0..bytes.len()).filter(|c| !tails.contains(c)) {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(read(&flipped).is_err(), "flipped at {at}");
        }
        let mut more = bytes.clone();
        more.push(0);
        assert!(matches!(read(&more), Err(SnapshotError::Tail(55))));
    }

    #[test]
    fn compressed_streams_hold_the_same_bytes() {
        let plain = sample(Compression::None, Some(DIGEST), None, &nodes());
        for c in [Compression::Gz, Compression::Snappy] {
            let packed = sample(c, Some(DIGEST), None, &nodes());
            let mut back = Vec::new();
            let n = match c {
                Compression::Gz => {
                    assert_eq!(packed[..4], [0x1f, 0x8b, 8, 0]);
                    io::copy(&mut flate2::read::GzDecoder::new(&packed[..]), &mut back)
                }
                _ => io::copy(&mut SnappyReader::new(&packed[..]), &mut back),
            };
            assert_eq!(n.unwrap(), plain.len() as u64);
            assert_eq!(back, plain);
        }
    }

    #[test]
    fn a_refusal_ends_the_reading() {
        struct No;
        impl SnapshotVisitor for No {
            fn session(&mut self, _: i64, _: i32) -> Result<(), Refused> {
                Ok(())
            }
            fn acl(&mut self, _: i64, _: Option<Vec<Acl>>) -> Result<(), Refused> {
                Ok(())
            }
            fn node(
                &mut self,
                path: &str,
                _: Option<&[u8]>,
                _: i64,
                _: StatPersisted,
            ) -> Result<(), Refused> {
                Err(Refused::new(format!("no {path:?}")))
            }
        }
        let bytes = sample(Compression::None, None, None, &nodes());
        let e = SnapshotReader::new(&bytes[..], LIMIT)
            .read(&mut No)
            .unwrap_err();
        assert_eq!(e.to_string(), "no \"\"");
    }

    proptest! {
        #[test]
        fn mutated_bytes_never_panic(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = sample(Compression::None, Some(DIGEST), Some(Zxid(8)), &nodes()[..2]);
            for (at, b) in edits {
                let n = at.index(bytes.len());
                bytes[n] = b;
            }
            let _ = read(&bytes);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut all = MAGIC.to_vec();
            all.extend_from_slice(&[0; 12]);
            all.extend_from_slice(&bytes);
            let _ = read(&all);
        }
    }
}
