//! The client port of a member, which a reconfiguration may move (Apache:
//! `NIOServerCnxnFactory.reconfigure`).

use std::net::{IpAddr, TcpListener, ToSocketAddrs as _};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::config::ExitCode;
use crate::config::server_line::HostPort;
use crate::conn::{CurrentEdge, IoThread, Listener, bind};

use super::fatal;

/// Attempts at a new port, and the time between two.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Where clients come in.
pub(super) struct ClientDoor {
    pub(super) handle: Handle,
    pub(super) edge: CurrentEdge,
    pub(super) threads: Vec<IoThread>,
    pub(super) backlog: i32,
    /// Where it listens; none without a client port.
    pub(super) at: Option<(IpAddr, u16)>,
    pub(super) accepting: Option<AbortHandle>,
}

impl ClientDoor {
    /// Accepts on `socket`.
    pub(super) fn open(&mut self, socket: TcpListener) {
        let listener = Listener {
            socket,
            edge: self.edge.clone(),
            threads: self.threads.clone(),
            secure: false,
        };
        let task = self.handle.spawn(async move {
            if let Err(e) = listener.run().await {
                fatal::unrecoverable(
                    "NIOServerCnxnFactory.AcceptThread",
                    &e,
                    ExitCode::UnexpectedError,
                );
            }
        });
        self.accepting = Some(task.abort_handle());
    }

    /// Listens at another address. Connections that are there stay.
    pub(super) fn move_to(&mut self, address: &HostPort) {
        let resolved = (address.host.as_str(), address.port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next());
        let Some(to) = resolved.map(|a| (a.ip(), a.port())) else {
            tracing::error!(target: "o.a.z.s.NIOServerCnxnFactory", "Error reconfiguring client port to {}:{}", address.host, address.port);
            return;
        };
        if self.at == Some(to) {
            return;
        }
        if let Some(old) = self.accepting.take() {
            old.abort();
        }
        self.at = Some(to);
        tracing::info!(target: "o.a.z.s.NIOServerCnxnFactory", "binding to port {}:{}", to.0, to.1);
        let mut tries = 0;
        loop {
            tries += 1;
            match bind(to.0, to.1, self.backlog) {
                Ok(socket) => return self.open(socket),
                // The old socket at the same port may take a moment to go.
                Err(_) if tries < TRIES => std::thread::sleep(PAUSE),
                Err(e) => {
                    tracing::error!(target: "o.a.z.s.NIOServerCnxnFactory", "Error reconfiguring client port to {}:{}: {e}", to.0, to.1);
                    return;
                }
            }
        }
    }
}
