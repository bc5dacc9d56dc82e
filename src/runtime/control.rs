//! Commands of the operator to a running member, through a socket in its data directory that only
//! the owner of the data can open: `zabra handover`.
//!
//! One line is asked, one line is answered; a connection asks once.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;

use crate::base::ServerId;
use crate::quorum::Input;
use crate::zab::leader::{NOT_CAUGHT_UP, NOT_SETTLED};

use super::quorum_net::Queued;

/// The socket in the data directory.
pub const SOCKET: &str = "zabra.sock";

/// A question is not longer than this, bytes.
const QUESTION_MAX: u64 = 128;

/// How long a question or an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a handover may take before nobody waits for it.
const HANDOVER_MAX: Duration = Duration::from_secs(60);

/// A handover that was given up, so as not to hold writes any longer, begins again for this long.
const HANDOVER_AGAIN: Duration = Duration::from_secs(20);

/// Writes go on for this long in between.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 500 });

/// Who leads after a handover, or why nothing changed.
pub(super) type Outcome = Result<ServerId, String>;

/// Those who wait for the end of a handover, and how many there have been.
#[derive(Default)]
struct Asked {
    count: u64,
    waiting: BTreeMap<u64, Sender<Outcome>>,
}

/// Those who wait for the end of a handover.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Asked>>);

impl Waiting {
    /// Tells who asked.
    pub(super) fn done(&self, ask: u64, outcome: Outcome) {
        match &outcome {
            Ok(leader) => {
                tracing::info!(target: "o.a.z.s.q.Leader", "Server {} leads now", leader.0);
            }
            Err(why) => tracing::warn!(target: "o.a.z.s.q.Leader", "No handover: {why}"),
        }
        if let Some(to) = self.0.lock().waiting.remove(&ask) {
            let _ = to.send(outcome);
        }
    }

    fn ask(&self) -> (u64, crossbeam_channel::Receiver<Outcome>) {
        let (to, answer) = bounded(1);
        let mut asked = self.0.lock();
        asked.count += 1;
        let ask = asked.count;
        asked.waiting.insert(ask, to);
        (ask, answer)
    }
}

/// Opens the socket, and answers on a thread of its own.
///
/// # Errors
/// When it cannot be made.
pub(super) fn start(data_dir: &Path, inputs: Sender<Queued>, waiting: Waiting) -> io::Result<()> {
    let path = data_dir.join(SOCKET);
    // The lock of the data directory is ours: what is there was left behind.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = at(data_dir, |short| UnixListener::bind(short))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let serve = move || {
        for stream in listener.incoming() {
            if let Ok(stream) = stream
                && let Err(e) = answer(&stream, &inputs, &waiting)
            {
                tracing::debug!(target: "o.a.z.s.q.QuorumPeer", "a command: {e}");
            }
        }
    };
    std::thread::Builder::new()
        .name("control".to_owned())
        .spawn(serve)?;
    Ok(())
}

/// Runs `f` with a path to the socket that is short enough, wherever the directory is.
fn at<T>(dir: &Path, f: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let dir = std::fs::File::open(dir)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()));
    f(&short)
}

fn answer(mut stream: &UnixStream, inputs: &Sender<Queued>, waiting: &Waiting) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
    let text = match question(&line) {
        Some(to) => match hand_over(to, inputs, waiting) {
            Ok(leader) => format!("server {} leads\n", leader.0),
            Err(why) => format!("error: {why}\n"),
        },
        None => "error: the only command is: handover [SID]\n".to_owned(),
    };
    stream.write_all(text.as_bytes())
}

/// `handover`, or `handover` and the id of who should lead.
fn question(line: &str) -> Option<Option<ServerId>> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("handover") {
        return None;
    }
    let to = match words.next() {
        Some(sid) => Some(ServerId(sid.parse().ok()?)),
        None => None,
    };
    words.next().is_none().then_some(to)
}

/// One that was given up is begun again: each holds writes for a short time only, and on a busy
/// machine that may not be enough the first time.
fn hand_over(to: Option<ServerId>, inputs: &Sender<Queued>, waiting: &Waiting) -> Outcome {
    let end = Instant::now() + HANDOVER_AGAIN;
    let first = hand_over_once(to, inputs, waiting);
    let again = |why: &String| why == NOT_SETTLED || why == NOT_CAUGHT_UP;
    if !first.as_ref().is_err_and(again) {
        return first;
    }
    while Instant::now() < end {
        std::thread::sleep(PAUSE);
        // The heir that was late may have to come back first.
        let outcome = hand_over_once(to, inputs, waiting);
        if outcome.is_ok() {
            return outcome;
        }
    }
    first
}

fn hand_over_once(to: Option<ServerId>, inputs: &Sender<Queued>, waiting: &Waiting) -> Outcome {
    let (ask, answer) = waiting.ask();
    let gone = "the server is ending";
    inputs
        .send(Input::HandOver(ask, to).into())
        .map_err(|_| gone.to_owned())?;
    answer
        .recv_timeout(HANDOVER_MAX)
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

/// The subcommand `handover`: lets the leader that runs over this data directory hand over to `to`,
/// or to whoever is best. What it says.
///
/// # Errors
/// Why nothing changed.
pub fn handover(data_dir: &Path, to: Option<i64>) -> Result<String, String> {
    let ask = || -> io::Result<String> {
        let mut stream = at(data_dir, |short| UnixStream::connect(short))?;
        stream.set_read_timeout(Some(HANDOVER_MAX + PATIENCE))?;
        let to = to.map(|sid| format!(" {sid}")).unwrap_or_default();
        stream.write_all(format!("handover{to}\n").as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.trim_end().to_owned())
    };
    match ask() {
        Ok(text) if text.starts_with("server ") => Ok(text),
        Ok(text) => Err(text),
        Err(e) => Err(format!(
            "error: no member of an ensemble runs over {}, or it is not yours: {e}",
            data_dir.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handover_is_asked() {
        assert_eq!(question("handover\n"), Some(None));
        assert_eq!(question("handover 3\n"), Some(Some(ServerId(3))));
        for bad in ["", "handover x", "handover 1 2", "hand", "stat"] {
            assert_eq!(question(bad), None, "{bad}");
        }
    }

    #[test]
    fn asks_and_hears_through_the_socket() {
        let dir = std::env::temp_dir().join(format!(
            "zabra-control-{}-{}",
            std::process::id(),
            "d".repeat(100)
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let (inputs, asked) = crossbeam_channel::unbounded();
        let waiting = Waiting::default();
        start(&dir, inputs, waiting.clone()).unwrap();
        let mode = std::fs::metadata(dir.join(SOCKET)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let member = std::thread::spawn(move || {
            let outcomes = [
                Ok(ServerId(2)),
                Err("no".to_owned()),
                Err(NOT_SETTLED.to_owned()),
                Err("it is not back yet".to_owned()),
                Ok(ServerId(3)),
            ];
            for outcome in outcomes {
                match asked.recv().map(|q: Queued| q.input) {
                    Ok(Input::HandOver(ask, _)) => waiting.done(ask, outcome),
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(handover(&dir, Some(2)), Ok("server 2 leads".to_owned()));
        assert_eq!(handover(&dir, None), Err("error: no".to_owned()));
        let again = handover(&dir, None);
        assert_eq!(again, Ok("server 3 leads".to_owned()), "after two tries");
        member.join().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
