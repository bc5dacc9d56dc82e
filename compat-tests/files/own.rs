//! Directories that we write, over kill after kill.

use zabra::base::{StatPersisted, Zxid};
use zabra::jute::Jute as _;
use zabra::proto::OpCode;
use zabra::proto::txn::{SetDataTxn, Txn, TxnHeader, some};
use zabra::store::os::snapshot_file::whole_snapshot;
use zabra::store::os::{DataDirs, DirOptions, LogOptions, LogWriter, RegionChoice, SnapshotFile};
use zabra::store::purge::{execute, plan_dirs};
use zabra::store::{Compression, RecoverOptions, SnapshotWriter, recover};

use super::golden::View;
use super::model::Model;
use super::snapshots;

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
