//! Packets of quorum SASL, on the election and quorum ports (Apache: `QuorumAuth`).

use super::Progress;
use super::packet::{Scan, Stop};
use crate::jute::{DecodeError, Output as _};

/// First long of every such packet; none of the protocols behind begins so.
pub const MAGIC: i64 = 0x5f24_3501_3501_edcc;

/// How the exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStatus {
    /// Another token is due.
    InProgress = 0,
    /// The other side is who it says.
    Success = 1,
    /// It is not.
    Error = -1,
}

/// One step of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumAuthPacket {
    /// How it stands.
    pub status: AuthStatus,
    /// The mechanism's bytes; null and empty differ.
    pub token: Option<Vec<u8>>,
}

impl QuorumAuthPacket {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.long(MAGIC);
        out.int(self.status as i32);
        out.buffer(self.token.as_deref());
    }

    /// Whether a stream begins with such a packet; `None` while fewer than 8 bytes are there and
    /// all of them agree.
    pub fn begins(bytes: &[u8]) -> Option<bool> {
        let magic = MAGIC.to_be_bytes();
        let differs = bytes.iter().zip(&magic).any(|(a, b)| a != b);
        match differs {
            true => Some(false),
            false => (bytes.len() >= magic.len()).then_some(true),
        }
    }

    /// Decodes the packet at the start of a stream; its token may be up to `limit` bytes long.
    ///
    /// # Errors
    /// [`DecodeError::Value`] for another magic or an unknown status, [`DecodeError::Length`].
    pub fn decode(bytes: &[u8], limit: usize) -> Result<Progress<Self>, DecodeError> {
        let mut scan = Scan {
            bytes,
            at: 0,
            limit,
        };
        match Self::scan(&mut scan) {
            Ok(packet) => Ok(Progress::Done(packet, scan.at)),
            Err(Stop::Need(n)) => Ok(Progress::Need(n)),
            Err(Stop::Wrong(why)) => Err(why),
        }
    }

    fn scan(scan: &mut Scan<'_>) -> Result<Self, Stop> {
        let magic = scan.long()?;
        if magic != MAGIC {
            return Err(Stop::Wrong(DecodeError::Value((magic >> 32) as i32)));
        }
        let status = match scan.int()? {
            0 => AuthStatus::InProgress,
            1 => AuthStatus::Success,
            -1 => AuthStatus::Error,
            other => return Err(Stop::Wrong(DecodeError::Value(other))),
        };
        let token = scan.buffer(0)?.map(<[u8]>::to_vec);
        Ok(Self { status, token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_and_cut() {
        let packet = QuorumAuthPacket {
            status: AuthStatus::Error,
            token: Some(b"no".to_vec()),
        };
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        assert_eq!(
            bytes[..12],
            [0x5f, 0x24, 0x35, 1, 0x35, 1, 0xed, 0xcc, 255, 255, 255, 255]
        );
        for cut in 0..bytes.len() {
            let got = QuorumAuthPacket::decode(&bytes[..cut], 100);
            assert!(
                matches!(got, Ok(Progress::Need(n)) if n > cut),
                "{cut}: {got:?}"
            );
            assert_eq!(
                QuorumAuthPacket::begins(&bytes[..cut]),
                (cut >= 8).then_some(true)
            );
        }
        let whole = bytes.len();
        bytes.push(9);
        assert_eq!(
            QuorumAuthPacket::decode(&bytes, 100),
            Ok(Progress::Done(packet, whole))
        );
        assert_eq!(
            QuorumAuthPacket::decode(&bytes, 1),
            Err(DecodeError::Length(2))
        );
        bytes[11] = 7;
        assert_eq!(
            QuorumAuthPacket::decode(&bytes, 100),
            Err(DecodeError::Value(-249))
        );
        bytes[1] = 0;
        assert_eq!(QuorumAuthPacket::begins(&bytes[..2]), Some(false));
        assert_eq!(
            QuorumAuthPacket::decode(&bytes, 100),
            Err(DecodeError::Value(0x5f00_3501))
        );
    }
}
