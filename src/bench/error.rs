//! What ends a run early.

use std::io;
use std::net::SocketAddr;

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A system call of ours failed.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// The server closed a connection in mid-work.
    #[error("the server at {0} closed a connection ({1})")]
    Closed(SocketAddr, String),
    /// The server sent what the protocol does not allow here.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// A preparing or cleaning operation was answered with an error.
    #[error("{0} on {1}: {2}")]
    Refused(&'static str, String, String),
    /// No answer in time.
    #[error("no answer within {0} s while {1}")]
    Timeout(u64, &'static str),
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
}

impl BenchError {
    /// Names the call that failed.
    pub fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |e| Self::Io(what, e)
    }
}
