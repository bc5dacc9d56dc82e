//! One non-blocking client session.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::wire::{HEAD, Head};
use crate::proto::event::{XID_NOTIFICATION, XID_PING};

/// What kind of request an answer belongs to; each kind has its own latency histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered from the tree.
    Read,
    /// Goes through the log.
    Write,
    /// Keeps the session alive.
    Ping,
}

/// A request that has been sent and not answered.
#[derive(Clone, Copy, Debug)]
struct Sent {
    xid: i32,
    class: Class,
    multi: bool,
    /// When it was sent, or should have been, ns.
    at: u64,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// TCP is on its way, or the session's answer is.
    Opening,
    /// Requests may go out.
    Open,
    /// No further requests; gone when what is in flight is answered.
    Closed,
}

/// What came in.
#[derive(Clone, Copy, Debug)]
pub enum Incoming {
    /// The session is open.
    Opened,
    /// A request was answered.
    Reply {
        /// Its kind.
        class: Class,
        /// When it was sent, or should have been, ns.
        at: u64,
        /// The head of the answer.
        head: Head,
    },
    /// A watch fired.
    Event,
}

/// A session: socket, bytes on their way, requests in flight.
#[derive(Debug)]
pub struct Conn {
    /// Position in its pool.
    pub index: usize,
    /// How far it has come.
    pub phase: Phase,
    /// Session id, 0 until it is open.
    pub session: i64,
    /// Negotiated timeout, ms.
    pub timeout_ms: i32,
    /// When the last request went out, ns.
    pub last_sent: u64,
    /// True while the pool waits for the socket to take more.
    pub(super) blocked: bool,
    pub(super) socket: Option<TcpStream>,
    pub(super) out: Vec<u8>,
    pub(super) out_from: usize,
    head: [u8; HEAD],
    head_len: usize,
    skip: usize,
    in_flight: VecDeque<Sent>,
    xid: i32,
}

impl Conn {
    /// A session over a socket whose connect is under way.
    pub(super) fn new(index: usize, socket: TcpStream, hello: Vec<u8>) -> Self {
        Self {
            index,
            phase: Phase::Opening,
            session: 0,
            timeout_ms: 0,
            last_sent: 0,
            blocked: false,
            socket: Some(socket),
            out: hello,
            out_from: 0,
            head: [0; HEAD],
            head_len: 0,
            skip: 0,
            in_flight: VecDeque::new(),
            xid: 0,
        }
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Queues a request: `put` appends its frame with the given xid. `at` is when it is due, ns.
    pub fn send(
        &mut self,
        class: Class,
        multi: bool,
        at: u64,
        put: impl FnOnce(&mut Vec<u8>, i32),
    ) {
        let xid = if class == Class::Ping {
            XID_PING
        } else {
            self.xid = self.xid.checked_add(1).unwrap_or(1);
            self.xid
        };
        put(&mut self.out, xid);
        self.in_flight.push_back(Sent {
            xid,
            class,
            multi,
            at,
        });
        self.last_sent = at;
    }

    /// Writes what is queued; true when all of it went out.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let Some(socket) = &mut self.socket else {
            return Ok(true);
        };
        while self.out_from < self.out.len() {
            match socket.write(&self.out[self.out_from..]) {
                Ok(n) => self.out_from += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.out.clear();
        self.out_from = 0;
        Ok(true)
    }

    /// Reads once into `buffer`; 0 when there is nothing, an error at the end of the stream.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(socket) = &mut self.socket else {
            return Ok(0);
        };
        match socket.read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => Ok(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(e) => Err(e),
        }
    }

    /// Takes the next message off `bytes`, which continue what was taken before.
    pub(super) fn take(&mut self, bytes: &mut &[u8]) -> Result<Option<Incoming>, String> {
        let skipped = self.skip.min(bytes.len());
        *bytes = &bytes[skipped..];
        self.skip -= skipped;
        while !bytes.is_empty() {
            // Length first, then as much of the head as the frame has.
            let wanted = if self.head_len < 4 {
                4
            } else {
                (4 + self.frame_len()?).min(HEAD)
            };
            let n = (wanted - self.head_len).min(bytes.len());
            self.head[self.head_len..self.head_len + n].copy_from_slice(&bytes[..n]);
            self.head_len += n;
            *bytes = &bytes[n..];
            if self.head_len < 4 || self.head_len < (4 + self.frame_len()?).min(HEAD) {
                continue;
            }
            let got = std::mem::take(&mut self.head_len);
            let rest = 4 + self.frame_len()? - got;
            let skipped = rest.min(bytes.len());
            *bytes = &bytes[skipped..];
            self.skip = rest - skipped;
            return self.message(got).map(Some);
        }
        Ok(None)
    }

    fn frame_len(&self) -> Result<usize, String> {
        let [a, b, c, d, ..] = self.head;
        let len = i32::from_be_bytes([a, b, c, d]);
        usize::try_from(len)
            .ok()
            .filter(|&n| n >= 16)
            .ok_or_else(|| format!("a frame of {len} bytes"))
    }

    fn message(&mut self, got: usize) -> Result<Incoming, String> {
        let multi = self.in_flight.front().is_some_and(|s| s.multi);
        if self.phase == Phase::Opening {
            return self.opened();
        }
        if got < 20 {
            return Err(format!("a reply of {got} bytes"));
        }
        let head = Head::of(&self.head[..got], multi);
        if head.xid == XID_NOTIFICATION {
            return Ok(Incoming::Event);
        }
        let sent = self.in_flight.pop_front();
        match sent {
            Some(s) if s.xid == head.xid => Ok(Incoming::Reply {
                class: s.class,
                at: s.at,
                head,
            }),
            _ => Err(format!(
                "xid {} where {:?} was due",
                head.xid,
                sent.map(|s| s.xid)
            )),
        }
    }

    /// `ConnectResponse`: protocol version, timeout, session, password.
    fn opened(&mut self) -> Result<Incoming, String> {
        let int = |at: usize| i32::from_be_bytes(self.head[at..at + 4].try_into().expect("4"));
        self.timeout_ms = int(8);
        self.session = i64::from(int(12)) << 32 | i64::from(int(16) as u32);
        if self.timeout_ms <= 0 || self.session == 0 {
            return Err("the server refused the session".into());
        }
        self.phase = Phase::Open;
        Ok(Incoming::Opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Conn, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        (Conn::new(0, client, Vec::new()), server)
    }

    fn reply(xid: i32, err: i32, body: usize) -> Vec<u8> {
        let mut out = (16 + body as u32).to_be_bytes().to_vec();
        out.extend(xid.to_be_bytes());
        out.extend(5_i64.to_be_bytes());
        out.extend(err.to_be_bytes());
        out.resize(20 + body, 1);
        out
    }

    #[test]
    fn replies_are_found_however_they_are_cut() {
        let mut stream = vec![0, 0, 0, 37, 0, 0, 0, 0, 0, 0, 0x27, 0x10];
        stream.extend(7_i64.to_be_bytes());
        stream.extend([0; 21]);
        stream.extend(reply(1, 0, 100));
        stream.extend(reply(-1, 0, 20));
        stream.extend(reply(2, -101, 0));
        for cut in 1..stream.len() {
            let (mut conn, _server) = pair();
            let mut seen = Vec::new();
            for part in stream.chunks(cut) {
                let mut rest = part;
                while let Some(m) = conn.take(&mut rest).unwrap() {
                    if let Incoming::Opened = m {
                        conn.send(Class::Read, false, 3, |_, xid| assert_eq!(xid, 1));
                        conn.send(Class::Write, false, 4, |_, xid| assert_eq!(xid, 2));
                    }
                    seen.push(match m {
                        Incoming::Opened => (0, 0),
                        Incoming::Event => (1, 0),
                        Incoming::Reply { at, head, .. } => (at, head.err),
                    });
                }
            }
            assert_eq!(seen, [(0, 0), (3, 0), (1, 0), (4, -101)], "cut {cut}");
            assert_eq!(conn.session, 7);
            assert_eq!(conn.in_flight(), 0);
        }
    }

    #[test]
    fn an_answer_nobody_asked_for_is_an_error() {
        let (mut conn, _server) = pair();
        conn.phase = Phase::Open;
        let bytes = reply(9, 0, 0);
        assert!(conn.take(&mut &bytes[..]).is_err());
    }
}
