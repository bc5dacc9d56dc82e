//! Closed and open loops of one kind of request.

use super::super::args::LoadArgs;
use super::super::error::BenchError;
use super::super::load::{End, Load};
use super::super::progress::Progress;
use super::super::report::Report;
use super::super::work::{Kind, Work};
use super::{clean, clear, creation, pid, seconds};

/// Prepares the nodes, runs the load, cleans up.
pub(in super::super) fn load(kind: Kind, args: &LoadArgs) -> Result<Report, BenchError> {
    let common = &args.common;
    let mut progress = Progress::new(common.quiet);
    if args.sessions == 0 || args.parents == 0 || args.batch == 0 {
        return Err(BenchError::Usage(
            "sessions, parents, batch: above 0".into(),
        ));
    }
    if args.rate.is_some_and(|r| !r.is_finite() || r <= 0.0) {
        return Err(BenchError::Usage("rate: above 0".into()));
    }
    let work = Work {
        kind,
        root: common.root.clone(),
        parents: args.parents,
        keys: args.keys,
        distribution: args.distribution,
        size: args.size,
        batch: args.batch,
        read_share: args.read_share,
        flags: i32::from(args.ephemeral) + 2 * i32::from(args.sequential),
        seed: args.seed,
    };
    if !args.reuse {
        drop(clear(common, &work, &mut progress)?);
        if kind.needs_nodes() {
            creation(common, &work, work.keys).run(&mut progress)?;
        }
    }
    let end = match args.count {
        Some(n) => End::Count(n),
        // What is to be deleted should not go in the warm-up.
        None if kind == Kind::Delete => End::Count(work.keys),
        None => End::Time(seconds(args.duration)?),
    };
    let load = Load {
        addr: common.addr,
        sessions: args.sessions,
        in_flight: args.in_flight,
        threads: args.threads,
        rate: args.rate,
        warmup: seconds(args.warmup)?,
        end,
        timeout_ms: common.timeout,
        pid: pid(common),
        also: common.also.clone(),
        work,
    };
    let outcome = load.run(&mut progress)?;
    let mut report = Report::of(title(kind, args), &outcome);
    if kind == Kind::Multi {
        let each = args.batch as f64;
        let rate = report.per_second * each;
        report.extra.insert("creates_per_s".into(), rate);
    }
    clean(common, &mut progress)?;
    Ok(report)
}

fn title(kind: Kind, args: &LoadArgs) -> String {
    let what = match kind {
        Kind::Get => format!("get {} B", args.size),
        Kind::Exists => "exists".into(),
        Kind::Set => format!("set {} B", args.size),
        Kind::Create => format!("create {} B", args.size),
        Kind::Delete => "delete".into(),
        Kind::Multi => format!("multi of {} creates", args.batch),
        Kind::List => format!("getChildren of {} names", args.keys / args.parents),
        Kind::Mixed => format!("{} % get, else set, {} B", args.read_share, args.size),
        Kind::Churn => format!("create and delete {} B", args.size),
    };
    let pace = match args.rate {
        Some(rate) => format!("{rate} per second wanted, at most {}", args.in_flight),
        None => args.in_flight.to_string(),
    };
    format!("{what}, {} sessions, {pace} in flight each", args.sessions)
}
