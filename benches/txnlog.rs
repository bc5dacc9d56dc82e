//! What a commit costs, through a mapping and with `pwrite`; how fast logs and snapshots read back.
//!
//! A plain program: it prints one line per measurement, medians over the commits of three rounds
//! that alternate between the ways. `cargo bench --bench txnlog [-- DIRECTORY]`; the directory
//! decides which device is measured.
#![allow(missing_docs)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zabra::base::{Acl, StatPersisted, Zxid};
use zabra::store::log_reader::{LogReader, Step};
use zabra::store::os::{LogOptions, LogWriter, OsDir, RegionChoice, SnapshotFile};
use zabra::store::snapshot::Ignore;
use zabra::store::snapshot_read::read_file;
use zabra::store::txnlog::LENGTH_MAX_DEFAULT;
use zabra::store::{Compression, Dir as _, SnapshotWriter};

const ROUNDS: usize = 3;
const COMMITS: usize = 400;

fn main() {
    let base = std::env::args()
        .skip(1)
        .find(|a| !a.starts_with('-'))
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    println!("directory {}", base.display());
    for (records, entry) in [(1, 256), (64, 256), (512, 256)] {
        let mut seen = [Samples::default(), Samples::default()];
        for _ in 0..ROUNDS {
            for (region, samples) in [RegionChoice::Mmap, RegionChoice::Pwrite]
                .iter()
                .zip(&mut seen)
            {
                commits(&base, *region, records, entry, samples);
            }
        }
        for (way, samples) in ["mmap", "pwrite"].iter().zip(&mut seen) {
            samples.print(way, records, entry);
        }
    }
    first_append(&base);
    log_read(&base);
    for c in [Compression::None, Compression::Snappy, Compression::Gz] {
        snapshot(&base, c, 1_000_000);
    }
}

#[derive(Default)]
struct Samples {
    took: Vec<Duration>,
    device: u64,
    cpu: Duration,
}

impl Samples {
    fn print(&mut self, way: &str, records: usize, entry: usize) {
        self.took.sort();
        let at = |q: f64| self.took[((self.took.len() - 1) as f64 * q) as usize].as_micros();
        let n = self.took.len() as u64;
        println!(
            "commit {records:4} x {entry} B {way:6}  p50 {:5} us  p90 {:5} us  p99 {:6} us  cpu {:4} us  \
             {:7.1} KiB to the device per commit (whole device)",
            at(0.5),
            at(0.9),
            at(0.99),
            self.cpu.as_micros() / u128::from(n),
            self.device as f64 / 1024.0 / n as f64,
        );
    }
}

fn entry(zxid: i64, len: usize) -> Vec<u8> {
    let mut e = vec![0; 12];
    e.extend_from_slice(&zxid.to_be_bytes());
    e.resize(len, 0xa5);
    e
}

fn commits(base: &Path, region: RegionChoice, records: usize, len: usize, samples: &mut Samples) {
    let tmp = tempfile::tempdir_in(base).unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let options = LogOptions {
        region,
        ..LogOptions::default()
    };
    let mut w = LogWriter::open(&dir, options).unwrap();
    let mut zxid = 0;
    let mut batch = |w: &mut LogWriter| {
        for _ in 0..records {
            zxid += 1;
            w.append(Zxid(zxid), &entry(zxid, len)).unwrap();
        }
        w.commit().unwrap();
    };
    for _ in 0..50 {
        batch(&mut w);
    }
    let (device, cpu) = (device_bytes(base), cpu_time());
    for _ in 0..COMMITS {
        let start = Instant::now();
        batch(&mut w);
        samples.took.push(start.elapsed());
    }
    samples.cpu += cpu_time().saturating_sub(cpu);
    samples.device += device_bytes(base).saturating_sub(device);
    w.close().unwrap();
}

/// From an empty directory to the first durable transaction, and the time `open` takes.
fn first_append(base: &Path) {
    let (mut opens, mut firsts) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let tmp = tempfile::tempdir_in(base).unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let start = Instant::now();
        let mut w = LogWriter::open(&dir, LogOptions::default()).unwrap();
        opens.push(start.elapsed());
        w.append(Zxid(1), &entry(1, 256)).unwrap();
        w.commit().unwrap();
        firsts.push(start.elapsed());
        w.close().unwrap();
    }
    opens.sort();
    firsts.sort();
    println!(
        "open {:?}, first durable transaction after {:?}",
        opens[4], firsts[4]
    );
}

fn log_read(base: &Path) {
    let tmp = tempfile::tempdir_in(base).unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let options = LogOptions {
        prealloc: 512 << 20,
        ..LogOptions::default()
    };
    let mut w = LogWriter::open(&dir, options).unwrap();
    for z in 1..=1_000_000 {
        w.append(Zxid(z), &entry(z, 256)).unwrap();
    }
    w.close().unwrap();
    let start = Instant::now();
    let file = dir.open("log.1").unwrap();
    let mut reader = LogReader::new(file, LENGTH_MAX_DEFAULT).unwrap().unwrap();
    let mut n = 0;
    while let Step::Entry { .. } = reader.step().unwrap() {
        n += 1;
    }
    println!("read {n} log records of 256 B in {:?}", start.elapsed());
}

fn snapshot(base: &Path, compression: Compression, nodes: usize) {
    let tmp = tempfile::tempdir_in(base).unwrap();
    let dir = OsDir::open(tmp.path()).unwrap();
    let start = Instant::now();
    let file = SnapshotFile::create(&dir, Zxid(1), compression).unwrap();
    let mut w = SnapshotWriter::new(file, compression);
    let acl = Acl::read_only();
    w.sessions(&[]).unwrap();
    w.acls([(1, &acl[..])]).unwrap();
    let stat = StatPersisted::default();
    w.node("", Some(b""), -1, &stat).unwrap();
    for i in 0..nodes {
        let data: [u8; 100] = std::array::from_fn(|b| (i.wrapping_mul(b + 7) >> 3) as u8);
        let path = format!("/bench/directory/node-{i:09}");
        w.node(&path, Some(&data), -1, &stat).unwrap();
    }
    let (file, bytes) = w.finish(None, None).unwrap();
    let name = file.commit().unwrap();
    let wrote = start.elapsed();
    let start = Instant::now();
    let info = read_file(&dir, &name, compression, LENGTH_MAX_DEFAULT, &mut Ignore).unwrap();
    println!(
        "snapshot of {} nodes, {} MB, {compression:?}: written in {wrote:?}, read in {:?}",
        info.nodes,
        bytes / 1_000_000,
        start.elapsed()
    );
}

/// Bytes written to the device that holds `path`, by anyone; 0 where the kernel does not say.
fn device_bytes(path: &Path) -> u64 {
    let dev = fs::metadata(path).unwrap().dev();
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
    let sectors = stat
        .ok()
        .and_then(|s| s.split_whitespace().nth(6)?.parse().ok());
    sectors.unwrap_or(0_u64) * 512
}

/// CPU time of this process, all threads; zero where the kernel does not say.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok());
    let ticks = ticks(13).unwrap_or(0) + ticks(14).unwrap_or(0);
    Duration::from_millis(ticks * 10)
}
