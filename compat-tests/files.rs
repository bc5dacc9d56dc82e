//! Data directories that real servers wrote load to the trees those servers served, from every
//! snapshot in them; damaged ones behave as Apache 3.9.5 does, or better.
#![allow(missing_docs)]

#[path = "files/damaged.rs"]
mod damaged;
#[path = "files/golden.rs"]
mod golden;
#[path = "files/model.rs"]
mod model;
#[path = "files/own.rs"]
mod own;
#[path = "files/stream.rs"]
mod stream;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use golden::{Copy, Golden, Tree};
use model::Model;
use zabra::base::Zxid;
use zabra::store::os::{DataDirs, DirOptions};
use zabra::store::{FileName, Origin, RecoverOptions, Recovered, StoreError, recover};

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
