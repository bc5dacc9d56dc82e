//! The command line.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

use super::rng::Distribution;

/// Puts load on a ZooKeeper server and measures it.
#[derive(Debug, Parser)]
#[command(name = "zabra bench")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The kinds of run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// getData of existing nodes
    Get(LoadArgs),
    /// exists of existing nodes
    Exists(LoadArgs),
    /// setData of existing nodes
    Set(LoadArgs),
    /// create of new nodes
    Create(LoadArgs),
    /// delete of nodes created before (--keys of them)
    Delete(LoadArgs),
    /// multis of --batch creates each
    Multi(LoadArgs),
    /// getChildren of nodes with keys/parents children each
    List(LoadArgs),
    /// getData and setData in the ratio of --read-share
    Mixed(LoadArgs),
    /// creates and deletes in turn
    Churn(LoadArgs),
    /// opens sessions in bursts
    Sessions(SessionsArgs),
    /// pings on many idle sessions
    Heartbeat(HeartbeatArgs),
    /// one set seen by many watching sessions, again and again
    Watch(WatchArgs),
    /// creates many nodes and shows what one costs in memory
    Fill(FillArgs),
}

/// What every run takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Where the server listens
    #[arg(long, default_value = "127.0.0.1:2181")]
    pub addr: SocketAddr,
    /// The server's process; found by the port when it is on this machine
    #[arg(long)]
    pub pid: Option<u32>,
    /// Processes whose CPU counts as the server's: the other members of an ensemble
    #[arg(long, value_delimiter = ',')]
    pub also: Vec<u32>,
    /// Node under which everything happens; DELETED with its children before and after
    #[arg(long, default_value = "/zabra-bench")]
    pub root: String,
    /// Session timeout, ms
    #[arg(long, default_value_t = 30_000)]
    pub timeout: i32,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// No progress line
    #[arg(long)]
    pub quiet: bool,
    /// Leave the nodes there
    #[arg(long)]
    pub keep: bool,
}

/// What loads take.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// What every run takes.
    #[command(flatten)]
    pub common: Common,
    /// Sessions
    #[arg(short, long, default_value_t = 50)]
    pub sessions: usize,
    /// Unanswered requests a session may have
    #[arg(short = 'f', long, default_value_t = 1)]
    pub in_flight: usize,
    /// Threads of this tool
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Requests per second in all (open loop; latency counts from when a request was due).
    /// Without it each answer draws the next request (closed loop)
    #[arg(long)]
    pub rate: Option<f64>,
    /// Measured span, s
    #[arg(short, long, default_value_t = 10.0)]
    pub duration: f64,
    /// Requests, instead of a span
    #[arg(short = 'n', long)]
    pub count: Option<u64>,
    /// Unmeasured span at the start, s
    #[arg(long, default_value_t = 3.0)]
    pub warmup: f64,
    /// Data of a node, bytes
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Nodes to choose from
    #[arg(short, long, default_value_t = 10_000)]
    pub keys: u64,
    /// How keys are chosen
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    pub distribution: Distribution,
    /// Parents over which the nodes are spread
    #[arg(long, default_value_t = 50)]
    pub parents: u64,
    /// Creates in one multi
    #[arg(long, default_value_t = 1000)]
    pub batch: usize,
    /// Part of reads in mixed work, percent
    #[arg(long, default_value_t = 90)]
    pub read_share: u64,
    /// Create ephemeral nodes
    #[arg(long)]
    pub ephemeral: bool,
    /// Create nodes with sequence numbers
    #[arg(long)]
    pub sequential: bool,
    /// Seed of all choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The nodes are there from a run with --keep: neither delete nor create any before
    #[arg(long)]
    pub reuse: bool,
}

/// What the session storm takes.
#[derive(Clone, Debug, Args)]
pub struct SessionsArgs {
    /// What every run takes.
    #[command(flatten)]
    pub common: Common,
    /// Sessions in all
    #[arg(short, long, default_value_t = 10_000)]
    pub sessions: usize,
    /// Sessions on their way at a time; the next burst starts when all are answered
    #[arg(short, long, default_value_t = 40)]
    pub burst: usize,
}

/// What heartbeats take.
#[derive(Clone, Debug, Args)]
pub struct HeartbeatArgs {
    /// What every run takes.
    #[command(flatten)]
    pub common: Common,
    /// Idle sessions
    #[arg(short, long, default_value_t = 10_000)]
    pub sessions: usize,
    /// Pings per second in all
    #[arg(long, default_value_t = 2_000.0)]
    pub rate: f64,
    /// Measured span, s
    #[arg(short, long, default_value_t = 10.0)]
    pub duration: f64,
}

/// What the watch fan-out takes.
#[derive(Clone, Debug, Args)]
pub struct WatchArgs {
    /// What every run takes.
    #[command(flatten)]
    pub common: Common,
    /// Watching sessions
    #[arg(short, long, default_value_t = 1_000)]
    pub watchers: usize,
    /// Sets
    #[arg(short, long, default_value_t = 50)]
    pub rounds: usize,
}

/// What filling takes.
#[derive(Clone, Debug, Args)]
pub struct FillArgs {
    /// What every run takes.
    #[command(flatten)]
    pub common: Common,
    /// Nodes
    #[arg(short = 'k', long, default_value_t = 1_000_000)]
    pub nodes: u64,
    /// Children of one parent
    #[arg(long, default_value_t = 1_000)]
    pub children: u64,
    /// Data of a node, bytes
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Wait this long for the server's memory to settle before reading it, s
    #[arg(long, default_value_t = 2.0)]
    pub settle: f64,
}
