//! First inputs: records that our own code encodes, and files that Apache wrote.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use zabra::base::{Acl, Perms, StatPersisted, Zxid};
use zabra::jute::{Jute, Output};
use zabra::proto::OpCode;
use zabra::proto::request::*;
use zabra::proto::txn::{
    CheckVersionTxn, CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn,
    CreateTxn, DeleteTxn, Entry, ErrorTxn, MultiTxn, SetAclTxn, SetDataTxn, SubTxn, Txn, TxnDigest,
    TxnHeader, some,
};
use zabra::store::log_reader::{LogReader, Step};
use zabra::store::{Compression, SnapshotDigest, SnapshotWriter};

type Seeds = Vec<Vec<u8>>;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

/// Files of all golden archives whose name begins with `kind`, short ones first.
fn from_archives(kind: &str, longest: usize) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let archives = fs::read_dir(golden().join("disk")).expect("golden archives");
    for archive in archives.flatten() {
        let mut tar = Vec::new();
        let file = fs::File::open(archive.path()).expect("an archive");
        GzDecoder::new(file).read_to_end(&mut tar).expect("gzip");
        let mut at = 0;
        while let Some(head) = tar.get(at..at + 512).filter(|h| h[0] != 0) {
            let until_nul = |field: &[u8]| {
                let text = field.split(|b| *b == 0).next().unwrap_or_default();
                String::from_utf8_lossy(text).trim().to_owned()
            };
            let len = usize::from_str_radix(&until_nul(&head[124..136]), 8).expect("a length");
            let name = until_nul(&head[..100]);
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            let body = &tar[at + 512..at + 512 + len];
            if name.starts_with(kind) && (1..=longest).contains(&len) {
                found.push((name, body.to_vec()));
            }
            at += 512 + len.next_multiple_of(512);
        }
    }
    found.sort_by_key(|(_, bytes)| bytes.len());
    found.dedup_by(|a, b| a.1 == b.1);
    found.truncate(40);
    found
}

/// One encoded record of each kind, in the order of the target's table.
fn bodies() -> Seeds {
    let acl = || {
        Some(vec![AclWire {
            perms: 31,
            id: IdWire {
                scheme: some("world"),
                id: some("anyone"),
            },
        }])
    };
    let paths = || Some(vec![some("/a"), some("/a/b")]);
    let data = Some(&b"data"[..]);
    let path = || some("/a");
    vec![
        ConnectRequest {
            timeout: 30_000,
            password: Some(&[0; 16]),
            ..Default::default()
        }
        .to_bytes(),
        RequestHeader { xid: 1, op: 4 }.to_bytes(),
        CreateRequest {
            path: path(),
            data,
            acl: acl(),
            flags: 0,
        }
        .to_bytes(),
        CreateTtlRequest {
            path: path(),
            data,
            acl: acl(),
            flags: 5,
            ttl: 1000,
        }
        .to_bytes(),
        DeleteRequest {
            path: path(),
            version: -1,
        }
        .to_bytes(),
        ReadRequest {
            path: path(),
            watch: true,
        }
        .to_bytes(),
        PathRequest { path: path() }.to_bytes(),
        SetDataRequest {
            path: path(),
            data,
            version: -1,
        }
        .to_bytes(),
        SetAclRequest {
            path: path(),
            acl: acl(),
            version: -1,
        }
        .to_bytes(),
        CheckVersionRequest {
            path: path(),
            version: 0,
        }
        .to_bytes(),
        ReconfigRequest {
            joining: some("server.1=a:1:2"),
            config_id: -1,
            ..Default::default()
        }
        .to_bytes(),
        WatchesRequest {
            path: path(),
            kind: 3,
        }
        .to_bytes(),
        AddWatchRequest {
            path: path(),
            mode: 1,
        }
        .to_bytes(),
        AuthPacket {
            kind: 0,
            scheme: some("digest"),
            auth: Some(b"u:p"),
        }
        .to_bytes(),
        SetWatches {
            relative_zxid: 1,
            data: paths(),
            exist: paths(),
            child: paths(),
        }
        .to_bytes(),
        SetWatches2 {
            relative_zxid: 1,
            data: paths(),
            exist: paths(),
            child: paths(),
            persistent: paths(),
            recursive: paths(),
        }
        .to_bytes(),
        MultiHeader {
            op: 1,
            done: false,
            err: -1,
        }
        .to_bytes(),
    ]
}

pub fn records() -> Seeds {
    let tagged = |(n, body): (usize, Vec<u8>)| [vec![n as u8], body].concat();
    bodies().into_iter().enumerate().map(tagged).collect()
}

/// Our own entries of every type, and those of the golden logs.
pub fn txns() -> Seeds {
    let acl = || Some(Acl::open());
    let (path, data) = (|| some("/a"), Some(&b"data"[..]));
    let create = || CreateTxn {
        path: path(),
        data,
        acl: acl(),
        ephemeral: false,
        parent_cversion: 1,
    };
    let part = Txn::Create(create());
    let mut part_bytes = Vec::new();
    part.encode(&mut part_bytes);
    let sub = |op| SubTxn {
        op,
        data: Some(&part_bytes),
    };
    let all = [
        (1, Txn::Create(create())),
        (
            1,
            Txn::Create(CreateTxn {
                ephemeral: true,
                ..create()
            }),
        ),
        (
            19,
            Txn::CreateContainer(CreateContainerTxn {
                path: path(),
                data,
                acl: acl(),
                parent_cversion: 1,
            }),
        ),
        (
            21,
            Txn::CreateTtl(CreateTtlTxn {
                path: path(),
                data,
                acl: acl(),
                parent_cversion: 1,
                ttl: 5,
            }),
        ),
        (
            1,
            Txn::Create(CreateTxn {
                path: some("/zookeeper/quota/zookeeper_limits"),
                data: Some(b"count=1,bytes=2"),
                ..create()
            }),
        ),
        (
            2,
            Txn::Delete(DeleteTxn {
                path: some("/zookeeper/quota"),
            }),
        ),
        (
            5,
            Txn::SetData(SetDataTxn {
                path: some("/"),
                data,
                version: 1,
            }),
        ),
        (
            7,
            Txn::SetAcl(SetAclTxn {
                path: some("/"),
                acl: Some(Acl::read_only()),
                version: 1,
            }),
        ),
        (
            13,
            Txn::Check(CheckVersionTxn {
                path: path(),
                version: 1,
            }),
        ),
        (
            14,
            Txn::Multi(MultiTxn {
                txns: Some(vec![sub(1), sub(1)]),
            }),
        ),
        (-10, Txn::CreateSession(CreateSessionTxn { timeout: 4000 })),
        (
            -11,
            Txn::CloseSession(Some(CloseSessionTxn {
                paths: Some(vec![path()]),
            })),
        ),
        (-11, Txn::CloseSession(None)),
        (-1, Txn::Error(ErrorTxn { err: -101 })),
    ];
    let mut seeds: Seeds = Vec::new();
    for (op, txn) in all {
        let header = TxnHeader {
            client_id: 7,
            cxid: 1,
            zxid: 2,
            time: 3,
            op,
        };
        let digest = Some(TxnDigest {
            version: 2,
            digest: 1,
        });
        let mut bytes = Vec::new();
        Entry {
            header,
            txn,
            digest,
        }
        .encode(&mut bytes);
        seeds.push(bytes);
    }
    for (_, log) in from_archives("log.", 9000) {
        seeds.extend(entries(log).into_iter().filter(|e| e.len() < 400).take(40));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn entries(log: Vec<u8>) -> Seeds {
    let mut found = Vec::new();
    if let Ok(Ok(mut reader)) = LogReader::new(log, 1 << 20) {
        while let Ok(Step::Entry { entry, .. }) = reader.step() {
            found.push(entry.to_vec());
        }
    }
    found
}

pub fn logs() -> Seeds {
    let mut seeds = Vec::new();
    for (_, log) in from_archives("log.", 9000) {
        let mut listed = vec![1];
        for e in entries(log.clone()) {
            listed.extend_from_slice(&(e.len() as u16).to_be_bytes());
            listed.extend_from_slice(&e);
        }
        seeds.push(listed);
        let end = log.iter().rposition(|b| *b != 0).map_or(0, |n| n + 20);
        seeds.push([&[0], &log[..end.min(log.len())]].concat());
    }
    seeds
}

/// A small snapshot of our own.
fn own_snapshot(compression: Compression) -> Vec<u8> {
    let mut out = SnapshotWriter::new(Vec::new(), compression);
    let acl = [Acl {
        perms: Perms(31),
        id: zabra::base::Id::anyone(),
    }];
    let write = |out: &mut SnapshotWriter<Vec<u8>>| {
        out.sessions(&[(7, 4000)])?;
        out.acls([(1, &acl[..])])?;
        let stat = StatPersisted {
            czxid: 1,
            ..StatPersisted::default()
        };
        let owned = StatPersisted {
            ephemeral_owner: 7,
            ..stat
        };
        out.node("", Some(b""), -1, &stat)?;
        out.node("/a", Some(b"x"), 1, &stat)?;
        out.node("/a/b", None, 2, &owned)
    };
    write(&mut out).expect("memory takes it");
    let digest = SnapshotDigest {
        zxid: Zxid(1),
        version: 2,
        digest: 3,
    };
    out.finish(Some(digest), Some(Zxid(1)))
        .expect("memory takes it")
        .0
}

pub fn snapshots() -> Seeds {
    let mut seeds = vec![own_snapshot(Compression::None)];
    seeds.extend(from_archives("snapshot.", 4000).into_iter().map(|(_, b)| b));
    let unsealed = |plain: &Vec<u8>| {
        // Up to and with the terminator of the nodes: what the target seals itself.
        let end = plain.windows(5).rposition(|w| w == [0, 0, 0, 1, b'/']);
        let first = plain.windows(5).position(|w| w == [0, 0, 0, 1, b'/']);
        let upto = first.or(end).map_or(plain.len(), |n| n + 5);
        [&[1], &plain[..upto]].concat()
    };
    let sealed: Seeds = seeds.iter().map(unsealed).collect();
    let whole = seeds.iter().map(|plain| [&[0], &plain[..]].concat());
    whole.chain(sealed).collect()
}

fn packed(how: Compression) -> Seeds {
    let mut seeds = vec![own_snapshot(how)];
    let suffix = how.suffix();
    let files = from_archives("snapshot.", 4000);
    seeds.extend(
        files
            .into_iter()
            .filter(|(n, _)| n.ends_with(suffix))
            .map(|(_, b)| b),
    );
    seeds
}

pub fn gz() -> Seeds {
    let mut seeds = packed(Compression::Gz);
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0")
        .expect("memory");
    bomb.write_all(&[0; 1 << 20]).expect("memory");
    seeds.push(bomb.finish().expect("memory"));
    seeds
}

pub fn snappy() -> Seeds {
    packed(Compression::Snappy)
}

pub fn zoo_cfg() -> Seeds {
    let files = fs::read_dir(golden().join("config")).expect("golden configurations");
    let mut seeds: Seeds = files
        .flatten()
        .filter_map(|f| fs::read(f.path()).ok())
        .collect();
    seeds.retain(|s| s.len() < 4000);
    let main = "tickTime=2000\ndataDir=/d\nclientPort=2181\ninitLimit=5\nsyncLimit=2\n";
    for more in [
        "".to_owned(),
        "server.1=a:1:2\nserver.2=b:1:2:observer\n\0\0".to_owned() + "1",
        "dynamicConfigFile=/x/dyn\n\0server.1=a:1:2:participant;0.0.0.0:2181\nversion=1\n\x001".to_owned(),
        "group.1=1:2\ngroup.2=3\nweight.1=2\nserver.1=[::1]:2888:3888|b:1:2;127.0.0.1:1\n\0\0".to_owned() + "1",
        "a\\u0041 : b\\\n  c\nautopurge.snapRetainCount=3\n4lw.commands.whitelist=*\n".to_owned(),
        "authProvider.1=x\nmetricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\nmetricsProvider.httpPort=7000\n\0\0\0\0-Dzookeeper.snapCount=10 -Xmx1g".to_owned(),
        zabra::config::keys::rows().map(|r| format!("{}={}\n", r.cfg, r.default)).collect(),
    ] {
        seeds.push((main.to_owned() + &more).into_bytes());
    }
    seeds
}

pub fn small_files() -> Seeds {
    let mut seeds: Seeds = Vec::new();
    for name in [
        "snapshot.1f.gz",
        "log.100000001",
        "log.1f.bak",
        "snapshot.0",
    ] {
        seeds.push([&[0], name.as_bytes()].concat());
    }
    seeds.push(b"\x01123\n".to_vec());
    for tz in [
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "UTC",
        "<+03>-3",
        "EST5EDT,J60/2,300/-1:30",
    ] {
        seeds.push([&[2], tz.as_bytes()].concat());
    }
    for zone in ["UTC", "Europe/Berlin", "America/New_York"] {
        if let Ok(bytes) = fs::read(Path::new("/usr/share/zoneinfo").join(zone)) {
            seeds.push([&[3], &bytes[..]].concat());
        }
    }
    seeds
}

/// The place of an operation in the table, as the target reads it.
fn index(op: OpCode) -> u8 {
    OpCode::ALL
        .iter()
        .position(|o| *o == op)
        .unwrap_or_default() as u8
}

fn request(op: OpCode, slow: bool, body: &[u8]) -> Vec<u8> {
    let mut out = vec![index(op), u8::from(slow)];
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub fn requests() -> Seeds {
    use OpCode::*;
    let b = bodies();
    let mut multi = Vec::new();
    for (op, body) in [(1, &b[2]), (13, &b[9]), (5, &b[7]), (2, &b[4])] {
        MultiHeader {
            op,
            done: false,
            err: -1,
        }
        .encode(&mut multi);
        multi.extend_from_slice(body);
    }
    MultiHeader::END.encode(&mut multi);
    let mut reads = Vec::new();
    for op in [4, 8] {
        MultiHeader {
            op,
            done: false,
            err: -1,
        }
        .encode(&mut reads);
        reads.string(Some("/a"));
        reads.bool(false);
    }
    MultiHeader::END.encode(&mut reads);
    let create = request(Create, false, &b[2]);
    let all = [
        (CreateTtl, &b[3]),
        (Delete, &b[4]),
        (Exists, &b[5]),
        (GetData, &b[5]),
        (GetChildren, &b[5]),
        (GetChildren2, &b[5]),
        (GetAcl, &b[6]),
        (Sync, &b[6]),
        (GetEphemerals, &b[6]),
        (GetAllChildrenNumber, &b[6]),
        (SetData, &b[7]),
        (SetAcl, &b[8]),
        (Reconfig, &b[10]),
        (CheckWatches, &b[11]),
        (RemoveWatches, &b[11]),
        (AddWatch, &b[12]),
        (Auth, &b[13]),
        (SetWatches, &b[14]),
        (SetWatches2, &b[15]),
        (Multi, &multi),
        (MultiRead, &reads),
        (Create2, &b[2]),
        (CreateContainer, &b[2]),
        (Ping, &vec![]),
        (WhoAmI, &vec![]),
        (CloseSession, &vec![]),
        (Sasl, &vec![0, 0, 0, 1, 7]),
        (Check, &b[9]),
    ];
    let one = |(op, body): &(OpCode, &Vec<u8>)| [&create[..], &request(*op, false, body)].concat();
    let mut seeds: Seeds = all.iter().map(one).collect();
    let slow = all.iter().flat_map(|(op, body)| request(*op, true, body));
    seeds.push(create.iter().copied().chain(slow).collect());
    seeds
}

pub fn first_bytes() -> Seeds {
    let b = bodies();
    let framed = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let hello = [&b[0][..], &[0]].concat();
    let ping = RequestHeader { xid: -2, op: 11 }.to_bytes();
    let mut seeds = vec![
        [&[0], &framed(&hello)[..], &framed(&ping)].concat(),
        [&[1], &framed(&b[0])[..], &framed(&ping)].concat(),
    ];
    for (op, body) in [(1, &b[2]), (4, &b[5]), (14, &b[9]), (-11, &vec![])] {
        let frame = [RequestHeader { xid: 1, op }.to_bytes(), body.clone()].concat();
        seeds.push([&[0], &framed(&hello)[..], &framed(&frame), &framed(&ping)].concat());
    }
    for word in zabra::admin::words::TABLE {
        seeds.push([&[2], &word.code.to_be_bytes()[..], &[0; 8]].concat());
    }
    seeds
}
