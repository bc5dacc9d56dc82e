//! Apache ZooKeeper and Zabra side by side, in one run, with their default durability: the ratio
//! table of the project's speed goals.
//!
//! `cargo bench --bench compare [-- --quick] [--rows get,set] [--rounds 3] [--json FILE]`

mod ensemble;
mod million;
mod moves;
mod options;
mod rows;
mod samples;
mod server;
mod single;
mod table;

use std::io::Write as _;
use std::process::ExitCode;

use options::Options;
use rows::{ROWS, Way};
use samples::Samples;
use server::{Kind, Server};

/// What a failed step says.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            say(&format!("compare: {e}"));
            ExitCode::from(2)
        }
    }
}

/// Measures and prints; true when no wanted number was missed.
fn run(options: &Options) -> Outcome<bool> {
    options.check()?;
    let kinds = options.kinds();
    for &kind in kinds {
        server::prepare(kind)?;
    }
    let mut samples = Samples::default();
    for round in 0..options.rounds {
        say(&format!("round {} of {}", round + 1, options.rounds));
        loads(options, kinds, &mut samples)?;
        for &kind in kinds {
            single::measure(options, kind, &mut samples)?;
        }
        ensemble::loads(options, kinds, &mut samples)?;
        for &kind in kinds {
            moves::measure(options, kind, &mut samples)?;
        }
        if round % 3 == 0 && options.any(Way::Million) {
            for &kind in kinds {
                million::measure(options, kind, &mut samples)?;
            }
        }
    }
    let table = table::Table::of(options, &samples);
    let text = table.text();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|e| e.to_string())?;
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&table).map_err(|e| e.to_string())?;
        std::fs::write(file, json + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(table.passed())
}

/// The rows that a pair of running servers is enough for: both stay up, row by row in turn.
fn loads(options: &Options, kinds: &[Kind], samples: &mut Samples) -> Outcome<()> {
    if !options.any(Way::Load) {
        return Ok(());
    }
    let mut servers = Vec::new();
    for &kind in kinds {
        let server = Server::start(options, kind, &[])?;
        // Half the JVM's code is not compiled before this.
        let span = options.span(5.0, 3.0);
        let words = format!("mixed -s 50 -f 8 -d {span} --warmup 0 --read-share 50");
        server.bench(&words)?;
        servers.push(server);
    }
    for row in ROWS {
        if row.way != Way::Load || !options.wants(row) {
            continue;
        }
        for server in &servers {
            say(&format!("{:<8} {}", server.kind().name(), row.title));
            let report = server.bench(&row.command(options))?;
            samples.add_report(row, server.kind(), &report);
        }
    }
    Ok(())
}

/// A line on standard error; that it cannot be written is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
