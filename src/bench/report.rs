//! What a run prints: for people, or as one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::load::Outcome;
use super::stats::{Latency, by_name};

/// The results of a run. Absent values are left out of the JSON.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was done, in words.
    pub work: String,
    /// Measured span, s.
    pub seconds: f64,
    /// Things done in it.
    pub done: u64,
    /// And per second.
    pub per_second: f64,
    /// All latencies.
    pub latency: Latency,
    /// Those of reads, when there are writes too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<Latency>,
    /// Those of writes, when there are reads too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Latency>,
    /// Error answers by name.
    pub errors: BTreeMap<String, u64>,
    /// The server's CPU for each thing done, us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us_each: Option<f64>,
    /// Cores that the server kept busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cores: Option<f64>,
    /// Cores that this tool kept busy.
    pub tool_cores: f64,
    /// Cores that everything else on this machine kept busy: over 0.1, mistrust the numbers.
    pub other_cores: f64,
    /// The server's resident memory at the end, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_resident: Option<u64>,
    /// And how much it grew, bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_grown: Option<i64>,
    /// Further numbers, by name with unit.
    pub extra: BTreeMap<String, f64>,
}

impl Report {
    /// The report of a load.
    pub fn of(work: String, o: &Outcome) -> Self {
        let mut report = Self {
            work,
            errors: by_name(&o.stats.errors),
            latency: Latency::of(&o.stats.all()),
            ..Self::default()
        };
        report.span(o.done, o.seconds, &o.used);
        report.memory(o.resident);
        if !o.stats.reads.is_empty() && !o.stats.writes.is_empty() {
            report.reads = Some(Latency::of(&o.stats.reads));
            report.writes = Some(Latency::of(&o.stats.writes));
        }
        if o.seconds > 0.0 {
            let mb = o.stats.bytes as f64 / o.seconds / 1e6;
            report.extra.insert("received_mb_per_s".into(), mb);
        }
        report
    }

    /// Fills in how much was done in which time with how much CPU.
    pub fn span(&mut self, done: u64, seconds: f64, used: &super::process::Used) {
        let seconds = seconds.max(1e-9);
        self.seconds = seconds;
        self.done = done;
        self.per_second = done as f64 / seconds;
        self.server_cores = used.server.map(|ns| ns as f64 / 1e9 / seconds);
        if done > 0 {
            self.server_cpu_us_each = used.server.map(|ns| ns as f64 / 1e3 / done as f64);
        }
        self.tool_cores = used.own as f64 / 1e9 / seconds;
        self.other_cores = used.others as f64 / 1e9 / seconds;
    }

    /// Fills in the server's memory before and after.
    pub fn memory(&mut self, resident: Option<(u64, u64)>) {
        self.server_resident = resident.map(|r| r.1);
        self.server_grown = resident.map(|(a, b)| b as i64 - a as i64);
    }

    /// True when no request was answered with an error.
    pub fn clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// The report for people.
    pub fn text(&self) -> String {
        let mut t = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(t, "{}", self.work);
        let _ = writeln!(
            t,
            "  {} in {:.2} s: {:.0} per second",
            self.done, self.seconds, self.per_second
        );
        row(&mut t, "latency", &self.latency);
        for (name, l) in [("  reads", &self.reads), ("  writes", &self.writes)] {
            if let Some(l) = l {
                row(&mut t, name, l);
            }
        }
        if let (Some(each), Some(cores)) = (self.server_cpu_us_each, self.server_cores) {
            let _ = writeln!(t, "  server   {each:.2} us CPU each, {cores:.2} cores");
        }
        if let (Some(rss), Some(grown)) = (self.server_resident, self.server_grown) {
            let (rss, grown) = (rss as f64 / 1048576.0, grown as f64 / 1048576.0);
            let _ = writeln!(t, "  resident {rss:.1} MiB, {grown:+.1} MiB in this run");
        }
        let _ = writeln!(
            t,
            "  tool     {:.2} cores; others {:.2} cores",
            self.tool_cores, self.other_cores
        );
        for (name, value) in &self.extra {
            let _ = writeln!(t, "  {name} {value:.2}");
        }
        for (name, n) in &self.errors {
            let _ = writeln!(t, "  ERROR {name}: {n}");
        }
        t
    }
}

fn row(t: &mut String, name: &str, l: &Latency) {
    if l.count == 0 {
        return;
    }
    let _ = writeln!(
        t,
        "  {name:<8} mean {:.0}  p50 {:.0}  p90 {:.0}  p99 {:.0}  p99.9 {:.0}  max {:.0} us",
        l.mean_us, l.p50_us, l.p90_us, l.p99_us, l.p999_us, l.max_us
    );
}
