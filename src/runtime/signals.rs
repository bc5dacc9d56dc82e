//! How the process is asked to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::config::ExitCode;

/// Waits for SIGTERM, SIGINT or SIGHUP; the exit code that a JVM would end with. SIGQUIT (people send
/// it for a thread dump) is answered with a line and ignored.
///
/// # Errors
/// When the handlers cannot be installed.
pub(super) async fn wait() -> std::io::Result<ExitCode> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(ExitCode::Terminate),
            _ = int.recv() => return Ok(ExitCode::Interrupt),
            _ = hup.recv() => return Ok(ExitCode::Hangup),
            _ = quit.recv() => tracing::info!("Full thread dump: not a JVM; the server goes on"),
        }
    }
}
