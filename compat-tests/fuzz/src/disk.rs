//! Logs and snapshots, as a damaged disk or another program may leave them.

use std::io::Read;

use zabra::base::Zxid;
use zabra::runtime::Database;
use zabra::store::mem::MemDir;
use zabra::store::snapshot::Ignore;
use zabra::store::snapshot_read::uncompressed;
use zabra::store::txnlog::{HEADER, encode_record};
use zabra::store::{Compression, Places, RecoverOptions, SnapshotReader, recover};
use zabra::tree::TreeOptions;

use crate::bound::bounded;

/// Longest string, buffer or entry of these targets, bytes. Small, so that the bounds on memory
/// that depend on it can be met by a fuzzer's inputs.
const LENGTH_MAX: usize = 64 * 1024;
/// What readers allocate once: buffers of 256 KiB, doubled at need, and an empty tree.
const READER: usize = 3 * 1024 * 1024;

/// The bytes of a log. With an odd first byte what follows is a list of entries, each behind a
/// length of two bytes, and the checksums are made here: else nothing would get past them.
fn log_of(data: &[u8]) -> Vec<u8> {
    let Some((mode, mut rest)) = data.split_first() else {
        return vec![];
    };
    if mode % 2 == 0 {
        return rest.to_vec();
    }
    let mut log = HEADER.to_vec();
    while let Some((len, behind)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        let Some((entry, behind)) = behind.split_at_checked(len) else {
            break;
        };
        encode_record(entry, &mut log);
        rest = behind;
    }
    log.extend_from_slice(rest);
    log
}

/// Recovers from one log, and then again from what the first recovery left, which must come to the
/// same: a start never depends on how often it was tried.
pub fn log(data: &[u8]) {
    let log = log_of(data);
    bounded(&log, 2 * READER, |log| {
        let files = MemDir::default();
        files.put("log.1", log.to_vec());
        for accept_damage in [false, true] {
            let options = RecoverOptions {
                trust_empty: true,
                length_max: LENGTH_MAX,
                accept_damage,
                ..RecoverOptions::default()
            };
            let run = || {
                let places = Places {
                    snap: &files,
                    log: &files,
                    roots: [&files, &files],
                };
                let fresh = &mut || Database::new(TreeOptions::default());
                let recovered = recover(&places, &options, fresh).ok()?;
                let last = recovered.report.last_zxid;
                let (tree, sessions) = recovered.target.finish(last.max(Zxid::ZERO));
                Some((last, tree.digest().digest, sessions))
            };
            let first = run();
            assert_eq!(first, run(), "a second recovery differs");
        }
    });
}

/// A snapshot. With an odd first byte the seal behind the given bytes is made here.
pub fn snapshot(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else {
        return;
    };
    let mut bytes = bytes.to_vec();
    if mode % 2 == 1 {
        let seal = i64::from(simd_adler32::adler32(&&bytes[..]));
        bytes.extend_from_slice(&seal.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 1, b'/']);
    }
    bounded(&bytes, READER, |bytes| {
        let mut database = Database::new(TreeOptions::default());
        if SnapshotReader::new(bytes, LENGTH_MAX)
            .read(&mut database)
            .is_ok()
        {
            let _ = database.finish(Zxid(9));
        }
    });
}

/// A compressed file; what it unpacks to is as long as it likes, and never held as a whole.
fn compressed(data: &[u8], how: Compression, own: usize) {
    bounded(data, READER + own, |data| {
        let stream = uncompressed(Box::new(data.to_vec()), how);
        // Nothing a fuzzer finds lies behind so much of it; it keeps a run short.
        let stream = stream.take(16 << 20);
        let _ = SnapshotReader::new(stream, LENGTH_MAX).read(&mut Ignore);
    });
}

/// gzip: the unpacker's window and tables, which zlib-rs makes larger than they need be.
pub fn gz(data: &[u8]) {
    compressed(data, Compression::Gz, 512 * 1024);
}

/// snappy; a block may announce up to 8 MiB.
pub fn snappy(data: &[u8]) {
    compressed(data, Compression::Snappy, 8 << 20);
}
