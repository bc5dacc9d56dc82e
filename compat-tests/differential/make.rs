//! Short constructors for requests, for scripted programs.

use crate::codec::Bytes;
use crate::op::{Acl, Mangle, Op, ZxidRef};
use crate::values::{entry, open_acl, s};

/// create (1) with open ACL and data `x`.
pub fn create(path: &str, flags: i32) -> Op {
    create_as(1, path, flags, open_acl())
}

/// create under any of its three opcodes.
pub fn create_as(code: i32, path: &str, flags: i32, acl: Option<Vec<Acl>>) -> Op {
    Op::Create {
        code,
        path: s(path),
        data: s("x"),
        acl,
        flags,
    }
}

pub fn create_data(path: &str, data: Bytes) -> Op {
    Op::Create {
        code: 1,
        path: s(path),
        data,
        acl: open_acl(),
        flags: 0,
    }
}

pub fn create_ttl(path: &str, flags: i32, ttl: i64) -> Op {
    Op::CreateTtl {
        path: s(path),
        data: s("x"),
        acl: open_acl(),
        flags,
        ttl,
    }
}

pub fn delete(path: &str) -> Op {
    Op::PathVersion {
        code: 2,
        path: s(path),
        version: -1,
    }
}

pub fn check(path: &str, version: i32) -> Op {
    Op::PathVersion {
        code: 13,
        path: s(path),
        version,
    }
}

pub fn set(path: &str, data: &str) -> Op {
    set_version(path, data, -1)
}

pub fn set_version(path: &str, data: &str, version: i32) -> Op {
    Op::SetData {
        path: s(path),
        data: s(data),
        version,
    }
}

pub fn set_acl(path: &str, acl: Option<Vec<Acl>>) -> Op {
    Op::SetAcl {
        path: s(path),
        acl,
        version: -1,
    }
}

pub fn exists(path: &str, watch: bool) -> Op {
    Op::PathWatch {
        code: 3,
        path: s(path),
        watch,
    }
}

pub fn get(path: &str, watch: bool) -> Op {
    Op::PathWatch {
        code: 4,
        path: s(path),
        watch,
    }
}

pub fn children(path: &str, watch: bool) -> Op {
    Op::PathWatch {
        code: 12,
        path: s(path),
        watch,
    }
}

pub fn get_acl(path: &str) -> Op {
    Op::Path {
        code: 6,
        path: s(path),
    }
}

pub fn ephemerals(prefix: &str) -> Op {
    Op::Path {
        code: 103,
        path: s(prefix),
    }
}

pub fn total(path: &str) -> Op {
    Op::Path {
        code: 104,
        path: s(path),
    }
}

pub fn add_watch(path: &str, mode: i32) -> Op {
    Op::PathKind {
        code: 106,
        path: s(path),
        kind: mode,
    }
}

pub fn check_watches(path: &str, kind: i32) -> Op {
    Op::PathKind {
        code: 17,
        path: s(path),
        kind,
    }
}

pub fn remove_watches(path: &str, kind: i32) -> Op {
    Op::PathKind {
        code: 18,
        path: s(path),
        kind,
    }
}

pub fn who_am_i() -> Op {
    Op::Bare { code: 107 }
}

pub fn multi(ops: Vec<Op>) -> Op {
    Op::Multi { code: 14, ops }
}

pub fn multi_read(ops: Vec<Op>) -> Op {
    Op::Multi { code: 22, ops }
}

pub fn digest(user_and_password: &str) -> Op {
    auth("digest", s(user_and_password))
}

pub fn auth(scheme: &str, auth: Bytes) -> Op {
    Op::Auth {
        kind: 0,
        scheme: s(scheme),
        auth,
    }
}

/// The digest whose identity is the super user in profiles that have one.
pub fn super_user() -> Op {
    digest("super:test")
}

/// setWatches2, with the same paths in the lists named by `which`: d, e, c, p, r.
pub fn set_watches(zxid: ZxidRef, which: &str, paths: &[String]) -> Op {
    let list = |kind: char| {
        let paths: Vec<Bytes> = paths.iter().map(|p| s(p)).collect();
        Some(if which.contains(kind) {
            paths
        } else {
            Vec::new()
        })
    };
    Op::SetWatches {
        code: 105,
        zxid,
        lists: "decpr".chars().map(list).collect(),
    }
}

/// One ACL entry as a list.
pub fn acl(perms: i32, scheme: &str, id: &str) -> Option<Vec<Acl>> {
    Some(vec![entry(perms, scheme, id)])
}

pub fn mangled(op: Op, how: Mangle) -> Op {
    Op::Mangled {
        op: Box::new(op),
        how,
    }
}
