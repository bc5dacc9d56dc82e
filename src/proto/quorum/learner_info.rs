//! How a learner introduces itself (Apache: `LearnerInfo`, `LearnerHandler.run`).

use super::PROTOCOL_VERSION;
use crate::base::ServerId;
use crate::jute::{Input, Output as _};

/// The data of FOLLOWERINFO and OBSERVERINFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerInfo {
    /// Its id; `None` for one without, which the leader numbers itself.
    pub server: Option<ServerId>,
    /// Below [`PROTOCOL_VERSION`] it speaks the form before ZooKeeper 3.4.
    pub protocol_version: i32,
    /// Version of its committed configuration; 0 when it did not say.
    pub config_version: i64,
}

impl LearnerInfo {
    /// The introduction of a server of our kind.
    pub fn new(server: ServerId, config_version: i64) -> Self {
        Self {
            server: Some(server),
            protocol_version: PROTOCOL_VERSION,
            config_version,
        }
    }

    /// Takes what is there: the id from 8 bytes on, the protocol version from 12 (1 without), the
    /// configuration version from 20. Nothing is wrong but old.
    ///
    /// Differs: data shorter than an id is an id of 0 in Apache and none here.
    pub fn decode(data: Option<&[u8]>) -> Self {
        let mut input = Input::new(data.unwrap_or_default());
        let server = input.long().ok().map(ServerId);
        let protocol_version = server.and_then(|_| input.int().ok());
        let config_version = protocol_version.and_then(|_| input.long().ok());
        Self {
            server,
            protocol_version: protocol_version.unwrap_or(1),
            config_version: config_version.unwrap_or(0),
        }
    }

    /// All 20 bytes; no id is sent as -1.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        out.long(self.server.map_or(-1, |s| s.0));
        out.int(self.protocol_version);
        out.long(self.config_version);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_there_is() {
        let info = LearnerInfo::new(ServerId(5), 0x77);
        let bytes = info.encode();
        assert_eq!(bytes.len(), 20);
        assert_eq!(LearnerInfo::decode(Some(&bytes)), info);
        for cut in 0..20 {
            let got = LearnerInfo::decode(bytes.get(..cut));
            assert_eq!(got.server, (cut >= 8).then_some(ServerId(5)), "{cut}");
            let version = if cut >= 12 { PROTOCOL_VERSION } else { 1 };
            assert_eq!(
                (got.protocol_version, got.config_version),
                (version, 0),
                "{cut}"
            );
        }
        assert_eq!(LearnerInfo::decode(None).server, None);
    }
}
