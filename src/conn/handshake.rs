//! The first frames of a connection (Apache: `ZooKeeperServer.processConnectRequest`,
//! `finishSessionInit`).

use crate::base::{SessionId, Zxid};
use crate::jute::{DecodeError, Input, Jute, Output};
use crate::proto::request::{self, ConnectResponse};
use crate::tree::inbox::Connected;

/// What a client's first frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) last_zxid_seen: Zxid,
    pub(super) timeout: i32,
    pub(super) session: SessionId,
    pub(super) password: Box<[u8]>,
    /// The trailing byte, if it was there: then the answer carries one too.
    pub(super) read_only: Option<bool>,
}

/// Decodes the first frame.
///
/// # Errors
/// When it is none: the connection is closed without an answer.
pub(super) fn decode(frame: &[u8], value_max: usize) -> Result<Hello, DecodeError> {
    let mut input = Input::with_limit(frame, value_max);
    let r = request::ConnectRequest::decode(&mut input)?;
    Ok(Hello {
        last_zxid_seen: Zxid(r.last_zxid_seen),
        timeout: r.timeout,
        session: SessionId(r.session_id),
        password: r.password.unwrap_or_default().into(),
        read_only: request::read_only_byte(&mut input),
    })
}

/// Appends the answer; `read_only` is what its last byte says, if it has one.
pub(super) fn encode(out: &mut Vec<u8>, c: &Connected, read_only: Option<bool>) {
    let response = ConnectResponse {
        protocol_version: 0,
        timeout: c.timeout,
        session_id: c.session.0,
        password: Some(&c.password),
    };
    out.count(36 + usize::from(read_only.is_some()));
    response.encode(out);
    if let Some(read_only) = read_only {
        out.bool(read_only);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected() -> Connected {
        Connected {
            session: SessionId::NONE,
            timeout: 0,
            password: [0; 16],
        }
    }

    #[test]
    fn golden_rejection() {
        let mut out = Vec::new();
        encode(&mut out, &rejected(), Some(false));
        let mut expected = vec![0, 0, 0, 0x25];
        expected.extend([0; 16]);
        expected.extend([0, 0, 0, 16]);
        expected.extend([0; 17]);
        assert_eq!(out, expected);
    }

    #[test]
    fn old_clients_get_the_short_answer() {
        let mut hello = vec![0; 24];
        hello.extend([0xff; 4]);
        let h = decode(&hello, 100).unwrap();
        assert_eq!((h.read_only, h.password.len()), (None, 0));
        let mut out = Vec::new();
        encode(&mut out, &rejected(), h.read_only);
        assert_eq!(out.len(), 40);
        assert!(decode(&hello[..27], 100).is_err());
    }
}
