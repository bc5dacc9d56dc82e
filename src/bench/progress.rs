//! The live line on standard error.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Shows how a run is getting on.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// Shown on a terminal, and when asked for.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            shown: !quiet,
            terminal,
        }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self {
            shown: false,
            terminal: false,
        }
    }

    /// One second's state of a load.
    pub fn line(&mut self, what: &str, at: Duration, done: u64, rate: f64, errors: u64) {
        let errors = match errors {
            0 => String::new(),
            n => format!("  {n} errors"),
        };
        self.text(&format!(
            "{what:>9} {:>4} s  {done:>10} done  {rate:>9.0} /s{errors}",
            at.as_secs()
        ));
    }

    /// Any other state.
    pub fn text(&mut self, line: &str) {
        if !self.shown {
            return;
        }
        let mut err = std::io::stderr().lock();
        // A closed standard error is no reason to stop.
        let _ = if self.terminal {
            write!(err, "\r\x1b[K{line}")
        } else {
            writeln!(err, "{line}")
        };
        let _ = err.flush();
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if self.shown && self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
