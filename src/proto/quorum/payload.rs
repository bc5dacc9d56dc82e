//! The data of packets, by type.

use std::borrow::Cow;

use crate::base::text::java_utf8;
use crate::base::{ServerId, SessionId};
use crate::jute::{DecodeError, Input, Jute as _, Output as _};

/// The fixed parts.
mod records {
    use crate::jute::record;

    record! {
        /// The head of a REQUEST's data.
        pub struct RequestHead {
            session: i64,
            cxid: i32,
            op: i32,
        }
        /// A session and its timeout in milliseconds: asked by a learner in REVALIDATE, told in PING.
        pub struct SessionTimeout {
            session: i64,
            timeout: i32,
        }
        /// The leader's answer to REVALIDATE.
        pub struct SessionValid {
            session: i64,
            valid: bool,
        }
    }
}
use records::{RequestHead, SessionTimeout, SessionValid};

/// The data of a REQUEST: what a client asked a learner for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnerRequest<'a> {
    /// Whose request.
    pub session: SessionId,
    /// The client's xid.
    pub cxid: i32,
    /// Operation code.
    pub op: i32,
    /// The request as the client sent it, without its header.
    pub body: &'a [u8],
}

impl<'a> LearnerRequest<'a> {
    /// Reads the data; `None` is null.
    ///
    /// # Errors
    /// [`DecodeError::Short`], [`DecodeError::Null`].
    pub fn decode(data: Option<&'a [u8]>) -> Result<Self, DecodeError> {
        let mut input = present(data)?;
        let head = RequestHead::decode(&mut input)?;
        Ok(Self {
            session: SessionId(head.session),
            cxid: head.cxid,
            op: head.op,
            body: input.rest(),
        })
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len().saturating_add(16));
        RequestHead {
            session: self.session.0,
            cxid: self.cxid,
            op: self.op,
        }
        .encode(&mut out);
        out.extend_from_slice(self.body);
        out
    }
}

/// A learner asks whether a session may go on with it (REVALIDATE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevalidateRequest {
    /// Which session.
    pub session: SessionId,
    /// The timeout its client was promised, ms.
    pub timeout: i32,
}

impl RevalidateRequest {
    /// Reads the data.
    ///
    /// # Errors
    /// [`DecodeError::Short`], [`DecodeError::Null`].
    pub fn decode(data: Option<&[u8]>) -> Result<Self, DecodeError> {
        let r = SessionTimeout::decode(&mut present(data)?)?;
        Ok(Self {
            session: SessionId(r.session),
            timeout: r.timeout,
        })
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        encode_touches([(self.session, self.timeout)])
    }
}

/// The leader's answer to [`RevalidateRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevalidateAnswer {
    /// Which session.
    pub session: SessionId,
    /// It lives, and the learner that asked owns it now.
    pub valid: bool,
}

impl RevalidateAnswer {
    /// Reads the data.
    ///
    /// # Errors
    /// [`DecodeError::Short`], [`DecodeError::Null`].
    pub fn decode(data: Option<&[u8]>) -> Result<Self, DecodeError> {
        let r = SessionValid::decode(&mut present(data)?)?;
        Ok(Self {
            session: SessionId(r.session),
            valid: r.valid,
        })
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        SessionValid {
            session: self.session.0,
            valid: self.valid,
        }
        .to_bytes()
    }
}

/// The data of HANDOVEROWNERS: sessions by the server that their clients are connected to, or by
/// [`GONE`] or [`UNOWNED`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners(pub Vec<(i64, Vec<SessionId>)>);

/// The server that a session's client was connected to is gone: it must resume the session first.
pub const GONE: i64 = -1;

/// Nobody knows where a session's client is: whoever asks first has it.
pub const UNOWNED: i64 = -2;

impl Owners {
    /// Reads the data. Takes no more memory than a few times its length.
    ///
    /// # Errors
    /// [`DecodeError::Short`], [`DecodeError::Null`], [`DecodeError::Length`].
    pub fn decode(data: Option<&[u8]>) -> Result<Self, DecodeError> {
        let mut input = present(data)?;
        let groups = input.int()?;
        let mut all = Vec::new();
        for _ in 0..groups {
            let who = input.long()?;
            let count = input.int()?;
            let n = usize::try_from(count).map_err(|_| DecodeError::Length(count))?;
            if input.rest().len() / 8 < n {
                return Err(DecodeError::Short);
            }
            let sessions = (0..n).map(|_| input.long().map(SessionId));
            all.push((who, sessions.collect::<Result<_, _>>()?));
        }
        Ok(Self(all))
    }

    /// The data.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.count(self.0.len());
        for (who, sessions) in &self.0 {
            out.long(*who);
            out.count(sessions.len());
            sessions.iter().for_each(|s| out.long(s.0));
        }
        out
    }
}

/// The sessions a learner heard of since the last PING, with their timeouts in milliseconds. The
/// answer's data may be empty but never null: that would end a Java leader's handler.
pub fn encode_touches(touched: impl IntoIterator<Item = (SessionId, i32)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (SessionId(session), timeout) in touched {
        SessionTimeout { session, timeout }.encode(&mut out);
    }
    out
}

/// Reads a PING answer; null is as good as empty.
///
/// # Errors
/// [`DecodeError::Short`] when it ends inside a session.
pub fn decode_touches(data: Option<&[u8]>) -> Result<Vec<(SessionId, i32)>, DecodeError> {
    let mut input = Input::new(data.unwrap_or_default());
    let mut touched = Vec::new();
    while !input.rest().is_empty() {
        let t = SessionTimeout::decode(&mut input)?;
        touched.push((SessionId(t.session), t.timeout));
    }
    Ok(touched)
}

/// The data of LEADERINFO (the protocol version) and ACKEPOCH (the current epoch, or -1).
pub fn encode_int(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// Reads the data of LEADERINFO or ACKEPOCH.
///
/// # Errors
/// [`DecodeError::Short`], [`DecodeError::Null`].
pub fn decode_int(data: Option<&[u8]>) -> Result<i32, DecodeError> {
    present(data)?.int()
}

/// The data of COMMITANDACTIVATE (without `txn`) and INFORMANDACTIVATE: the designated leader, and
/// the transaction.
pub fn encode_activate(designated: ServerId, txn: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(txn.len().saturating_add(8));
    out.long(designated.0);
    out.extend_from_slice(txn);
    out
}

/// Reads the data of COMMITANDACTIVATE (the rest is empty) or INFORMANDACTIVATE.
///
/// # Errors
/// [`DecodeError::Short`], [`DecodeError::Null`].
pub fn decode_activate(data: Option<&[u8]>) -> Result<(ServerId, &[u8]), DecodeError> {
    let mut input = present(data)?;
    let designated = ServerId(input.long()?);
    Ok((designated, input.rest()))
}

/// The configuration text of NEWLEADER: none when the data is null or a single byte.
pub fn new_leader_config(data: Option<&[u8]>) -> Option<Cow<'_, str>> {
    data.filter(|d| d.len() > 1).map(java_utf8)
}

fn present(data: Option<&[u8]>) -> Result<Input<'_>, DecodeError> {
    data.map(Input::new).ok_or(DecodeError::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_both_ways() {
        let r = LearnerRequest {
            session: SessionId(0x0100_0000_0000_0001),
            cxid: 3,
            op: -10,
            body: &[0, 0, 0x75, 0x30],
        };
        let bytes = r.encode();
        assert_eq!(bytes.len(), 20);
        assert_eq!(bytes[8..16], [0, 0, 0, 3, 0xff, 0xff, 0xff, 0xf6]);
        assert_eq!(LearnerRequest::decode(Some(&bytes)), Ok(r));
        assert_eq!(
            LearnerRequest::decode(Some(&bytes[..16])).unwrap().body,
            b""
        );
        assert_eq!(
            LearnerRequest::decode(Some(&bytes[..15])),
            Err(DecodeError::Short)
        );
        assert_eq!(LearnerRequest::decode(None), Err(DecodeError::Null));
    }

    #[test]
    fn touches_end_with_a_whole_session() {
        let touched = vec![(SessionId(1), 30_000), (SessionId(-2), 4000)];
        let bytes = encode_touches(touched.clone());
        assert_eq!(bytes.len(), 24);
        assert_eq!(decode_touches(Some(&bytes)), Ok(touched));
        assert_eq!(decode_touches(Some(&bytes[..23])), Err(DecodeError::Short));
        assert_eq!(decode_touches(None), Ok(vec![]));
    }

    #[test]
    fn revalidations() {
        let ask = RevalidateRequest {
            session: SessionId(9),
            timeout: 4000,
        };
        assert_eq!(ask.encode().len(), 12);
        assert_eq!(RevalidateRequest::decode(Some(&ask.encode())), Ok(ask));
        let answer = RevalidateAnswer {
            session: SessionId(9),
            valid: true,
        };
        assert_eq!(answer.encode(), [0, 0, 0, 0, 0, 0, 0, 9, 1]);
        assert_eq!(RevalidateAnswer::decode(Some(&answer.encode())), Ok(answer));
        assert_eq!(
            RevalidateAnswer::decode(Some(&[0; 8])),
            Err(DecodeError::Short)
        );
    }

    #[test]
    fn activations_and_numbers() {
        let bytes = encode_activate(ServerId(3), b"txn");
        assert_eq!(
            decode_activate(Some(&bytes)),
            Ok((ServerId(3), &b"txn"[..]))
        );
        assert_eq!(decode_activate(Some(&bytes[..7])), Err(DecodeError::Short));
        assert_eq!(decode_int(Some(&encode_int(-1))), Ok(-1));
        assert_eq!(decode_int(Some(&[0; 3])), Err(DecodeError::Short));
        assert_eq!(decode_int(None), Err(DecodeError::Null));
    }

    #[test]
    fn a_configuration_has_two_bytes_or_more() {
        assert_eq!(new_leader_config(None), None);
        assert_eq!(new_leader_config(Some(&[0])), None);
        assert_eq!(
            new_leader_config(Some(b"version=0")).as_deref(),
            Some("version=0")
        );
    }

    #[test]
    fn owners_take_no_more_memory_than_they_are_long() {
        let owners = Owners(vec![
            (GONE, vec![SessionId(-7)]),
            (3, vec![SessionId(1), SessionId(2)]),
        ]);
        let bytes = owners.encode();
        assert_eq!(Owners::decode(Some(&bytes)), Ok(owners));
        for cut in 0..bytes.len() {
            let read = Owners::decode(Some(&bytes[..cut]));
            assert_eq!(read, Err(DecodeError::Short), "{cut}");
        }
        let head = |groups: i32, count: i32| {
            let mut out = Vec::new();
            out.int(groups);
            out.long(1);
            out.int(count);
            Owners::decode(Some(&out))
        };
        assert_eq!(head(1, i32::MAX), Err(DecodeError::Short));
        assert_eq!(head(i32::MAX, 0), Err(DecodeError::Short));
        assert_eq!(head(1, -1), Err(DecodeError::Length(-1)));
        assert_eq!(Owners::decode(None), Err(DecodeError::Null));
    }
}
