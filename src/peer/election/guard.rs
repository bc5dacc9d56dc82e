//! Where TLS and SASL come in: TCP, then TLS, then the initial message, then SASL.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::base::ServerId;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, encrypted or not.
pub type BoxedStream = Box<dyn Duplex>;

/// A step on the way to a connection that may be used.
pub type Wrapping<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// What secures the connections between servers, of the election and between leader and learners
/// (see [`crate::peer::secured`]). Any error closes the connection. All steps happen within the
/// time limits of whoever asks for them.
pub trait Guard: Send + Sync {
    /// True when it does nothing at all, so that it can be passed by.
    fn is_plain(&self) -> bool {
        false
    }

    /// TLS on a connection this server made to `host`.
    fn wrap_outgoing<'a>(&'a self, stream: TcpStream, host: &'a str) -> Wrapping<'a, BoxedStream>;

    /// TLS on a connection that was made to this server.
    fn wrap_incoming(&self, stream: TcpStream) -> Wrapping<'_, BoxedStream>;

    /// SASL, in the election after the initial message has been sent, otherwise before the first
    /// packet.
    fn authenticate_outgoing<'a>(
        &'a self,
        stream: &'a mut BoxedStream,
        host: &'a str,
    ) -> Wrapping<'a, ()>;

    /// SASL, in the election after the initial message of `from` has been read. A learner has not
    /// said yet who it is.
    fn authenticate_incoming<'a>(
        &'a self,
        stream: &'a mut BoxedStream,
        from: Option<ServerId>,
    ) -> Wrapping<'a, ()>;
}

/// Neither TLS nor SASL.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Guard for Plain {
    fn is_plain(&self) -> bool {
        true
    }

    fn wrap_outgoing<'a>(&'a self, stream: TcpStream, _: &'a str) -> Wrapping<'a, BoxedStream> {
        Box::pin(async { Ok(Box::new(stream) as BoxedStream) })
    }

    fn wrap_incoming(&self, stream: TcpStream) -> Wrapping<'_, BoxedStream> {
        Box::pin(async { Ok(Box::new(stream) as BoxedStream) })
    }

    fn authenticate_outgoing<'a>(&'a self, _: &'a mut BoxedStream, _: &'a str) -> Wrapping<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn authenticate_incoming<'a>(
        &'a self,
        _: &'a mut BoxedStream,
        _: Option<ServerId>,
    ) -> Wrapping<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}
