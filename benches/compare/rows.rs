//! THE table: each row of the speed goals, how it is measured, and what is wanted.

use zabra::bench::report::Report;

use crate::options::Options;

/// How a row is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One run of the load tool on a server that stays up.
    Load,
    /// 10,000 sessions on a fresh server.
    Heartbeat,
    /// A fresh server doing nothing.
    Idle,
    /// One of the steps with a million nodes.
    Million,
    /// An hour of change; only when asked for.
    Churn,
    /// One run of the load tool on the leader of an ensemble of three.
    Leader,
    /// The same on a follower.
    Follower,
    /// An ensemble whose leadership moves.
    Failover,
    /// A follower that was away.
    Return,
}

/// What is wanted of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// Zabra's over Apache's, at least this and better that.
    Times(f64, f64),
    /// Zabra's over Apache's, at most this and better that.
    Part(f64, f64),
    /// Zabra's alone, at most this and better that.
    AtMost(f64, f64),
}

/// A number of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// What it is, with unit.
    pub(crate) name: &'static str,
    /// What is wanted.
    pub(crate) goal: Goal,
    /// Where the load tool's report has it.
    pub(crate) of: fn(&Report) -> Option<f64>,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name for `--rows`.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) title: &'static str,
    /// How.
    pub(crate) way: Way,
    /// The load tool's words, without duration and warm-up.
    words: &'static str,
    /// Its numbers.
    pub(crate) metrics: &'static [Metric],
}

impl Row {
    /// The load tool's words.
    pub(crate) fn command(&self, options: &Options) -> String {
        let mut words = self.words.to_owned();
        let kind = words.split(' ').next().unwrap_or_default();
        match kind {
            "sessions" if options.quick => words = words.replace("10000", "1000"),
            "watch" if options.quick => words.push_str(" -r 20"),
            "sessions" | "watch" => {}
            "heartbeat" => words.push_str(&format!(" -d {}", options.load_span())),
            _ => {
                let (warmup, span) = (options.span(3.0, 1.0), options.load_span());
                words.push_str(&format!(" --warmup {warmup} -d {span}"));
            }
        }
        words
    }
}

fn per_second(r: &Report) -> Option<f64> {
    Some(r.per_second)
}
fn cpu(r: &Report) -> Option<f64> {
    r.server_cpu_us_each
}
fn p50(r: &Report) -> Option<f64> {
    Some(r.latency.p50_us)
}
fn p99(r: &Report) -> Option<f64> {
    Some(r.latency.p99_us)
}
fn p50_ms(r: &Report) -> Option<f64> {
    Some(r.latency.p50_us / 1e3)
}
fn per_session(r: &Report) -> Option<f64> {
    r.extra
        .get("resident_bytes_per_session")
        .map(|b| b / 1024.0)
}
/// Measured by the row's own code.
fn own(_: &Report) -> Option<f64> {
    None
}

const fn metric(name: &'static str, goal: Goal, of: fn(&Report) -> Option<f64>) -> Metric {
    Metric { name, goal, of }
}

/// One over.
const fn over(n: f64) -> f64 {
    1.0 / n
}

use Goal::{AtMost, Part, Times};

/// What is wanted of sets through a leader.
const SETS: &[Metric] = &[
    metric("ops/s", Times(2.0, 4.0), per_second),
    metric("p99 us", Part(over(2.0), over(4.0)), p99),
];

/// Every row, in the order of the goals.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "get",
        title: "get 100 B, 50 sessions, 1 in flight",
        way: Way::Load,
        words: "get -s 50 -f 1 --size 100",
        metrics: &[
            metric("ops/s", Times(1.5, 2.0), per_second),
            metric("CPU us/op", Part(over(3.0), over(4.0)), cpu),
        ],
    },
    Row {
        name: "get16",
        title: "get 100 B, 50 sessions, 16 in flight",
        way: Way::Load,
        words: "get -s 50 -f 16 --size 100",
        metrics: &[
            metric("ops/s", Times(3.0, 5.0), per_second),
            metric("CPU us/op", Part(over(6.0), over(15.0)), cpu),
        ],
    },
    Row {
        name: "get1",
        title: "get by 1 session, 1 in flight",
        way: Way::Load,
        words: "get -s 1 -f 1 --size 100",
        metrics: &[metric("median us", Part(0.7, 0.4), p50)],
    },
    Row {
        name: "set",
        title: "set 1 KB, 50 sessions, 1 in flight",
        way: Way::Load,
        words: "set -s 50 -f 1 --size 1024",
        metrics: &[
            metric("ops/s", Times(1.5, 2.0), per_second),
            metric("CPU us/op", Part(over(3.0), over(6.0)), cpu),
            metric("p99 us", Part(over(2.0), over(4.0)), p99),
        ],
    },
    Row {
        name: "set16",
        title: "set 1 KB, 50 sessions, 16 in flight",
        way: Way::Load,
        words: "set -s 50 -f 16 --size 1024",
        metrics: &[
            metric("ops/s", Times(2.0, 4.0), per_second),
            metric("CPU us/op", Part(over(3.0), over(6.0)), cpu),
            metric("p99 us", Part(over(2.0), over(4.0)), p99),
        ],
    },
    Row {
        name: "create16",
        title: "create 100 B, 50 sessions, 16 in flight",
        way: Way::Load,
        words: "create -s 50 -f 16 --size 100",
        metrics: &[
            metric("ops/s", Times(3.0, 6.0), per_second),
            metric("CPU us/op", Part(over(4.0), over(10.0)), cpu),
            metric("p99 us", Part(over(4.0), over(10.0)), p99),
        ],
    },
    Row {
        name: "mixed",
        title: "mixed 90 % get, 100 sessions, 4 in flight",
        way: Way::Load,
        words: "mixed -s 100 -f 4 --read-share 90 --size 100",
        metrics: &[
            metric("ops/s", Times(2.5, 4.0), per_second),
            metric("p99 us", Part(over(2.0), over(4.0)), p99),
        ],
    },
    Row {
        name: "set1",
        title: "set 1 KB by 1 session, 1 in flight",
        way: Way::Load,
        words: "set -s 1 -f 1 --size 1024",
        metrics: &[metric("median us", Part(1.0, 0.6), p50)],
    },
    Row {
        name: "sessions40",
        title: "10,000 sessions opened in bursts of 40",
        way: Way::Load,
        words: "sessions -s 10000 -b 40",
        metrics: &[
            metric("per second", Times(3.0, 5.0), per_second),
            metric("CPU us each", Part(over(4.0), over(6.0)), cpu),
        ],
    },
    Row {
        name: "sessions200",
        title: "10,000 sessions opened in bursts of 200",
        way: Way::Load,
        words: "sessions -s 10000 -b 200",
        metrics: &[
            metric("per second", Times(3.0, 5.0), per_second),
            metric("CPU us each", Part(over(4.0), over(6.0)), cpu),
        ],
    },
    Row {
        name: "heartbeat",
        title: "heartbeats of 10,000 sessions",
        way: Way::Heartbeat,
        words: "heartbeat -s 10000 --rate 10000",
        metrics: &[
            metric("CPU us/ping", Part(over(3.0), over(6.0)), cpu),
            metric("KiB/session", AtMost(6.0, 3.0), per_session),
        ],
    },
    Row {
        name: "watch",
        title: "one set seen by 1,000 watchers",
        way: Way::Load,
        words: "watch -w 1000",
        metrics: &[
            metric("last event ms", Part(over(2.0), over(4.0)), p50_ms),
            metric("CPU us/event", Part(over(3.0), over(6.0)), cpu),
        ],
    },
    Row {
        name: "list",
        title: "getChildren of 100,000 names, 4 sessions",
        way: Way::Load,
        words: "list -s 4 -f 1 --keys 100000 --parents 1 --size 0",
        metrics: &[metric("ops/s", Times(2.0, 4.0), per_second)],
    },
    Row {
        name: "multi",
        title: "multi of 1,000 creates, 4 sessions",
        way: Way::Load,
        words: "multi -s 4 -f 1 --batch 1000 --size 100",
        metrics: &[metric("ops/s", Times(2.0, 4.0), per_second)],
    },
    Row {
        name: "memory",
        title: "resident memory a znode, 31 B paths, 100 B data",
        way: Way::Million,
        words: "",
        metrics: &[metric("B/znode", AtMost(300.0, 190.0), own)],
    },
    Row {
        name: "restart-log",
        title: "restart with 1 M znodes, from log",
        way: Way::Million,
        words: "",
        metrics: &[metric("s", AtMost(3.0, 1.0), own)],
    },
    Row {
        name: "restart-snap",
        title: "restart with 1 M znodes, from snapshot",
        way: Way::Million,
        words: "",
        metrics: &[metric("s", AtMost(1.5, 0.5), own)],
    },
    Row {
        name: "idle",
        title: "a fresh server, idle",
        way: Way::Idle,
        words: "",
        metrics: &[
            metric("resident MB", AtMost(20.0, 8.0), own),
            metric("first reply ms", AtMost(100.0, 20.0), own),
        ],
    },
    Row {
        name: "snapshot",
        title: "p99.9 of sets while 1 M znodes are written, over without",
        way: Way::Million,
        words: "",
        metrics: &[metric("times", AtMost(3.0, 1.1), own)],
    },
    Row {
        name: "churn",
        title: "create/delete churn and 1,000 sessions a minute",
        way: Way::Churn,
        words: "",
        metrics: &[metric("% grown", AtMost(5.0, 1.0), own)],
    },
    Row {
        name: "lead1",
        title: "ensemble: set 100 B through the leader, 1 session",
        way: Way::Leader,
        words: "set -s 1 -f 1 --size 100",
        metrics: &[metric("median us", Part(1.0, 0.6), p50)],
    },
    Row {
        name: "lead50",
        title: "ensemble: through the leader, 50 sessions",
        way: Way::Leader,
        words: "set -s 50 -f 1 --size 100",
        metrics: SETS,
    },
    Row {
        name: "lead200",
        title: "ensemble: through the leader, 200 sessions",
        way: Way::Leader,
        words: "set -s 200 -f 1 --size 100",
        metrics: SETS,
    },
    Row {
        name: "lead16",
        title: "ensemble: through the leader, 50 sessions, 16 in flight",
        way: Way::Leader,
        words: "set -s 50 -f 16 --size 100",
        metrics: &[
            metric("ops/s", Times(2.0, 4.0), per_second),
            metric("p99 us", Part(over(2.0), over(4.0)), p99),
            metric("CPU of all us/op", Part(over(3.0), over(6.0)), cpu),
        ],
    },
    Row {
        name: "follow1",
        title: "ensemble: through a follower, 1 session",
        way: Way::Follower,
        words: "set -s 1 -f 1 --size 100",
        metrics: &[metric("median us", Part(1.0, 0.7), p50)],
    },
    Row {
        name: "follow50",
        title: "ensemble: through a follower, 50 sessions",
        way: Way::Follower,
        words: "set -s 50 -f 1 --size 100",
        metrics: &[metric("ops/s", Times(2.0, 4.0), per_second)],
    },
    Row {
        name: "follow16",
        title: "ensemble: through a follower, 50 sessions, 16 in flight",
        way: Way::Follower,
        words: "set -s 50 -f 16 --size 100",
        metrics: &[
            metric("ops/s", Times(2.0, 5.0), per_second),
            metric("p99 us", Part(over(2.0), over(4.0)), p99),
        ],
    },
    Row {
        name: "followget16",
        title: "ensemble: get 100 B through a follower, 50 sessions, 16 in flight",
        way: Way::Follower,
        words: "get -s 50 -f 16 --size 100",
        metrics: &[metric("ops/s", Times(3.0, 5.0), per_second)],
    },
    Row {
        name: "failover",
        title: "ensemble: kill -9 of the leader, longest time without a write",
        way: Way::Failover,
        words: "",
        metrics: &[metric("ms", Part(1.0, 0.25), own)],
    },
    Row {
        name: "handover",
        title: "ensemble: planned handover, longest time without a write",
        way: Way::Failover,
        words: "",
        metrics: &[metric("ms", AtMost(100.0, 20.0), own)],
    },
    Row {
        name: "return-diff",
        title: "ensemble: a follower back by DIFF of 100,000 transactions",
        way: Way::Return,
        words: "",
        metrics: &[metric("s", Part(over(2.0), over(4.0)), own)],
    },
    Row {
        name: "return-snap",
        title: "ensemble: a follower back by SNAP of 1 M znodes",
        way: Way::Return,
        words: "",
        metrics: &[metric("s", Part(over(2.0), over(4.0)), own)],
    },
];

/// The row of this name.
pub(crate) fn row(name: &str) -> &'static Row {
    ROWS.iter()
        .find(|r| r.name == name)
        .expect("a name of the table")
}
