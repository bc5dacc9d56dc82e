//! The log: tracing events as lines of Apache's stock logback pattern on standard output.
//!
//! `%d{ISO8601} [myid:%X{myid}] - %-5p [%t:%C{1}@%L] - %m%n`, e.g.
//!
//! ```text
//! 2026-11-22 14:14:01,848 [myid:1] - WARN  [SyncThread:0:o.a.z.s.p.FileTxnLog@0] - message
//! ```
//!
//! The class is the event's target: either Apache's class, abbreviated as above or in full
//! (`target: "org.apache.zookeeper.server.ZooKeeperServer"`), or the Rust module. The line number
//! is always 0, so that filters on the location stay valid from build to build.
//!
//! Lines go through a bounded queue to a thread of their own, so a stuck terminal or pipe never
//! stops the server: when the queue is full lines are dropped and counted.

mod level;
mod line;
mod sink;

use std::sync::atomic::{AtomicI64, Ordering};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub use level::filter_text;
use line::LogbackFormat;
pub use sink::flush;
use sink::{Sink, write_to_stdout};

/// No id known yet.
const NO_ID: i64 = -1;

/// Logback's MDC `myid`, one for the whole process.
static MYID: AtomicI64 = AtomicI64::new(NO_ID);

/// From now on lines carry `[myid:<id>]`. Apache: `QuorumPeerConfig.setupMyId`.
pub fn set_myid(id: i64) {
    MYID.store(id, Ordering::Relaxed);
}

fn myid() -> Option<i64> {
    Some(MYID.load(Ordering::Relaxed)).filter(|id| *id != NO_ID)
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another subscriber is installed.
    #[error("a tracing subscriber is already installed")]
    Installed,
    /// No thread for the writer.
    #[error("no thread for the log: {0}")]
    Thread(#[from] std::io::Error),
}

/// Installs the log for this process. `env` looks up an environment variable; see [`filter_text`].
///
/// # Errors
/// If a subscriber is installed already or the writer thread cannot be started.
pub fn init(env: impl Fn(&str) -> Option<String>) -> Result<(), LogError> {
    let text = filter_text(env);
    let parsed = EnvFilter::try_new(&text);
    let bad = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::default().add_directive(info()));
    let sink = Sink::start(write_to_stdout)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .event_format(LogbackFormat)
        .with_writer(sink.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Installed)?;
    sink.keep();
    if let Some(why) = bad {
        tracing::warn!("The log filter {text} is not understood, INFO is used: {why}");
    }
    Ok(())
}

fn info() -> tracing_subscriber::filter::Directive {
    LevelFilter::from_level(Level::INFO).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_apaches_class_names() {
        for text in [
            "info",
            "info,o.a.z.s.p.FileTxnLog=debug",
            "warn,zabra::zab=trace",
            "off",
        ] {
            assert!(EnvFilter::try_new(text).is_ok(), "{text}");
        }
    }
}
