//! Records of client requests and replies (Apache: `zookeeper.jute`, package `proto`).

use crate::base::{Acl, Stat};
use crate::jute::{DecodeError, Input, Jute, Output, Str, record};

record! {
    /// The first frame of a connection, without its optional trailing `readOnly` byte.
    pub struct ConnectRequest<'a> {
        /// 0; not looked at.
        protocol_version: i32,
        /// The highest zxid the client has seen.
        last_zxid_seen: i64,
        /// Wanted session timeout, ms.
        timeout: i32,
        /// 0 for a new session.
        session_id: i64,
        /// 16 bytes, or anything for a new session.
        password: Option<&'a [u8]>,
    }
    /// The answer, without its optional trailing `readOnly` byte.
    pub struct ConnectResponse<'a> {
        /// 0.
        protocol_version: i32,
        /// Negotiated timeout, ms; 0 rejects.
        timeout: i32,
        /// The session; 0 rejects.
        session_id: i64,
        /// Always 16 bytes.
        password: Option<&'a [u8]>,
    }
    /// Head of every later request.
    pub struct RequestHeader {
        /// Echoed in the reply.
        xid: i32,
        /// Operation code.
        op: i32,
    }
    /// Head of every later reply.
    pub struct ReplyHeader {
        /// The request's, or -1 for a notification.
        xid: i32,
        /// See the reference for what it says where.
        zxid: i64,
        /// Error code, 0 for success.
        err: i32,
    }
    /// create, create2, createContainer.
    pub struct CreateRequest<'a> {
        /// Wanted path.
        path: Str<'a>,
        /// Data; null and empty differ.
        data: Option<&'a [u8]>,
        /// ACL as sent; entries may hold nulls.
        acl: Option<Vec<AclWire<'a>>>,
        /// Create mode number.
        flags: i32,
    }
    /// createTTL.
    pub struct CreateTtlRequest<'a> {
        /// Wanted path.
        path: Str<'a>,
        /// Data.
        data: Option<&'a [u8]>,
        /// ACL as sent.
        acl: Option<Vec<AclWire<'a>>>,
        /// Create mode number.
        flags: i32,
        /// Milliseconds.
        ttl: i64,
    }
    /// delete.
    pub struct DeleteRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// Expected version, -1 for any.
        version: i32,
    }
    /// exists, getData, getChildren, getChildren2.
    pub struct ReadRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// Leave a one-shot watch.
        watch: bool,
    }
    /// getACL, sync, getEphemerals, getAllChildrenNumber, deleteContainer.
    pub struct PathRequest<'a> {
        /// Path.
        path: Str<'a>,
    }
    /// setData.
    pub struct SetDataRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// New data.
        data: Option<&'a [u8]>,
        /// Expected version, -1 for any.
        version: i32,
    }
    /// setACL.
    pub struct SetAclRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// New ACL as sent.
        acl: Option<Vec<AclWire<'a>>>,
        /// Expected aversion, -1 for any.
        version: i32,
    }
    /// check inside a multi.
    pub struct CheckVersionRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// Expected version, -1 for any.
        version: i32,
    }
    /// reconfig.
    pub struct ReconfigRequest<'a> {
        /// Servers to add.
        joining: Str<'a>,
        /// Servers to remove.
        leaving: Str<'a>,
        /// The whole new membership instead.
        new_members: Str<'a>,
        /// Expected configuration version, -1 for any.
        config_id: i64,
    }
    /// checkWatches, removeWatches.
    pub struct WatchesRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// Kind of watcher, 1 to 5.
        kind: i32,
    }
    /// addWatch.
    pub struct AddWatchRequest<'a> {
        /// Path.
        path: Str<'a>,
        /// 0 persistent, 1 persistent recursive.
        mode: i32,
    }
    /// auth.
    pub struct AuthPacket<'a> {
        /// Not looked at.
        kind: i32,
        /// Scheme name.
        scheme: Str<'a>,
        /// Credential.
        auth: Option<&'a [u8]>,
    }
    /// setWatches.
    pub struct SetWatches<'a> {
        /// The client's last seen zxid.
        relative_zxid: i64,
        /// getData watches.
        data: Option<Vec<Str<'a>>>,
        /// exists watches on absent nodes.
        exist: Option<Vec<Str<'a>>>,
        /// getChildren watches.
        child: Option<Vec<Str<'a>>>,
    }
    /// setWatches2.
    pub struct SetWatches2<'a> {
        /// The client's last seen zxid.
        relative_zxid: i64,
        /// getData watches.
        data: Option<Vec<Str<'a>>>,
        /// exists watches on absent nodes.
        exist: Option<Vec<Str<'a>>>,
        /// getChildren watches.
        child: Option<Vec<Str<'a>>>,
        /// Persistent watches.
        persistent: Option<Vec<Str<'a>>>,
        /// Persistent recursive watches.
        recursive: Option<Vec<Str<'a>>>,
    }
    /// Head of each operation and each result in a multi.
    pub struct MultiHeader {
        /// Operation code, or -1 at the end and for a failed result.
        op: i32,
        /// True ends the list.
        done: bool,
        /// Error code of a result, -1 in requests.
        err: i32,
    }
    /// An identity in a request: either part may be null.
    pub struct IdWire<'a> {
        /// Scheme name.
        scheme: Str<'a>,
        /// Scheme-specific id.
        id: Str<'a>,
    }
    /// An ACL entry in a request.
    pub struct AclWire<'a> {
        /// Permission bits.
        perms: i32,
        /// To whom.
        id: IdWire<'a>,
    }
    /// getData's answer, and its part in multiRead.
    pub struct DataResponse<'a> {
        /// Data.
        data: Option<&'a [u8]>,
        /// Stat.
        stat: Stat,
    }
    /// getACL's answer.
    pub struct AclResponse {
        /// ACL.
        acl: Option<Vec<Acl>>,
        /// Stat.
        stat: Stat,
    }
    /// A watch event.
    pub struct WatcherEvent<'a> {
        /// See `EventType`.
        kind: i32,
        /// Always 3.
        state: i32,
        /// Path.
        path: Str<'a>,
    }
    /// One identity in whoAmI's answer.
    pub struct ClientInfo<'a> {
        /// Scheme.
        scheme: Str<'a>,
        /// User part.
        user: Str<'a>,
    }
}

impl MultiHeader {
    /// Ends a list of operations or results.
    pub const END: Self = Self {
        op: -1,
        done: true,
        err: -1,
    };
}

/// Reads the trailing `readOnly` byte that clients before 3.4 and the Go client leave out.
/// `None` when it is not there: then the answer must not carry one either.
pub fn read_only_byte(input: &mut Input<'_>) -> Option<bool> {
    input.bool().ok()
}

/// Decodes a header and leaves `input` at the record behind it.
///
/// # Errors
/// When fewer than 8 bytes are there.
pub fn header(input: &mut Input<'_>) -> Result<RequestHeader, DecodeError> {
    RequestHeader::decode(input)
}

/// Appends a reply header.
pub fn reply_header(out: &mut impl Output, xid: i32, zxid: i64, err: i32) {
    ReplyHeader { xid, zxid, err }.encode(out);
}

/// A reply header as bytes, for a place left for it.
pub fn reply_header_bytes(xid: i32, zxid: i64, err: i32) -> [u8; 16] {
    let mut out = [0; 16];
    let (xid, zxid, err) = (xid.to_be_bytes(), zxid.to_be_bytes(), err.to_be_bytes());
    let all = xid.into_iter().chain(zxid).chain(err);
    out.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_connect_request_golden() {
        let mut bytes = vec![0; 12];
        bytes.extend([0, 0, 0x27, 0x10]);
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 0, 16]);
        bytes.extend([0; 16]);
        bytes.push(0);
        let mut input = Input::new(&bytes);
        let c = ConnectRequest::decode(&mut input).unwrap();
        assert_eq!((c.timeout, c.password), (10_000, Some(&[0; 16][..])));
        assert_eq!(read_only_byte(&mut input), Some(false));
        assert_eq!(read_only_byte(&mut input), None);
    }

    #[test]
    fn the_end_of_a_multi_golden() {
        assert_eq!(
            MultiHeader::END.to_bytes(),
            [255, 255, 255, 255, 1, 255, 255, 255, 255]
        );
    }
}
