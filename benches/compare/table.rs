//! The ratio table, as text and JSON.

use serde::Serialize;

use crate::options::Options;
use crate::rows::{Goal, Metric, ROWS, Row};
use crate::samples::Samples;
use crate::server::Kind;

/// The table.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    quick: bool,
    rounds: usize,
    cores: usize,
    lines: Vec<Line>,
}

/// One number of one row.
#[derive(Debug, Serialize)]
struct Line {
    row: &'static str,
    title: &'static str,
    metric: &'static str,
    apache: Option<f64>,
    zabra: Option<f64>,
    /// Zabra's over Apache's.
    ratio: Option<f64>,
    at_least: String,
    aim: String,
    verdict: &'static str,
    apache_rounds: Vec<f64>,
    zabra_rounds: Vec<f64>,
    /// Cores that other processes took.
    noise: f64,
    errors: u64,
}

impl Table {
    /// The medians of what was measured, with what was wanted.
    pub(crate) fn of(options: &Options, samples: &Samples) -> Self {
        let mut lines = Vec::new();
        for row in ROWS.iter().filter(|r| options.wants(r)) {
            lines.extend(row.metrics.iter().map(|m| Line::of(row, m, samples)));
        }
        Self {
            quick: options.quick,
            rounds: options.rounds,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            lines,
        }
    }

    /// True when nothing was missed.
    pub(crate) fn passed(&self) -> bool {
        self.lines
            .iter()
            .all(|l| l.verdict != MISSED && l.errors == 0)
    }

    /// A table for people, in Markdown.
    pub(crate) fn text(&self) -> String {
        let mut cells = vec![
            [
                "row", "number", "Apache", "Zabra", "ratio", "at least", "aim", "verdict",
            ]
            .map(str::to_owned),
        ];
        let mut title = "";
        for line in &self.lines {
            let shown = if line.title == title { "" } else { line.title };
            title = line.title;
            cells.push([
                shown.to_owned(),
                line.metric.to_owned(),
                number(line.apache),
                number(line.zabra),
                line.ratio
                    .map_or_else(|| "-".into(), |r| format!("{r:.2}x")),
                line.at_least.clone(),
                line.aim.clone(),
                line.note(),
            ]);
        }
        let widths: Vec<usize> = (0..cells[0].len())
            .map(|c| {
                cells
                    .iter()
                    .map(|r| r[c].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (at, row) in cells.iter().enumerate() {
            let padded = row
                .iter()
                .zip(&widths)
                .map(|(cell, w)| format!("{cell:<w$}"));
            text.push_str(&format!("| {} |\n", padded.collect::<Vec<_>>().join(" | ")));
            if at == 0 {
                let rules = widths.iter().map(|w| "-".repeat(w + 2));
                text.push_str(&format!("|{}|\n", rules.collect::<Vec<_>>().join("|")));
            }
        }
        let kind = if self.quick { "quick, rough; " } else { "" };
        text.push_str(&format!(
            "\n{kind}medians of {} rounds on {} cores shared with the load tool\n",
            self.rounds, self.cores
        ));
        text
    }
}

const MISSED: &str = "MISSED";

impl Line {
    fn of(row: &Row, metric: &Metric, samples: &Samples) -> Self {
        let apache = samples.median(row, metric.name, Kind::Apache);
        let zabra = samples.median(row, metric.name, Kind::Zabra);
        let ratio = zabra.zip(apache).map(|(z, a)| z / a);
        let (judged, least, aim, higher) = match metric.goal {
            Goal::Times(least, aim) => (ratio, least, aim, true),
            Goal::Part(least, aim) => (ratio, least, aim, false),
            Goal::AtMost(least, aim) => (zabra, least, aim, false),
        };
        let meets = |value: f64, wanted: f64| {
            if higher {
                value >= wanted
            } else {
                value <= wanted
            }
        };
        let verdict = match judged {
            None => "-",
            Some(v) if meets(v, aim) => "aim",
            Some(v) if meets(v, least) => "ok",
            Some(_) => MISSED,
        };
        let (at_least, aim) = match metric.goal {
            Goal::Times(a, b) => (format!("{a}x"), format!("{b}x")),
            Goal::Part(a, b) => (format!("{a:.2}x"), format!("{b:.2}x")),
            Goal::AtMost(a, b) => (a.to_string(), b.to_string()),
        };
        let errors = |kind| samples.errors(row, kind);
        Self {
            row: row.name,
            title: row.title,
            metric: metric.name,
            apache,
            zabra,
            ratio,
            at_least,
            aim,
            verdict,
            apache_rounds: samples.all(row, metric.name, Kind::Apache),
            zabra_rounds: samples.all(row, metric.name, Kind::Zabra),
            noise: samples.noise(row),
            errors: errors(Kind::Apache) + errors(Kind::Zabra),
        }
    }

    /// The verdict, with what makes it doubtful.
    fn note(&self) -> String {
        let mut note = self.verdict.to_owned();
        if self.noise > 0.1 {
            note.push_str(&format!(" (others took {:.1} cores)", self.noise));
        }
        if self.errors > 0 {
            note.push_str(&format!(" ({} ERRORS)", self.errors));
        }
        note
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".into(),
        Some(v) if v.abs() >= 1000.0 => {
            let digits = format!("{v:.0}");
            let mut grouped = String::new();
            for (at, c) in digits.chars().enumerate() {
                let left = digits.len() - at;
                if at > 0 && left % 3 == 0 && !grouped.ends_with('-') {
                    grouped.push(',');
                }
                grouped.push(c);
            }
            grouped
        }
        Some(v) if v.abs() >= 100.0 => format!("{v:.0}"),
        Some(v) if v.abs() >= 10.0 => format!("{v:.1}"),
        Some(v) => format!("{v:.2}"),
    }
}
