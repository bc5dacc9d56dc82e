//! One event as one line.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::myid;
use crate::telemetry::zone;

/// The stock logback pattern.
pub(super) struct LogbackFormat;

impl<S, N> FormatEvent<S, N> for LogbackFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // The one clock that this layer reads: a line is stamped where it is made.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let thread = std::thread::current();
        let meta = event.metadata();
        let head = Head {
            time: zone::local().iso8601(now_ms),
            myid: myid(),
            level: *meta.level(),
            thread: thread.name().unwrap_or("Thread"),
            target: meta.target(),
        };
        write!(out, "{head}")?;
        event.record(&mut Fields {
            out: &mut out,
            result: Ok(()),
        });
        out.write_char('\n')
    }
}

/// Everything before the message.
struct Head<'a> {
    time: String,
    myid: Option<i64>,
    level: Level,
    thread: &'a str,
    target: &'a str,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [myid:", self.time)?;
        if let Some(id) = self.myid {
            write!(f, "{id}")?;
        }
        write!(f, "] - {:<5} [{}:", self.level.as_str(), self.thread)?;
        write_class(f, self.target)?;
        f.write_str("@0] - ")
    }
}

/// Shortens all but the last part of a class or module name to one letter, as logback's `%C{1}`.
fn write_class(f: &mut fmt::Formatter<'_>, target: &str) -> fmt::Result {
    let mut parts = target
        .split(['.', ':'])
        .filter(|part| !part.is_empty())
        .peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return f.write_str(part);
        }
        if let Some(first) = part.chars().next() {
            f.write_char(first)?;
            f.write_char('.')?;
        }
    }
    Ok(())
}

/// The message, then other fields as ` name=value`.
struct Fields<'a, 'w> {
    out: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl Visit for Fields<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.result = self.result.and_then(|()| match field.name() {
            "message" => write!(self.out, "{value:?}"),
            name => write!(self.out, " {name}={value:?}"),
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| match field.name() {
            "message" => self.out.write_str(value),
            name => write!(self.out, " {name}={value}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_head_is_logbacks() {
        let head = Head {
            time: "2026-11-22 14:14:01,848".to_owned(),
            myid: Some(1),
            level: Level::WARN,
            thread: "SyncThread:0",
            target: "o.a.z.s.p.FileTxnLog",
        };
        let want =
            "2026-11-22 14:14:01,848 [myid:1] - WARN  [SyncThread:0:o.a.z.s.p.FileTxnLog@0] - ";
        assert_eq!(head.to_string(), want);
        let head = Head {
            myid: None,
            level: Level::ERROR,
            thread: "main",
            ..head
        };
        let want = "2026-11-22 14:14:01,848 [myid:] - ERROR [main:o.a.z.s.p.FileTxnLog@0] - ";
        assert_eq!(head.to_string(), want);
    }

    #[test]
    fn class_names_are_shortened() {
        struct Class(&'static str);
        impl fmt::Display for Class {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_class(f, self.0)
            }
        }
        for (target, want) in [
            (
                "org.apache.zookeeper.server.persistence.FileTxnLog",
                "o.a.z.s.p.FileTxnLog",
            ),
            ("o.a.z.s.ZooKeeperServer", "o.a.z.s.ZooKeeperServer"),
            ("zabra::store::txnlog", "z.s.txnlog"),
            ("main", "main"),
            ("", ""),
        ] {
            assert_eq!(Class(target).to_string(), want);
        }
    }

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_fields() {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .event_format(LogbackFormat)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "o.a.z.s.NIOServerCnxnFactory", "binding to port /{}", "0.0.0.0:2181");
            tracing::warn!(target: "o.a.z.s.q.Learner", sid = 3, why = "gone", "Exception");
            tracing::debug!("not shown at INFO");
        });
        let text =
            String::from_utf8(memory.0.lock().expect("not poisoned").clone()).expect("utf-8");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].ends_with(":o.a.z.s.NIOServerCnxnFactory@0] - binding to port /0.0.0.0:2181")
        );
        assert!(
            lines[1].ends_with(":o.a.z.s.q.Learner@0] - Exception sid=3 why=gone"),
            "{text}"
        );
        assert!(lines[1].contains("] - WARN  ["));
    }
}
