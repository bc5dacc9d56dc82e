//! The requests a program can send, how they are put on the wire, and how they are printed.

use std::fmt;

use crate::codec::{Bytes, Enc, show};

/// One ACL entry, valid or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    pub perms: i32,
    pub scheme: Bytes,
    pub id: Bytes,
}

/// A zxid a program cannot know when it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZxidRef {
    /// The newest zxid the client has seen, plus an offset.
    Last(i64),
    /// A fixed number.
    Exact(i64),
}

impl ZxidRef {
    pub fn resolve(self, last: i64) -> i64 {
        match self {
            Self::Last(offset) => last.saturating_add(offset),
            Self::Exact(zxid) => zxid,
        }
    }
}

/// Damage done to the body of a request after it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mangle {
    /// Cut this many bytes off the end (all of it when shorter).
    Truncate(usize),
    /// Put bytes behind the record; servers must ignore them.
    Append(Vec<u8>),
    /// Overwrite the four bytes at this offset of the body, when the body is long enough.
    Patch(usize, i32),
}

/// One request. `code` fields hold the opcode where one record serves several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// create (1), create2 (15), createContainer (19)
    Create {
        code: i32,
        path: Bytes,
        data: Bytes,
        acl: Option<Vec<Acl>>,
        flags: i32,
    },
    CreateTtl {
        path: Bytes,
        data: Bytes,
        acl: Option<Vec<Acl>>,
        flags: i32,
        ttl: i64,
    },
    /// delete (2), check (13)
    PathVersion {
        code: i32,
        path: Bytes,
        version: i32,
    },
    /// exists (3), getData (4), getChildren (8), getChildren2 (12)
    PathWatch {
        code: i32,
        path: Bytes,
        watch: bool,
    },
    SetData {
        path: Bytes,
        data: Bytes,
        version: i32,
    },
    SetAcl {
        path: Bytes,
        acl: Option<Vec<Acl>>,
        version: i32,
    },
    /// getACL (6), sync (9), getEphemerals (103), getAllChildrenNumber (104), deleteContainer (20)
    Path {
        code: i32,
        path: Bytes,
    },
    /// checkWatches (17), removeWatches (18), addWatch (106)
    PathKind {
        code: i32,
        path: Bytes,
        kind: i32,
    },
    /// multi (14), multiRead (22)
    Multi {
        code: i32,
        ops: Vec<Self>,
    },
    Reconfig {
        joining: Bytes,
        leaving: Bytes,
        members: Bytes,
        config: i64,
    },
    /// setWatches (101) with three lists, setWatches2 (105) with five
    SetWatches {
        code: i32,
        zxid: ZxidRef,
        lists: Vec<Option<Vec<Bytes>>>,
    },
    Auth {
        kind: i32,
        scheme: Bytes,
        auth: Bytes,
    },
    Sasl {
        token: Bytes,
    },
    /// ping (11), whoAmI (107), closeSession (-11), and every opcode that does not exist
    Bare {
        code: i32,
    },
    /// A record damaged on purpose.
    Mangled {
        op: Box<Self>,
        how: Mangle,
    },
}

pub const PING: i32 = 11;
pub const SYNC: i32 = 9;
pub const CLOSE: i32 = -11;

impl Op {
    /// The opcode that goes into the request header.
    pub fn code(&self) -> i32 {
        match self {
            Self::Create { code, .. }
            | Self::PathVersion { code, .. }
            | Self::PathWatch { code, .. }
            | Self::Path { code, .. }
            | Self::PathKind { code, .. }
            | Self::Multi { code, .. }
            | Self::SetWatches { code, .. }
            | Self::Bare { code } => *code,
            Self::CreateTtl { .. } => 21,
            Self::SetData { .. } => 5,
            Self::SetAcl { .. } => 7,
            Self::Reconfig { .. } => 16,
            Self::Auth { .. } => 100,
            Self::Sasl { .. } => 102,
            Self::Mangled { op, .. } => op.code(),
        }
    }

    /// Request header and record, without the frame length. `last` resolves zxid references.
    pub fn encode(&self, xid: i32, last: i64) -> Vec<u8> {
        let mut enc = Enc::default();
        enc.i32(xid);
        enc.i32(self.code());
        self.body(&mut enc, last);
        enc.0
    }

    fn body(&self, enc: &mut Enc, last: i64) {
        match self {
            Self::Create {
                path,
                data,
                acl,
                flags,
                ..
            } => {
                enc.bytes(path);
                enc.bytes(data);
                enc.vec(acl.as_deref(), put_acl);
                enc.i32(*flags);
            }
            Self::CreateTtl {
                path,
                data,
                acl,
                flags,
                ttl,
            } => {
                enc.bytes(path);
                enc.bytes(data);
                enc.vec(acl.as_deref(), put_acl);
                enc.i32(*flags);
                enc.i64(*ttl);
            }
            Self::PathVersion { path, version, .. } => {
                enc.bytes(path);
                enc.i32(*version);
            }
            Self::PathWatch { path, watch, .. } => {
                enc.bytes(path);
                enc.bool(*watch);
            }
            Self::SetData {
                path,
                data,
                version,
            } => {
                enc.bytes(path);
                enc.bytes(data);
                enc.i32(*version);
            }
            Self::SetAcl { path, acl, version } => {
                enc.bytes(path);
                enc.vec(acl.as_deref(), put_acl);
                enc.i32(*version);
            }
            Self::Path { path, .. } => enc.bytes(path),
            Self::PathKind { path, kind, .. } => {
                enc.bytes(path);
                enc.i32(*kind);
            }
            Self::Multi { ops, .. } => {
                for op in ops {
                    put_multi_header(enc, op.code(), false);
                    op.body(enc, last);
                }
                put_multi_header(enc, -1, true);
            }
            Self::Reconfig {
                joining,
                leaving,
                members,
                config,
            } => {
                enc.bytes(joining);
                enc.bytes(leaving);
                enc.bytes(members);
                enc.i64(*config);
            }
            Self::SetWatches { zxid, lists, .. } => {
                enc.i64(zxid.resolve(last));
                for list in lists {
                    enc.vec(list.as_deref(), |e, p| e.bytes(p));
                }
            }
            Self::Auth { kind, scheme, auth } => {
                enc.i32(*kind);
                enc.bytes(scheme);
                enc.bytes(auth);
            }
            Self::Sasl { token } => enc.bytes(token),
            Self::Bare { .. } => {}
            Self::Mangled { op, how } => {
                let mut inner = Enc::default();
                op.body(&mut inner, last);
                how.apply(&mut inner.0);
                enc.0.extend_from_slice(&inner.0);
            }
        }
    }

    /// True when the server is expected to close the connection after answering with `err`.
    pub fn closes_after(&self, err: i32) -> bool {
        match (self.code(), err) {
            (CLOSE, _) | (_, -124) => true,
            (100 | 102, -115) => true,
            (code, -6) => name(code).is_none() || code == 13,
            _ => false,
        }
    }
}

impl Mangle {
    fn apply(&self, body: &mut Vec<u8>) {
        match self {
            Self::Truncate(n) => body.truncate(body.len().saturating_sub(*n)),
            Self::Append(extra) => body.extend_from_slice(extra),
            Self::Patch(at, value) => {
                if let Some(slot) = body.get_mut(*at..*at + 4) {
                    slot.copy_from_slice(&value.to_be_bytes());
                }
            }
        }
    }
}

fn put_acl(enc: &mut Enc, acl: &Acl) {
    enc.i32(acl.perms);
    enc.bytes(&acl.scheme);
    enc.bytes(&acl.id);
}

fn put_multi_header(enc: &mut Enc, code: i32, done: bool) {
    enc.i32(code);
    enc.bool(done);
    enc.i32(-1);
}

/// Apache's name of an opcode a client may send; `None` for everything answered "unimplemented".
pub fn name(code: i32) -> Option<&'static str> {
    Some(match code {
        1 => "create",
        2 => "delete",
        3 => "exists",
        4 => "getData",
        5 => "setData",
        6 => "getACL",
        7 => "setACL",
        8 => "getChildren",
        9 => "sync",
        11 => "ping",
        12 => "getChildren2",
        13 => "check",
        14 => "multi",
        15 => "create2",
        16 => "reconfig",
        17 => "checkWatches",
        18 => "removeWatches",
        19 => "createContainer",
        21 => "createTTL",
        22 => "multiRead",
        100 => "auth",
        101 => "setWatches",
        102 => "sasl",
        103 => "getEphemerals",
        104 => "getAllChildrenNumber",
        105 => "setWatches2",
        106 => "addWatch",
        107 => "whoAmI",
        CLOSE => "closeSession",
        _ => return None,
    })
}

/// Every opcode of `name`, for the coverage report.
pub const ALL_CODES: [i32; 29] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 100, 101, 102, 103, 104,
    105, 106, 107, CLOSE,
];

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.perms,
            show(&self.scheme),
            show(&self.id)
        )
    }
}

fn show_acl(acl: &Option<Vec<Acl>>) -> String {
    match acl {
        None => "null".to_owned(),
        Some(list) => {
            format!(
                "[{}]",
                list.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code();
        match name(code) {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "opcode {code}")?,
        }
        match self {
            Self::Create {
                path,
                data,
                acl,
                flags,
                ..
            } => {
                write!(
                    f,
                    " {} data={} acl={} flags={flags}",
                    show(path),
                    show(data),
                    show_acl(acl)
                )
            }
            Self::CreateTtl {
                path,
                data,
                acl,
                flags,
                ttl,
            } => {
                let (path, data, acl) = (show(path), show(data), show_acl(acl));
                write!(f, " {path} data={data} acl={acl} flags={flags} ttl={ttl}")
            }
            Self::PathVersion { path, version, .. } => write!(f, " {} v={version}", show(path)),
            Self::PathWatch { path, watch, .. } => write!(f, " {} watch={watch}", show(path)),
            Self::SetData {
                path,
                data,
                version,
            } => {
                write!(f, " {} data={} v={version}", show(path), show(data))
            }
            Self::SetAcl { path, acl, version } => {
                write!(f, " {} acl={} v={version}", show(path), show_acl(acl))
            }
            Self::Path { path, .. } => write!(f, " {}", show(path)),
            Self::PathKind { path, kind, .. } => write!(f, " {} kind={kind}", show(path)),
            Self::Multi { ops, .. } => {
                let ops: Vec<_> = ops.iter().map(ToString::to_string).collect();
                write!(f, " {{ {} }}", ops.join("; "))
            }
            Self::Reconfig {
                joining,
                leaving,
                members,
                config,
            } => {
                let (joining, leaving, members) = (show(joining), show(leaving), show(members));
                write!(
                    f,
                    " join={joining} leave={leaving} members={members} config={config}"
                )
            }
            Self::SetWatches { zxid, lists, .. } => {
                write!(f, " zxid={zxid:?}")?;
                for (list, kind) in lists.iter().zip(["data", "exist", "child", "pers", "rec"]) {
                    let paths = list
                        .as_ref()
                        .map(|l| l.iter().map(show).collect::<Vec<_>>());
                    match paths {
                        None => write!(f, " {kind}=null")?,
                        Some(p) => write!(f, " {kind}=[{}]", p.join(" "))?,
                    }
                }
                Ok(())
            }
            Self::Auth { kind, scheme, auth } => {
                write!(
                    f,
                    " kind={kind} scheme={} auth={}",
                    show(scheme),
                    show(auth)
                )
            }
            Self::Sasl { token } => write!(f, " token={}", show(token)),
            Self::Bare { .. } => Ok(()),
            Self::Mangled { op, how } => write!(f, " mangled by {how:?}: ({op})"),
        }
    }
}
