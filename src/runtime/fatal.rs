//! The end of the process, in words operators search for (Apache: `ServiceUtils.requestSystemExit`).

use crate::config::ExitCode;

/// Logs and ends the process. Used where going on could lose acknowledged data.
pub fn exit(code: ExitCode) -> ! {
    match code {
        ExitCode::ExecutionFinished => {
            tracing::info!(target: "o.a.z.u.ServiceUtils", "Exiting JVM with code {}", code as i32);
        }
        _ => {
            tracing::error!(target: "o.a.z.u.ServiceUtils", "Exiting JVM with code {}", code as i32)
        }
    }
    crate::telemetry::log::flush();
    std::process::exit(code as i32)
}

/// A critical thread met an error it cannot go on from.
pub fn unrecoverable(thread: &str, error: &dyn std::fmt::Display, code: ExitCode) -> ! {
    crate::telemetry::metrics::METRICS
        .unrecoverable_error_count
        .inc();
    tracing::error!(
        target: "o.a.z.s.ZooKeeperCriticalThread",
        "Severe unrecoverable error, from thread : {thread}: {error}"
    );
    exit(code)
}

/// Runs a critical thread: its panic ends the process.
///
/// # Panics
/// When the system has no thread to give.
pub fn critical_thread(name: &'static str, body: impl FnOnce() + Send + 'static) {
    let run = move || {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).is_err() {
            unrecoverable(name, &"panic", ExitCode::UnexpectedError);
        }
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.expect("the system gives a thread at start");
}
