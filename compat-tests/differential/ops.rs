//! Makes single requests.

use crate::codec::Bytes;
use crate::model::Model;
use crate::op::{CLOSE, Mangle, Op, PING, ZxidRef, name};
use crate::program::Slot;
use crate::rng::Rng;
use crate::values::{acl, create_path, data, known_path, path, recent_path, s, version};

/// Kinds of requests and how often each is made. The names serve `--without`.
pub const KINDS: [(&str, usize); 30] = [
    ("create", 10),
    ("create2", 8),
    ("createContainer", 3),
    ("createTTL", 4),
    ("delete", 10),
    ("exists", 9),
    ("getData", 8),
    ("setData", 9),
    ("getACL", 4),
    ("setACL", 4),
    ("getChildren", 5),
    ("getChildren2", 5),
    ("sync", 2),
    ("ping", 2),
    ("multi", 9),
    ("multiRead", 4),
    ("check", 1),
    ("setWatches", 2),
    ("setWatches2", 2),
    ("addWatch", 5),
    ("checkWatches", 3),
    ("removeWatches", 4),
    ("getEphemerals", 2),
    ("getAllChildrenNumber", 2),
    ("whoAmI", 2),
    ("auth", 3),
    ("sasl", 1),
    ("reconfig", 1),
    ("unknown", 1),
    ("mangled", 4),
];

/// Makes requests from a seed, the believed state of the tree, and weights.
pub struct Maker<'a> {
    pub rng: &'a mut Rng,
    pub model: &'a Model,
    pub root: &'a str,
    /// Who will send the request.
    pub slot: Slot,
    /// Whether requests are sent ahead of earlier replies. Apache's answers to a container with an
    /// ephemeral flag then depend on timing (DEV-11).
    pub pipelined: bool,
    /// One weight for each of `KINDS`.
    pub weights: &'a [usize],
}

impl Maker<'_> {
    /// A request that leaves the connection open, whatever the answer.
    pub fn calm(&mut self) -> Op {
        loop {
            let op = self.any();
            if !matches!(op.code(), 100 | 102 | 13) && name(op.code()).is_some() {
                return op;
            }
        }
    }

    /// Any request but closeSession.
    pub fn any(&mut self) -> Op {
        let kind = KINDS[self.rng.weighted(self.weights)].0;
        self.of_kind(kind)
    }

    fn of_kind(&mut self, kind: &str) -> Op {
        match kind {
            "create" => self.create(1),
            "create2" => self.create(15),
            "createContainer" => self.create(19),
            "createTTL" => self.create_ttl(),
            "delete" => self.path_version(2),
            "check" => self.path_version(13),
            "exists" => self.path_watch(3),
            "getData" => self.path_watch(4),
            "getChildren" => self.path_watch(8),
            "getChildren2" => self.path_watch(12),
            "setData" => self.set_data(),
            "getACL" => Op::Path {
                code: 6,
                path: self.path(),
            },
            "setACL" => self.set_acl(),
            "sync" => Op::Path {
                code: 9,
                path: self.path(),
            },
            "getEphemerals" => Op::Path {
                code: 103,
                path: self.prefix(),
            },
            "getAllChildrenNumber" => Op::Path {
                code: 104,
                path: self.path(),
            },
            "ping" => Op::Bare { code: PING },
            "whoAmI" => Op::Bare { code: 107 },
            "multi" => self.multi(),
            "multiRead" => self.multi_read(),
            "setWatches" => self.set_watches(101),
            "setWatches2" => self.set_watches(105),
            "addWatch" => self.path_kind(106, &[0, 0, 0, 0, 1, 1, 1, 1, 2, -1]),
            "checkWatches" => self.path_kind(17, &[1, 2, 3, 3, 4, 5, 1, 2, 3, 4, 5, 0, 6, -1]),
            "removeWatches" => self.path_kind(18, &[1, 2, 3, 3, 4, 5, 1, 2, 3, 4, 5, 0, 6, -1]),
            "auth" => self.auth(),
            "sasl" => Op::Sasl {
                token: self.rng.pick(&[Some(Vec::new()), s("token"), None]).clone(),
            },
            "reconfig" => Op::Reconfig {
                joining: self
                    .rng
                    .pick(&[None, s("server.2=127.0.0.1:1:2;3"), s("junk")])
                    .clone(),
                leaving: self.rng.pick(&[None, s("1"), s("x")]).clone(),
                members: None,
                config: *self.rng.pick(&[-1, 0, 5]),
            },
            "unknown" => Op::Bare {
                // 20 and -10 are kept out: see `deviations`.
                code: *self
                    .rng
                    .pick(&[0, -1, 10, 23, 99, 108, 200, -2, i32::MIN, i32::MAX]),
            },
            "mangled" => self.mangled(),
            other => unreachable!("{other} is not in KINDS"),
        }
    }

    fn path(&mut self) -> Bytes {
        path(self.rng, self.model, self.root)
    }

    fn prefix(&mut self) -> Bytes {
        match self.rng.below(4) {
            0 => self
                .rng
                .pick(&[None, s(""), s("  "), s("/"), s("/s"), s("x")])
                .clone(),
            1 => s(self.root),
            _ => self.path(),
        }
    }

    fn create(&mut self, code: i32) -> Op {
        let usual: &[i32] = if code == 19 {
            &[4, 4, 4, 4, 0, 1, 2, 3]
        } else {
            &[0, 0, 0, 1, 1, 2, 3]
        };
        let flags = match self.rng.weighted(&[92, 8]) {
            0 => *self.rng.pick(usual),
            _ => *self.rng.pick(&[4, 5, 6, 7, 8, -1, i32::MAX, i32::MIN]),
        };
        let flags = if self.pipelined && code == 19 && matches!(flags, 1 | 3) {
            4
        } else {
            flags
        };
        Op::Create {
            code,
            path: create_path(self.rng, self.model, self.root),
            data: data(self.rng),
            acl: acl(self.rng),
            flags,
        }
    }

    fn create_ttl(&mut self) -> Op {
        const MAX_TTL: i64 = (1 << 40) - 1;
        let flags = *self.rng.pick(&[5, 5, 5, 5, 5, 6, 6, 6, 6, 0, 1, 4, 7, -1]);
        // A negative ttl with another mode ends Apache: see `deviations`.
        let ttls: &[i64] = match flags {
            5 | 6 if self.rng.chance(30) => &[MAX_TTL + 1, 0, -1, i64::MIN, i64::MAX],
            5 | 6 => &[1, 10_000_000, MAX_TTL],
            _ => &[0, 1, MAX_TTL],
        };
        Op::CreateTtl {
            path: create_path(self.rng, self.model, self.root),
            data: data(self.rng),
            acl: acl(self.rng),
            flags,
            ttl: *self.rng.pick(ttls),
        }
    }

    /// The believed version of a path.
    fn current(&self, path: &Bytes, acl: bool) -> i32 {
        let text = path.as_deref().and_then(|p| std::str::from_utf8(p).ok());
        match text.and_then(|p| self.model.get(p)) {
            Some(node) if acl => node.aversion,
            Some(node) => node.version,
            None => 0,
        }
    }

    fn path_version(&mut self, code: i32) -> Op {
        let mut path = self.path();
        if code == 2 && path.as_deref() == Some(self.root.as_bytes()) {
            path = s(&format!("{}/a", self.root));
        }
        let current = self.current(&path, false);
        Op::PathVersion {
            code,
            path,
            version: version(self.rng, current),
        }
    }

    fn path_watch(&mut self, code: i32) -> Op {
        Op::PathWatch {
            code,
            path: self.path(),
            watch: self.rng.chance(45),
        }
    }

    fn set_data(&mut self) -> Op {
        let path = self.path();
        let current = self.current(&path, false);
        Op::SetData {
            path,
            data: data(self.rng),
            version: version(self.rng, current),
        }
    }

    fn set_acl(&mut self) -> Op {
        let path = self.path();
        let current = self.current(&path, true);
        // Nodes that all programs share must stay usable.
        let shared = path
            .as_deref()
            .is_some_and(|p| p == b"/" || p.starts_with(b"/zookeeper"));
        let acl = if shared {
            crate::values::open_acl()
        } else {
            acl(self.rng)
        };
        Op::SetAcl {
            path,
            acl,
            version: version(self.rng, current),
        }
    }

    fn path_kind(&mut self, code: i32, kinds: &[i32]) -> Op {
        let path = match self.rng.weighted(&[10, 60, 30]) {
            0 => s(self.rng.pick::<&str>(&["/", self.root])),
            1 => {
                let n = self.rng.below(100);
                let watched = if code == 106 {
                    None
                } else {
                    self.model.watched(self.slot, n)
                };
                s(watched.unwrap_or(recent_path(self.rng, self.model)))
            }
            _ => self.path(),
        };
        Op::PathKind {
            code,
            path,
            kind: *self.rng.pick(kinds),
        }
    }

    fn set_watches(&mut self, code: i32) -> Op {
        let zxid = match self.rng.below(10) {
            0 => ZxidRef::Exact(0),
            1 => ZxidRef::Exact(i64::MAX),
            2 => ZxidRef::Exact(-1),
            3 => ZxidRef::Last(0),
            _ => ZxidRef::Last(-(self.rng.below(40) as i64)),
        };
        let lists = if code == 101 { 3 } else { 5 };
        let lists = (0..lists)
            .map(|_| {
                if self.rng.chance(3) {
                    return None;
                }
                Some((0..self.rng.below(4)).map(|_| self.watch_path()).collect())
            })
            .collect();
        Op::SetWatches { code, zxid, lists }
    }

    fn watch_path(&mut self) -> Bytes {
        if self.rng.chance(60) {
            s(&known_path(self.rng, self.model))
        } else {
            self.path()
        }
    }

    /// Part of a multi that writes; mostly fine, so that whole multis succeed now and then.
    fn multi(&mut self) -> Op {
        let mut model = self.model.clone();
        let mut ops = Vec::new();
        let strict = self.rng.chance(55);
        let wanted = self.rng.below(6);
        for _ in 0..wanted * 4 {
            if ops.len() == wanted {
                break;
            }
            let op = Maker {
                rng: &mut *self.rng,
                model: &model,
                ..*self
            }
            .multi_part();
            if model.apply(self.slot, &op) || !strict {
                ops.push(op);
            }
        }
        if self.rng.chance(4) {
            let stranger = self.calm();
            ops.insert(self.rng.below(ops.len() + 1), flat(stranger));
        }
        Op::Multi { code: 14, ops }
    }

    fn multi_part(&mut self) -> Op {
        match self.rng.weighted(&[20, 20, 8, 8, 20, 20, 20]) {
            0 => self.create(1),
            1 => self.create(15),
            2 => self.create(19),
            3 => self.create_ttl(),
            4 => self.path_version(2),
            5 => self.set_data(),
            _ => self.path_version(13),
        }
    }

    fn multi_read(&mut self) -> Op {
        let mut ops: Vec<Op> = (0..self.rng.below(5))
            .map(|_| {
                let code = *self.rng.pick(&[4, 8]);
                self.path_watch(code)
            })
            .collect();
        if self.rng.chance(8) {
            let stranger = self.calm();
            ops.insert(self.rng.below(ops.len() + 1), flat(stranger));
        }
        Op::Multi { code: 22, ops }
    }

    fn auth(&mut self) -> Op {
        let (scheme, auth) = match self.rng.weighted(&[30, 20, 15, 10, 8, 17]) {
            0 => (s("digest"), s("user1:pw1")),
            1 => (s("digest"), s("user2:pw2")),
            2 => (s("digest"), s("super:test")),
            3 => (
                s("digest"),
                self.rng.pick(&[s(""), s("x"), s(":p"), s("a:b:c")]).clone(),
            ),
            4 => (
                s("ip"),
                self.rng.pick(&[s(""), s("10.0.0.1"), None]).clone(),
            ),
            _ => self
                .rng
                .pick(&[
                    (s("digest"), None),
                    (s("digest"), Some(b"u\xff:\xed\xa0\x80".to_vec())),
                    (s("world"), s("anyone")),
                    (s("super"), s("x")),
                    (s("auth"), s("")),
                    (s("sasl"), s("x")),
                    (s("bogus"), s("x")),
                    (s(""), s("")),
                    (None, s("x")),
                ])
                .clone(),
        };
        Op::Auth {
            kind: *self.rng.pick(&[0, 0, 0, 1, -1]),
            scheme,
            auth,
        }
    }

    fn mangled(&mut self) -> Op {
        let op = loop {
            let op = self.any();
            // Shifted fields of createTTL could name the deadly combination: see `deviations`.
            if !matches!(
                op,
                Op::CreateTtl { .. } | Op::Mangled { .. } | Op::Bare { .. }
            ) {
                break op;
            }
        };
        let how = match self.rng.below(5) {
            0 | 1 => Mangle::Truncate(1 + self.rng.below(12)),
            2 => Mangle::Truncate(1 << 20),
            3 => Mangle::Append(vec![0xee; 1 + self.rng.below(9)]),
            _ if matches!(
                op,
                Op::Multi { .. } | Op::SetWatches { .. } | Op::Auth { .. }
            ) =>
            {
                Mangle::Truncate(4)
            }
            _ => Mangle::Patch(0, *self.rng.pick(&[-2, i32::MIN, i32::MAX, 5_000_000])),
        };
        Op::Mangled {
            op: Box::new(op),
            how,
        }
    }
}

/// A request without damage: damaged parts of a multi would shift what follows.
fn flat(op: Op) -> Op {
    match op {
        Op::Mangled { op, .. } => *op,
        other => other,
    }
}

/// Whether the server will end the connection over this request, as far as one can tell.
pub fn ends_connection(op: &Op) -> bool {
    match op {
        Op::Bare { code } => *code == CLOSE || name(*code).is_none(),
        Op::PathVersion { code, .. } => *code == 13,
        Op::Sasl { token } => token.is_none(),
        Op::Auth { scheme, auth, .. } => match scheme.as_deref() {
            Some(b"digest") => auth.is_none(),
            Some(b"ip") => false,
            _ => true,
        },
        Op::Mangled { op, how } => match (&**op, how) {
            (op, Mangle::Append(_)) => ends_connection(op),
            (op, _) => matches!(op.code(), 100 | 102) || ends_connection(op),
        },
        _ => false,
    }
}
