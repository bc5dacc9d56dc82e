//! The way to a link between a leader and a learner: TCP, then TLS, then SASL, then the first packet
//! (Apache: `Learner.connectToLeader`, `Leader.LearnerCnxAcceptor`). The election has its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::election::{BoxedStream, Guard, first};
use crate::config::server_line::HostPort;

/// Connections that are being secured; more wait in the backlog.
const OPENING_MAX: usize = 64;

/// After an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// A connection that may be used.
pub enum Secured {
    /// As it is.
    Plain(TcpStream),
    /// By way of TLS.
    Wrapped(BoxedStream),
}

/// Connects to whichever of `addresses` answers first, within `connect`, and secures the connection
/// within `secure`.
///
/// # Errors
/// Those of the sockets and of the guard, and when it takes too long.
pub async fn dial(
    guard: &dyn Guard,
    addresses: Vec<HostPort>,
    connect: Duration,
    secure: Duration,
) -> io::Result<Secured> {
    let (stream, host) = within(connect, first(addresses)).await?;
    let _ = stream.set_nodelay(true);
    if guard.is_plain() {
        return Ok(Secured::Plain(stream));
    }
    let securing = async {
        let mut stream = guard.wrap_outgoing(stream, &host).await?;
        guard.authenticate_outgoing(&mut stream, &host).await?;
        Ok(Secured::Wrapped(stream))
    };
    within(secure, securing).await
}

/// Accepts for ever, and calls `begin` with each connection that is secured within `limit`; any
/// other costs nothing but itself.
pub async fn accept(
    guard: Arc<dyn Guard>,
    listener: TcpListener,
    limit: Duration,
    begin: impl Fn(Secured),
) {
    // Ends with this task, and what is under way in it.
    let mut opening = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if opening.len() < OPENING_MAX => match accepted {
                Ok((stream, from)) if guard.is_plain() => {
                    tracing::debug!(target: "o.a.z.s.q.Leader", "a learner from {from}");
                    let _ = stream.set_nodelay(true);
                    begin(Secured::Plain(stream));
                }
                Ok((stream, from)) => {
                    let guard = guard.clone();
                    opening.spawn(async move {
                        (from, within(limit, secure(guard.as_ref(), stream)).await)
                    });
                }
                // Out of descriptors, or the peer is gone again.
                Err(e) => {
                    tracing::warn!(target: "o.a.z.s.q.Leader", "Exception while accepting: {e}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(done) = opening.join_next() => match done {
                Ok((_, Ok(secured))) => begin(secured),
                Ok((from, Err(e))) => tracing::warn!(
                    target: "o.a.z.s.q.Leader",
                    "Exception while connecting to quorum learner {from}: {e}"
                ),
                Err(_) => {}
            },
        }
    }
}

async fn secure(guard: &dyn Guard, stream: TcpStream) -> io::Result<Secured> {
    let _ = stream.set_nodelay(true);
    let mut stream = guard.wrap_incoming(stream).await?;
    // Who it is, its first packet will say.
    guard.authenticate_incoming(&mut stream, None).await?;
    Ok(Secured::Wrapped(stream))
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    timeout(limit, work).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::mpsc;

    use super::*;
    use crate::base::Zxid;
    use crate::peer::election::Plain;
    use crate::peer::link::{self, Incoming, LinkOptions, Outgoing};
    use crate::peer::toy_guard::{Toy, WORD};
    use crate::proto::quorum::{PacketType, QuorumPacket};

    const LONG: Duration = Duration::from_secs(60);

    /// A listener under `guard`, and what comes out of it.
    async fn listening(
        guard: Arc<dyn Guard>,
        limit: Duration,
    ) -> (HostPort, mpsc::UnboundedReceiver<Secured>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(accept(guard, listener, limit, move |s| {
            let _ = tell.send(s);
        }));
        let host = "127.0.0.1".to_owned();
        (HostPort { host, port }, told)
    }

    fn linked(s: Secured) -> (link::LinkSender, mpsc::UnboundedReceiver<Incoming>) {
        let options = LinkOptions {
            length_max: 1 << 20,
            tree: None,
        };
        let (to, from) = mpsc::unbounded_channel();
        let sender = link::run(s, options, Arc::default(), move |incoming| {
            let _ = to.send(incoming);
        });
        (sender, from)
    }

    /// Sends a packet each way.
    async fn talk(a: Secured, b: Secured) {
        let ((a, mut at_a), (b, mut at_b)) = (linked(a), linked(b));
        for (from, to, n) in [(&a, &mut at_b, 1), (&b, &mut at_a, 2)] {
            from.send(Outgoing::Packet(QuorumPacket::new(
                PacketType::Ping,
                Zxid(n),
            )));
            match to.recv().await {
                Some(Incoming::Packets(packets, _)) => assert_eq!(packets[0].zxid, Zxid(n)),
                _ => panic!("no packet"),
            }
        }
    }

    #[tokio::test]
    async fn links_pass_through_the_guard_both_ways() {
        let toy = Arc::new(Toy::default());
        let (at, mut accepted) = listening(toy.clone(), LONG).await;
        let out = dial(toy.as_ref(), vec![at], LONG, LONG).await.unwrap();
        let inside = accepted.recv().await.unwrap();
        assert!(matches!(out, Secured::Wrapped(_)) && matches!(inside, Secured::Wrapped(_)));
        talk(out, inside).await;
        assert_eq!(toy.steps(), ["dial", "accept", "word out", "word in"]);
    }

    #[tokio::test]
    async fn without_a_guard_nothing_is_wrapped() {
        let (at, mut accepted) = listening(Arc::new(Plain), LONG).await;
        let out = dial(&Plain, vec![at], LONG, LONG).await.unwrap();
        let inside = accepted.recv().await.unwrap();
        assert!(matches!(out, Secured::Plain(_)) && matches!(inside, Secured::Plain(_)));
        talk(out, inside).await;
    }

    /// The other side says its word, and closes.
    async fn until_closed(stream: &mut TcpStream) {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        assert!(said.len() <= WORD.len());
    }

    #[tokio::test]
    async fn who_fails_loses_its_own_connection_only() {
        let toy = Arc::new(Toy::default());
        let (at, mut accepted) = listening(toy.clone(), LONG).await;
        let mut wrong = TcpStream::connect((at.host.as_str(), at.port))
            .await
            .unwrap();
        wrong.write_all(&[0; WORD.len()]).await.unwrap();
        until_closed(&mut wrong).await;
        let silent = TcpStream::connect((at.host.as_str(), at.port))
            .await
            .unwrap();
        let out = dial(toy.as_ref(), vec![at], LONG, LONG).await.unwrap();
        talk(out, accepted.recv().await.unwrap()).await;
        assert!(accepted.try_recv().is_err(), "nobody else came through");
        drop(silent);
    }

    #[tokio::test]
    async fn silence_ends_in_time_on_both_sides() {
        let toy = Arc::new(Toy::default());
        let soon = Duration::from_millis(50);
        let (at, mut accepted) = listening(toy.clone(), soon).await;
        let mut silent = TcpStream::connect((at.host.as_str(), at.port))
            .await
            .unwrap();
        until_closed(&mut silent).await;
        // One that never answers.
        let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = mute.local_addr().unwrap().port();
        let host = "127.0.0.1".to_owned();
        let outcome = dial(toy.as_ref(), vec![HostPort { host, port }], LONG, soon).await;
        let late = outcome.err().map(|e| e.kind());
        assert_eq!(late, Some(io::ErrorKind::TimedOut));
        assert!(accepted.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_dead_first_address_does_not_matter() {
        let (at, mut accepted) = listening(Arc::new(Plain), LONG).await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = nobody.local_addr().unwrap().port();
        drop(nobody);
        let dead = HostPort {
            host: "127.0.0.1".to_owned(),
            port,
        };
        let out = dial(&Plain, vec![dead.clone(), at], LONG, LONG)
            .await
            .unwrap();
        talk(out, accepted.recv().await.unwrap()).await;
        assert!(dial(&Plain, vec![dead], LONG, LONG).await.is_err());
    }
}
