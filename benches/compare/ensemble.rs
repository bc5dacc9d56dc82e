//! Ensembles of three on this machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use zabra::bench::report::Report;

use crate::options::Options;
use crate::rows::{ROWS, Way};
use crate::samples::Samples;
use crate::server::{Kind, Server, free_address};
use crate::{Outcome, say};

/// Longest time until there is one leader and everybody serves.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// Three servers; member `i` has the id `i + 1`.
pub(crate) struct Ensemble {
    pub(crate) members: Vec<Server>,
    props: Vec<&'static str>,
}

impl Ensemble {
    /// Starts one and waits until all its members serve.
    pub(crate) fn start(options: &Options, kind: Kind, props: &[&'static str]) -> Outcome<Self> {
        let mut lines = String::from("initLimit=30\nsyncLimit=10\n4lw.commands.whitelist=*\n");
        for sid in 1..=3 {
            let (quorum, election) = (free_address()?.port(), free_address()?.port());
            lines.push_str(&format!("server.{sid}=127.0.0.1:{quorum}:{election}\n"));
        }
        let mut ensemble = Self {
            members: Vec::new(),
            props: props.to_vec(),
        };
        for sid in 1..=3 {
            let mut member = Server::new(options, kind, &lines)?;
            let myid = member.data().join("myid");
            std::fs::write(&myid, format!("{sid}\n"))
                .map_err(|e| format!("{}: {e}", myid.display()))?;
            member.spawn(props)?;
            ensemble.members.push(member);
        }
        ensemble.settle()?;
        Ok(ensemble)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.members[0].kind()
    }

    /// Waits until all members serve under one leader; which one that is.
    pub(crate) fn settle(&self) -> Outcome<usize> {
        let from = Instant::now();
        while from.elapsed() < SETTLE_MAX {
            let modes: Vec<_> = self.members.iter().map(|m| mode(m.addr())).collect();
            let serving = modes.iter().all(Option::is_some);
            let leader = modes.iter().position(|m| m.as_deref() == Some("leader"));
            if let (true, Some(leader)) = (serving, leader) {
                return Ok(leader);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!(
            "an ensemble of {} finds no leader",
            self.kind().name()
        ))
    }

    /// Starts a member that is gone, and waits until it serves; how long that took.
    pub(crate) fn again(&mut self, member: usize) -> Outcome<Duration> {
        let from = Instant::now();
        self.members[member].spawn(&self.props)?;
        self.members[member].wait(from)?;
        Ok(self.members[member].start_time())
    }

    /// Runs the load tool on a member; the CPU is that of all.
    fn bench(&self, member: usize, words: &str) -> Outcome<Report> {
        let others = self
            .members
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != member);
        let also: Vec<_> = others.map(|(_, m)| m.pid().to_string()).collect();
        self.members[member].bench(&format!("{words} --also {}", also.join(",")))
    }
}

/// The rows that a load on a running ensemble is enough for.
pub(crate) fn loads(options: &Options, kinds: &[Kind], samples: &mut Samples) -> Outcome<()> {
    if !options.any(Way::Leader) && !options.any(Way::Follower) {
        return Ok(());
    }
    let mut ensembles = Vec::new();
    for &kind in kinds {
        let ensemble = Ensemble::start(options, kind, &[])?;
        let span = options.span(5.0, 3.0);
        for member in 0..ensemble.members.len() {
            ensemble.bench(
                member,
                &format!("mixed -s 50 -f 8 -d {span} --warmup 0 --read-share 50"),
            )?;
        }
        ensembles.push(ensemble);
    }
    for row in ROWS {
        let follows = row.way == Way::Follower;
        if !(row.way == Way::Leader || follows) || !options.wants(row) {
            continue;
        }
        for ensemble in &ensembles {
            say(&format!("{:<8} {}", ensemble.kind().name(), row.title));
            let leader = ensemble.settle()?;
            let member = if follows { (leader + 1) % 3 } else { leader };
            let report = ensemble.bench(member, &row.command(options))?;
            samples.add_report(row, ensemble.kind(), &report);
        }
    }
    Ok(())
}

/// What a server says its role is; `None` while it does not serve.
fn mode(addr: SocketAddr) -> Option<String> {
    let text = word(addr, "srvr").ok()?;
    let mode = text.lines().find_map(|l| l.strip_prefix("Mode: "))?;
    Some(mode.to_owned())
}

fn word(addr: SocketAddr, word: &str) -> std::io::Result<String> {
    let limit = Duration::from_secs(2);
    let mut socket = TcpStream::connect_timeout(&addr, limit)?;
    socket.set_read_timeout(Some(limit))?;
    socket.write_all(word.as_bytes())?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text)
}
