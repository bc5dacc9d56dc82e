//! A server in a process and a directory of its own.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use zabra::bench::process;
use zabra::bench::report::Report;
use zabra::bench::simple::Client;
use zabra::bench::wire;
use zabra::proto::op::OpCode;
use zabra::proto::request::ReadRequest;

use crate::Outcome;
use crate::options::Options;

/// Longest start, s: a million nodes out of a log.
const START_MAX: Duration = Duration::from_secs(180);
/// One attempt to reach a server that starts may take this long. Apache accepts connections before it
/// answers them, and leaves those of the first moments without an answer.
const ATTEMPT_MAX: Duration = Duration::from_millis(100);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Apache ZooKeeper.
    Apache,
    /// Ours.
    Zabra,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apache => "Apache",
            Self::Zabra => "Zabra",
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Apache => {
                let script = given("ZABRA_APACHE").unwrap_or_else(apache_script);
                let mut command = Command::new(script);
                if std::env::var_os("ZK_JVM_OPTS").is_none() {
                    // As Apache's own start script has it (ZK_SERVER_HEAP).
                    command.env("ZK_JVM_OPTS", "-Xmx1000m");
                }
                command
            }
            Self::Zabra => {
                let mut command = Command::new(zabra());
                command.arg("server");
                command
            }
        }
    }
}

fn given(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

/// Our binary.
pub(crate) fn zabra() -> PathBuf {
    given("ZABRA_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_zabra").into())
}

fn apache_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-tests/bin/apache-server")
}

/// Fetches Apache's jars when they are not there.
pub(crate) fn prepare(kind: Kind) -> Outcome<()> {
    if kind == Kind::Zabra || std::env::var_os("ZABRA_APACHE").is_some() {
        return Ok(());
    }
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-tests/setup");
    let status = Command::new(&setup)
        .args(["tools", "server"])
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("{}: {e}", setup.display()))?;
    if status.success() {
        Ok(())
    } else {
        Err("compat-tests/setup could not get Apache's server (ZABRA_APACHE names another)".into())
    }
}

/// An address that nobody listens at, below the ports that connections are given: a member of an
/// ensemble is started after its ports were chosen.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 1_000) as u16 * 10;
    for _ in 0..2_000 {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    Err(format!("no port from {first} on is free"))
}

/// A running server; killed when dropped, its directory removed with it.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    addr: SocketAddr,
    dir: PathBuf,
    child: Option<Child>,
    first_reply: Duration,
}

impl Server {
    /// Starts one in a fresh directory and waits for its first reply.
    pub(crate) fn start(options: &Options, kind: Kind, props: &[&str]) -> Outcome<Self> {
        let mut server = Self::new(options, kind, "")?;
        server.launch(props)?;
        Ok(server)
    }

    /// One in a fresh directory that is not started yet; `more` ends its zoo.cfg.
    pub(crate) fn new(options: &Options, kind: Kind, more: &str) -> Outcome<Self> {
        let addr = free_address()?;
        let name = format!("{}-{}-{}", kind.name(), std::process::id(), addr.port());
        let dir = options.dir.join("compare").join(name.to_lowercase());
        let server = Self {
            kind,
            addr,
            dir,
            child: None,
            first_reply: Duration::ZERO,
        };
        server
            .configure(more)
            .map_err(|e| format!("{}: {e}", server.dir.display()))?;
        Ok(server)
    }

    fn configure(&self, more: &str) -> std::io::Result<()> {
        let data = self.data();
        fs::create_dir_all(&data)?;
        let mut cfg = fs::File::create(self.dir.join("zoo.cfg"))?;
        writeln!(cfg, "tickTime=2000\ndataDir={}", data.display())?;
        writeln!(
            cfg,
            "clientPort={}\nclientPortAddress=127.0.0.1",
            self.addr.port()
        )?;
        // The clients are all on one address; the admin server's port may be taken.
        writeln!(cfg, "maxClientCnxns=0\nadmin.enableServer=false\n{more}")
    }

    /// Its `dataDir`.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where clients find it.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Starts it again (or for the first time) on what its directory holds.
    pub(crate) fn launch(&mut self, props: &[&str]) -> Outcome<()> {
        let from = Instant::now();
        self.spawn(props)?;
        self.wait(from)
    }

    /// Waits for the first reply; it was started at `from`.
    pub(crate) fn wait(&mut self, from: Instant) -> Outcome<()> {
        self.first_reply(from)?;
        self.first_reply = from.elapsed();
        Ok(())
    }

    /// Starts the process.
    pub(crate) fn spawn(&mut self, props: &[&str]) -> Outcome<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .map_err(|e| format!("log: {e}"))?;
        let also = log.try_clone().map_err(|e| format!("log: {e}"))?;
        let mut command = self.kind.command();
        let child = command
            .args(props)
            .arg(self.dir.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .spawn()
            .map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        self.child = Some(child);
        Ok(())
    }

    fn first_reply(&mut self, from: Instant) -> Outcome<()> {
        let root = ReadRequest {
            path: wire::text("/"),
            watch: false,
        };
        loop {
            let answer = Client::open_within(self.addr, ATTEMPT_MAX)
                .and_then(|mut c| c.call(OpCode::Exists, &root));
            if matches!(answer, Ok((0, _))) {
                return Ok(());
            }
            let gone = self
                .child
                .as_mut()
                .is_some_and(|c| !matches!(c.try_wait(), Ok(None)));
            if gone || from.elapsed() > START_MAX {
                let (name, end) = (self.kind.name(), self.log_end());
                return Err(format!("{name} does not start:\n{end}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The last lines that it logged.
    pub(crate) fn log_end(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let end: Vec<_> = log.lines().rev().take(5).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        end.join("\n")
    }

    /// From the start of the process to its first reply.
    pub(crate) fn start_time(&self) -> Duration {
        self.first_reply
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        let bytes = process::resident(self.pid());
        bytes
            .map(|b| b as f64)
            .ok_or_else(|| format!("{} is gone", self.kind.name()))
    }

    /// Runs the load tool on it.
    pub(crate) fn bench(&self, words: &str) -> Outcome<Report> {
        let (addr, pid) = (self.addr.to_string(), self.pid().to_string());
        let fixed = ["--addr", &addr, "--pid", &pid, "--quiet"];
        let all = words.split_whitespace().chain(fixed);
        zabra::bench::measure(all).map_err(|e| format!("{} under `{words}`: {e}", self.kind.name()))
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The newest complete snapshot: its zxid and its size.
    pub(crate) fn snapshot(&self) -> Option<(u64, u64)> {
        let entries = fs::read_dir(self.dir.join("data/version-2"))
            .ok()?
            .flatten();
        entries
            .filter_map(|e| {
                let name = e.file_name().into_string().ok()?;
                let zxid = u64::from_str_radix(name.strip_prefix("snapshot.")?, 16).ok()?;
                Some((zxid, e.metadata().ok()?.len()))
            })
            .max()
    }

    /// How many snapshots there are.
    pub(crate) fn snapshots(&self) -> usize {
        let entries = fs::read_dir(self.dir.join("data/version-2"));
        entries.map_or(0, |all| {
            all.flatten()
                .filter(|e| e.file_name().to_string_lossy().starts_with("snapshot."))
                .count()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
