//! The kinds of run, from preparing the nodes to the report.

mod fill;
mod heartbeat;
mod load;
mod sessions;
mod watch;

pub(super) use fill::fill;
pub(super) use heartbeat::heartbeat;
pub(super) use load::load;
pub(super) use sessions::sessions;
pub(super) use watch::watch;

use std::time::Duration;

use super::args::Common;
use super::conn::{Conn, Incoming};
use super::error::BenchError;
use super::load::{End, Load};
use super::pool::Handler;
use super::process;
use super::progress::Progress;
use super::simple::Client;
use super::work::{Kind, Work};

/// Sessions and requests in flight that create nodes before a run.
const FILL_SESSIONS: usize = 16;
const FILL_IN_FLIGHT: usize = 32;

/// The server's process: as given, or found by the port.
fn pid(common: &Common) -> Option<u32> {
    common.pid.or_else(|| process::listener(common.addr))
}

/// Takes away what earlier runs left, and creates the root and its parents.
fn clear(common: &Common, work: &Work, progress: &mut Progress) -> Result<Client, BenchError> {
    if !work.root.starts_with('/') || work.root.len() < 2 || work.root.contains('#') {
        return Err(BenchError::Usage(format!("bad root {:?}", work.root)));
    }
    progress.text("preparing");
    let mut client = Client::open(common.addr)?;
    client.wipe(&work.root)?;
    for (at, _) in work.root.match_indices('/').skip(1) {
        client.ensure(&work.root[..at])?;
    }
    client.ensure(&work.root)?;
    for parent in 0..work.parents {
        client.ensure(&work.parent(parent))?;
    }
    Ok(client)
}

/// The load that creates nodes `0..nodes` of `work`.
fn creation(common: &Common, work: &Work, nodes: u64) -> Load {
    Load {
        addr: common.addr,
        sessions: FILL_SESSIONS,
        in_flight: FILL_IN_FLIGHT,
        threads: 1,
        rate: None,
        warmup: Duration::ZERO,
        end: End::Count(nodes),
        timeout_ms: common.timeout,
        pid: pid(common),
        also: common.also.clone(),
        work: Work {
            kind: Kind::Create,
            flags: 0,
            ..work.clone()
        },
    }
}

/// Deletes everything, unless it shall stay.
fn clean(common: &Common, progress: &mut Progress) -> Result<(), BenchError> {
    if common.keep {
        return Ok(());
    }
    progress.text("cleaning up");
    Client::open(common.addr)?.wipe(&common.root)?;
    progress.clear();
    Ok(())
}

/// A span given in seconds.
fn seconds(s: f64) -> Result<Duration, BenchError> {
    Duration::try_from_secs_f64(s).map_err(|e| BenchError::Usage(format!("{s} s: {e}")))
}

/// Takes no notice of what comes in.
struct Deaf;

impl Handler for Deaf {
    fn incoming(&mut self, _: &mut Conn, _: Incoming, _: u64) -> Result<(), BenchError> {
        Ok(())
    }
}
