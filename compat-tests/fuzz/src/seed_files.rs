//! First inputs that are files: of our own, and of the golden directories that Apache wrote.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use zabra::base::{Acl, Perms, StatPersisted, Zxid};
use zabra::store::log_reader::{LogReader, Step};
use zabra::store::{Compression, SnapshotDigest, SnapshotWriter};

use crate::seeds::Seeds;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden")
}

/// Files of all golden archives whose name begins with `kind`, short ones first.
pub fn from_archives(kind: &str, longest: usize) -> Vec<(String, Vec<u8>)> {
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

/// The entries of a log.
pub fn entries(log: Vec<u8>) -> Seeds {
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
