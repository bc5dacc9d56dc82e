//! The disk of a member, in a directory of its own.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::*;
use crate::base::Acl;
use crate::config::{Invocation, ReadFile};
use crate::proto::OpCode;
use crate::proto::txn::{CreateTxn, Entry, Txn, TxnHeader, some};
use crate::zab::LinkId;

struct OneFile(String);

impl ReadFile for OneFile {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.ends_with("zoo.cfg") {
            true => Ok(self.0.clone().into_bytes()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn resolve(&self, _: &str) -> io::Result<IpAddr> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A disk that can be closed and opened again.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir }
    }

    fn open(&self) -> (QuorumDisk, Data, Zxid) {
        let data = self.dir.path().display();
        let text = format!("dataDir={data}\nclientPort=2181\npreAllocSize=64\n");
        let argv = ["server", "zoo.cfg"].map(str::to_owned);
        let Ok(Invocation::Server(args)) = Invocation::parse(&argv) else {
            panic!("{argv:?}")
        };
        let config = Config::load(&args, &|_| None, &OneFile(text)).expect("a configuration");
        let clock = Arc::new(SystemClock::default());
        let opened = QuorumDisk::open(&Arc::new(config), &clock);
        let (mut disk, data, last, _) = opened.expect("a usable directory");
        for op in [DiskOp::AcceptEpoch(Epoch(2)), DiskOp::EnterEpoch(Epoch(2))] {
            disk.carry_out(op).expect("room for it");
        }
        (disk, data, last)
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("version-2")).expect("a directory");
        let names = entries.map(|e| e.expect("an entry").file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|n| n.starts_with(prefix)).collect();
        names.sort();
        names
    }
}

fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid(epoch << 32 | counter)
}

/// The creation of `/<epoch>-<counter>`.
fn creation(zxid: Zxid) -> Arc<[u8]> {
    let name = format!("/{}-{}", zxid.epoch().0, zxid.counter());
    let entry = Entry {
        header: TxnHeader {
            zxid: zxid.0,
            op: OpCode::Create as i32,
            ..TxnHeader::default()
        },
        txn: Txn::Create(CreateTxn {
            path: some(&name),
            data: None,
            acl: Some(Acl::open()),
            ephemeral: false,
            parent_cversion: -1,
        }),
        digest: None,
    };
    let mut bytes = Vec::new();
    entry.encode(&mut bytes);
    bytes.into()
}

fn append(disk: &mut QuorumDisk, zxids: impl IntoIterator<Item = Zxid>) {
    for zxid in zxids {
        let op = DiskOp::Log(LogOp::Append(zxid, creation(zxid)));
        disk.carry_out(op).expect("room for it");
    }
}

fn log(disk: &mut QuorumDisk, zxids: impl IntoIterator<Item = Zxid>) {
    append(disk, zxids);
    disk.sync().expect("a disk that works");
}

fn truncate(disk: &mut QuorumDisk, to: Zxid) -> Data {
    match disk.carry_out(DiskOp::Truncate(to)).expect("a cut") {
        Some(Input::Truncated(zxid, data)) if zxid == to => *data,
        _ => panic!("no cut at {to}"),
    }
}

fn save(disk: &mut QuorumDisk, data: &Data) {
    let job = SnapshotJob::new(data.tree.clone(), &data.sessions);
    let op = DiskOp::SaveSnapshot(data.last(), job);
    disk.carry_out(op).expect("room for it");
}

fn has(data: &Data, path: &str) -> bool {
    data.tree.facts(path).is_some()
}

#[test]
fn zookeeper_4837_a_cut_leaves_no_newer_snapshot() {
    let place = Place::new();
    let (mut disk, mut data, _) = place.open();
    log(&mut disk, (1..=5).map(|n| z(1, n)));
    // A leader's snapshot may hold what is never decided.
    for n in 1..=5 {
        data.apply(z(1, n), &creation(z(1, n)));
    }
    let job = SnapshotJob::new(data.tree.clone(), &data.sessions);
    disk.write_snapshot(&job).expect("room for it");
    assert_eq!(place.names("snapshot.").len(), 2);
    let data = truncate(&mut disk, z(1, 3));
    assert_eq!(data.last(), z(1, 3));
    assert!(has(&data, "/1-3") && !has(&data, "/1-4") && !has(&data, "/1-5"));
    assert_eq!(place.names("snapshot."), ["snapshot.0"]);
    drop(disk);
    let (_, data, last) = place.open();
    assert_eq!(last, z(1, 3));
    assert!(!has(&data, "/1-4"));
}

#[test]
fn zookeeper_trunc_to_an_absent_zxid_keeps_no_record_too_many() {
    let place = Place::new();
    let (mut disk, ..) = place.open();
    log(&mut disk, [z(1, 1), z(1, 2), z(2, 1), z(2, 2)]);
    // Nothing of epoch 2 was decided; the leader names the end of epoch 1 by its next opening.
    let data = truncate(&mut disk, z(2, 0));
    assert_eq!(data.last(), z(1, 2));
    assert!(!has(&data, "/2-1"));
    // A history that is not ours: nothing is cut, and what is there is told.
    let data = truncate(&mut disk, z(1, 7));
    assert_eq!(data.last(), z(1, 2));
}

#[test]
fn zookeeper_2846_nothing_below_a_snapshot_is_read_back() {
    let place = Place::new();
    let (mut disk, mut data, _) = place.open();
    log(&mut disk, (1..=4).map(|n| z(1, n)));
    for n in 1..=6 {
        // 5 and 6 came as part of a snapshot: they are in no log.
        data.apply(z(1, n), &creation(z(1, n)));
    }
    save(&mut disk, &data);
    log(&mut disk, [z(1, 7), z(1, 8)]);
    let read = |disk: &QuorumDisk, from| {
        let found = read_back(&disk.dirs, 1 << 20, disk.floor(), from, z(1, 8));
        found.map(|f| f.into_iter().map(|(zxid, _)| zxid).collect::<Vec<_>>())
    };
    assert_eq!(read(&disk, z(1, 2)), None);
    assert_eq!(read(&disk, z(1, 5)), None);
    assert_eq!(read(&disk, z(1, 6)), Some(vec![z(1, 7), z(1, 8)]));
    drop(disk);
    let (disk, ..) = place.open();
    assert_eq!(read(&disk, z(1, 2)), None, "and after a restart");
}

#[test]
fn zookeeper_4712_4541_what_is_read_again_holds_everything_appended() {
    let place = Place::new();
    let (mut disk, ..) = place.open();
    append(&mut disk, (1..=3).map(|n| z(1, n)));
    // The role ends with these still on their way: there is one writer, and it comes to its end first.
    let Ok(Some(Input::Reloaded(data))) = disk.carry_out(DiskOp::Reload) else {
        panic!("nothing was read again")
    };
    assert_eq!(data.last(), z(1, 3));
    assert!(has(&data, "/1-3"));
    log(&mut disk, [z(1, 4)]);
    drop(disk);
    assert_eq!(place.open().2, z(1, 4));
}

#[test]
fn zookeeper_3701_a_cut_that_fails_is_an_error() {
    let place = Place::new();
    let (mut disk, ..) = place.open();
    log(&mut disk, (1..=3).map(|n| z(1, n)));
    let version = place.dir.path().join("version-2");
    std::fs::rename(&version, place.dir.path().join("elsewhere")).expect("another name");
    assert!(disk.carry_out(DiskOp::Truncate(z(1, 2))).is_err());
}

#[test]
fn zookeeper_5094_a_snapshot_in_the_place_of_a_log_survives_a_crash() {
    let place = Place::new();
    let (mut disk, ..) = place.open();
    log(&mut disk, (1..=4).map(|n| z(1, n)));
    let mut data = truncate(&mut disk, z(1, 2));
    // Decided after the cut, applied to memory, in no log.
    data.apply(z(2, 1), &creation(z(2, 1)));
    save(&mut disk, &data);
    // A crash: nothing is closed.
    std::mem::forget(disk);
    let copied = Place::new();
    let (from, to) = (place.dir.path(), copied.dir.path());
    std::fs::create_dir(to.join("version-2")).expect("a directory");
    for name in place.names("") {
        let file = Path::new("version-2").join(&name);
        std::fs::copy(from.join(&file), to.join(&file)).expect("a copy");
    }
    let (_, data, last) = copied.open();
    assert_eq!(last, z(2, 1));
    assert!(has(&data, "/1-2") && has(&data, "/2-1") && !has(&data, "/1-3"));
}

#[test]
fn a_learner_reads_what_the_log_has_and_nothing_else() {
    let place = Place::new();
    let (mut disk, ..) = place.open();
    log(&mut disk, [z(1, 1), z(1, 2), z(2, 1)]);
    let found = read_back(&disk.dirs, 1 << 20, disk.floor(), z(1, 1), z(2, 1));
    assert_eq!(found.map(|f| f.len()), Some(2));
    let found = read_back(&disk.dirs, 1 << 20, disk.floor(), z(1, 1), z(2, 2));
    assert!(found.is_none(), "2:2 is not there");
    let op = DiskOp::ReadLog {
        link: LinkId(3),
        from: z(1, 1),
        upto: z(2, 1),
    };
    let answer = disk.carry_out(op);
    assert!(matches!(answer, Ok(Some(Input::LogRead(LinkId(3), None)))));
}
