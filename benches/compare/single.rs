//! Rows that want a fresh server each.

use std::time::{Duration, Instant};

use crate::options::Options;
use crate::rows::{Way, row};
use crate::samples::Samples;
use crate::server::{Kind, Server};
use crate::{Outcome, say};

/// Measures the rows of this kind that are wanted.
pub(crate) fn measure(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    if options.any(Way::Idle) {
        idle(options, kind, samples)?;
    }
    if options.any(Way::Heartbeat) {
        let row = row("heartbeat");
        say(&format!("{:<8} {}", kind.name(), row.title));
        let server = Server::start(options, kind, &[])?;
        // Opening sessions runs the code hot; what comes after is what is wanted.
        let report = server.bench(&row.command(options))?;
        samples.add_report(row, kind, &report);
    }
    if options.any(Way::Churn) {
        churn(options, kind, samples)?;
    }
    Ok(())
}

fn idle(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let row = row("idle");
    say(&format!("{:<8} {}", kind.name(), row.title));
    // The first start reads the program from disk.
    drop(Server::start(options, kind, &[])?);
    let server = Server::start(options, kind, &[])?;
    let ms = server.start_time().as_secs_f64() * 1e3;
    samples.add(row, "first reply ms", kind, ms);
    std::thread::sleep(Duration::from_secs(2));
    samples.add(row, "resident MB", kind, server.resident()? / 1e6);
    Ok(())
}

/// Resident memory of the last tenth of the span over that of the second.
fn churn(options: &Options, kind: Kind, samples: &mut Samples) -> Outcome<()> {
    let row = row("churn");
    say(&format!("{:<8} {}", kind.name(), row.title));
    let server = Server::start(options, kind, &[])?;
    let span = Duration::from_secs(options.churn.max(20));
    let from = Instant::now();
    let mut resident = Vec::new();
    while from.elapsed() < span {
        let part = span.as_secs_f64() / 10.0;
        let until = from.elapsed().as_secs_f64() + part;
        while from.elapsed().as_secs_f64() < until {
            // Four seconds of each six churn; then 100 sessions come and go.
            server.bench("churn -s 50 -d 4 --warmup 0")?;
            server.bench("sessions -s 100 -b 40")?;
            std::thread::sleep(Duration::from_millis(500));
        }
        resident.push(server.resident()?);
        say(&format!(
            "         resident {:.1} MB",
            server.resident()? / 1e6
        ));
    }
    let (first, last) = (resident.get(1), resident.last());
    if let (Some(first), Some(last)) = (first, last) {
        samples.add(row, "% grown", kind, (last / first - 1.0) * 100.0);
    }
    Ok(())
}
