//! Many nodes, and what one costs in memory.

use super::super::args::FillArgs;
use super::super::error::BenchError;
use super::super::process;
use super::super::progress::Progress;
use super::super::report::Report;
use super::super::rng::Distribution;
use super::super::work::{Kind, Work};
use super::{clean, clear, creation, pid, seconds};

/// Creates the nodes and reads the server's memory before and after.
pub(in super::super) fn fill(args: &FillArgs) -> Result<Report, BenchError> {
    let common = &args.common;
    let mut progress = Progress::new(common.quiet);
    let pid = pid(common);
    let work = Work {
        kind: Kind::Create,
        root: common.root.clone(),
        parents: args.nodes.div_ceil(args.children.max(1)).max(1),
        keys: args.nodes,
        distribution: Distribution::Uniform,
        size: args.size,
        batch: 1,
        read_share: 0,
        flags: 0,
        seed: 1,
    };
    if work.parents > 100_000 {
        return Err(BenchError::Usage("more than 100,000 parents".into()));
    }
    let before = pid.and_then(process::resident);
    drop(clear(common, &work, &mut progress)?);
    let outcome = creation(common, &work, args.nodes).run(&mut progress)?;
    progress.text("letting the server settle");
    std::thread::sleep(seconds(args.settle)?);
    let after = pid.and_then(process::resident);
    progress.clear();
    let mut report = Report::of(format!("{} nodes created", args.nodes), &outcome);
    report.memory(before.zip(after));
    if let Some(grown) = report.server_grown {
        let each = grown as f64 / args.nodes.max(1) as f64;
        report.extra.insert("resident_bytes_per_znode".into(), each);
    }
    clean(common, &mut progress)?;
    Ok(report)
}
