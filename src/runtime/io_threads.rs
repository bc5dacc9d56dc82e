//! The threads that serve connections.
//!
//! One runtime of its own for each thread, and a connection stays where it was put: nothing is
//! stolen, no task of one client waits on a lock that another thread's scheduler holds.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::conn::{Bell, IoThread};

use super::fatal;

/// How many serve as long as there are few connections, and how many there are: one for every two
/// processors, the rest is for the sequencer and the kernel; and one for every processor.
pub(super) fn counts() -> (usize, usize) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let given = std::env::var("ZABRA_IO_THREADS")
        .ok()
        .and_then(|n| n.parse().ok())
        .filter(|n| *n > 0);
    given.map_or(((cores / 2).max(1), cores), |n| (n, n))
}

/// Starts threads: `usual` of them, and spare ones up to `all`.
///
/// # Errors
/// When the system does not give a runtime.
pub(super) fn start((usual, all): (usize, usize)) -> std::io::Result<Vec<IoThread>> {
    (0..all).map(|n| start_one(n >= usual)).collect()
}

fn start_one(spare: bool) -> std::io::Result<IoThread> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let thread = IoThread {
        runtime: runtime.handle().clone(),
        bell: Bell::hang(runtime.handle()),
        spare,
        open: Arc::default(),
    };
    fatal::critical_thread("NIOWorkerThread", move || {
        // Runs its tasks for as long as the process lives.
        let (_never, forever) = oneshot::channel::<()>();
        let _ = runtime.block_on(forever);
    });
    Ok(thread)
}
