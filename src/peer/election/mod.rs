//! The election mesh: one connection for each pair of servers (Apache: `QuorumCnxManager`).
//!
//! The server with the larger id opens it; the other one pokes it to do so. Whatever arrives on the
//! election port is from anybody: it costs bounded memory and bounded time, and never more than the
//! connection it came on.

mod accept;
mod decide;
mod dial;
mod guard;
mod hub;
mod inbox;
mod link;
mod mesh;
mod opening;
mod slot;
#[cfg(test)]
mod tests;

pub(super) use dial::first;
pub use guard::{BoxedStream, Guard, Plain, Wrapping};
pub use mesh::ElectionMesh;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::ServerId;
use crate::config::server_line::HostPort;
use crate::config::{Ensemble, ExitCode};
use crate::zab::election::Notification;

/// Name of the log lines.
const LOG: &str = "o.a.z.s.q.QuorumCnxManager";

/// Longest notification, bytes (Apache: `PACKETMAXSIZE`).
const FRAME_MAX: usize = 512 * 1024;

/// Longest address in an initial message, bytes (Apache: `InitialMessage`).
const ADDRESS_MAX: usize = 2048;

/// Notifications waiting for the caller (Apache: `RECV_CAPACITY`); the oldest are dropped.
const INBOX_MAX: usize = 100;

/// Connections that have not said yet who they are; the oldest are closed.
const OPENINGS_MAX: usize = 128;

/// Connections of servers that are no members: joining servers, and whoever says so.
const STRANGERS_MAX: usize = 64;

/// Attempts to connect to servers that are no members.
const STRANGER_DIALS_MAX: usize = 16;

/// What the mesh is set to.
#[derive(Clone)]
pub struct MeshOptions {
    /// This server.
    pub me: ServerId,
    /// Its own election addresses: where it listens, and what it announces.
    pub own: Vec<HostPort>,
    /// Listen on every interface (`quorumListenOnAllIPs`).
    pub listen_on_all_ips: bool,
    /// Announce all addresses (`multiAddress.enabled`); servers before 3.6 cannot read that.
    pub multi_address: bool,
    /// Limit for making a connection (`cnxTimeout`).
    pub connect_timeout: Duration,
    /// Limit for the initial message of the other side (`quorumCnxnTimeoutMs`, or
    /// `syncLimit * tickTime`).
    pub opening_timeout: Duration,
    /// `tcpKeepAlive`.
    pub keep_alive: bool,
    /// Attempts at binding, a second apart; 0 = for ever (`electionPortBindRetry`).
    pub bind_retry: u32,
    /// TLS and SASL.
    pub guard: Arc<dyn Guard>,
}

/// Where the members' election ports are: for each, the addresses of the committed configuration,
/// then those of the proposed one where they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub BTreeMap<ServerId, Vec<HostPort>>);

impl Addresses {
    /// Of all members of both configurations.
    pub fn of(committed: &Ensemble, proposed: Option<&Ensemble>) -> Self {
        let mut all: BTreeMap<ServerId, Vec<HostPort>> = BTreeMap::new();
        for server in std::iter::once(committed)
            .chain(proposed)
            .flat_map(|e| e.members.values())
        {
            let known = all.entry(ServerId(server.id)).or_default();
            for address in &server.addresses {
                let address = HostPort {
                    host: address.host.clone(),
                    port: address.election_port,
                };
                if !known.contains(&address) {
                    known.push(address);
                }
            }
        }
        Self(all)
    }
}

/// What the mesh tells its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeshEvent {
    /// A notification, and whose connection it came on.
    Notification(ServerId, Notification),
    /// The connection of a server ended by itself, and no new one has replaced it.
    Lost(ServerId),
}

/// Why the mesh cannot work.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// None of the attempts at binding an election address worked.
    #[error(
        "As I'm leaving the listener thread, I won't be able to participate in leader election any longer: {address}: {why}"
    )]
    Bind {
        /// The address.
        address: String,
        /// The last failure.
        why: io::Error,
    },
}

impl MeshError {
    /// The exit code Apache ends with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::UnableToBindQuorumPort
    }
}
