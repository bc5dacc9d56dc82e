//! Requests encoded once and patched per use; answers read by their head.

use crate::jute::{Jute as _, Output as _, Str};
use crate::proto::op::OpCode;
use crate::proto::request::{AclWire, ConnectRequest, CreateRequest, IdWire, RequestHeader};

/// Bytes of an answer that are looked at: length, reply header, and the head of a first multi result.
pub const HEAD: usize = 4 + 16 + 9;

/// Where the xid lies in a frame.
const XID_AT: usize = 4;

/// Stands for the numbers that are patched in.
const MARK: u8 = b'#';

/// `world:anyone`, all permissions, as it goes over the wire.
pub fn open_acl<'a>() -> Option<Vec<AclWire<'a>>> {
    Some(vec![AclWire {
        perms: 31,
        id: IdWire {
            scheme: Some("world".into()),
            id: Some("anyone".into()),
        },
    }])
}

/// A create of `path` in the given mode.
pub fn create<'a>(path: &'a str, data: &'a [u8], flags: i32) -> CreateRequest<'a> {
    CreateRequest {
        path: text(path),
        data: Some(data),
        acl: open_acl(),
        flags,
    }
}

/// A string as a nullable field.
pub fn text(s: &str) -> Str<'_> {
    Some(s.into())
}

/// A whole frame with its length.
pub fn frame(xid: i32, op: OpCode, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 4];
    RequestHeader { xid, op: op as i32 }.encode(&mut out);
    out.raw(body);
    seal(&mut out);
    out
}

/// The first frame of a connection.
pub fn connect(timeout_ms: i32) -> Vec<u8> {
    let mut out = vec![0; 4];
    ConnectRequest {
        timeout: timeout_ms,
        password: Some(&[0; 16]),
        ..ConnectRequest::default()
    }
    .encode(&mut out);
    out.bool(false);
    seal(&mut out);
    out
}

fn seal(frame: &mut [u8]) {
    let len = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&len.to_be_bytes());
}

/// A frame with places for the xid and for decimal numbers in its paths.
///
/// A place is a run of `#`; runs are numbered from the left.
#[derive(Clone, Debug)]
pub struct Template {
    bytes: Vec<u8>,
    places: Vec<(usize, usize)>,
}

impl Template {
    /// Encodes the request; `#` may occur in its paths only.
    pub fn new(op: OpCode, body: &impl for<'a> Fn(&mut Vec<u8>)) -> Self {
        let mut encoded = Vec::new();
        body(&mut encoded);
        let bytes = frame(0, op, &encoded);
        let mut places = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let run = bytes[at..].iter().take_while(|&&b| b == MARK).count();
            if run > 0 {
                places.push((at, run));
            }
            at += run.max(1);
        }
        Self { bytes, places }
    }

    /// Appends the frame with these numbers in its places, repeated as often as there are places.
    pub fn put(&self, out: &mut Vec<u8>, xid: i32, numbers: impl Iterator<Item = u64>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let copy = &mut out[start..];
        copy[XID_AT..XID_AT + 4].copy_from_slice(&xid.to_be_bytes());
        for (&(at, len), number) in self.places.iter().zip(numbers) {
            decimal(&mut copy[at..at + len], number);
        }
    }

    /// Length of the frame, bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a frame has a head.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Writes `number` right-aligned with leading zeros; higher digits than fit are lost.
fn decimal(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// As sent, -1 for a watch event, -2 for a ping's answer.
    pub xid: i32,
    /// The server's last zxid.
    pub zxid: i64,
    /// Error code, that of the first result when it is a failed multi.
    pub err: i32,
    /// Length of the frame without its length field, bytes.
    pub len: usize,
}

impl Head {
    /// Reads the head of a frame of which `bytes` is the start; at least 20 are there.
    pub fn of(bytes: &[u8], multi: bool) -> Self {
        let int = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let long = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let mut err = int(16);
        if multi && err == 0 && bytes.len() >= HEAD && int(20) == -1 && bytes[24] == 0 {
            err = int(25);
        }
        Self {
            xid: int(4),
            zxid: long(8),
            err,
            len: int(0) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Input;
    use crate::proto::request::{PathRequest, ReadRequest};

    #[test]
    fn templates_take_numbers() {
        let t = Template::new(OpCode::GetData, &|out| {
            let path = text("/a/p##/n####");
            ReadRequest { path, watch: true }.encode(out);
        });
        let mut out = Vec::new();
        t.put(&mut out, 7, [3, 12_345].into_iter());
        let mut input = Input::new(&out);
        assert_eq!(input.int(), Ok(out.len() as i32 - 4));
        assert_eq!((input.int(), input.int()), (Ok(7), Ok(4)));
        let got = ReadRequest::decode(&mut input).unwrap();
        assert_eq!(got.path.as_deref(), Some("/a/p03/n2345"));
        assert!(got.watch);
    }

    #[test]
    fn a_request_without_places_stays() {
        let t = Template::new(OpCode::Sync, &|out| {
            PathRequest { path: text("/a") }.encode(out);
        });
        let mut out = Vec::new();
        t.put(&mut out, -1, std::iter::repeat(9));
        assert_eq!(out.len(), t.len());
        assert_eq!(&out[4..8], [255; 4]);
    }

    #[test]
    fn failed_multi_shows_its_first_error() {
        let mut b = vec![0, 0, 0, 41, 0, 0, 0, 5];
        b.extend([0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0]);
        b.extend([255, 255, 255, 255, 0, 255, 255, 255, 0x91]);
        assert_eq!(Head::of(&b, true).err, -111);
        assert_eq!(Head::of(&b, false).err, 0);
        assert_eq!(Head::of(&b, false).zxid, 9);
    }
}
