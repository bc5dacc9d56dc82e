//! Making a connection (Apache: `QuorumCnxManager.initiateConnection`).

use std::io;
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::decide::{Outgoing, outgoing};
use super::guard::BoxedStream;
use super::hub::Hub;
use super::{LOG, MeshOptions};
use crate::base::ServerId;
use crate::config::server_line::HostPort;

/// Connects to `to` at whichever of `addresses` answers first.
pub(super) async fn run(hub: Arc<Hub>, to: ServerId, addresses: Vec<HostPort>) {
    match make(&hub.options, to, addresses).await {
        Ok(Some(stream)) => hub.adopt(to, stream),
        Ok(None) => {}
        Err(e) => {
            tracing::warn!(target: LOG, "Cannot open channel to {}: {e}", to.0);
        }
    }
    hub.dialed(to);
}

/// The connection if it is to be kept; `None` after a poke.
async fn make(
    options: &MeshOptions,
    to: ServerId,
    addresses: Vec<HostPort>,
) -> io::Result<Option<BoxedStream>> {
    let kind = outgoing(options.me, to);
    if kind == Outgoing::Never {
        return Ok(None);
    }
    let (stream, host) = within(options.connect_timeout, first(addresses)).await?;
    tune(&stream, options)?;
    let opening = async {
        let mut stream = options.guard.wrap_outgoing(stream, &host).await?;
        // In one piece: Java reads it with a single read.
        stream.write_all(&hello(options)).await?;
        stream.flush().await?;
        options
            .guard
            .authenticate_outgoing(&mut stream, &host)
            .await?;
        Ok(stream)
    };
    let mut stream = within(options.opening_timeout, opening).await?;
    if kind == Outgoing::Poke {
        let _ = stream.shutdown().await;
        return Ok(None);
    }
    Ok(Some(stream))
}

fn hello(options: &MeshOptions) -> Vec<u8> {
    super::opening::encode(options.me, &options.own, options.multi_address)
}

async fn within<T>(
    limit: std::time::Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(limit, work).await.map_err(late)?
}

/// Tries all at once. Names are resolved each time, for their addresses change.
pub(in crate::peer) async fn first(addresses: Vec<HostPort>) -> io::Result<(TcpStream, String)> {
    let mut attempts = JoinSet::new();
    for address in addresses {
        attempts.spawn(async move {
            let stream = one(&address).await?;
            Ok((stream, address.host))
        });
    }
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
            Ok(Err(e)) => failure = e,
            Err(_) => {}
        }
    }
    Err(failure)
}

async fn one(address: &HostPort) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for resolved in lookup_host((address.host.as_str(), address.port)).await? {
        match TcpStream::connect(resolved).await {
            Ok(stream) => return Ok(stream),
            Err(e) => failure = e,
        }
    }
    Err(failure)
}

/// The options of every election socket (Apache: `setSockOpts`).
pub(super) fn tune(stream: &TcpStream, options: &MeshOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if options.keep_alive {
        socket.set_tcp_keepalive(&TcpKeepalive::new())?;
    }
    // Differs: a peer that does not take what it is sent is given up after the opening limit, not
    // after the system's quarter of an hour.
    let limit = options.opening_timeout.max(options.connect_timeout);
    let _ = socket.set_tcp_user_timeout(Some(limit));
    Ok(())
}
