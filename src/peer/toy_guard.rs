//! A guard for tests: both sides say a word, and every byte is turned over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

use super::election::{BoxedStream, Guard, Wrapping};
use crate::base::ServerId;

/// What both say, turned over.
pub const WORD: &[u8; 6] = b"sesame";

/// See the module; keeps what it was asked to do.
#[derive(Debug, Default)]
pub struct Toy(Mutex<Vec<&'static str>>);

impl Toy {
    /// What it was asked to do, in order; the two sides of a connection in any.
    pub fn steps(&self) -> Vec<&'static str> {
        let order = ["dial", "accept", "word out", "word in"];
        let mut steps = self.0.lock().clone();
        steps.sort_by_key(|s| order.iter().position(|o| o == s));
        steps
    }

    fn note(&self, step: &'static str) {
        self.0.lock().push(step);
    }
}

async fn say_and_hear(stream: &mut BoxedStream) -> io::Result<()> {
    stream.write_all(WORD).await?;
    stream.flush().await?;
    let mut heard = [0; WORD.len()];
    stream.read_exact(&mut heard).await?;
    match &heard == WORD {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

impl Guard for Toy {
    fn wrap_outgoing<'a>(&'a self, stream: TcpStream, _: &'a str) -> Wrapping<'a, BoxedStream> {
        self.note("dial");
        Box::pin(async { Ok(Box::new(Turned(stream)) as BoxedStream) })
    }

    fn wrap_incoming(&self, stream: TcpStream) -> Wrapping<'_, BoxedStream> {
        self.note("accept");
        Box::pin(async { Ok(Box::new(Turned(stream)) as BoxedStream) })
    }

    fn authenticate_outgoing<'a>(
        &'a self,
        stream: &'a mut BoxedStream,
        _: &'a str,
    ) -> Wrapping<'a, ()> {
        self.note("word out");
        Box::pin(say_and_hear(stream))
    }

    fn authenticate_incoming<'a>(
        &'a self,
        stream: &'a mut BoxedStream,
        _: Option<ServerId>,
    ) -> Wrapping<'a, ()> {
        self.note("word in");
        Box::pin(say_and_hear(stream))
    }
}

/// Every byte is the opposite of what it was.
struct Turned(TcpStream);

impl AsyncRead for Turned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        for byte in buf.filled_mut().iter_mut().skip(before) {
            *byte = !*byte;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Turned {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let turned: Vec<u8> = bytes.iter().map(|b| !*b).collect();
        Pin::new(&mut self.0).poll_write(cx, &turned)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
