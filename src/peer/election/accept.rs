//! Connections that others make (Apache: `QuorumCnxManager.Listener`, `receiveConnection`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::timeout;

use super::decide::{Incoming, incoming};
use super::dial::tune;
use super::hub::Hub;
use super::{LOG, MeshError, MeshOptions, opening};
use crate::config::server_line::HostPort;

/// Apache leaves the JVM's 50; a restart of a large ensemble fits, too.
const BACKLOG: i32 = 128;

/// Listens on all election addresses of this server.
pub(super) async fn bind_all(options: &MeshOptions) -> Result<Vec<TcpListener>, MeshError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in &options.own {
        let taken = |l: &TcpListener| l.local_addr().is_ok_and(|a| a.port() == address.port);
        if options.listen_on_all_ips && listeners.iter().any(taken) {
            continue;
        }
        listeners.push(bind(address, options).await?);
    }
    Ok(listeners)
}

async fn bind(address: &HostPort, options: &MeshOptions) -> Result<TcpListener, MeshError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match try_bind(address, options.listen_on_all_ips).await {
            Ok(listener) => return Ok(listener),
            Err(why) if options.bind_retry != 0 && tries >= options.bind_retry => {
                let address = format!("{}:{}", address.host, address.port);
                return Err(MeshError::Bind { address, why });
            }
            Err(why) => {
                tracing::error!(target: LOG, "Exception while listening to address {}:{}: {why}", address.host, address.port);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn try_bind(address: &HostPort, everywhere: bool) -> io::Result<TcpListener> {
    if everywhere {
        let both = SocketAddr::new(IpAddr::from([0u16; 8]), address.port);
        let v4 = SocketAddr::new(IpAddr::from([0u8; 4]), address.port);
        return listen(both).or_else(|_| listen(v4));
    }
    let mut resolved = lookup_host((address.host.as_str(), address.port)).await?;
    let unknown = || io::Error::from(io::ErrorKind::AddrNotAvailable);
    listen(resolved.next().ok_or_else(unknown)?)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever.
pub(super) async fn run(hub: Arc<Hub>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tracing::info!(target: LOG, "Received connection request from {from}");
                let shared = hub.clone();
                hub.open(|number| async move {
                    take(&shared, stream, from).await;
                    shared.opened(number);
                });
            }
            // Out of descriptors, or the peer is gone again: neither ends the mesh.
            Err(e) => {
                tracing::warn!(target: LOG, "Exception while accepting: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn take(hub: &Arc<Hub>, stream: TcpStream, from: SocketAddr) {
    let limit = hub.options.opening_timeout;
    let outcome = match timeout(limit, begin(hub, stream)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(e) = outcome {
        tracing::warn!(target: LOG, "Exception handling connection, addr: {from}, closing server connection: {e}");
    }
}

async fn begin(hub: &Arc<Hub>, stream: TcpStream) -> io::Result<()> {
    let options = &hub.options;
    tune(&stream, options)?;
    let mut stream = options.guard.wrap_incoming(stream).await?;
    let hello = opening::read(&mut stream).await?;
    let sid = hello.sid;
    options
        .guard
        .authenticate_incoming(&mut stream, Some(sid))
        .await?;
    match incoming(options.me, sid) {
        Incoming::Keep => hub.adopt(sid, stream),
        Incoming::KeepAnonymous => hub.adopt(hub.anonymous(), stream),
        Incoming::ConnectBack => {
            hub.drop_link(sid);
            drop(stream);
            hub.connect(sid, &hello.addresses);
        }
        Incoming::Close => {
            tracing::warn!(target: LOG, "We got a connection request from a server with our own ID. This should be either a configuration error, or a bug.");
        }
    }
    Ok(())
}
