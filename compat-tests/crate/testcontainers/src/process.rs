//! One server process that plays a container.

use std::fs;
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::core::RunnableImage;
use crate::images::generic::GenericImage;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// A server that prints nothing is asked this often whether it serves.
const ASK_AGAIN: Duration = Duration::from_millis(20);

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

/// What the processes of a container have printed, one after the other.
#[derive(Default)]
struct Output {
    /// The text, and how many of their streams are open.
    state: Mutex<(String, usize)>,
    changed: Condvar,
}

impl Output {
    /// Takes over a stream of a process until its end.
    fn follow(self: &Arc<Self>, mut stream: impl Read + Send + 'static) {
        let output = self.clone();
        output.state.lock().unwrap().1 += 1;
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(size @ 1..) = stream.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..size]).into_owned();
                output.state.lock().unwrap().0.push_str(&text);
                output.changed.notify_all();
            }
            output.state.lock().unwrap().1 -= 1;
            output.changed.notify_all();
        });
    }

    /// Waits for the end of the process, or this long; whether it has ended.
    fn wait_ended(&self, limit: Duration) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, limit, |s| s.1 > 0).unwrap();
        state.1 == 0
    }

    fn text(&self) -> String {
        self.state.lock().unwrap().0.clone()
    }
}

/// A server process; stopped and its folder removed when dropped.
pub struct Container<'d, I> {
    command: Vec<String>,
    client_port: u16,
    folder: PathBuf,
    output: Arc<Output>,
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

        let output = Arc::default();
        let child = Mutex::new(None);
        let container = Self { command, client_port, folder, output, child, _marker: PhantomData };
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
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start of the server");
        self.output.follow(child.stdout.take().unwrap());
        self.output.follow(child.stderr.take().unwrap());
        let mut slot = self.child.lock().unwrap();
        *slot = Some(child);
        let child = slot.as_mut().unwrap();
        let end = Instant::now() + START_LIMIT;
        while !srvr(self.client_port).is_some_and(|reply| reply.contains("Mode:")) {
            if self.output.wait_ended(ASK_AGAIN) {
                let status = child.wait().unwrap();
                panic!("server ended with {status}: {}", self.output.text());
            }
            assert!(Instant::now() < end, "server is not serving: {}", self.output.text());
        }
    }

    /// Asks the process to end, as a container engine does, and waits for it.
    pub fn stop(&self) {
        let Some(mut child) = self.child.lock().unwrap().take() else {
            return;
        };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        if !self.output.wait_ended(STOP_LIMIT) {
            let _ = child.kill();
        }
        let _ = child.wait();
    }

    /// The local port that stands for one of the container; there is only one.
    pub fn get_host_port(&self, _inside: u16) -> u16 {
        self.client_port
    }

    /// What the server wrote.
    pub fn stdout(&self) -> LogStream {
        LogStream { output: self.output.clone() }
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

/// What a server printed, from its beginning.
pub struct LogStream {
    output: Arc<Output>,
}

impl LogStream {
    /// Returns once the message has been printed.
    pub fn wait_for_message(&self, message: &str) -> Result<(), String> {
        let state = self.output.state.lock().unwrap();
        let absent = |s: &mut (String, usize)| !s.0.contains(message);
        let (state, _) = self.output.changed.wait_timeout_while(state, START_LIMIT, absent).unwrap();
        if state.0.contains(message) { Ok(()) } else { Err(format!("{message:?} was not printed")) }
    }
}
