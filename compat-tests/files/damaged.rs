//! Damaged directories: each leads to what the table says, and can be opened by any server after.

use std::fs;

use zabra::base::Zxid;
use zabra::store::os::{DataDirs, DirOptions};
use zabra::store::{Dir as _, FileName, Origin, RecoverOptions};

use super::golden::Golden;
use super::{differences, load, load_with};

/// What a damaged directory leads to.
enum Want {
    /// The undamaged tree.
    Same,
    /// The tree without the last transaction, a create of `/n/e`.
    WithoutLast,
    /// The tree of the newest snapshot.
    SnapshotOnly,
    /// A new database.
    New,
    /// No start; the message has these words.
    Refused(&'static str),
}

/// Every case of the corpus: what we do, and where that is better than 3.9.5, why.
const CASES: [(&str, Want, &str); 32] = [
    ("c00-base", Want::Same, ""),
    ("c01-empty-tail-log", Want::Same, ""),
    (
        "c02-short-header-tail-log",
        Want::Same,
        "Apache fails; nothing can be in the file",
    ),
    ("c03-header-only-tail-log", Want::Same, ""),
    (
        "c04-zeroed-header-tail-log",
        Want::Same,
        "Apache fails; nothing is in the file",
    ),
    ("c05-cut-mid-record", Want::WithoutLast, ""),
    ("c06-zero-tail-mid-record", Want::WithoutLast, ""),
    (
        "c07-hole-inside-last-record",
        Want::Refused("CRC check failed"),
        "",
    ),
    (
        "c08-crc-flip-middle-record",
        Want::Refused("and transaction 0x21 follows"),
        "",
    ),
    (
        "c09-huge-length",
        Want::Refused("Unreasonable length = 2147483647"),
        "",
    ),
    (
        "c10-negative-length",
        Want::Refused("Unreasonable length = -5"),
        "",
    ),
    (
        "c11-length-minus-one",
        Want::Refused("Unreasonable length = -1"),
        "with its place, not a null pointer",
    ),
    ("c12-eor-wrong", Want::WithoutLast, ""),
    (
        "c13-zero-length-mid-log",
        Want::Refused("length 0, and transaction 0x21 follows"),
        "Apache drops two transactions in silence",
    ),
    (
        "c14-torn-record-in-previous-log-covered",
        Want::Refused("0x1f at offset 16 does not follow 0x1d"),
        "Apache loses 0x1e in silence",
    ),
    (
        "c15-torn-record-in-previous-log-needed",
        Want::Refused("(log.18 ends inside a record"),
        "",
    ),
    (
        "c16-missing-middle-log",
        Want::Refused("does not follow 0x17"),
        "",
    ),
    (
        "c17-no-snapshot",
        Want::Refused("No snapshot found, but there are log entries"),
        "",
    ),
    (
        "c18-all-snapshots-truncated",
        Want::Refused("Not able to find valid snapshots"),
        "",
    ),
    ("c19-newest-snapshot-bitflip", Want::Same, ""),
    ("c20-newest-snapshot-truncated", Want::Same, ""),
    ("c21-newest-snapshot-without-tail-sections", Want::Same, ""),
    ("c22-newest-snapshot-without-lastzxid", Want::Same, ""),
    (
        "c23-newest-snapshot-lastzxid-without-digest",
        Want::Same,
        "Apache falls back to an older one",
    ),
    ("c24-newest-snapshot-wrong-digest", Want::Same, ""),
    ("c25-snapshot-tmp-leftover", Want::Same, ""),
    (
        "c26-snapshot-tmp-complete",
        Want::Same,
        "Apache loads the leftover and everything newer is gone",
    ),
    ("c27-no-logs", Want::SnapshotOnly, ""),
    ("c28-duplicate-last-record", Want::Same, ""),
    ("c29-log-header-version-dbid", Want::Same, ""),
    ("c30-empty-dir-but-epoch", Want::New, ""),
    (
        "c31-log-backup-copy",
        Want::Same,
        "Apache replays the copy too",
    ),
];

#[test]
fn damaged_directories_behave_as_in_the_table() {
    let golden = Golden::unpack("std-395-corruption-corpus");
    let base = golden.tree("base-expected-tree.json");
    let apache = golden.json("cases.json");
    assert_eq!(apache["cases"].as_object().unwrap().len(), CASES.len());
    for (case, want, better) in CASES {
        let copy = golden.copy(case);
        let got = load(&copy);
        let result = &apache["cases"][case]["results"]["3.9.5"];
        let started = result["started"].as_bool().unwrap();
        let lost = result["diff"].as_u64().unwrap_or_default() > 0;
        let ours = got.as_ref().map(|r| differences(&r.target.view(), &base));
        match (&want, &ours) {
            (Want::Same, Ok(d)) => {
                assert!(d.is_empty(), "{case}: {d:?}");
                assert!(started && !lost || !better.is_empty(), "{case}");
            }
            (Want::WithoutLast, Ok(d)) => {
                assert_eq!(d.get("/n/e"), Some(&"missing"), "{case}");
                assert_eq!((d.len(), started && lost), (2, true), "{case}: {d:?}");
            }
            (Want::SnapshotOnly, Ok(d)) => {
                let missing: Vec<_> = d.iter().filter(|(_, what)| **what == "missing").collect();
                let missing: Vec<_> = missing.iter().map(|(path, _)| path.as_str()).collect();
                let theirs = result["missingVsBase"].as_array().unwrap();
                let theirs: Vec<_> = theirs.iter().map(|p| p.as_str().unwrap()).collect();
                assert_eq!(missing, theirs, "{case}");
            }
            (Want::New, Ok(_)) => {
                assert_eq!(got.as_ref().unwrap().report.origin, Origin::New, "{case}");
            }
            (Want::Refused(words), Err(e)) => {
                assert!(e.to_string().contains(words), "{case}: {e}");
                assert!(!started || lost && !better.is_empty(), "{case}");
            }
            (_, outcome) => panic!("{case}: {outcome:?}"),
        }
        if ours.is_ok() {
            let again = load(&copy).unwrap_or_else(|e| panic!("{case} again: {e}"));
            assert_eq!(
                again.report.last_zxid,
                got.unwrap().report.last_zxid,
                "{case}"
            );
        }
    }
}

/// What any server can open after us: no torn newest log, no empty one.
#[test]
fn a_repaired_directory_has_no_torn_and_no_empty_newest_log() {
    let golden = Golden::unpack("std-395-corruption-corpus");
    for case in [
        "c01-empty-tail-log",
        "c02-short-header-tail-log",
        "c04-zeroed-header-tail-log",
        "c05-cut-mid-record",
        "c06-zero-tail-mid-record",
        "c12-eor-wrong",
    ] {
        let copy = golden.copy(case);
        load(&copy).unwrap();
        let dirs = DataDirs::open(&copy.data(), &copy.log(), DirOptions::default()).unwrap();
        let mut logs: Vec<_> = dirs.log().list().unwrap();
        logs.retain(|f| f.name.starts_with("log."));
        logs.sort_by_key(|f| match FileName::of(&f.name) {
            FileName::Log(zxid) => zxid,
            other => panic!("{case}: {other:?}"),
        });
        let newest = logs.last().unwrap();
        assert_eq!(newest.name, "log.1f", "{case}");
        let bytes = fs::read(dirs.log().join(&newest.name)).unwrap();
        let mut records = zabra::store::txnlog::LogScanner::new(&bytes, 1 << 21).unwrap();
        assert!(records.by_ref().count() >= 2, "{case}");
        let (end, _) = records.stop().unwrap();
        assert!(bytes[end as usize..].iter().all(|b| *b == 0), "{case}");
    }
}

#[test]
fn damage_can_be_given_up() {
    let golden = Golden::unpack("std-395-corruption-corpus");
    let options = RecoverOptions {
        accept_damage: true,
        ..RecoverOptions::default()
    };
    for (case, last) in [
        ("c07-hole-inside-last-record", 0x20),
        ("c08-crc-flip-middle-record", 0x1f),
        ("c13-zero-length-mid-log", 0x1f),
        ("c14-torn-record-in-previous-log-covered", 0x1d),
        ("c16-missing-middle-log", 0x17),
    ] {
        let copy = golden.copy(case);
        let got = load_with(&copy, &options).unwrap();
        assert_eq!(got.report.last_zxid, Zxid(last), "{case}");
        assert_eq!(load(&copy).unwrap().report.last_zxid, Zxid(last), "{case}");
        let kept = fs::read_dir(copy.data().join("version-2")).unwrap();
        let kept = kept.filter(|f| {
            let name = f.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("damaged.log.")
        });
        assert!(kept.count() > 0, "{case}");
    }
}
