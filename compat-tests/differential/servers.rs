//! Starts a server process on a directory of its own and stops it again.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::conn::Conn;
use crate::profiles::Profile;

/// How a server program is called: `program words.. -Dk=v.. zoo.cfg`.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Used in messages.
    pub name: &'static str,
    pub program: PathBuf,
    pub words: Vec<String>,
}

/// Time allowed from the start of the process to its first answer.
const START: Duration = Duration::from_secs(60);

/// A server that prints nothing is asked this often whether it serves.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// What a server has printed.
#[derive(Default)]
struct Output {
    printed: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Default)]
struct Printed {
    text: String,
    /// How many of its streams are open.
    open: usize,
}

impl Output {
    fn printed(&self) -> MutexGuard<'_, Printed> {
        self.printed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes over a stream of the process until its end.
    fn follow(self: &Arc<Self>, mut stream: impl Read + Send + 'static) {
        let output = self.clone();
        output.printed().open += 1;
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(size @ 1..) = stream.read(&mut bytes) {
                let text = String::from_utf8_lossy(bytes.get(..size).unwrap_or_default());
                output.printed().text.push_str(&text);
            }
            output.printed().open -= 1;
            output.changed.notify_all();
        });
    }

    /// Waits for the end of the process, or this long.
    fn wait_ended(&self, limit: Duration) {
        let printed = self.printed();
        let _woken = self
            .changed
            .wait_timeout_while(printed, limit, |p| p.open > 0);
    }
}

impl Launcher {
    /// Apache 3.9.5: `ZABRA_APACHE`, or the launcher that `compat-tests/setup` makes usable.
    pub fn apache() -> Self {
        let program = std::env::var_os("ZABRA_APACHE").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-tests/bin/apache-server"),
            PathBuf::from,
        );
        Self {
            name: "apache",
            program,
            words: Vec::new(),
        }
    }

    /// Zabra: `ZABRA_BIN`, or the binary cargo built for this test.
    pub fn zabra() -> Self {
        let program = std::env::var_os("ZABRA_BIN")
            .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_zabra")), PathBuf::from);
        Self {
            name: "zabra",
            program,
            words: vec!["server".to_owned()],
        }
    }
}

/// A running server. Dropping it kills the process and removes its files.
pub struct Server {
    pub name: &'static str,
    pub addr: SocketAddr,
    child: Child,
    output: Arc<Output>,
    _dir: TempDir,
}

impl Server {
    /// Starts the program and waits until it serves.
    pub fn start(launcher: &Launcher, profile: &Profile) -> Result<Self, String> {
        let err = |what: &str, e: std::io::Error| {
            format!(
                "{}: {what} ({}): {e}",
                launcher.name,
                launcher.program.display()
            )
        };
        let dir = tempfile::Builder::new()
            .prefix("zabra-differential-")
            .tempdir()
            .map_err(|e| err("no temporary directory", e))?;
        let addr = free_address().map_err(|e| err("no free port", e))?;
        let config = dir.path().join("zoo.cfg");
        fs::write(&config, zoo_cfg(profile, dir.path(), addr.port()))
            .map_err(|e| err("cannot write zoo.cfg", e))?;
        let mut child = Command::new(&launcher.program)
            .args(&launcher.words)
            .args(profile.properties.iter().map(|p| format!("-D{p}")))
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| err("cannot be started", e))?;
        let output = Arc::<Output>::default();
        if let Some(stream) = child.stdout.take() {
            output.follow(stream);
        }
        if let Some(stream) = child.stderr.take() {
            output.follow(stream);
        }
        let mut server = Self {
            name: launcher.name,
            addr,
            child,
            output,
            _dir: dir,
        };
        server.await_serving()?;
        Ok(server)
    }

    fn await_serving(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "{} ended with {status}; {}",
                    self.name,
                    self.log_tail()
                ));
            }
            if let Ok(mut conn) = Conn::open(self.addr) {
                conn.send(b"srvr");
                let (answer, _) = conn.read_to_end(Duration::from_millis(300));
                if String::from_utf8_lossy(&answer).contains("Mode: ") {
                    return Ok(());
                }
            }
            self.output.wait_ended(ASK_AGAIN);
        }
        Err(format!(
            "{} does not serve after {START:?}; {}",
            self.name,
            self.log_tail()
        ))
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines the server printed.
    pub fn log_tail(&self) -> String {
        let printed = self.output.printed();
        let lines: Vec<&str> = printed.text.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n    ");
        format!("its output ends with:\n    {tail}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Short ticks make expiry quick: the shortest session timeout is 300 ms.
fn zoo_cfg(profile: &Profile, dir: &Path, port: u16) -> String {
    let mut lines = vec![
        format!("dataDir={}", dir.join("data").display()),
        format!("clientPort={port}"),
        "clientPortAddress=127.0.0.1".to_owned(),
        "admin.enableServer=false".to_owned(),
        "tickTime=100".to_owned(),
        "minSessionTimeout=300".to_owned(),
        "maxSessionTimeout=3600000".to_owned(),
        "maxClientCnxns=0".to_owned(),
        "forceSync=no".to_owned(),
    ];
    lines.extend(profile.config.iter().map(|line| (*line).to_owned()));
    lines.join("\n") + "\n"
}
