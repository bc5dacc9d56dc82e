//! Accepting connections (Apache: `NIOServerCnxnFactory`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::base::ConnId;
use crate::telemetry::metrics::METRICS;

use super::bell::Bell;
use super::conn::Conn;
use super::edge::CurrentEdge;

/// Backlog when the configuration leaves it open. Differs: the JVM's is 50, which makes reconnect
/// storms slow; the kernel cuts this to its own limit.
const BACKLOG_DEFAULT: i32 = 4096;

static NEXT_CONN: AtomicU64 = AtomicU64::new(1);

/// Opens a listening socket. The wildcard address means IPv6 and IPv4 both, as in a JVM.
///
/// # Errors
/// What the system says, e.g. that the port is taken.
pub fn bind(ip: IpAddr, port: u16, backlog: i32) -> io::Result<std::net::TcpListener> {
    let backlog = if backlog > 0 {
        backlog
    } else {
        BACKLOG_DEFAULT
    };
    if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        && let Ok(both) = open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port), backlog)
    {
        return Ok(both);
    }
    open(SocketAddr::new(ip, port), backlog)
}

fn open(addr: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// One of the threads that serve connections.
#[derive(Clone, Debug)]
pub struct IoThread {
    /// Its runtime.
    pub runtime: Handle,
    /// Wakes its connections.
    pub bell: Arc<Bell>,
}

/// Accepts, and hands each connection to one of the I/O threads in turn.
pub struct Listener {
    /// The listening socket.
    pub socket: std::net::TcpListener,
    /// Shared by all connections.
    pub edge: CurrentEdge,
    /// The I/O threads.
    pub threads: Vec<IoThread>,
    /// The TLS port?
    pub secure: bool,
}

impl Listener {
    /// Accepts until the runtime ends.
    ///
    /// # Errors
    /// When the socket cannot be used at all.
    pub async fn run(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.socket.try_clone()?)?;
        let mut turn = 0;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    turn = (turn + 1) % self.threads.len().max(1);
                    self.accepted(stream, peer, turn);
                }
                // Out of descriptors, or the client is gone again: neither ends the server.
                Err(e) => {
                    tracing::warn!(target: "o.a.z.s.NIOServerCnxnFactory", "Error accepting new connection: {e}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn accepted(&self, stream: TcpStream, peer: SocketAddr, turn: usize) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let edge = self.edge.get();
        let limits = &edge.limits;
        let socket = SockRef::from(&stream);
        if limits.total_max != 0 && edge.registry.len() >= limits.total_max as usize {
            METRICS.connection_rejected.inc();
            tracing::warn!(target: "o.a.z.s.NIOServerCnxnFactory", "Too many connections max allowed is {}", limits.total_max);
            turn_away(&socket);
            return;
        }
        if !edge.registry.admit(peer.ip(), limits.per_ip_max) {
            METRICS.connection_rejected.inc();
            tracing::warn!(target: "o.a.z.s.NIOServerCnxnFactory", "Too many connections from /{} - max is {}", peer.ip(), limits.per_ip_max);
            turn_away(&socket);
            return;
        }
        let _ = stream.set_nodelay(true);
        if limits.keep_alive {
            let _ = socket.set_tcp_keepalive(&TcpKeepalive::new());
        }
        let id = ConnId(NEXT_CONN.fetch_add(1, Ordering::Relaxed));
        let (secure, edge) = (self.secure, edge.clone());
        let Some(thread) = self.threads.get(turn) else {
            return;
        };
        match stream.into_std() {
            Ok(stream) => {
                let bell = thread.bell.clone();
                thread.runtime.spawn(async move {
                    let limit = Duration::from_millis(edge.limits.sessionless_ms);
                    match Conn::new(edge.clone(), bell, stream, peer, id, secure) {
                        Ok(conn) => conn.run(limit).await,
                        Err(_) => edge.registry.dismiss(peer.ip()),
                    }
                });
            }
            Err(_) => edge.registry.dismiss(peer.ip()),
        }
    }
}

/// Ends a connection that is one too many: the client reads an end, not a reset, and no socket
/// waits for it here (Apache: `NIOServerCnxnFactory.fastCloseSock`).
fn turn_away(socket: &SockRef<'_>) {
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Write);
}
