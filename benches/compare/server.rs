//! A server in a process and a directory of its own.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
        let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
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
                let built = || PathBuf::from(env!("CARGO_BIN_EXE_zabra"));
                let mut command = Command::new(given("ZABRA_BIN").unwrap_or_else(built));
                command.arg("server");
                command
            }
        }
    }
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
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("port: {e}"))?;
        let addr = listener.local_addr().map_err(|e| format!("port: {e}"))?;
        drop(listener);
        let name = format!("{}-{}-{}", kind.name(), std::process::id(), addr.port());
        let dir = options.dir.join("compare").join(name.to_lowercase());
        let mut server = Self {
            kind,
            addr,
            dir,
            child: None,
            first_reply: Duration::ZERO,
        };
        server
            .configure()
            .map_err(|e| format!("{}: {e}", server.dir.display()))?;
        server.launch(props)?;
        Ok(server)
    }

    fn configure(&self) -> std::io::Result<()> {
        let data = self.dir.join("data");
        fs::create_dir_all(&data)?;
        let mut cfg = fs::File::create(self.dir.join("zoo.cfg"))?;
        writeln!(cfg, "tickTime=2000\ndataDir={}", data.display())?;
        writeln!(
            cfg,
            "clientPort={}\nclientPortAddress=127.0.0.1",
            self.addr.port()
        )?;
        // The clients are all on one address; the admin server's port may be taken.
        writeln!(cfg, "maxClientCnxns=0\nadmin.enableServer=false")
    }

    /// Starts it again (or for the first time) on what its directory holds.
    pub(crate) fn launch(&mut self, props: &[&str]) -> Outcome<()> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .map_err(|e| format!("log: {e}"))?;
        let also = log.try_clone().map_err(|e| format!("log: {e}"))?;
        let mut command = self.kind.command();
        let from = Instant::now();
        let child = command
            .args(props)
            .arg(self.dir.join("zoo.cfg"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .spawn()
            .map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        self.child = Some(child);
        self.first_reply(from)?;
        self.first_reply = from.elapsed();
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
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                let end: Vec<_> = log.lines().rev().take(5).collect();
                let end: Vec<_> = end.into_iter().rev().collect();
                return Err(format!(
                    "{} does not start:\n{}",
                    self.kind.name(),
                    end.join("\n")
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// From the start of the process to its first reply.
    pub(crate) fn start_time(&self) -> Duration {
        self.first_reply
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn pid(&self) -> u32 {
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
