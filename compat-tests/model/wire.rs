//! Operations as request bodies, and the replies the reference expects, as frames.

use std::borrow::Cow;

use zabra::base::{Acl, Stat, Zxid};
use zabra::jute::{Jute, Output};
use zabra::pipeline::frame;
use zabra::proto::request::*;
use zabra::proto::{Code, OpCode};

use super::reference::{Done, Kind, Op, Wanted, user_id};

fn text(p: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(if p.is_empty() { "/" } else { p }))
}

fn acl(wanted: Wanted) -> Option<Vec<AclWire<'static>>> {
    let wire = |perms: i32, scheme: &str, id: &str| AclWire {
        perms,
        id: IdWire {
            scheme: Some(scheme.to_owned().into()),
            id: Some(id.to_owned().into()),
        },
    };
    let listed = |list: Vec<Acl>| {
        list.iter()
            .map(|a| wire(a.perms.0, &a.id.scheme, &a.id.id))
            .collect()
    };
    Some(match wanted {
        Wanted::Open => listed(Acl::open()),
        Wanted::ReadOnly => listed(Acl::read_only()),
        Wanted::User(n) => vec![
            wire(1, "world", "anyone"),
            wire(31, "digest", &user_id(n).id),
        ],
        Wanted::Creator => vec![wire(31, "auth", "")],
        Wanted::Empty => vec![],
    })
}

/// The opcode of an operation.
pub fn opcode(op: &Op) -> OpCode {
    match op {
        Op::Create {
            kind: Kind::Container,
            ..
        } => OpCode::CreateContainer,
        Op::Create {
            kind: Kind::Ttl(_), ..
        } => OpCode::CreateTtl,
        Op::Create { two: true, .. } => OpCode::Create2,
        Op::Create { .. } => OpCode::Create,
        Op::Delete(..) => OpCode::Delete,
        Op::SetData(..) => OpCode::SetData,
        Op::SetAcl(..) => OpCode::SetAcl,
        Op::Check(..) => OpCode::Check,
    }
}

/// Its record.
pub fn body(op: &Op) -> Vec<u8> {
    match op {
        Op::Create {
            path,
            data,
            acl: wanted,
            kind,
            sequential,
            ..
        } => {
            let flags = match (kind, sequential) {
                (Kind::Persistent, false) => 0,
                (Kind::Ephemeral, false) => 1,
                (Kind::Persistent, true) => 2,
                (Kind::Ephemeral, true) => 3,
                (Kind::Container, _) => 4,
                (Kind::Ttl(_), false) => 5,
                (Kind::Ttl(_), true) => 6,
            };
            let (path, data, acl) = (text(path), data.as_deref(), acl(*wanted));
            match kind {
                Kind::Ttl(ttl) => CreateTtlRequest {
                    path,
                    data,
                    acl,
                    flags,
                    ttl: *ttl,
                }
                .to_bytes(),
                _ => CreateRequest {
                    path,
                    data,
                    acl,
                    flags,
                }
                .to_bytes(),
            }
        }
        Op::Delete(path, version) => DeleteRequest {
            path: text(path),
            version: *version,
        }
        .to_bytes(),
        Op::SetData(path, data, version) => SetDataRequest {
            path: text(path),
            data: data.as_deref(),
            version: *version,
        }
        .to_bytes(),
        Op::SetAcl(path, wanted, version) => SetAclRequest {
            path: text(path),
            acl: acl(*wanted),
            version: *version,
        }
        .to_bytes(),
        Op::Check(path, version) => CheckVersionRequest {
            path: text(path),
            version: *version,
        }
        .to_bytes(),
    }
}

/// The record of a multi.
pub fn multi_body(ops: &[Op]) -> Vec<u8> {
    let mut out = Vec::new();
    for op in ops {
        MultiHeader {
            op: opcode(op) as i32,
            done: false,
            err: -1,
        }
        .encode(&mut out);
        out.extend_from_slice(&body(op));
    }
    MultiHeader::END.encode(&mut out);
    out
}

fn stat(done: &Done) -> Stat {
    let (stat, len, children) = done.stat.expect("a stat");
    stat.visible(len, children)
}

/// What a result carries behind its header.
fn result(out: &mut Vec<u8>, op: &Op, done: &Done) {
    match opcode(op) {
        OpCode::Create => out.string(done.path.as_deref()),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            out.string(done.path.as_deref());
            stat(done).encode(out);
        }
        OpCode::SetData | OpCode::SetAcl => stat(done).encode(out),
        _ => {}
    }
}

/// The reply to an operation.
pub fn reply(xid: i32, zxid: i64, op: &Op, outcome: &Result<Done, Code>) -> Vec<u8> {
    let mut out = Vec::new();
    let err = outcome.as_ref().map_or_else(|code| *code as i32, |_| 0);
    frame(&mut out, xid, Zxid(zxid), err, |out| {
        if let Ok(done) = outcome {
            result(out, op, done);
        }
    });
    out
}

/// The reply to a multi. One that failed says so in its parts alone.
pub fn multi_reply(
    xid: i32,
    zxid: i64,
    ops: &[Op],
    outcome: &Result<Vec<Done>, (usize, Code)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, xid, Zxid(zxid), 0, |out| {
        for (n, op) in ops.iter().enumerate() {
            let header = |op, err| MultiHeader {
                op,
                done: false,
                err,
            };
            match outcome {
                Ok(done) => {
                    let op_code = match opcode(op) {
                        OpCode::CreateContainer | OpCode::CreateTtl => OpCode::Create2,
                        other => other,
                    };
                    header(op_code as i32, 0).encode(out);
                    result(out, op, &done[n]);
                }
                Err((failed, code)) => {
                    let err = match n.cmp(failed) {
                        std::cmp::Ordering::Less => Code::Ok,
                        std::cmp::Ordering::Equal => *code,
                        std::cmp::Ordering::Greater => Code::RuntimeInconsistency,
                    } as i32;
                    header(-1, err).encode(out);
                    out.int(err);
                }
            }
        }
        MultiHeader::END.encode(out);
    });
    out
}

/// The reply to a request without a result.
pub fn plain_reply(xid: i32, zxid: i64, err: i32) -> Vec<u8> {
    let mut out = Vec::new();
    frame(&mut out, xid, Zxid(zxid), err, |_| {});
    out
}
