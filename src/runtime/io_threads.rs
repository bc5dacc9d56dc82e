//! The threads that serve connections.
//!
//! One runtime of its own for each thread, and a connection stays where it was put: nothing is
//! stolen, no task of one client waits on a lock that another thread's scheduler holds.

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::conn::{Bell, IoThread};

use super::fatal;

/// How many: one for every two processors; the rest is for the sequencer and the kernel.
pub(super) fn count() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::env::var("ZABRA_IO_THREADS")
        .ok()
        .and_then(|n| n.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or_else(|| (cores / 2).max(1))
}

/// Starts `n` of them.
///
/// # Errors
/// When the system does not give a runtime.
pub(super) fn start(n: usize) -> std::io::Result<Vec<IoThread>> {
    (0..n).map(start_one).collect()
}

fn start_one(_n: usize) -> std::io::Result<IoThread> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let thread = IoThread {
        runtime: runtime.handle().clone(),
        bell: Bell::hang(runtime.handle()),
    };
    fatal::critical_thread("NIOWorkerThread", move || {
        // Runs its tasks for as long as the process lives.
        let (_never, forever) = oneshot::channel::<()>();
        let _ = runtime.block_on(forever);
    });
    Ok(thread)
}
