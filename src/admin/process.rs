//! Numbers of this process, from `/proc` and the kernel. What cannot be read is 0.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Resource, getrlimit};

use crate::telemetry::prometheus::ProcessStats;

static THREADS_PEAK: AtomicU64 = AtomicU64::new(0);

/// Everything that a scrape shows of the process. Reads a handful of small files that the kernel
/// makes up on the spot.
#[must_use]
pub fn read(version: &str) -> ProcessStats {
    let stat = Stat::read();
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let page = rustix::param::page_size() as u64;
    let resident = stat.resident_pages.saturating_mul(page);
    let peak = THREADS_PEAK
        .fetch_max(stat.threads, Ordering::Relaxed)
        .max(stat.threads);
    ProcessStats {
        cpu_seconds: stat.cpu_ticks as f64 / ticks,
        start_time_seconds: boot_time() as f64 + stat.start_ticks as f64 / ticks,
        open_fds: open_fds(),
        max_fds: max_fds(),
        virtual_memory_bytes: stat.virtual_bytes,
        resident_memory_bytes: resident,
        memory_used_bytes: resident,
        memory_max_bytes: memory_limit(),
        threads: stat.threads,
        threads_peak: peak,
        version: version.to_owned(),
    }
}

/// Open file descriptors. Gauge `open_file_descriptor_count`.
#[must_use]
pub fn open_fds() -> u64 {
    // One of them is the directory being read.
    fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count().saturating_sub(1) as u64)
}

/// Soft limit of file descriptors; `i64::MAX` if there is none. Gauge `max_file_descriptor_count`.
#[must_use]
pub fn max_fds() -> u64 {
    getrlimit(Resource::Nofile)
        .current
        .unwrap_or(i64::MAX as u64)
}

/// Bytes of memory this process may use: the limit of its control group, or what the machine has.
#[must_use]
pub fn memory_limit() -> u64 {
    let machine = machine_memory();
    [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
    .fold(machine, |least, limit: u64| {
        if machine == 0 {
            limit
        } else {
            least.min(limit)
        }
    })
}

fn machine_memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1_024)
}

/// Seconds since 1970 at which the machine started.
fn boot_time() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Fields of `/proc/self/stat`, see proc(5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Self {
        fs::read_to_string("/proc/self/stat").map_or_else(|_| Self::default(), |t| Self::parse(&t))
    }

    fn parse(text: &str) -> Self {
        // The name in parentheses may hold blanks and parentheses; what follows is field 3.
        let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| {
            let text = number.checked_sub(3).and_then(|i| fields.get(i));
            text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
        };
        Self {
            cpu_ticks: field(14).saturating_add(field(15)),
            threads: field(20),
            start_ticks: field(22),
            virtual_bytes: field(23),
            resident_pages: field(24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stat() {
        let text = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 140 15 16 17 18 19 9 21 2200 230000 2400 25";
        let want = Stat {
            cpu_ticks: 155,
            threads: 9,
            start_ticks: 2_200,
            virtual_bytes: 230_000,
            resident_pages: 2_400,
        };
        assert_eq!(Stat::parse(text), want);
        assert_eq!(Stat::parse("nonsense"), Stat::default());
    }

    #[test]
    fn this_process_has_numbers() {
        let stats = read("3.9.5");
        assert!(stats.threads >= 1 && stats.threads_peak >= stats.threads);
        assert!(stats.open_fds > 0 && stats.max_fds >= stats.open_fds);
        assert!(stats.resident_memory_bytes > 0);
        assert!(stats.virtual_memory_bytes > stats.resident_memory_bytes);
        assert!(stats.memory_max_bytes > stats.memory_used_bytes);
        assert!(stats.start_time_seconds > 1e9);
    }
}
