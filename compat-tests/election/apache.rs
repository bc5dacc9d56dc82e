//! Two of three members as Apache processes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time allowed from the start of a process to its first answer as part of a quorum.
const START: Duration = Duration::from_secs(90);

/// Three members on ports of their own; their directories outlive their processes.
pub struct Ensemble {
    /// `server.N=...`, one a line.
    pub text: String,
    clients: [u16; 3],
    dir: TempDir,
}

impl Ensemble {
    /// `role` is that of member `me`; the others take part.
    pub fn new(me: i64, role: &str) -> Result<Self, String> {
        let ports = free_ports(9).map_err(|e| format!("no free ports: {e}"))?;
        let line = |id: i64| {
            let at = (id as usize - 1) * 2;
            let role = if id == me { role } else { "participant" };
            format!(
                "server.{id}=127.0.0.1:{}:{}:{role}\n",
                ports[at],
                ports[at + 1]
            )
        };
        let dir = tempfile::Builder::new()
            .prefix("zabra-election-")
            .tempdir()
            .map_err(|e| format!("no temporary directory: {e}"))?;
        Ok(Self {
            text: (1..=3).map(line).collect(),
            clients: [ports[6], ports[7], ports[8]],
            dir,
        })
    }

    /// Starts members as Apache processes, at once.
    pub fn start(&self, ids: &[i64]) -> Result<Vec<Apache>, String> {
        ids.iter().map(|id| self.start_one(*id)).collect()
    }

    /// Starts one member.
    pub fn start_one(&self, id: i64) -> Result<Apache, String> {
        let home = self.dir.path().join(id.to_string());
        let port = self.clients[id as usize - 1];
        let config = home.join("zoo.cfg");
        let write = || -> std::io::Result<(File, File)> {
            fs::create_dir_all(&home)?;
            fs::write(home.join("myid"), id.to_string())?;
            fs::write(&config, self.zoo_cfg(&home, port))?;
            let log = File::create(home.join("log"))?;
            Ok((log.try_clone()?, log))
        };
        let (out, err) = write().map_err(|e| format!("cannot prepare server {id}: {e}"))?;
        let child = Command::new(program())
            .env("ZK_LOG_LEVEL", "INFO")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", program().display()))?;
        let client = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        Ok(Apache {
            id,
            client,
            child,
            log: home.join("log"),
        })
    }

    fn zoo_cfg(&self, home: &Path, port: u16) -> String {
        format!(
            "tickTime=2000\ninitLimit=10\nsyncLimit=15\ndataDir={}\nclientPort={port}\n\
             clientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\n{}",
            home.display(),
            self.text
        )
    }
}

/// `ZABRA_APACHE`, or the launcher that `compat-tests/setup` makes usable.
fn program() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-tests/bin/apache-server");
    std::env::var_os("ZABRA_APACHE").map_or(ours, PathBuf::from)
}

fn free_ports(n: usize) -> std::io::Result<Vec<u16>> {
    // Below those that the system gives to outgoing connections: nobody takes one before its server
    // does.
    let start = 22_000 + u16::try_from(std::process::id() % 9000).unwrap_or_default();
    let mut held = Vec::new();
    for port in start..start + 1000 {
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        if held.len() == n {
            break;
        }
    }
    held.iter().map(|l| Ok(l.local_addr()?.port())).collect()
}

/// A process; dropping it kills it.
pub struct Apache {
    pub id: i64,
    client: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Apache {
    /// Is the process still there?
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its role, as `srvr` names it; empty while it has none.
    pub fn mode(&self) -> String {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect_timeout(&self.client, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"srvr")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        let mode = answer.lines().find_map(|l| l.strip_prefix("Mode: "));
        mode.unwrap_or_default().to_owned()
    }

    /// Waits until it has a role.
    pub fn await_serving(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if !self.is_running() {
                return Err(format!("server {} ended; {}", self.id, self.log_tail()));
            }
            if !self.mode().is_empty() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "server {} has no role after {START:?}; {}",
            self.id,
            self.log_tail()
        ))
    }

    fn log_tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(25)..].join(" | ");
        format!("its output ends with: {tail}")
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
