//! multi and multiRead.

use crate::make::{
    acl, check, children, create, create_as, create_ttl, delete, exists, get, mangled, multi,
    multi_read, set, set_acl, set_version,
};
use crate::op::{Mangle, Op};
use crate::scenarios::Script;
use crate::values::{open_acl, s};

pub fn multis(script: &mut Script) {
    let base = script.root.clone();
    let n = |k: &str| n2(&base, k);
    let fine = |tag: &str| {
        vec![
            create(&n(&format!("{tag}1")), 0),
            create_as(15, &n(&format!("{tag}2")), 1, open_acl()),
            create_as(19, &n(&format!("{tag}3")), 4, open_acl()),
            create_ttl(&n(&format!("{tag}4")), 5, 9_000_000),
            create(&n(&format!("{tag}5-")), 2),
            set(&n(&format!("{tag}1")), "new"),
            set_version(&n(&format!("{tag}1")), "newer", 1),
            check(&n(&format!("{tag}1")), 2),
            create(&n(&format!("{tag}1/child")), 0),
            delete(&n(&format!("{tag}1/child"))),
            delete(&n(&format!("{tag}1"))),
        ]
    };
    let bad = vec![
        create(&n("absent/x"), 0),
        create(&n(""), 0),
        create("noslash", 0),
        create_as(1, &n("z"), 0, acl(31, "world", "x")),
        create_as(1, &n("z"), 0, Some(Vec::new())),
        create_as(1, &script.root, 0, open_acl()),
        create_ttl(&n("z"), 5, 0),
        create_ttl(&n("z"), 5, 1 << 40),
        delete(&n("absent")),
        delete("/zookeeper"),
        delete(&script.root),
        set(&n("absent"), "x"),
        set_version(&script.root, "x", 7),
        check(&n("absent"), -1),
        check(&script.root, 7),
        check("bad", 7),
    ];
    let whole = vec![
        create_as(1, &n("z"), 0, None),
        create(&n("z"), 7),
        create(&n("z"), -1),
        create(&n("z"), 5),
        Op::Create {
            code: 1,
            path: None,
            data: None,
            acl: open_acl(),
            flags: 0,
        },
        Op::PathVersion {
            code: 2,
            path: None,
            version: -1,
        },
        set_acl(&script.root, open_acl()),
        exists(&script.root, false),
        get(&script.root, false),
        children(&script.root, false),
        Op::PathWatch {
            code: 8,
            path: s(&script.root),
            watch: false,
        },
        Op::Path {
            code: 9,
            path: s("/"),
        },
        Op::Bare { code: 11 },
        Op::Bare { code: -11 },
        Op::Bare { code: 0 },
        Op::Bare { code: 99 },
        multi(vec![]),
        create_as(1, &n("z"), 7, None),
        create_as(19, &n("z"), 5, None),
        Op::Create {
            code: 15,
            path: None,
            data: None,
            acl: None,
            flags: 0,
        },
        Op::Path {
            code: 20,
            path: s(&script.root),
        },
    ];
    let root = script.root.clone();
    script.send(1, crate::make::add_watch(&root, 0));
    script.send(1, crate::make::add_watch(&root, 1));
    script.send(0, multi(vec![]));
    script.send(0, multi(fine("a")));
    script.send(0, multi(fine("a")));
    for op in bad.iter().chain(&whole) {
        for position in [0, 4, 11] {
            let mut ops = fine("b");
            ops.insert(position, op.clone());
            script.send(0, multi(ops));
        }
        script.send(0, multi(vec![op.clone()]));
        script.send(0, multi(vec![op.clone(), op.clone()]));
    }
    // Two faults that reject the whole multi: which one counts shows in the zxid.
    let faults = [
        create_as(1, &n("z"), 0, None),
        create(&n("z"), 7),
        exists(&root, false),
        delete("/absent"),
    ];
    for first in &faults {
        for second in &faults {
            script.send(0, multi(vec![first.clone(), second.clone()]));
        }
    }
    script.send(1, children(&root, false));
    let order = vec![
        multi(vec![
            create(&n("o"), 0),
            create(&n("o/1"), 0),
            set(&n("o"), "s"),
            delete(&n("o/1")),
        ]),
        multi(vec![
            set(&n("o"), "1"),
            set(&n("o"), "2"),
            set(&n("o"), "3"),
        ]),
        multi(vec![
            delete(&n("o")),
            create(&n("o"), 1),
            create(&n("o/x"), 0),
        ]),
        multi(vec![delete(&n("o")), create(&n("o"), 1)]),
        multi(vec![create(&n("o/x"), 0)]),
        multi(vec![
            create(&n("p"), 0),
            create(&n("p/s-"), 2),
            create(&n("p/s-"), 2),
            check(&n("p"), 0),
        ]),
        multi(vec![check(&root, -1), check(&root, 0), check(&root, 0)]),
    ];
    for op in order {
        script.send(0, op);
        script.send(1, exists(&n2(&root, "o"), false));
    }
    damaged(script);
}

fn n2(root: &str, name: &str) -> String {
    format!("{root}/{name}")
}

/// Headers that are not what a client would write.
fn damaged(script: &mut Script) {
    let path = script.at("d");
    let op = || multi(vec![create(&path, 0), delete(&path)]);
    for cut in [1, 8, 9, 10, 14, 20, 24, 30] {
        script.send(0, mangled(op(), Mangle::Truncate(cut)));
    }
    // The type of the first header, then its err.
    for kind in [-1, 0, 2, 5, 13, 22, 99, i32::MIN] {
        script.send(0, mangled(op(), Mangle::Patch(0, kind)));
    }
    for err in [0, -101, 7] {
        script.send(0, mangled(op(), Mangle::Patch(5, err)));
    }
    let root = script.root.clone();
    script.send(0, children(&root, false));
}

pub fn multireads(script: &mut Script) {
    let root = script.root.clone();
    let list = |path: &str| Op::PathWatch {
        code: 8,
        path: s(path),
        watch: true,
    };
    script.send(0, create(&script.at("a"), 0));
    script.send(0, create(&script.at("a/b"), 0));
    script.send(
        0,
        create_as(1, &script.at("hidden"), 0, acl(31, "digest", "nobody:x")),
    );
    let (a, hidden, absent) = (script.at("a"), script.at("hidden"), script.at("absent"));
    let requests = vec![
        multi_read(vec![]),
        multi_read(vec![
            get(&a, true),
            list(&a),
            get(&absent, true),
            list(&absent),
        ]),
        multi_read(vec![get(&hidden, false), list(&hidden), get(&a, false)]),
        multi_read(vec![list(""), get("", false), list("/"), get("bad", false)]),
        multi_read(vec![
            Op::PathWatch {
                code: 4,
                path: None,
                watch: false,
            },
            list(&a),
        ]),
        multi_read(vec![get(&a, false), exists(&a, false), list(&a)]),
        multi_read(vec![children(&a, false)]),
        multi_read(vec![check(&a, -1)]),
        multi_read(vec![get(&a, false), create(&script.at("no"), 0)]),
        multi_read(vec![create(&script.at("no"), 0)]),
        multi_read(vec![create(&script.at("no"), 0), get(&a, false)]),
        multi_read(vec![get(&a, false), delete(&a)]),
        multi_read(vec![Op::Bare { code: 99 }]),
        multi(vec![get(&a, false)]),
        multi(vec![create(&script.at("no"), 0), get(&a, false)]),
        multi(vec![list(&a), create(&script.at("no"), 0)]),
        mangled(
            multi_read(vec![get(&a, false), list(&a)]),
            Mangle::Truncate(3),
        ),
        mangled(
            multi_read(vec![get(&a, false), list(&a)]),
            Mangle::Truncate(12),
        ),
    ];
    requests.into_iter().for_each(|op| script.send(0, op));
    // The watch flags above were ignored.
    script.send(1, set(&a, "changed"));
    script.send(1, create(&format!("{a}/c"), 0));
    script.send(1, children(&root, false));
}
