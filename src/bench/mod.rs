//! L5: `zabra bench`, a load tool that speaks the client protocol.
//!
//! It is meant to share a machine with the server it measures: one thread, an epoll loop, requests
//! encoded once, answers read by their head, one read and one write for all that is at hand.
//!
//! ```text
//!  run ── scenario ──► load ──► worker (thread) ──► pool (epoll) ──► conn (session)
//!              │          │         │ requests: work ─► wire templates
//!              ▼          ▼         ▼
//!           report ◄── process   stats
//! ```

mod args;
pub mod clock;
pub mod conn;
pub mod error;
pub mod load;
pub mod pool;
pub mod process;
pub mod progress;
pub mod report;
pub mod rng;
pub mod scenario;
pub mod simple;
pub mod stats;
pub mod wire;
pub mod work;
mod worker;

use std::io::Write as _;

use clap::Parser as _;

use args::{Cli, Command};
use error::BenchError;
use report::Report;
use work::Kind;

/// Runs the tool; `args` are the words behind `zabra bench`.
///
/// Returns the exit code: 0, 1 when requests were answered with errors, 2 when the run broke off,
/// 64 for a wrong command line.
pub fn run(args: Vec<String>) -> i32 {
    let words = std::iter::once("zabra bench".to_owned()).chain(args);
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return if e.use_stderr() { 64 } else { 0 };
        }
    };
    let (json, result) = dispatch(cli.command);
    match result {
        Ok(report) => {
            let mut out = std::io::stdout().lock();
            let text = if json {
                serde_json::to_string(&report).unwrap_or_default()
            } else {
                report.text()
            };
            if writeln!(out, "{}", text.trim_end()).is_err() {
                return 2;
            }
            i32::from(!report.clean())
        }
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "zabra bench: {e}");
            2
        }
    }
}

/// Runs the tool from within a program: the words behind `zabra bench`, and its report.
///
/// # Errors
/// For a wrong command line and when the run breaks off.
pub fn measure<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Report, BenchError> {
    let cli = Cli::try_parse_from(std::iter::once("zabra bench").chain(words))
        .map_err(|e| BenchError::Usage(e.to_string()))?;
    dispatch(cli.command).1
}

fn dispatch(command: Command) -> (bool, Result<Report, BenchError>) {
    let (kind, args) = match command {
        Command::Get(a) => (Kind::Get, a),
        Command::Exists(a) => (Kind::Exists, a),
        Command::Set(a) => (Kind::Set, a),
        Command::Create(a) => (Kind::Create, a),
        Command::Delete(a) => (Kind::Delete, a),
        Command::Multi(a) => (Kind::Multi, a),
        Command::List(a) => (Kind::List, a),
        Command::Mixed(a) => (Kind::Mixed, a),
        Command::Churn(a) => (Kind::Churn, a),
        Command::Sessions(a) => return (a.common.json, scenario::sessions(&a)),
        Command::Heartbeat(a) => return (a.common.json, scenario::heartbeat(&a)),
        Command::Watch(a) => return (a.common.json, scenario::watch(&a)),
        Command::Fill(a) => return (a.common.json, scenario::fill(&a)),
    };
    (args.common.json, scenario::load(kind, &args))
}
