//! The server's CPU time and memory, and the machine's, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;

/// CPU time of a process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// Whole process, ended threads included, ns; steps of 10 ms.
    coarse_ns: u64,
    /// Each living thread, ns.
    threads: HashMap<u64, u64>,
}

impl Cpu {
    /// Reads it; `None` when there is no such process or it is not ours to see.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let per_second = rustix::param::clock_ticks_per_second();
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            let tid = entry.file_name().to_str()?.parse().ok()?;
            let Ok(line) = fs::read_to_string(entry.path().join("schedstat")) else {
                continue;
            };
            let ns = line.split_whitespace().next()?.parse().ok()?;
            threads.insert(tid, ns);
        }
        Some(Self {
            coarse_ns: ticks * 1_000_000_000 / per_second,
            threads,
        })
    }

    /// CPU time since an earlier moment, ns.
    pub fn since(&self, earlier: &Self) -> u64 {
        let fine: u64 = self
            .threads
            .iter()
            .map(|(tid, ns)| ns.saturating_sub(*earlier.threads.get(tid).unwrap_or(&0)))
            .sum();
        // Threads that ended in between show only in the coarse count.
        let coarse = self.coarse_ns.saturating_sub(earlier.coarse_ns);
        fine.max(coarse.saturating_sub(20_000_000))
    }
}

/// Resident memory, bytes.
pub fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// CPU time of the whole machine that was not idle, ns.
pub fn machine_busy() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    let busy: u64 = fields.iter().sum::<u64>() - fields.get(3)? - fields.get(4)?;
    Some(busy * 1_000_000_000 / rustix::param::clock_ticks_per_second())
}

/// The process that listens at `addr` on this machine.
pub fn listener(addr: SocketAddr) -> Option<u32> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(table) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (Some(local), Some(&state), Some(&inode)) =
                (fields.get(1), fields.get(3), fields.get(9))
            else {
                continue;
            };
            let port = local.rsplit_once(':')?.1;
            if state == "0A" && u16::from_str_radix(port, 16) == Ok(addr.port()) {
                inodes.push(format!("socket:[{inode}]"));
            }
        }
    }
    if inodes.is_empty() || !addr.ip().is_loopback() {
        return None;
    }
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let fds = fs::read_dir(entry.path().join("fd")).ok()?;
        let owns = fds.flatten().any(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|to| inodes.iter().any(|i| to.as_os_str() == i.as_str()))
        });
        owns.then_some(pid)
    })
}

/// CPU of server, tool and machine over a span.
#[derive(Clone, Debug)]
pub struct Meter {
    server: Vec<(u32, Cpu)>,
    own: Option<Cpu>,
    machine: Option<u64>,
}

/// What a [`Meter`] read, ns of CPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// The server's.
    pub server: Option<u64>,
    /// This process's.
    pub own: u64,
    /// Everyone else's on this machine.
    pub others: u64,
}

impl Meter {
    /// Starts now. The server may be several processes; those that are not there are left out.
    pub fn start(pids: impl IntoIterator<Item = u32>) -> Self {
        let known = |pid| Some((pid, Cpu::of(pid)?));
        Self {
            machine: machine_busy(),
            own: Cpu::of(std::process::id()),
            server: pids.into_iter().filter_map(known).collect(),
        }
    }

    /// What was used since.
    pub fn read(&self) -> Used {
        let since = |pid, then: &Cpu| Some(Cpu::of(pid)?.since(then));
        let parts = self.server.iter().filter_map(|(pid, cpu)| since(*pid, cpu));
        let server = parts.reduce(|a, b| a + b);
        let own = self.own.as_ref();
        let own = own.and_then(|cpu| since(std::process::id(), cpu));
        let own = own.unwrap_or(0);
        let machine = machine_busy()
            .unwrap_or(0)
            .saturating_sub(self.machine.unwrap_or(0));
        Used {
            server,
            own,
            others: machine.saturating_sub(own + server.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_metered() {
        let listener_socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener_socket.local_addr().unwrap();
        let me = std::process::id();
        assert_eq!(listener(addr), Some(me));
        assert!(resident(me).unwrap() > 100_000);
        let meter = Meter::start(Some(me));
        let mut x = 1_u64;
        while meter.read().server.unwrap() < 1_000_000 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(x != 0);
    }
}
