//! What servers tell each other about leaders (Apache: `FastLeaderElection.Notification`).

use crate::base::{ServerId, Zxid};
use crate::jute::{DecodeError, Input, Output};

/// Format with peer epoch and configuration, in all releases since 3.5.0.
const VERSION: i32 = 2;

/// What a server is doing (Apache: `QuorumPeer.ServerState`); the discriminant is on the wire.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Looking for a leader.
    Looking = 0,
    /// Following one.
    Following = 1,
    /// Leading.
    Leading = 2,
    /// Observing.
    Observing = 3,
}

impl ServerState {
    fn of(ordinal: i32) -> Result<Self, DecodeError> {
        let all = [
            Self::Looking,
            Self::Following,
            Self::Leading,
            Self::Observing,
        ];
        let known = all.into_iter().find(|s| *s as i32 == ordinal);
        known.ok_or(DecodeError::Value(ordinal))
    }
}

/// A vote with the state of the server that reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The reporting server's.
    pub state: ServerState,
    /// The server voted for.
    pub leader: ServerId,
    /// The zxid of the vote.
    pub zxid: Zxid,
    /// The round of the vote.
    pub election_epoch: i64,
    /// The epoch of the vote.
    pub peer_epoch: i64,
    /// Format: 2 with a configuration; 0 from servers before 3.5.
    pub version: i32,
    /// The committed configuration of the server, unparsed.
    pub config: Option<String>,
}

impl Notification {
    /// Reads a frame in any of the formats.
    ///
    /// # Errors
    /// When it is too short, or the state or the length of the configuration is impossible.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(frame);
        let mut n = Self {
            state: ServerState::of(input.int()?)?,
            leader: ServerId(input.long()?),
            zxid: Zxid(input.long()?),
            election_epoch: input.long()?,
            peer_epoch: 0,
            version: 0,
            config: None,
        };
        if input.rest().is_empty() {
            n.peer_epoch = i64::from(n.zxid.epoch().0);
            return Ok(n);
        }
        n.peer_epoch = input.long()?;
        // 40 bytes: the version of 3.4, which Apache does not look at.
        if input.rest().len() == 4 {
            return Ok(n);
        }
        n.version = input.int()?;
        if n.version >= VERSION {
            let length = input.int()?;
            let config = usize::try_from(length)
                .ok()
                .and_then(|l| input.rest().get(..l));
            let config = config.ok_or(DecodeError::Length(length))?;
            // What is no UTF-8 (before 3.8.5 it need not be) becomes no configuration either.
            n.config = Some(String::from_utf8_lossy(config).into_owned());
        }
        Ok(n)
    }

    /// The frame, in format 2, without its length.
    pub fn encode(&self) -> Vec<u8> {
        let config = self.config.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(44 + config.len());
        out.int(self.state as i32);
        out.long(self.leader.0);
        out.long(self.zxid.0);
        out.long(self.election_epoch);
        out.long(self.peer_epoch);
        out.int(VERSION);
        out.buffer(Some(config.as_bytes()));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Notification {
        Notification {
            state: ServerState::Leading,
            leader: ServerId(3),
            zxid: Zxid(0x5_0000_0007),
            election_epoch: 9,
            peer_epoch: 5,
            version: 2,
            config: Some("version=0".to_string()),
        }
    }

    #[test]
    fn the_present_format() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), 44 + 9);
        assert_eq!(bytes[..12], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(bytes[36..44], [0, 0, 0, 2, 0, 0, 0, 9]);
        assert_eq!(Notification::decode(&bytes), Ok(sample()));
    }

    #[test]
    fn the_old_formats() {
        let bytes = sample().encode();
        let n = Notification::decode(&bytes[..28]).unwrap();
        assert_eq!((n.peer_epoch, n.version, n.config), (5, 0, None));
        let n = Notification::decode(&bytes[..40]).unwrap();
        assert_eq!((n.peer_epoch, n.version, n.config), (5, 0, None));
    }

    #[test]
    fn impossible_frames() {
        let good = sample().encode();
        for end in (0..28).chain(29..36).chain(41..good.len()) {
            assert!(Notification::decode(&good[..end]).is_err(), "{end} bytes");
        }
        for (at, value) in [(0, -1), (0, 4), (40, -1), (40, i32::MAX), (40, 10)] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&i32::to_be_bytes(value));
            assert!(Notification::decode(&bad).is_err(), "{value} at {at}");
        }
    }

    #[test]
    fn zookeeper_4787_other_charsets_do_not_panic() {
        let mut bytes = sample().encode();
        bytes[44] = 0xff;
        assert!(
            Notification::decode(&bytes)
                .unwrap()
                .config
                .unwrap()
                .contains('\u{fffd}')
        );
    }
}
