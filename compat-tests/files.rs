//! Data directories that real servers wrote load to the trees those servers served, from every
//! snapshot in them; damaged ones behave as Apache 3.9.5 does, or better.
#![allow(missing_docs)]

#[path = "files/golden.rs"]
mod golden;
#[path = "files/model.rs"]
mod model;
#[path = "files/stream.rs"]
mod stream;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use golden::{Copy, Golden, Tree, View};
use model::Model;
use zabra::base::{StatPersisted, Zxid};
use zabra::jute::Jute as _;
use zabra::proto::OpCode;
use zabra::proto::txn::{SetDataTxn, Txn, TxnHeader, some};
use zabra::store::os::snapshot_file::whole_snapshot;
use zabra::store::os::{DataDirs, DirOptions, LogOptions, LogWriter, RegionChoice, SnapshotFile};
use zabra::store::purge::{execute, plan_dirs};
use zabra::store::{
    Compression, Dir as _, FileName, Origin, RecoverOptions, Recovered, SnapshotWriter, StoreError,
    recover,
};

fn load_with(copy: &Copy, options: &RecoverOptions) -> Result<Recovered<Model>, StoreError> {
    let dirs = DataDirs::open(&copy.data(), &copy.log(), DirOptions::default())?;
    recover(&dirs.places(), options, &mut Model::default)
}

fn load(copy: &Copy) -> Result<Recovered<Model>, StoreError> {
    load_with(copy, &RecoverOptions::default())
}

/// The paths where two trees differ, with what differs.
fn differences(got: &Tree, want: &Tree) -> BTreeMap<String, &'static str> {
    let mut all = BTreeMap::new();
    for path in got.keys().chain(want.keys()) {
        match (got.get(path), want.get(path)) {
            (Some(g), Some(w)) if g.data != w.data => drop(all.insert(path.clone(), "data")),
            (Some(g), Some(w)) if g.stat != w.stat => drop(all.insert(path.clone(), "stat")),
            (Some(g), Some(w)) if g.acl != w.acl => drop(all.insert(path.clone(), "acl")),
            (Some(_), Some(_)) => {}
            (Some(_), None) => drop(all.insert(path.clone(), "extra")),
            (None, _) => drop(all.insert(path.clone(), "missing")),
        }
    }
    all
}

fn snapshots(dir: &Path) -> Vec<(Zxid, String)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .filter_map(|f| {
            let name = f.unwrap().file_name().into_string().unwrap();
            match FileName::of(&name) {
                FileName::Snapshot(zxid, _) => Some((zxid, name)),
                _ => None,
            }
        })
        .collect();
    all.sort();
    all
}

/// A set, its last zxid, its tree digest, and how many txn digests its newest start compares.
struct Set {
    name: &'static str,
    zxid: i64,
    digest: u64,
    digests: bool,
}

const fn set(name: &'static str, zxid: i64, digest: u64, digests: bool) -> Set {
    Set {
        name,
        zxid,
        digest,
        digests,
    }
}

/// Zxids and digests as in the sets' manifest.
const SETS: [Set; 13] = [
    set("std-395-plain", 0xc6, 200_870_581_162, true),
    set("std-395-gz", 0xc6, 182_160_399_772, true),
    set("std-395-snappy", 0xc6, 186_263_416_793, true),
    set("std-395-splitdirs", 0xa8, 195_303_059_410, true),
    // Differs: Apache with default flags rejects all its snapshots and refuses to start.
    set("std-395-digest-off", 0xa8, 180_158_679_337, false),
    set("std-395-lastzxid-off", 0xa8, 183_521_959_715, true),
    set("std-395-closesessiontxn-off", 0xa8, 175_577_943_155, true),
    set("std-395-legacy-tail", 0xa8, 169_641_426_440, false),
    set("std-395-logroll", 0x94, 142_699_699_377, true),
    set("std-395-fuzzy", 0x10c95, 30_073_044_864_865, true),
    set("std-380", 0xa9, 173_581_203_763, true),
    set("std-359", 0xa9, 201_073_400_015, false),
    set("quorum1-395", 0x2_0000_0004, 110_745_435_094, true),
];

#[test]
fn every_set_loads_from_every_snapshot() {
    for set in SETS {
        let golden = Golden::unpack(set.name);
        let want = golden.tree("expected-tree.json");
        let all = snapshots(&golden.path("data/version-2"));
        assert!(!all.is_empty(), "{}", set.name);
        for (zxid, name) in &all {
            let copy = golden.copy("data");
            for (newer, other) in &all {
                if newer > zxid {
                    fs::remove_file(copy.data().join("version-2").join(other)).unwrap();
                }
            }
            let at = format!("{} from {name}", set.name);
            let got = load(&copy).unwrap_or_else(|e| panic!("{at}: {e}"));
            assert_eq!(
                differences(&got.target.view(), &want),
                BTreeMap::new(),
                "{at}"
            );
            assert_eq!(got.report.last_zxid, Zxid(set.zxid), "{at}");
            assert_eq!(got.report.lines.len(), 1, "{at}: {:?}", got.report.lines);
            let Origin::Snapshot { name: used, .. } = &got.report.origin else {
                panic!("{at}: {:?}", got.report.origin)
            };
            assert_eq!(used, name, "{at}");
            assert_eq!(got.target.digest, set.digest, "{at}");
            let (held, not) = got.target.digests;
            assert_eq!((held > 0, not), (set.digests, 0), "{at}");
        }
    }
}

#[test]
fn a_load_leaves_the_files_of_a_stopped_server_alone() {
    for set in SETS {
        let golden = Golden::unpack(set.name);
        let copy = golden.copy("data");
        load(&copy).unwrap();
        for (side, copied) in [("data", copy.data()), ("datalog", copy.log())] {
            let original = golden.path(side).join("version-2");
            if !original.is_dir() {
                continue;
            }
            for file in fs::read_dir(original).unwrap() {
                let file = file.unwrap();
                let here = copied.join("version-2").join(file.file_name());
                assert_eq!(fs::read(file.path()).unwrap(), fs::read(here).unwrap());
            }
        }
    }
}

#[test]
fn sessions_survive() {
    let copy = Golden::unpack("std-395-fuzzy").copy("data");
    let got = load(&copy).unwrap().target.sessions;
    let want: BTreeMap<i64, i32> = [
        0x0100_002f_fe88_0000,
        0x0100_002f_fe88_009e,
        0x0100_002f_fe88_00a0,
        0x0100_002f_fe88_00a2,
    ]
    .map(|s| (s, 10_000))
    .into();
    assert_eq!(got, want);
}

/// An admin restore in Apache leaves the old logs in charge: undone writes come back.
#[test]
fn an_apache_admin_restore_is_undone_by_the_logs_as_in_apache() {
    let golden = Golden::unpack("std-395-admin");
    let got = load(&golden.copy("data")).unwrap();
    let want = golden.tree("expected-after-restart.json");
    assert_eq!(differences(&got.target.view(), &want), BTreeMap::new());
    assert_eq!(got.report.last_zxid, Zxid(0x71));
}

#[test]
fn a_streamed_admin_snapshot_is_one() {
    let golden = Golden::unpack("std-395-admin");
    let copy = golden.copy("data");
    let dir = copy.data().join("version-2");
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::copy(golden.path("admin-snapshot.bin"), dir.join("snapshot.6d")).unwrap();
    let got = load(&copy).unwrap();
    let want = golden.tree("expected-tree.json");
    assert_eq!(differences(&got.target.view(), &want), BTreeMap::new());
}

#[test]
fn a_killed_server_loses_nothing_acknowledged() {
    let golden = Golden::unpack("std-395-kill9-partial");
    let copy = golden.copy("data");
    let want = golden.tree("expected-after-restart.json");
    for start in ["first", "second"] {
        let got = load(&copy).unwrap();
        assert_eq!(got.report.last_zxid, Zxid(0x97), "{start} start");
        let differing = differences(&got.target.view(), &want);
        assert_eq!(differing, BTreeMap::new(), "{start} start");
        assert_eq!(got.target.digests.1, 0, "{start} start");
        let partial = got.report.lines.iter().any(|l| l.text.contains("partial"));
        assert_eq!(partial, start == "first", "the end is cut once");
    }
}

#[test]
fn poisoned_directories_load() {
    let golden = Golden::unpack("std-395-poison");
    let cases = golden.json("cases.json");
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases.keys() {
        let got = load(&golden.copy(&format!("{case}/data"))).unwrap();
        let want = golden.tree(&format!("{case}/expected-tree-model.json"));
        assert_eq!(
            differences(&got.target.view(), &want),
            BTreeMap::new(),
            "{case}"
        );
    }
}

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

fn set_data(zxid: i64, data: &[u8]) -> Vec<u8> {
    let mut out = TxnHeader {
        client_id: 1,
        zxid,
        op: OpCode::SetData as i32,
        ..TxnHeader::default()
    }
    .to_bytes();
    Txn::SetData(SetDataTxn {
        path: some("/"),
        data: Some(data),
        version: zxid as i32,
    })
    .encode(&mut out);
    out
}

/// Starts and kills in turn, each start over what the one before left, with snapshots and purging.
#[test]
fn what_we_write_we_read_after_every_kill() {
    for region in [RegionChoice::Mmap, RegionChoice::Pwrite] {
        let tmp = tempfile::tempdir().unwrap();
        let mut zxid = 0;
        for start in 0..6_i64 {
            let dirs = DataDirs::open(tmp.path(), tmp.path(), DirOptions::default()).unwrap();
            let options = RecoverOptions::default();
            let got = recover(&dirs.places(), &options, &mut Model::default).unwrap();
            assert_eq!(got.report.last_zxid, Zxid(zxid), "start {start}");
            let root = got.target.view()["/"].clone();
            assert_eq!(i64::from(root.stat.version), zxid, "start {start}");
            if whole_snapshot(dirs.snap(), Zxid(zxid), 1 << 21).is_none() {
                let c = [Compression::None, Compression::Gz, Compression::Snappy];
                write_snapshot(&dirs, zxid, &root, c[start as usize % 3]);
            }
            let log = LogOptions {
                prealloc: 1 << 20,
                region,
                ..LogOptions::default()
            };
            let mut w = LogWriter::open(dirs.log(), log).unwrap();
            if let Some((name, end)) = &got.report.newest {
                w.trim(name, *end);
            }
            for n in 0..start * 40 {
                zxid += 1;
                w.append(Zxid(zxid), &set_data(zxid, &vec![7; 2000 * n as usize]))
                    .unwrap();
                if n % 3 == 0 {
                    w.commit().unwrap();
                }
            }
            w.commit().unwrap();
            // Neither closed nor cut, as after a kill.
            drop(w);
            let plan = plan_dirs(dirs.snap(), dirs.log(), 3, 1 << 21).unwrap();
            execute(&plan, dirs.snap(), dirs.log(), &mut |_, _| {}).unwrap();
        }
        assert_eq!(snapshots(&tmp.path().join("version-2")).len(), 3);
    }
}

fn write_snapshot(dirs: &DataDirs, zxid: i64, root: &View, compression: Compression) {
    let file = SnapshotFile::create(dirs.snap(), Zxid(zxid), compression).unwrap();
    let mut w = SnapshotWriter::new(file, compression);
    let stat = StatPersisted {
        version: root.stat.version,
        ..StatPersisted::default()
    };
    w.sessions(&[]).unwrap();
    w.acls([]).unwrap();
    w.node("", root.data.as_deref(), -1, &stat).unwrap();
    w.finish(None, None).unwrap().0.commit().unwrap();
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
