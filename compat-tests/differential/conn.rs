//! One TCP connection as a client sees it: frames come out whole, or the end is reported.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest frame taken for real; anything above is reported as `BadLength`.
const MAX_FRAME: usize = 64 << 20;

/// What reading one frame gave.
#[derive(Debug)]
pub enum Got {
    Frame(Vec<u8>),
    /// End of stream, or a reset.
    Closed,
    /// Nothing whole within the time allowed.
    Silent,
    BadLength(i32),
}

/// A connection and the bytes read ahead from it.
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Conn {
    pub fn open(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends bytes. A failure means the other side is gone, which the next read will report.
    pub fn send(&mut self, bytes: &[u8]) {
        // Nothing to do about it here: see above.
        let _gone = self.stream.write_all(bytes);
    }

    /// Sends bytes in writes of at most `chunk` bytes.
    pub fn send_chunks(&mut self, bytes: &[u8], chunk: usize) {
        for part in bytes.chunks(chunk) {
            self.send(part);
        }
    }

    /// Ends our side of the stream; the server may still answer.
    pub fn half_close(&self) {
        // A failure means the connection is gone already.
        let _gone = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Puts a frame back in front of everything not read yet.
    pub fn unread(&mut self, payload: &[u8]) {
        self.buffer.splice(..0, crate::codec::frame(payload));
    }

    /// The next frame, waiting no longer than `wait`.
    pub fn next(&mut self, wait: Duration) -> Got {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(got) = self.whole_frame() {
                return got;
            }
            if let Err(end) = self.fill(deadline) {
                return end;
            }
        }
    }

    /// Everything up to the end of the stream, for text answers.
    pub fn read_to_end(&mut self, wait: Duration) -> (Vec<u8>, Got) {
        let deadline = Instant::now() + wait;
        loop {
            if let Err(end) = self.fill(deadline) {
                return (std::mem::take(&mut self.buffer), end);
            }
        }
    }

    fn whole_frame(&mut self) -> Option<Got> {
        let head: [u8; 4] = self.buffer.get(..4)?.try_into().ok()?;
        let len = i32::from_be_bytes(head);
        let Some(end) = usize::try_from(len)
            .ok()
            .filter(|n| *n <= MAX_FRAME)
            .map(|n| n + 4)
        else {
            return Some(Got::BadLength(len));
        };
        let payload = self.buffer.get(4..end)?.to_vec();
        self.buffer.drain(..end);
        Some(Got::Frame(payload))
    }

    /// Reads what is there, waiting for at least one byte.
    fn fill(&mut self, deadline: Instant) -> Result<(), Got> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Got::Silent);
        }
        if self.stream.set_read_timeout(Some(left)).is_err() {
            return Err(Got::Closed);
        }
        let mut part = [0_u8; 16 << 10];
        match self.stream.read(&mut part) {
            Ok(0) => Err(Got::Closed),
            Ok(n) => {
                self.buffer.extend_from_slice(&part[..n]);
                Ok(())
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Got::Silent)
            }
            Err(_) => Err(Got::Closed),
        }
    }
}
