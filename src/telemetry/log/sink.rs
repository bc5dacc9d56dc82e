//! From the threads of the server to standard output without ever stopping one of them.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const QUEUE_LINES: usize = 8_192;
/// Bytes of one line; the rest is cut off. Lines can hold what clients sent.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes written at once.
const BATCH_BYTES: usize = 64 * 1024;
/// How long an ERROR line waits for room, and [`flush`] for the end.
const PATIENCE: Duration = Duration::from_secs(2);

static INSTALLED: OnceLock<Sink> = OnceLock::new();

enum Item {
    Line(Box<[u8]>),
    Flush(Sender<()>),
}

/// The sending side of the queue.
#[derive(Clone)]
pub(super) struct Sink {
    queue: Sender<Item>,
    dropped: Arc<AtomicU64>,
}

/// Waits until everything logged before is written, at most two seconds. Call it before the process
/// ends; nothing happens when no log is installed.
pub fn flush() {
    if let Some(sink) = INSTALLED.get() {
        sink.flush();
    }
}

/// Writes a batch to standard output; nobody can be told when that fails.
pub(super) fn write_to_stdout(batch: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(batch).and_then(|()| out.flush());
}

impl Sink {
    /// Starts the writer thread.
    pub(super) fn start(write: impl FnMut(&[u8]) + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = bounded(QUEUE_LINES);
        let sink = Self {
            queue,
            dropped: Arc::default(),
        };
        let dropped = Arc::clone(&sink.dropped);
        std::thread::Builder::new()
            .name("LogWriter".to_owned())
            .spawn(move || drain(&lines, &dropped, write))?;
        Ok(sink)
    }

    /// Makes this the sink of [`flush`].
    pub(super) fn keep(self) {
        let _ = INSTALLED.set(self);
    }

    fn flush(&self) {
        let (done, wait) = bounded(1);
        if self.queue.send_timeout(Item::Flush(done), PATIENCE).is_ok() {
            let _ = wait.recv_timeout(PATIENCE);
        }
    }
}

fn drain(lines: &Receiver<Item>, dropped: &AtomicU64, mut write: impl FnMut(&[u8])) {
    let mut batch = Vec::new();
    let mut waiting = Vec::new();
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Line(line) => batch.extend_from_slice(&line),
                Item::Flush(done) => waiting.push(done),
            }
            next = if batch.len() < BATCH_BYTES {
                lines.try_recv().ok()
            } else {
                None
            };
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => batch.extend(format!("({lost} log lines dropped)\n").bytes()),
        }
        write(&batch);
        batch.clear();
        batch.shrink_to(BATCH_BYTES);
        for done in waiting.drain(..) {
            let _ = done.send(());
        }
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        LineWriter {
            sink: self,
            level: Level::INFO,
        }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        LineWriter {
            sink: self,
            level: *meta.level(),
        }
    }
}

/// Takes one whole line per write, as the subscriber hands it over.
pub(super) struct LineWriter<'a> {
    sink: &'a Sink,
    level: Level,
}

impl io::Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let item = Item::Line(shortened(line));
        let sent = if self.level == Level::ERROR {
            // Few, and often the last words before the end.
            self.sink.queue.send_timeout(item, PATIENCE).is_ok()
        } else {
            self.sink.queue.try_send(item).is_ok()
        };
        if !sent {
            self.sink.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn shortened(line: &[u8]) -> Box<[u8]> {
    match line.get(..LINE_BYTES_MAX) {
        Some(start) if line.len() > LINE_BYTES_MAX => [start, b"...\n"].concat().into(),
        _ => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn lines_arrive_in_order_and_flush_waits() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&seen);
        let sink = Sink::start(move |batch| out.lock().expect("not poisoned").extend(batch))
            .expect("a thread");
        for i in 0..100 {
            writeln!(Whole(&sink), "line {i}").expect("queued");
        }
        sink.flush();
        let text = String::from_utf8(seen.lock().expect("not poisoned").clone()).expect("utf-8");
        let want: String = (0..100).map(|i| format!("line {i}\n")).collect();
        assert_eq!(text, want);
    }

    /// Collects the parts of a formatted line.
    struct Whole<'a>(&'a Sink);

    impl io::Write for Whole<'_> {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            unreachable!("write_fmt is used")
        }

        fn write_fmt(&mut self, args: std::fmt::Arguments<'_>) -> io::Result<()> {
            self.0.make_writer().write_all(args.to_string().as_bytes())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_drops_lines_and_says_so() {
        let (release, gate) = bounded::<()>(0);
        let (entered, stuck) = bounded(1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let out = Arc::clone(&seen);
        let sink = Sink::start(move |batch| {
            let _ = entered.try_send(());
            let _ = gate.recv();
            out.lock().expect("not poisoned").extend(batch);
        })
        .expect("a thread");
        writeln!(Whole(&sink), "first").expect("queued");
        stuck.recv().expect("the writer is stuck");
        for _ in 0..QUEUE_LINES + 3 {
            writeln!(Whole(&sink), "x").expect("queued or dropped");
        }
        drop(release);
        sink.flush();
        let text = String::from_utf8(seen.lock().expect("not poisoned").clone()).expect("utf-8");
        assert_eq!(text.matches("x\n").count(), QUEUE_LINES);
        assert!(text.contains("(3 log lines dropped)\n"));
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(shortened(b"short\n").as_ref(), b"short\n");
        let cut = shortened(&vec![b'a'; LINE_BYTES_MAX + 1]);
        assert_eq!(cut.len(), LINE_BYTES_MAX + 4);
        assert!(cut.ends_with(b"a...\n"));
    }
}
