//! Alters what one server said, on purpose: the tester must notice each kind, or it is blind.

use std::fmt;

/// A kind of alteration, applied once to the first frame it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    Zxid,
    Err,
    /// The last byte of a reply with a body.
    LastByte,
    /// One byte more than the reply had.
    ExtraByte,
    DropEvent,
    EventPath,
    /// An event is handed over behind the frame that followed it.
    SwapEvent,
    DropReply,
    /// One bit of a session password.
    Password,
    Timeout,
}

pub const ALL: [Tamper; 10] = [
    Tamper::Zxid,
    Tamper::Err,
    Tamper::LastByte,
    Tamper::ExtraByte,
    Tamper::DropEvent,
    Tamper::EventPath,
    Tamper::SwapEvent,
    Tamper::DropReply,
    Tamper::Password,
    Tamper::Timeout,
];

/// What becomes of a frame.
pub enum Fate {
    Keep(Vec<u8>),
    Drop,
    /// Hand it over behind the next frame of this connection.
    Later(Vec<u8>),
}

/// Waits for a frame its kind fits, alters it, and rests.
pub struct Tamperer {
    kind: Tamper,
    /// Fitting frames to let pass first.
    skip: usize,
    pub done: bool,
}

impl Tamperer {
    pub fn new(kind: Tamper, skip: usize) -> Self {
        Self {
            kind,
            skip,
            done: false,
        }
    }

    /// Decides about one frame. `hello` says whether it is the first of its connection.
    pub fn pass(&mut self, mut frame: Vec<u8>, hello: bool) -> Fate {
        if self.done || !self.fits(&frame, hello) {
            return Fate::Keep(frame);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Fate::Keep(frame);
        }
        self.done = true;
        let last = frame.len() - 1;
        match self.kind {
            Tamper::Zxid => frame[11] ^= 1,
            Tamper::Err => frame[15] ^= 1,
            Tamper::LastByte | Tamper::EventPath => frame[last] ^= 1,
            Tamper::ExtraByte => frame.push(0),
            Tamper::DropEvent | Tamper::DropReply => return Fate::Drop,
            Tamper::SwapEvent => return Fate::Later(frame),
            Tamper::Password => frame[20] ^= 1,
            Tamper::Timeout => frame[7] ^= 1,
        }
        Fate::Keep(frame)
    }

    fn fits(&self, frame: &[u8], hello: bool) -> bool {
        let event = frame.starts_with(&[0xff; 4]);
        match self.kind {
            Tamper::Password | Tamper::Timeout => hello && frame.len() >= 36,
            _ if hello => false,
            Tamper::DropEvent | Tamper::EventPath | Tamper::SwapEvent => event && frame.len() > 28,
            Tamper::LastByte => !event && frame.len() > 16,
            Tamper::Zxid | Tamper::Err | Tamper::ExtraByte | Tamper::DropReply => {
                !event && frame.len() >= 16
            }
        }
    }
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
