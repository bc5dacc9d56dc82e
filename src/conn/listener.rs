//! Accepting connections (Apache: `NIOServerCnxnFactory`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use smallvec::SmallVec;
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
    /// Serves only when the others are crowded.
    pub spare: bool,
    /// How many connections it serves.
    pub open: Arc<AtomicUsize>,
}

/// Connections from which on a thread is crowded. Few connections are served best by few threads, whose
/// wake-ups then serve several at once; but news for a thousand watchers is a thousand sends, and
/// these want every processor.
const CROWDED: usize = 128;

/// The thread for the next connection: each is given as whether it is a spare one, and how many
/// connections it has. `None` when there is no thread.
fn choose(threads: &[(bool, usize)]) -> Option<usize> {
    let least = |spares: bool| {
        let all = threads.iter().enumerate();
        all.filter(|(_, (spare, _))| spares || !spare)
            .min_by_key(|(_, (_, open))| *open)
    };
    least(false)
        .filter(|(_, (_, open))| *open < CROWDED)
        .or_else(|| least(true))
        .map(|(at, _)| at)
}

/// A connection that a thread serves; uncounted when dropped.
struct Served(Arc<AtomicUsize>);

impl Served {
    fn by(thread: &IoThread) -> Self {
        thread.open.fetch_add(1, Ordering::Relaxed);
        Self(thread.open.clone())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts, and hands each connection to the I/O thread that has fewest.
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
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.accepted(stream, peer),
                // Out of descriptors, or the client is gone again: neither ends the server.
                Err(e) => {
                    tracing::warn!(target: "o.a.z.s.NIOServerCnxnFactory", "Error accepting new connection: {e}");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    fn next_thread(&self) -> Option<&IoThread> {
        let load = |t: &IoThread| (t.spare, t.open.load(Ordering::Relaxed));
        let loads: SmallVec<[_; 16]> = self.threads.iter().map(load).collect();
        self.threads.get(choose(&loads)?)
    }

    fn accepted(&self, stream: TcpStream, peer: SocketAddr) {
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
        let Some(thread) = self.next_thread() else {
            return;
        };
        match stream.into_std() {
            Ok(stream) => {
                let (bell, served) = (thread.bell.clone(), Served::by(thread));
                thread.runtime.spawn(async move {
                    let _served = served;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_threads_serve_once_the_others_are_crowded() {
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[(false, 3), (false, 2), (true, 0)]), Some(1));
        let full = CROWDED;
        assert_eq!(
            choose(&[(false, full), (false, full - 1), (true, 0)]),
            Some(1)
        );
        assert_eq!(choose(&[(false, full), (false, full), (true, 0)]), Some(2));
        assert_eq!(
            choose(&[(false, full), (false, full), (true, full + 1)]),
            Some(0)
        );
    }

    #[test]
    fn who_is_served_is_counted() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let thread = IoThread {
            runtime: runtime.handle().clone(),
            bell: Bell::hang(runtime.handle()),
            spare: false,
            open: Arc::default(),
        };
        let two = [Served::by(&thread), Served::by(&thread)];
        assert_eq!(thread.open.load(Ordering::Relaxed), 2);
        drop(two);
        assert_eq!(thread.open.load(Ordering::Relaxed), 0);
    }
}
