//! One client connection (Apache: `NIOServerCnxn`).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::base::limits::{CONN_BACKLOG_BYTES_MAX, CONN_UNSENT_BYTES_MAX};
use crate::base::{ConnId, Id};
use crate::pipeline::Input;
use crate::session::providers::ip_text;
use crate::telemetry::metrics::METRICS;
use crate::tree::Inbox;

use super::bell::Bell;
use super::edge::Edge;
use super::info::ConnInfo;
use super::protocol::{Protocol, Stage};

/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// What the turns of all connections of one thread share, so that an idle connection holds no buffer.
struct Scratch {
    input: Box<[u8]>,
    out: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        input: vec![0; READ_BYTES].into(),
        out: Vec::with_capacity(READ_BYTES),
    });
}

/// Largest scratch for replies that is kept between turns: it costs once for each thread.
const OUT_KEPT: usize = 4 * 1024 * 1024;

/// More bytes than this that the socket does not take are not copied: the connection takes the
/// scratch with them.
const COPIED_MAX: usize = 64 * 1024;

/// A connection as a task: socket, bytes not yet processed, bytes not yet sent.
pub struct Conn {
    stream: TcpStream,
    protocol: Protocol,
    /// Received and not processed: part of a frame, or frames that wait their turn.
    pending: Vec<u8>,
    /// Written by us and not taken by the socket.
    unsent: Vec<u8>,
    sent_upto: usize,
    /// The client has closed its side.
    eof: bool,
    bell: Arc<Bell>,
    /// The task's own waker, and the one that goes by way of the bell.
    wakers: Option<(Waker, Waker)>,
}

impl Conn {
    /// Takes over an accepted socket; call it on the runtime the connection will live on.
    ///
    /// # Errors
    /// When the socket cannot be registered there.
    pub fn new(
        edge: Arc<Edge>,
        bell: Arc<Bell>,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        id: ConnId,
        secure: bool,
    ) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        let identities = vec![Id::new("ip", ip_text(peer.ip()))];
        let inbox = Inbox::new(id, identities, edge.read_check());
        let info = Arc::new(ConnInfo::new(id, peer, edge.clock.wall_ms(), secure));
        edge.registry.add(info.clone(), inbox.clone());
        Ok(Self {
            stream,
            protocol: Protocol::new(edge, info, inbox),
            pending: Vec::new(),
            unsent: Vec::new(),
            sent_upto: 0,
            eof: false,
            bell,
            wakers: None,
        })
    }

    /// Serves the client until either side closes. One that opens no session within `limit` is cut
    /// off.
    pub async fn run(mut self, limit: Duration) {
        let opened = poll_fn(|cx| {
            let ended = self.turn(cx).is_ready();
            match self.protocol.stage() {
                _ if ended => Poll::Ready(false),
                Stage::Open => Poll::Ready(true),
                _ => Poll::Pending,
            }
        });
        match tokio::time::timeout(limit, opened).await {
            Ok(true) => {
                let ended = poll_fn(|cx| match self.turn(cx) {
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending if self.protocol.stage() == Stage::Closing => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                });
                // A client that does not read its last replies is not waited for without end.
                if !ended.await {
                    let _ = tokio::time::timeout(limit, poll_fn(|cx| self.turn(cx))).await;
                }
            }
            Ok(false) => {}
            Err(_) => {
                METRICS.sessionless_connections_expired.inc();
            }
        }
    }

    /// Does all that can be done now; ready when the connection is over.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &self.wakers {
            Some((own, rope)) if own.will_wake(cx.waker()) => self.protocol.inbox.set_waker(rope),
            _ => {
                let rope = self.bell.waker(cx.waker());
                self.protocol.inbox.set_waker(&rope);
                self.wakers = Some((cx.waker().clone(), rope));
            }
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let ended = self.work(cx, scratch);
            if scratch.out.capacity() > OUT_KEPT {
                scratch.out = Vec::with_capacity(READ_BYTES);
            }
            scratch.out.clear();
            ended
        })
    }

    fn work(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        self.protocol.start_turn();
        loop {
            scratch.out.clear();
            if self.is_stuffed() {
                self.protocol.give_back();
            } else {
                self.protocol.drain(&mut scratch.out);
            }
            // Requests wait while what was said before them does.
            let read = if self.protocol.inbox.is_empty() {
                self.process_pending(&mut scratch.out);
                self.read(cx, scratch)
            } else {
                Poll::Pending
            };
            // Looked at behind the reads: what a role that has ended might have let them see is
            // not sent.
            if self.protocol.is_over() {
                return Poll::Ready(());
            }
            if self.flush(cx, &mut scratch.out).is_err() || self.protocol.inbox.is_closed() {
                return Poll::Ready(());
            }
            if self.is_over() {
                return Poll::Ready(());
            }
            match read {
                Poll::Ready(()) => {}
                // Frames wait that stopped only for want of room, or something came while we wrote.
                Poll::Pending if self.can_go_on() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn can_go_on(&self) -> bool {
        !self.is_stuffed() && (self.protocol.is_paused() || !self.protocol.inbox.is_empty())
    }

    /// Everything said and the connection closing, or the client gone and nothing left to tell it.
    fn is_over(&self) -> bool {
        let flushed = self.unsent.is_empty();
        (self.protocol.stage() == Stage::Closing && flushed)
            || (self.eof && flushed && self.protocol.is_idle())
            || (self.eof && self.protocol.stage() == Stage::Open)
    }

    /// The client does not read: no more work for it.
    fn is_stuffed(&self) -> bool {
        self.unsent.len() - self.sent_upto > CONN_UNSENT_BYTES_MAX
    }

    fn process_pending(&mut self, out: &mut Vec<u8>) {
        if self.pending.is_empty() || self.is_stuffed() {
            return;
        }
        let used = self.protocol.process(&self.pending, out);
        if used == self.pending.len() {
            self.pending = Vec::new();
        } else if used > 0 {
            self.pending.drain(..used);
        }
    }

    /// Takes what the socket has, unless enough waits already. Pending means: nothing to do until
    /// woken.
    fn read(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        let waiting = self.protocol.wants_more() || self.pending.len() < CONN_BACKLOG_BYTES_MAX;
        let closing = self.protocol.stage() == Stage::Closing;
        if self.eof || closing || self.is_stuffed() || !waiting || self.is_full(&scratch.out) {
            return Poll::Pending;
        }
        let mut buf = ReadBuf::new(&mut scratch.input);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(_)) => self.eof = true,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                self.eof = true;
                self.protocol.note_end();
            }
            Poll::Ready(Ok(())) => {
                let got = buf.filled();
                METRICS.bytes_received_count.add(got.len() as u64);
                if self.pending.is_empty() {
                    let used = self.protocol.process(got, &mut scratch.out);
                    self.pending
                        .extend_from_slice(got.get(used..).unwrap_or_default());
                } else {
                    self.pending.extend_from_slice(got);
                    self.process_pending(&mut scratch.out);
                }
            }
        }
        Poll::Ready(())
    }

    fn is_full(&self, out: &[u8]) -> bool {
        out.len() > CONN_UNSENT_BYTES_MAX
    }

    /// Writes what there is to write; what the socket does not take waits. What is in `out`
    /// afterwards means nothing.
    fn flush(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        if self.unsent.is_empty() {
            let taken = write_all(&mut self.stream, cx, out)?;
            let left = out.len() - taken;
            // A connection that waits must not hold much more than what waits.
            if left > COPIED_MAX && left > out.capacity() / 2 {
                self.unsent = std::mem::replace(out, Vec::with_capacity(READ_BYTES));
                self.sent_upto = taken;
            } else if left > 0 {
                self.unsent
                    .extend_from_slice(out.get(taken..).unwrap_or_default());
            }
        } else {
            self.unsent.extend_from_slice(out);
            let rest = self.unsent.get(self.sent_upto..).unwrap_or_default();
            self.sent_upto += write_all(&mut self.stream, cx, rest)?;
            if self.sent_upto == self.unsent.len() {
                let sent = std::mem::take(&mut self.unsent);
                // Its pages are there: the next long answer finds them.
                if sent.capacity() > out.capacity() {
                    *out = sent;
                }
                self.sent_upto = 0;
            } else if self.sent_upto > CONN_UNSENT_BYTES_MAX {
                self.unsent.drain(..self.sent_upto);
                self.sent_upto = 0;
            }
        }
        self.protocol
            .info
            .unsent
            .store(self.unsent.len() as u64, Relaxed);
        Ok(())
    }
}

/// Writes until everything is gone or the socket is full; how much went.
fn write_all(stream: &mut TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|r| !r.is_empty()) {
        match Pin::new(&mut *stream).poll_write(cx, rest) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(n)) => done += n,
            Poll::Ready(Err(e)) => return Err(e),
        }
    }
    Ok(done)
}

impl Drop for Conn {
    /// However the task ends, nothing of the connection stays behind.
    fn drop(&mut self) {
        let p = &mut self.protocol;
        p.inbox.close();
        p.edge.tree.forget_watches(&p.inbox);
        p.edge.registry.remove(p.info.id);
        p.edge.registry.dismiss(p.info.peer.ip());
        p.give_back();
        let session = p.info.session();
        // The sequencer is gone only when the process is ending.
        let _ = p.edge.inputs.send(Input::Gone(p.inbox.clone(), session));
    }
}
