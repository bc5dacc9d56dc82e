//! Transactions as the log holds them and as leaders propose them
//! (Apache: `zookeeper.jute`, package `txn`; `SerializeUtils`).

use std::borrow::Cow;

use crate::base::{Acl, SessionId, Zxid};
use crate::jute::{DecodeError, Input, Jute, Output, Str, record};
use crate::proto::OpCode;

/// The only digest version in use.
pub const DIGEST_VERSION: i32 = 2;

record! {
    /// Head of every transaction, 32 bytes.
    pub struct TxnHeader {
        /// Session that asked; 0 for the reaper.
        client_id: i64,
        /// Its xid; 0 for what the server starts itself.
        cxid: i32,
        /// The transaction's id.
        zxid: i64,
        /// The leader's wall clock, ms.
        time: i64,
        /// Operation code.
        op: i32,
    }
    /// Expected digest of the tree after the transaction.
    pub struct TxnDigest {
        /// 2.
        version: i32,
        /// See `tree::digest`.
        digest: i64,
    }
    /// create, create2.
    pub struct CreateTxn<'a> {
        /// Final path.
        path: Str<'a>,
        /// Data.
        data: Option<&'a [u8]>,
        /// ACL; null means open.
        acl: Option<Vec<Acl>>,
        /// Owned by the header's session.
        ephemeral: bool,
        /// Parent's stored cversion after it; -1 means one more than now.
        parent_cversion: i32,
    }
    /// create before 3.4.
    pub struct CreateTxnV0<'a> {
        /// Final path.
        path: Str<'a>,
        /// Data.
        data: Option<&'a [u8]>,
        /// ACL.
        acl: Option<Vec<Acl>>,
        /// Owned by the header's session.
        ephemeral: bool,
    }
    /// createContainer.
    pub struct CreateContainerTxn<'a> {
        /// Final path.
        path: Str<'a>,
        /// Data.
        data: Option<&'a [u8]>,
        /// ACL.
        acl: Option<Vec<Acl>>,
        /// As in `CreateTxn`.
        parent_cversion: i32,
    }
    /// createTTL.
    pub struct CreateTtlTxn<'a> {
        /// Final path.
        path: Str<'a>,
        /// Data.
        data: Option<&'a [u8]>,
        /// ACL.
        acl: Option<Vec<Acl>>,
        /// As in `CreateTxn`.
        parent_cversion: i32,
        /// Milliseconds.
        ttl: i64,
    }
    /// delete, deleteContainer.
    pub struct DeleteTxn<'a> {
        /// Path.
        path: Str<'a>,
    }
    /// setData, reconfig.
    pub struct SetDataTxn<'a> {
        /// Path.
        path: Str<'a>,
        /// New data.
        data: Option<&'a [u8]>,
        /// New version (absolute).
        version: i32,
    }
    /// setACL.
    pub struct SetAclTxn<'a> {
        /// Path.
        path: Str<'a>,
        /// New ACL.
        acl: Option<Vec<Acl>>,
        /// New aversion (absolute).
        version: i32,
    }
    /// check; inside multi only, without effect.
    pub struct CheckVersionTxn<'a> {
        /// Path.
        path: Str<'a>,
        /// Matched version plus one.
        version: i32,
    }
    /// createSession.
    pub struct CreateSessionTxn {
        /// Negotiated timeout, ms.
        timeout: i32,
    }
    /// closeSession since 3.6.
    pub struct CloseSessionTxn<'a> {
        /// Ephemerals to delete.
        paths: Option<Vec<Str<'a>>>,
    }
    /// A request that failed.
    pub struct ErrorTxn {
        /// Error code.
        err: i32,
    }
    /// multi.
    pub struct MultiTxn<'a> {
        /// The operations in order.
        txns: Option<Vec<SubTxn<'a>>>,
    }
    /// One operation of a multi.
    pub struct SubTxn<'a> {
        /// Operation code.
        op: i32,
        /// The record of that type.
        data: Option<&'a [u8]>,
    }
}

impl TxnHeader {
    /// Its encoded length, bytes.
    pub const LEN: usize = 32;

    /// The time in the encoded form of a transaction, if it is as long as a header.
    pub fn time_of(txn: &[u8]) -> Option<i64> {
        let time = txn.get(..Self::LEN)?.get(20..28)?;
        Some(i64::from_be_bytes(time.try_into().ok()?))
    }

    /// The encoded form.
    pub fn to_array(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..8].copy_from_slice(&self.client_id.to_be_bytes());
        out[8..12].copy_from_slice(&self.cxid.to_be_bytes());
        out[12..20].copy_from_slice(&self.zxid.to_be_bytes());
        out[20..28].copy_from_slice(&self.time.to_be_bytes());
        out[28..].copy_from_slice(&self.op.to_be_bytes());
        out
    }
}

/// A transaction's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Txn<'a> {
    /// create or create2.
    Create(CreateTxn<'a>),
    /// createContainer.
    CreateContainer(CreateContainerTxn<'a>),
    /// createTTL.
    CreateTtl(CreateTtlTxn<'a>),
    /// delete or deleteContainer.
    Delete(DeleteTxn<'a>),
    /// setData or reconfig.
    SetData(SetDataTxn<'a>),
    /// setACL.
    SetAcl(SetAclTxn<'a>),
    /// check.
    Check(CheckVersionTxn<'a>),
    /// multi.
    Multi(MultiTxn<'a>),
    /// createSession.
    CreateSession(CreateSessionTxn),
    /// closeSession; `None` when the record has no body.
    CloseSession(Option<CloseSessionTxn<'a>>),
    /// error.
    Error(ErrorTxn),
}

impl<'a> Txn<'a> {
    /// Reads the body of an `op` transaction.
    ///
    /// # Errors
    /// [`DecodeError::Value`] for a type that has no transaction.
    pub fn decode(op: i32, input: &mut Input<'a>) -> Result<Self, DecodeError> {
        Ok(match OpCode::of(op).ok_or(DecodeError::Value(op))? {
            OpCode::Create | OpCode::Create2 => Self::Create(decode_create(input)?),
            OpCode::CreateContainer => Self::CreateContainer(Jute::decode(input)?),
            OpCode::CreateTtl => Self::CreateTtl(Jute::decode(input)?),
            OpCode::Delete | OpCode::DeleteContainer => Self::Delete(Jute::decode(input)?),
            OpCode::SetData | OpCode::Reconfig => Self::SetData(Jute::decode(input)?),
            OpCode::SetAcl => Self::SetAcl(Jute::decode(input)?),
            OpCode::Check => Self::Check(Jute::decode(input)?),
            OpCode::Multi => Self::Multi(Jute::decode(input)?),
            OpCode::CreateSession => Self::CreateSession(Jute::decode(input)?),
            OpCode::CloseSession => Self::CloseSession(decode_close(input)?),
            OpCode::Error => Self::Error(Jute::decode(input)?),
            _ => return Err(DecodeError::Value(op)),
        })
    }

    /// Writes the body.
    pub fn encode(&self, out: &mut impl Output) {
        match self {
            Self::Create(t) => t.encode(out),
            Self::CreateContainer(t) => t.encode(out),
            Self::CreateTtl(t) => t.encode(out),
            Self::Delete(t) => t.encode(out),
            Self::SetData(t) => t.encode(out),
            Self::SetAcl(t) => t.encode(out),
            Self::Check(t) => t.encode(out),
            Self::Multi(t) => t.encode(out),
            Self::CreateSession(t) => t.encode(out),
            Self::CloseSession(Some(t)) => t.encode(out),
            Self::CloseSession(None) => {}
            Self::Error(t) => t.encode(out),
        }
    }
}

/// A create that runs out of bytes at the parent's cversion was written before 3.4.
fn decode_create<'a>(input: &mut Input<'a>) -> Result<CreateTxn<'a>, DecodeError> {
    let v0 = CreateTxnV0::decode(input)?;
    let parent_cversion = input.int().unwrap_or(-1);
    Ok(CreateTxn {
        path: v0.path,
        data: v0.data,
        acl: v0.acl,
        ephemeral: v0.ephemeral,
        parent_cversion,
    })
}

/// closeSession has no body before 3.6 or with `closeSessionTxn.enabled=false`. Twelve bytes that
/// begin with the digest version are a digest alone: Apache reads them as a list and may fail.
fn decode_close<'a>(input: &mut Input<'a>) -> Result<Option<CloseSessionTxn<'a>>, DecodeError> {
    let rest = input.rest();
    if rest.is_empty() || (rest.len() == 12 && rest.starts_with(&DIGEST_VERSION.to_be_bytes())) {
        return Ok(None);
    }
    let start = input.clone();
    match CloseSessionTxn::decode(input) {
        Ok(t) => Ok(Some(t)),
        Err(DecodeError::Short) => {
            *input = start;
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// A whole log entry: header, body, and digest if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Head.
    pub header: TxnHeader,
    /// Body.
    pub txn: Txn<'a>,
    /// Expected digest afterwards.
    pub digest: Option<TxnDigest>,
}

impl<'a> Entry<'a> {
    /// Reads an entry; bytes behind the digest are ignored.
    ///
    /// # Errors
    /// When header or body are not what their type says.
    pub fn decode(input: &mut Input<'a>) -> Result<Self, DecodeError> {
        let header = TxnHeader::decode(input)?;
        let txn = Txn::decode(header.op, input)?;
        let digest = TxnDigest::decode(input).ok();
        Ok(Self {
            header,
            txn,
            digest,
        })
    }

    /// Reads an entry from the start of `bytes` under the default limits.
    ///
    /// # Errors
    /// As [`Entry::decode`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::decode(&mut Input::new(bytes))
    }

    /// Writes the entry.
    pub fn encode(&self, out: &mut impl Output) {
        self.header.encode(out);
        self.txn.encode(out);
        if let Some(d) = &self.digest {
            d.encode(out);
        }
    }

    /// The transaction's id.
    pub fn zxid(&self) -> Zxid {
        Zxid(self.header.zxid)
    }

    /// The session that asked.
    pub fn session(&self) -> SessionId {
        SessionId(self.header.client_id)
    }
}

/// The path of a record; a null one reads as empty, which names the root.
pub fn path<'a>(p: &'a Str<'_>) -> &'a str {
    p.as_deref().unwrap_or_default()
}

/// A path for a record.
pub fn some(p: &str) -> Str<'_> {
    Some(Cow::Borrowed(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First record of a log that Apache 3.9.5 wrote.
    const FIRST: &str = "010000157ea6000000000000000000000000000\
                         1000001a2039f5814fffffff60000271000000002\
                         0000000051c6d660";

    fn unhex(s: &str) -> Vec<u8> {
        (0..s.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn golden_create_session() {
        let bytes = unhex(FIRST);
        let e = Entry::from_bytes(&bytes).unwrap();
        assert_eq!(
            (e.zxid(), e.session()),
            (Zxid(1), SessionId(0x0100_0015_7ea6_0000))
        );
        assert_eq!(
            e.txn,
            Txn::CreateSession(CreateSessionTxn { timeout: 10_000 })
        );
        assert_eq!(
            e.digest,
            Some(TxnDigest {
                version: 2,
                digest: 1_371_985_504
            })
        );
        let mut out = Vec::new();
        e.encode(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn close_session_without_body_but_with_digest() {
        let digest = TxnDigest {
            version: 2,
            digest: 5,
        };
        let mut bytes = TxnHeader {
            op: -11,
            ..TxnHeader::default()
        }
        .to_bytes();
        digest.encode(&mut bytes);
        let e = Entry::from_bytes(&bytes).unwrap();
        assert_eq!((e.txn, e.digest), (Txn::CloseSession(None), Some(digest)));
    }

    #[test]
    fn create_before_3_4_has_no_parent_cversion() {
        let v0 = CreateTxnV0 {
            path: some("/a"),
            ..CreateTxnV0::default()
        };
        let mut bytes = TxnHeader {
            op: 1,
            ..TxnHeader::default()
        }
        .to_bytes();
        v0.encode(&mut bytes);
        let e = Entry::from_bytes(&bytes).unwrap();
        let Txn::Create(c) = e.txn else {
            panic!("a create")
        };
        assert_eq!(c.parent_cversion, -1);
    }

    #[test]
    fn both_encoders_of_a_header_agree() {
        let h = TxnHeader {
            client_id: 1,
            cxid: -2,
            zxid: 3 << 40,
            time: 4,
            op: -11,
        };
        assert_eq!(h.to_array()[..], h.to_bytes()[..]);
        assert_eq!(TxnHeader::time_of(&h.to_array()), Some(4));
        assert_eq!(TxnHeader::time_of(&h.to_array()[..31]), None);
    }

    #[test]
    fn unknown_types_are_refused() {
        let bytes = TxnHeader {
            op: 99,
            ..TxnHeader::default()
        }
        .to_bytes();
        assert_eq!(Entry::from_bytes(&bytes), Err(DecodeError::Value(99)));
    }
}
