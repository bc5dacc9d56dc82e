//! Tests of recovery, over directories in memory.

use proptest::prelude::*;

use super::super::mem::MemDir;
use super::super::snapshot_write::SnapshotWriter;
use super::super::txnlog::{HEADER, HEADER_LEN, LogScanner, encode_record, record_len};
use super::*;
use crate::base::{Acl, StatPersisted};
use crate::jute::Jute as _;
use crate::proto::txn::{ErrorTxn, SetDataTxn, Txn, TxnHeader, some};

/// Remembers what it was given.
#[derive(Debug, Default)]
struct Seen {
    empty: bool,
    nodes: usize,
    sessions: usize,
    txns: Vec<i64>,
}

impl SnapshotVisitor for Seen {
    fn session(&mut self, _: i64, _: i32) -> Result<(), Refused> {
        self.sessions += 1;
        Ok(())
    }
    fn acl(&mut self, _: i64, _: Option<Vec<Acl>>) -> Result<(), Refused> {
        Ok(())
    }
    fn node(&mut self, _: &str, _: Option<&[u8]>, _: i64, _: StatPersisted) -> Result<(), Refused> {
        self.nodes += 1;
        Ok(())
    }
}

impl Recovery for Seen {
    fn begin_empty(&mut self) {
        self.empty = true;
    }
    fn txn(&mut self, entry: &Entry<'_>, _: &[u8]) -> Result<(), Refused> {
        self.txns.push(entry.header.zxid);
        Ok(())
    }
}

fn entry(zxid: i64, data: &[u8]) -> Vec<u8> {
    let mut out = TxnHeader {
        client_id: 1,
        zxid,
        op: 5,
        ..TxnHeader::default()
    }
    .to_bytes();
    Txn::SetData(SetDataTxn {
        path: some("/a"),
        data: Some(data),
        version: 1,
    })
    .encode(&mut out);
    out
}

fn error(zxid: i64) -> Vec<u8> {
    let mut out = TxnHeader {
        zxid,
        op: -1,
        ..TxnHeader::default()
    }
    .to_bytes();
    ErrorTxn { err: -5 }.encode(&mut out);
    out
}

fn log_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    entries.iter().for_each(|e| encode_record(e, &mut out));
    out
}

fn log(zxids: impl IntoIterator<Item = i64>) -> Vec<u8> {
    let all: Vec<_> = zxids.into_iter().map(|z| entry(z, b"data")).collect();
    log_of(&all)
}

fn snapshot() -> Vec<u8> {
    let mut w = SnapshotWriter::new(Vec::new(), Compression::None);
    w.sessions(&[(1, 2)]).unwrap();
    w.acls([]).unwrap();
    w.node("", None, -1, &StatPersisted::default()).unwrap();
    w.finish(None, None).unwrap().0
}

fn dir(files: &[(&str, Vec<u8>)]) -> MemDir {
    MemDir::with(files.iter().map(|(n, b)| ((*n).to_owned(), b.clone())))
}

fn run(dir: &MemDir, options: &RecoverOptions) -> Result<Recovered<Seen>, StoreError> {
    let places = Places {
        snap: dir,
        log: dir,
        roots: [dir, dir],
    };
    recover(&places, options, &mut Seen::default)
}

fn ok(dir: &MemDir) -> Recovered<Seen> {
    run(dir, &RecoverOptions::default()).unwrap()
}

fn err(dir: &MemDir) -> StoreError {
    let before = dir.names();
    let e = run(dir, &RecoverOptions::default()).unwrap_err();
    assert_eq!(dir.names(), before, "a refusal changes nothing");
    e
}

#[test]
fn snapshot_then_logs() {
    let d = dir(&[
        ("snapshot.2", snapshot()),
        ("log.1", log(1..=4)),
        ("log.5", log(5..=6)),
    ]);
    let got = ok(&d);
    let end = log(5..=6).len() as u64;
    assert_eq!(got.report.newest, Some(("log.5".to_owned(), end)));
    assert_eq!(got.target.txns, [3, 4, 5, 6]);
    assert_eq!((got.target.nodes, got.target.empty), (1, false));
    assert_eq!((got.report.last_zxid, got.report.txns), (Zxid(6), 4));
    assert_eq!(d.names().len(), 3);
}

#[test]
fn a_log_that_begins_behind_the_snapshot_spares_the_one_before() {
    let logs = [("log.1", vec![]), ("log.5", vec![]), ("log.9", vec![])];
    let files = crate::store::dir::list(&dir(&logs)).unwrap();
    let from = |z| files_from(&files, Zxid(z));
    assert_eq!(from(4), ["log.5", "log.9"]);
    assert_eq!(from(5), ["log.5", "log.9"]);
    assert_eq!(from(3), ["log.1", "log.5", "log.9"]);
    assert_eq!(from(20), ["log.9"]);
    assert_eq!(from(0), ["log.1", "log.5", "log.9"]);
}

#[test]
fn a_rejected_snapshot_leaves_nothing_behind() {
    let mut bad = snapshot();
    let n = bad.len();
    bad[n - 10] ^= 1;
    let d = dir(&[
        ("snapshot.2", snapshot()),
        ("snapshot.3", bad),
        ("log.3", log([3])),
    ]);
    let got = ok(&d);
    assert_eq!((got.target.sessions, got.target.txns), (1, vec![3]));
    let line = &got.report.lines[0];
    assert!(
        line.text
            .starts_with("problem reading snap file /mem/snapshot.3: CRC")
    );
}

#[test]
fn never_empty_beside_files() {
    let cut = snapshot()[..20].to_vec();
    let e = err(&dir(&[("snapshot.0", cut)]));
    assert!(matches!(e, StoreError::NoValidSnapshot { .. }), "{e}");
    let e = err(&dir(&[("snapshot.0.tmp", snapshot())]));
    assert!(matches!(e, StoreError::NoValidSnapshot { .. }), "{e}");
    for name in ["log.1", "log.1.bak"] {
        let e = err(&dir(&[(name, log([1]))]));
        assert!(matches!(e, StoreError::NoSnapshot(_)), "{e}");
    }
}

#[test]
fn logs_alone_need_to_be_trusted_and_whole() {
    let trust = RecoverOptions {
        trust_empty: true,
        ..RecoverOptions::default()
    };
    let got = run(&dir(&[("log.1", log(1..=3))]), &trust).unwrap();
    assert_eq!(got.report.origin, Origin::LogsOnly);
    assert_eq!((got.target.empty, got.target.txns), (true, vec![1, 2, 3]));
    let e = run(&dir(&[("log.2", log(2..=3))]), &trust).unwrap_err();
    assert!(matches!(e, StoreError::Gap { .. }), "{e}");
}

#[test]
fn an_empty_directory_is_new_when_trusted() {
    let got = ok(&dir(&[]));
    assert_eq!(
        (got.report.origin, got.report.last_zxid),
        (Origin::New, Zxid(0))
    );
    let wary = RecoverOptions {
        autocreate: false,
        ..RecoverOptions::default()
    };
    let got = run(&dir(&[]), &wary).unwrap();
    assert_eq!(got.report.origin, Origin::Untrusted);
    assert_eq!(got.report.last_zxid, Zxid(-1));
    let d = dir(&[("initialize", vec![])]);
    assert_eq!(run(&d, &wary).unwrap().report.origin, Origin::New);
    assert_eq!(d.names(), [""; 0]);
}

#[test]
fn holes_are_found_wherever_they_are() {
    let after_snapshot = dir(&[("snapshot.2", snapshot()), ("log.4", log(4..=5))]);
    let between = dir(&[
        ("snapshot.0", snapshot()),
        ("log.1", log(1..=2)),
        ("log.4", log([4])),
    ]);
    let inside = dir(&[("snapshot.0", snapshot()), ("log.1", log([1, 2, 4]))]);
    for d in [after_snapshot, between, inside] {
        let e = err(&d);
        assert!(
            matches!(
                e,
                StoreError::Gap {
                    found: Zxid(4),
                    last: Zxid(2),
                    ..
                }
            ),
            "{e}"
        );
    }
}

#[test]
fn epochs_change_inside_a_file_and_begin_at_one() {
    let two = |c: i64| (2 << 32) | c;
    let d = dir(&[
        ("snapshot.0", snapshot()),
        ("log.1", log([1, 2, two(1), two(2)])),
    ]);
    assert_eq!(ok(&d).report.last_zxid, Zxid(two(2)));
    let d = dir(&[("snapshot.0", snapshot()), ("log.1", log([1, 2, two(2)]))]);
    assert!(matches!(err(&d), StoreError::Gap { .. }));
}

#[test]
fn repeats_are_errors_or_copies() {
    let last = entry(2, b"data");
    let d = |more| {
        let all = [entry(1, b"data"), last.clone(), more, entry(3, b"")];
        dir(&[("snapshot.0", snapshot()), ("log.1", log_of(&all))])
    };
    assert_eq!(ok(&d(error(2))).target.txns, [1, 2, 3]);
    assert_eq!(ok(&d(last.clone())).target.txns, [1, 2, 3]);
    assert!(matches!(
        err(&d(entry(2, b"DATA"))),
        StoreError::Damaged { .. }
    ));
    assert!(matches!(err(&d(entry(1, b"data"))), StoreError::Gap { .. }));
}

#[test]
fn a_torn_older_log_is_fine_when_the_next_continues() {
    let mut torn = log(1..=3);
    torn.truncate(torn.len() - 5);
    let d = |next| {
        dir(&[
            ("snapshot.0", snapshot()),
            ("log.1", torn.clone()),
            ("log.3", log(next)),
        ])
    };
    let continued = d(3..=4);
    assert_eq!(ok(&continued).target.txns, [1, 2, 3, 4]);
    assert_eq!(continued.get("log.1").unwrap(), torn, "left as it is");
    let e = err(&d(4..=5)).to_string();
    assert!(
        e.contains("(log.1 ends inside a record at offset 142)"),
        "{e}"
    );
}

#[test]
fn a_torn_end_is_cut_and_empty_newest_logs_go() {
    let whole = log(1..=3);
    let mut torn = whole.clone();
    torn.truncate(whole.len() - 5);
    torn.resize(9000, 0);
    let d = dir(&[
        ("snapshot.0", snapshot()),
        ("log.1", torn),
        ("log.4", HEADER.to_vec()),
        ("log.5", vec![]),
        ("log.6", vec![0; 4096]),
        ("log.7", HEADER[..8].to_vec()),
    ]);
    let got = ok(&d);
    assert_eq!(got.target.txns, [1, 2]);
    assert_eq!(d.names(), ["log.1", "snapshot.0"]);
    assert_eq!(d.get("log.1").unwrap(), log(1..=2));
    let again = ok(&d);
    assert_eq!(
        (again.target.txns, again.report.lines.len()),
        (vec![1, 2], 1)
    );
}

#[test]
fn looking_changes_nothing() {
    let mut torn = log(1..=3);
    torn.truncate(torn.len() - 5);
    let d = dir(&[("snapshot.0", snapshot()), ("log.1", torn.clone())]);
    let look = RecoverOptions {
        repair: false,
        ..RecoverOptions::default()
    };
    assert_eq!(run(&d, &look).unwrap().target.txns, [1, 2]);
    assert_eq!(d.get("log.1").unwrap(), torn);
}

#[test]
fn damage_is_refused_with_its_place_and_can_be_given_up() {
    let mut bytes = log(1..=4);
    let at = log(1..=1).len();
    bytes[at + 30] ^= 1;
    let d = dir(&[
        ("snapshot.0", snapshot()),
        ("log.1", bytes.clone()),
        ("log.5", log(5..=6)),
    ]);
    let e = err(&d);
    let text = e.to_string();
    assert!(
        text.starts_with(&format!(
            "/mem/log.1 is damaged at offset {at}, behind zxid 0x1: CRC check failed"
        )),
        "{text}"
    );
    assert!(text.contains("transaction 0x3 follows at"), "{text}");
    assert!(text.contains("-Dzabra.acceptDamagedLog=true"), "{text}");
    let give_up = RecoverOptions {
        accept_damage: true,
        ..RecoverOptions::default()
    };
    let got = run(&d, &give_up).unwrap();
    assert_eq!((got.target.txns, got.report.last_zxid), (vec![1], Zxid(1)));
    assert_eq!(
        d.names(),
        ["damaged.log.1", "damaged.log.5", "log.1", "snapshot.0"]
    );
    assert_eq!(d.get("log.1").unwrap(), log([1]));
    assert_eq!(d.get("damaged.log.1").unwrap(), bytes);
    assert_eq!(ok(&d).report.last_zxid, Zxid(1));
}

#[test]
fn an_entry_that_cannot_be_read_is_damage() {
    let mut unknown = entry(2, b"");
    unknown[28..32].copy_from_slice(&99_i32.to_be_bytes());
    for bad in [unknown, vec![1; 10], entry(2, b"data")[..40].to_vec()] {
        let all = [entry(1, b""), bad];
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", log_of(&all))]);
        assert!(matches!(err(&d), StoreError::Damaged { .. }));
    }
}

/// The acknowledged records, and a batch behind them.
fn batch(acked: &[usize], last: &[usize]) -> (Vec<u8>, usize) {
    let all: Vec<_> = (1..)
        .zip(acked.iter().chain(last))
        .map(|(z, len)| entry(z, &vec![0xa5; *len]))
        .collect();
    let synced = log_of(&all[..acked.len()]).len();
    (log_of(&all), synced)
}

#[test]
fn torn_at_every_byte_of_the_last_batch() {
    let (bytes, synced) = batch(&[10, 300, 20], &[40, 700, 1, 90]);
    for cut in synced..bytes.len() {
        for pad in [0, 1, 600, 5000] {
            let mut part = bytes[..cut].to_vec();
            part.resize(cut + pad, 0);
            let d = dir(&[("snapshot.0", snapshot()), ("log.1", part)]);
            let got = ok(&d).target.txns;
            assert!(bytes.starts_with(&log_prefix(&bytes, got.len())));
            let next = log_prefix(&bytes, got.len() + 1).len();
            assert!(got.len() >= 3 && next > cut, "{got:?} at {cut} + {pad}");
            assert_eq!(ok(&d).target.txns, got, "a second start finds the same");
        }
    }
}

#[test]
fn a_file_with_a_missing_sector_is_kept() {
    let (mut bytes, synced) = batch(&[10, 300], &[2000, 40, 700]);
    bytes[1024..1536].fill(0);
    assert!(synced < 1024);
    let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes.clone())]);
    let got = ok(&d);
    assert_eq!(got.target.txns, [1, 2]);
    assert_eq!(d.names(), ["damaged.log.1", "log.1", "snapshot.0"]);
    assert_eq!(d.get("damaged.log.1").unwrap(), bytes);
    assert_eq!(d.get("log.1").unwrap(), bytes[..synced]);
    let loud = got.report.lines.iter().find(|l| l.level == Level::Error);
    assert!(loud.unwrap().text.contains("kept as damaged.log.1"));
    assert_eq!(ok(&d).report.lines.len(), 1, "told once");
}

/// The first `n` records with the header.
fn log_prefix(bytes: &[u8], n: usize) -> Vec<u8> {
    let mut s = LogScanner::new(bytes, LENGTH_MAX_DEFAULT).unwrap();
    let mut end = HEADER_LEN;
    for _ in 0..n {
        let (offset, entry) = s.next().unwrap();
        end = offset as usize + record_len(entry.len());
    }
    bytes[..end].to_vec()
}

proptest! {
    #[test]
    fn any_sectors_of_the_last_batch_may_be_missing(
        acked in prop::collection::vec(0usize..900, 1..6),
        last in prop::collection::vec(0usize..3000, 1..8),
        lost in prop::collection::vec(any::<bool>(), 64),
        unit in prop::sample::select(vec![512usize, 4096]),
    ) {
        let (mut bytes, synced) = batch(&acked, &last);
        bytes.resize(bytes.len().next_multiple_of(4096) + 4096, 0);
        for (i, lost) in (synced / unit..bytes.len() / unit).zip(lost) {
            if lost {
                bytes[synced.max(i * unit)..(i + 1) * unit].fill(0);
            }
        }
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes)]);
        let got = ok(&d).target.txns;
        prop_assert!(got.len() >= acked.len());
        prop_assert_eq!(ok(&d).target.txns, got);
    }

    #[test]
    fn mutated_directories_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = log(1..=6);
        for (at, b) in edits {
            let n = at.index(bytes.len());
            bytes[n] = b;
        }
        let d = dir(&[("snapshot.0", snapshot()), ("log.1", bytes)]);
        if let Ok(got) = run(&d, &RecoverOptions::default()) {
            let want: Vec<i64> = (1..=got.target.txns.len() as i64).collect();
            prop_assert_eq!(got.target.txns, want);
        }
    }
}
