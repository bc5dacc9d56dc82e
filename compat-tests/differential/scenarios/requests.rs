//! Requests with bad bodies, lengths and paths.

use crate::make::{
    add_watch, check, check_watches, children, create, create_as, create_ttl, delete, ephemerals,
    exists, get, get_acl, mangled, multi, multi_read, remove_watches, set, set_acl, set_watches,
    total, who_am_i,
};
use crate::op::{Mangle, Op, PING, ZxidRef};
use crate::scenarios::Script;
use crate::values::{open_acl, s};

/// One request of each kind that leaves the connection open even when damaged.
fn samples(path: &str) -> Vec<Op> {
    vec![
        create(path, 0),
        create_as(15, path, 0, open_acl()),
        create_as(19, path, 4, open_acl()),
        create_ttl(path, 5, 1_000_000),
        delete(path),
        exists(path, false),
        get(path, false),
        set(path, "data"),
        get_acl(path),
        set_acl(path, open_acl()),
        Op::PathWatch {
            code: 8,
            path: s(path),
            watch: false,
        },
        children(path, false),
        Op::Path {
            code: 9,
            path: s(path),
        },
        ephemerals(path),
        total(path),
        add_watch(path, 0),
        check_watches(path, 3),
        remove_watches(path, 3),
        Op::SetWatches {
            code: 101,
            zxid: ZxidRef::Last(0),
            lists: vec![
                Some(vec![s(path)]),
                Some(vec![s(path)]),
                Some(vec![s(path)]),
            ],
        },
        set_watches(ZxidRef::Last(0), "decpr", &[path.to_owned()]),
        multi(vec![
            create(path, 0),
            check(path, -1),
            set(path, "d"),
            delete(path),
        ]),
        multi_read(vec![
            get(path, false),
            Op::PathWatch {
                code: 8,
                path: s(path),
                watch: false,
            },
        ]),
        Op::Reconfig {
            joining: s("a"),
            leaving: s("b"),
            members: s("c"),
            config: -1,
        },
    ]
}

pub fn truncated(script: &mut Script) {
    let path = script.at("t");
    for op in samples(&path) {
        let length = op.encode(0, 0).len() - 8;
        for cut in 1..=length {
            script.send(0, mangled(op.clone(), Mangle::Truncate(cut)));
        }
    }
    // Whole again, with bytes behind; these take effect.
    for op in samples(&path) {
        script.send(0, mangled(op, Mangle::Append(vec![0xaa; 5])));
        script.send(1, delete(&path));
    }
    for op in [Op::Bare { code: PING }, who_am_i()] {
        script.send(0, mangled(op, Mangle::Append(vec![1, 2, 3])));
    }
    let root = script.root.clone();
    script.send(1, children(&root, false));
    let login = crate::make::digest("user1:pw1");
    script.send(1, mangled(login.clone(), Mangle::Append(vec![1, 2, 3])));
    for cut in [1, 9, 13, 100] {
        script.send_closing(1, mangled(login.clone(), Mangle::Truncate(cut)));
    }
    for cut in [1, 4, 9] {
        let token = Op::Sasl { token: s("token") };
        script.send_closing(1, mangled(token, Mangle::Truncate(cut)));
    }
}

pub fn nulls(script: &mut Script) {
    for path in [None, s(""), s("/")] {
        for code in [1, 15, 19] {
            for flags in [0, 1, 2, 4] {
                let (data, acl) = (None, open_acl());
                script.send(
                    0,
                    Op::Create {
                        code,
                        path: path.clone(),
                        data,
                        acl,
                        flags,
                    },
                );
            }
        }
        for code in [3, 4, 8, 12] {
            for watch in [false, true] {
                script.send(
                    0,
                    Op::PathWatch {
                        code,
                        path: path.clone(),
                        watch,
                    },
                );
            }
        }
        for code in [6, 9, 103, 104] {
            script.send(
                0,
                Op::Path {
                    code,
                    path: path.clone(),
                },
            );
        }
        for code in [106, 17, 18] {
            for kind in 0..6 {
                script.send(
                    0,
                    Op::PathKind {
                        code,
                        path: path.clone(),
                        kind,
                    },
                );
            }
        }
        script.send(
            0,
            Op::PathVersion {
                code: 2,
                path: path.clone(),
                version: -1,
            },
        );
        script.send(
            0,
            multi(vec![Op::PathVersion {
                code: 13,
                path: path.clone(),
                version: -1,
            }]),
        );
        script.send(
            0,
            Op::SetData {
                path: path.clone(),
                data: None,
                version: -1,
            },
        );
        script.send(
            0,
            Op::SetAcl {
                path: path.clone(),
                acl: open_acl(),
                version: 99,
            },
        );
        script.send(
            0,
            multi_read(vec![Op::PathWatch {
                code: 4,
                path,
                watch: false,
            }]),
        );
    }
    let path = script.at("null");
    let op = |data, acl| Op::Create {
        code: 15,
        path: s(&path),
        data,
        acl,
        flags: 0,
    };
    let requests = [
        op(None, None),
        op(None, Some(Vec::new())),
        op(None, open_acl()),
        get(&path, false),
        Op::SetData {
            path: s(&path),
            data: Some(Vec::new()),
            version: -1,
        },
        get(&path, false),
        Op::SetData {
            path: s(&path),
            data: None,
            version: -1,
        },
        get(&path, false),
        set_acl(&path, None),
        set_acl(&path, Some(Vec::new())),
        multi(vec![op(None, None)]),
        multi(vec![op(None, Some(Vec::new()))]),
    ];
    requests.into_iter().for_each(|op| script.send(0, op));
    for bad in 0..5 {
        let lists = (0..5).map(|n| if n == bad { None } else { Some(vec![s(&path)]) });
        let lists: Vec<_> = lists.collect();
        let zxid = ZxidRef::Exact(0);
        script.send(
            0,
            Op::SetWatches {
                code: 105,
                zxid,
                lists: lists.clone(),
            },
        );
        let lists = lists[..3].to_vec();
        script.send(
            0,
            Op::SetWatches {
                code: 101,
                zxid,
                lists,
            },
        );
    }
    let zxid = ZxidRef::Exact(0);
    let lists = vec![Some(vec![None]), Some(vec![]), Some(vec![])];
    script.send(
        0,
        Op::SetWatches {
            code: 101,
            zxid,
            lists,
        },
    );
}

pub fn lengths(script: &mut Script) {
    let path = script.at("l");
    for op in samples(&path) {
        let shifty = matches!(
            op,
            Op::CreateTtl { .. } | Op::Multi { .. } | Op::SetWatches { .. }
        );
        if shifty {
            continue;
        }
        for length in [-2, -100, i32::MIN, i32::MAX, 60_001, 2_097_151, 3_000_000] {
            script.send(0, mangled(op.clone(), Mangle::Patch(0, length)));
        }
    }
    // The count of ACL entries, behind path and data.
    let count_at = 4 + path.len() + 4 + 1;
    for count in [-1, -2, i32::MIN, 0, 2, 1_000_000, i32::MAX] {
        script.send(0, mangled(create(&path, 0), Mangle::Patch(count_at, count)));
    }
    let root = script.root.clone();
    script.send(0, children(&root, false));
    // Counts of watch lists.
    for count in [-1, -2, i32::MAX, 2] {
        let op = set_watches(ZxidRef::Last(0), "d", std::slice::from_ref(&path));
        script.send(0, mangled(op, Mangle::Patch(8, count)));
    }
    // Any byte but zero is true.
    for flag in [2, 0x80, 0xff] {
        let op = mangled(exists(&path, false), Mangle::Truncate(1));
        script.send(0, mangled(op, Mangle::Append(vec![flag])));
    }
    script.send(1, create(&path, 0));
}

pub fn paths(script: &mut Script) {
    let root = script.root.clone();
    let mut odd: Vec<String> = [
        "",
        "/",
        "//",
        "/a/",
        "//a",
        "/a//b",
        "/.",
        "/..",
        "/./a",
        "/../a",
        "/a/.",
        "/a/..",
        "/...",
        "/..a",
        "/.a",
        "/a.",
        "/ ",
        "/a b",
        "/\t",
        "/%2f",
        "/é",
        "/日本",
        "/a\\b",
        "/zookeeper",
    ]
    .map(|tail| format!("{root}{tail}"))
    .to_vec();
    let chars = [
        0, 1, 9, 0x1f, 0x20, 0x7e, 0x7f, 0x85, 0x9f, 0xa0, 0xad, 0x2028, 0x200f, 0xd7ff, 0xe000,
        0xf000, 0xf8ff, 0xf900, 0xfeff, 0xffef, 0xfff0, 0xfffd, 0xffff, 0x1_0000, 0x1_f600,
        0x10_ffff,
    ];
    odd.extend(
        chars
            .iter()
            .filter_map(|c| char::from_u32(*c))
            .map(|c| format!("{root}/u{c}x")),
    );
    odd.extend(["noslash", "a/b", ".", "..", "\0", "/\0"].map(str::to_owned));
    for path in odd {
        path_everywhere(script, s(&path));
    }
    for bytes in [
        &b"/\xff"[..],
        b"/\xc3",
        b"/\xed\xa0\x80",
        b"/a\xf0\x9f\x98",
        b"/\xc0\x80",
    ] {
        path_everywhere(script, Some([root.as_bytes(), bytes].concat()));
    }
    script.send(0, children(&root, false));
}

fn path_everywhere(script: &mut Script, path: crate::codec::Bytes) {
    let create = |code, flags| {
        let (data, acl) = (s("x"), open_acl());
        Op::Create {
            code,
            path: path.clone(),
            data,
            acl,
            flags,
        }
    };
    // Odd paths end in nodes of their own or in no node; the root of the tree is not at risk.
    let ops = [
        Op::PathWatch {
            code: 3,
            path: path.clone(),
            watch: true,
        },
        create(15, 0),
        create(1, 2),
        create(15, 0),
        Op::SetData {
            path: path.clone(),
            data: s("y"),
            version: -1,
        },
        Op::SetAcl {
            path: path.clone(),
            acl: open_acl(),
            version: -1,
        },
        Op::PathWatch {
            code: 4,
            path: path.clone(),
            watch: false,
        },
        Op::Path {
            code: 6,
            path: path.clone(),
        },
        Op::Path {
            code: 104,
            path: path.clone(),
        },
        multi(vec![Op::PathVersion {
            code: 13,
            path: path.clone(),
            version: -1,
        }]),
        Op::PathKind {
            code: 106,
            path: path.clone(),
            kind: 1,
        },
        Op::PathVersion {
            code: 2,
            path: path.clone(),
            version: -1,
        },
        multi(vec![
            create(1, 0),
            Op::PathVersion {
                code: 2,
                path: path.clone(),
                version: -1,
            },
        ]),
        Op::PathKind {
            code: 18,
            path,
            kind: 3,
        },
    ];
    ops.into_iter().for_each(|op| script.send(0, op));
}
