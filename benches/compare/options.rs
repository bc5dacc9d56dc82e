//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::Outcome;
use crate::rows::{ROWS, Row, Way};
use crate::server::Kind;

/// Runs Apache ZooKeeper and Zabra side by side and prints the ratio table
#[derive(Debug, Parser)]
#[command(name = "compare")]
pub(crate) struct Options {
    /// One short round with a tenth of the nodes: about two minutes, rough numbers
    #[arg(long)]
    pub(crate) quick: bool,
    /// Rows to measure, by name, separated by commas; all but churn without it
    #[arg(long, value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Rounds, both servers in turn in each; the table shows medians
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) rounds: usize,
    /// Measured span of a load, s
    #[arg(long)]
    pub(crate) duration: Option<f64>,
    /// Nodes of the rows about a million of them
    #[arg(long)]
    pub(crate) nodes: Option<u64>,
    /// Span of the churn row, s
    #[arg(long, default_value_t = 3600)]
    pub(crate) churn: u64,
    /// Measure this server alone
    #[arg(long, value_enum)]
    pub(crate) only: Option<Kind>,
    /// Write the table to this file as JSON
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Show the names of the rows
    #[arg(long)]
    pub(crate) list: bool,
    /// Data directories are made here; must be on a real disk
    #[arg(long, default_value = env!("CARGO_TARGET_TMPDIR"))]
    pub(crate) dir: PathBuf,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// The options as given.
    pub(crate) fn parse() -> Self {
        let mut options = <Self as Parser>::parse();
        if options.list {
            for row in ROWS {
                crate::say(&format!("{:<12} {}", row.name, row.title));
            }
            std::process::exit(0);
        }
        if options.rounds == 0 {
            options.rounds = if options.quick { 1 } else { 3 };
        }
        options
    }

    pub(crate) fn check(&self) -> Outcome<()> {
        match self
            .rows
            .iter()
            .find(|n| ROWS.iter().all(|r| r.name != **n))
        {
            Some(name) => Err(format!("no row {name:?}; --list shows them")),
            None => Ok(()),
        }
    }

    /// The servers to measure.
    pub(crate) fn kinds(&self) -> &'static [Kind] {
        match self.only {
            None => &[Kind::Apache, Kind::Zabra],
            Some(Kind::Apache) => &[Kind::Apache],
            Some(Kind::Zabra) => &[Kind::Zabra],
        }
    }

    /// Is the row to be measured?
    pub(crate) fn wants(&self, row: &Row) -> bool {
        if self.rows.is_empty() {
            row.way != Way::Churn
        } else {
            self.rows.iter().any(|n| n == row.name)
        }
    }

    /// Is any row measured this way wanted?
    pub(crate) fn any(&self, way: Way) -> bool {
        ROWS.iter().any(|r| r.way == way && self.wants(r))
    }

    /// One of two spans, s.
    pub(crate) fn span(&self, full: f64, quick: f64) -> f64 {
        if self.quick { quick } else { full }
    }

    /// Measured span of a load, s.
    pub(crate) fn load_span(&self) -> f64 {
        self.duration.unwrap_or_else(|| self.span(8.0, 2.0))
    }

    /// Nodes of the rows about a million of them.
    pub(crate) fn nodes(&self) -> u64 {
        let usual = if self.quick { 100_000 } else { 1_000_000 };
        self.nodes.unwrap_or(usual)
    }
}
