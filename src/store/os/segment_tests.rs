//! Tests of the log writer, over real files.

use super::*;
use crate::store::log_reader::{LogReader, Step};
use crate::store::txnlog::{LENGTH_MAX_DEFAULT, Stop};

const BOTH: [RegionChoice; 2] = [RegionChoice::Mmap, RegionChoice::Pwrite];

fn options(region: RegionChoice, prealloc: u64) -> LogOptions {
    LogOptions {
        prealloc,
        region,
        ..LogOptions::default()
    }
}

fn entry(zxid: i64, len: usize) -> Vec<u8> {
    let mut e = vec![0; 12];
    e.extend_from_slice(&zxid.to_be_bytes());
    e.resize(32 + len, zxid as u8);
    e
}

fn put(w: &mut LogWriter, zxid: i64, len: usize) {
    w.append(Zxid(zxid), &entry(zxid, len)).unwrap();
}

/// Every record of every log, by file name, and how each file ends.
fn read_all(dir: &OsDir) -> Vec<(String, Vec<Vec<u8>>, Stop)> {
    let mut all = Vec::new();
    for f in crate::store::dir::list(dir).unwrap() {
        if !f.name.starts_with("log.") {
            continue;
        }
        let file = dir.open(&f.name).unwrap();
        let mut reader = LogReader::new(file, LENGTH_MAX_DEFAULT).unwrap().unwrap();
        let mut entries = Vec::new();
        let why = loop {
            match reader.step().unwrap() {
                Step::Entry { entry, .. } => entries.push(entry.to_vec()),
                Step::Stop { why, .. } => break why,
            }
        };
        all.push((f.name, entries, why));
    }
    all
}

fn names(dir: &OsDir) -> Vec<String> {
    let files = crate::store::dir::list(dir).unwrap();
    files.into_iter().map(|f| f.name).collect()
}

#[test]
fn what_is_appended_is_there_and_nothing_else() {
    for region in BOTH {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(region, 1 << 20)).unwrap();
        assert_eq!((w.file_name(), w.current_size()), (None, 0));
        for z in 1..=50 {
            put(&mut w, z, z as usize * 7);
            if z % 3 == 0 {
                w.commit().unwrap();
                assert_eq!(w.uncommitted(), 0);
            }
        }
        assert_eq!(w.file_name(), Some("log.1"));
        assert_eq!(w.last_zxid(), Zxid(50));
        w.close().unwrap();
        assert_eq!(names(&dir), ["log.1"]);
        let all = read_all(&dir);
        let want: Vec<_> = (1..=50).map(|z| entry(z, z as usize * 7)).collect();
        assert_eq!(all, [("log.1".to_owned(), want, Stop::End)]);
    }
}

#[test]
fn a_new_log_has_its_whole_length_in_real_blocks() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let mut w = LogWriter::open(&dir, options(RegionChoice::Mmap, 4 << 20)).unwrap();
    put(&mut w, 0x1_0000_0001, 100);
    w.commit().unwrap();
    let meta = std::fs::metadata(dir.join("log.100000001")).unwrap();
    assert_eq!(meta.len(), 16 + (4 << 20));
    assert!(meta.blocks() * 512 >= meta.len());
    assert_eq!(w.current_size(), meta.len());
    // Killed here, the file is padded with zeros.
    assert_eq!(read_all(&dir)[0].2, Stop::Padding);
}

#[test]
fn rolling_begins_a_file_and_cuts_the_old_one() {
    for region in BOTH {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(region, 2 << 20)).unwrap();
        for z in 1..=9 {
            put(&mut w, z, 500_000);
            w.commit().unwrap();
        }
        let open = w.current_size();
        assert!(w.size_since_roll() > 2 * open, "three files, none rolled");
        w.roll().unwrap();
        assert_eq!(w.size_since_roll(), 0);
        put(&mut w, 10, 3_000_000);
        assert_eq!(w.file_name(), Some("log.a"));
        w.close().unwrap();
        let all = read_all(&dir);
        let found: Vec<_> = all.iter().map(|f| (f.0.as_str(), f.1.len(), f.2)).collect();
        let end = Stop::Bad(crate::store::txnlog::Bad::Length(3_000_032));
        let want = [("log.1", 4, Stop::End), ("log.5", 4, Stop::End)];
        assert_eq!(found[..2], want);
        assert_eq!(found[2..], [("log.9", 1, Stop::End), ("log.a", 0, end)]);
    }
}

#[test]
fn short_segments_grow_in_place() {
    for region in BOTH {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut w = LogWriter::open(&dir, options(region, 1024)).unwrap();
        for z in 1..=200 {
            put(&mut w, z, 3000);
            if z == 1 || z % 10 == 0 {
                w.commit().unwrap();
            }
        }
        w.close().unwrap();
        let all = read_all(&dir);
        assert_eq!((all.len(), all[0].1.len()), (1, 200));
    }
}

#[test]
fn without_preallocation_the_file_is_as_long_as_its_records() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 0)).unwrap();
    put(&mut w, 1, 100);
    w.commit().unwrap();
    assert_eq!(std::fs::metadata(dir.join("log.1")).unwrap().len(), 161);
    assert_eq!(w.current_size(), 161);
}

#[test]
fn a_size_limit_rolls_after_the_commit() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let limited = LogOptions {
        size_limit: Some(4096),
        ..options(RegionChoice::Auto, 1 << 20)
    };
    let mut w = LogWriter::open(&dir, limited).unwrap();
    for z in 1..=10 {
        put(&mut w, z, 2000);
        w.commit().unwrap();
    }
    w.close().unwrap();
    assert_eq!(names(&dir), ["log.1", "log.3", "log.5", "log.7", "log.9"]);
}

#[test]
fn a_log_that_exists_is_never_replaced_and_the_error_is_final() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    std::fs::write(dir.join("log.1"), b"precious").unwrap();
    let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
    let e = w.append(Zxid(1), &entry(1, 1)).unwrap_err();
    assert!(matches!(e, StoreError::Exists { .. }), "{e}");
    let e = w.append(Zxid(2), &entry(2, 1)).unwrap_err();
    assert!(matches!(e, StoreError::Poisoned(_)), "{e}");
    assert!(w.commit().is_err());
    assert_eq!(std::fs::read(dir.join("log.1")).unwrap(), b"precious");
}

#[test]
fn leftovers_of_a_killed_process_are_cleaned_up() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    std::fs::write(dir.join("prealloc.7"), b"x").unwrap();
    let w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
    w.close().unwrap();
    assert_eq!(names(&dir), [""; 0]);
}

#[test]
fn blocks_of_a_killed_process_are_given_back_and_sparse_padding_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let mut killed = LogWriter::open(&dir, options(RegionChoice::Mmap, 4 << 20)).unwrap();
    put(&mut killed, 1, 100);
    killed.commit().unwrap();
    drop(killed);
    let sparse = File::create(dir.join("log.0")).unwrap();
    sparse.set_len(4 << 20).unwrap();
    let w = LogWriter::open(&dir, options(RegionChoice::Mmap, 1 << 20)).unwrap();
    w.trim("log.1", 161);
    w.trim("log.0", 16);
    w.close().unwrap();
    let len = |name: &str| std::fs::metadata(dir.join(name)).unwrap().len();
    assert_eq!((len("log.1"), len("log.0")), (161, 4 << 20));
}

#[test]
fn a_batch_is_never_longer_than_recovery_assumes() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let mut w = LogWriter::open(&dir, options(RegionChoice::Mmap, 32 << 20)).unwrap();
    for z in 1..=12 {
        put(&mut w, z, 2_000_000);
        assert!(w.uncommitted() <= BATCH_BYTES_MAX as u64);
    }
    w.close().unwrap();
    assert_eq!(read_all(&dir)[0].1.len(), 12);
}

#[test]
fn an_empty_entry_is_refused_and_nothing_is_lost() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let mut w = LogWriter::open(&dir, options(RegionChoice::Auto, 1 << 20)).unwrap();
    let e = w.append(Zxid(1), b"").unwrap_err();
    assert!(matches!(e, StoreError::Invalid(_)), "{e}");
    put(&mut w, 1, 5);
    w.close().unwrap();
    assert_eq!(read_all(&dir)[0].1.len(), 1);
}
