//! One server process that plays a container.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::core::RunnableImage;
use crate::images::generic::GenericImage;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
static NEXT_FOLDER: AtomicUsize = AtomicUsize::new(0);

/// A free port out of the range that belongs to this run; no port is given twice.
fn free_port() -> u16 {
    let range = std::env::var("ZABRA_COMPAT_PORTS").expect("ZABRA_COMPAT_PORTS is not set");
    let (first, last) = range.split_once('-').expect("ZABRA_COMPAT_PORTS is first-last");
    let (first, last): (u16, u16) = (first.parse().unwrap(), last.parse().unwrap());
    loop {
        let port = first + NEXT_PORT.fetch_add(1, Ordering::SeqCst);
        assert!(port <= last, "no free port left in {range}");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The reply to `srvr`, if anything answers.
fn srvr(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"srvr").ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}

/// A server process; stopped and its folder removed when dropped.
pub struct Container<'d, I> {
    command: Vec<String>,
    client_port: u16,
    folder: PathBuf,
    log: PathBuf,
    child: Mutex<Option<Child>>,
    _marker: PhantomData<(&'d (), I)>,
}

impl<'d> Container<'d, GenericImage> {
    pub(crate) fn start_new(runnable: RunnableImage<GenericImage>) -> Self {
        let RunnableImage { image, volumes, network } = runnable;
        assert!(
            image.name == "zookeeper" && image.tag.starts_with("3.9"),
            "there is only one server here, not {}:{}",
            image.name,
            image.tag
        );
        let number = NEXT_FOLDER.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("zabra-crate-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();

        let host_of = |inside: &str| volumes.iter().find(|v| v.1 == inside).map(|v| v.0.clone());
        let given = host_of("/conf/zoo.cfg").map(|path| fs::read_to_string(path).unwrap());
        let data = host_of("/data").unwrap_or_else(|| folder.join("data").display().to_string());
        let (config, client_port) = configuration(given.as_deref(), &data, network.is_some(), &volumes);
        let config_path = folder.join("zoo.cfg");
        fs::write(&config_path, config).unwrap();

        let server = std::env::var("ZABRA_COMPAT_SERVER").expect("ZABRA_COMPAT_SERVER is not set");
        let mut command: Vec<String> = server.split_whitespace().map(String::from).collect();
        for (name, value) in &image.env {
            if name == "SERVER_JVMFLAGS" {
                command.extend(value.split_whitespace().map(String::from));
            }
        }
        command.push(config_path.display().to_string());

        let log = folder.join("server.log");
        let container =
            Self { command, client_port, folder, log, child: Mutex::new(None), _marker: PhantomData };
        container.start();
        container
    }
}

/// The file that the server gets, and its client port.
fn configuration(
    given: Option<&str>,
    data: &str,
    host_network: bool,
    volumes: &[(String, String)],
) -> (String, u16) {
    let mut lines: Vec<String> = Vec::new();
    let mut port = None;
    for line in given.unwrap_or("clientPort=2181").lines() {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match key {
            "clientPort" | "secureClientPort" => {
                let free = free_port();
                port = Some(free);
                lines.push(format!("{key}={free}"));
                lines.push(format!("{key}Address=127.0.0.1"));
            },
            "dataDir" => {},
            _ if value.starts_with("/certs/") => {
                let here = volumes.iter().find(|v| v.1 == value).map_or(value, |v| v.0.as_str());
                lines.push(format!("{key}={here}"));
            },
            _ => lines.push(line.to_string()),
        }
    }
    if host_network && port.is_none() {
        port = Some(own_port(&lines, data));
    }
    lines.push(format!("dataDir={data}"));
    for (key, value) in
        [("tickTime", "2000"), ("admin.enableServer", "false"), ("4lw.commands.whitelist", "*")]
    {
        if !lines.iter().any(|l| l.split('=').next() == Some(key)) {
            lines.push(format!("{key}={value}"));
        }
    }
    (lines.join("\n") + "\n", port.expect("a client port in the configuration"))
}

/// The client port of `server.N=...;host:port`, N from the file `myid`.
fn own_port(lines: &[String], data: &str) -> u16 {
    let id = fs::read_to_string(Path::new(data).join("myid")).expect("myid");
    let prefix = format!("server.{}=", id.trim());
    let line = lines.iter().find(|l| l.starts_with(&prefix)).expect("own server line");
    line.rsplit(':').next().unwrap().parse().expect("client port of the own server line")
}

impl<I> Container<'_, I> {
    /// Starts the process again after [`Container::stop`].
    pub fn start(&self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("start of the server");
        let mut slot = self.child.lock().unwrap();
        *slot = Some(child);
        let child = slot.as_mut().unwrap();
        let end = Instant::now() + START_LIMIT;
        while !srvr(self.client_port).is_some_and(|reply| reply.contains("Mode:")) {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("server ended with {status}: {}", self.log_text());
            }
            assert!(Instant::now() < end, "server is not serving: {}", self.log_text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the process to end, as a container engine does, and waits for it.
    pub fn stop(&self) {
        let Some(mut child) = self.child.lock().unwrap().take() else {
            return;
        };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let end = Instant::now() + STOP_LIMIT;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The local port that stands for one of the container; there is only one.
    pub fn get_host_port(&self, _inside: u16) -> u16 {
        self.client_port
    }

    /// What the server wrote.
    pub fn stdout(&self) -> LogStream {
        LogStream { path: self.log.clone() }
    }

    fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl<I> Drop for Container<'_, I> {
    fn drop(&mut self) {
        self.stop();
        if !thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The log of a server, from its beginning.
pub struct LogStream {
    path: PathBuf,
}

impl LogStream {
    /// Returns once the log has the message.
    pub fn wait_for_message(&self, message: &str) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if fs::read_to_string(&self.path).is_ok_and(|text| text.contains(message)) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("no message {message:?} in {}", self.path.display()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
