//! Reserved nodes, Stat fields, sequence numbers, quotas.

use crate::make::{
    acl, children, create, create_as, create_data, delete, exists, get, get_acl, multi, set,
    set_acl, set_version, super_user, total,
};
use crate::op::Op;
use crate::program::Step;
use crate::scenarios::Script;
use crate::values::{open_acl, s};

const RESERVED: [&str; 5] = [
    "",
    "/",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
];

/// The nodes every server has.
pub fn fresh(script: &mut Script) {
    let look = |script: &mut Script, slot| {
        for path in RESERVED {
            script.send(slot, exists(path, false));
            script.send(slot, get(path, false));
            script.send(slot, get_acl(path));
            script.send(slot, children(path, false));
            script.send(slot, total(path));
        }
    };
    look(script, 0);
    for path in RESERVED {
        script.send(0, delete(path));
        script.send(0, multi(vec![delete(path)]));
        script.send(0, create(path, 0));
        script.send(0, set_version(path, "no", 77));
        script.send(0, set_acl(path, None));
    }
    script.send(0, set("/zookeeper/config", "not for everyone"));
    script.send(0, set_acl("/zookeeper/config", open_acl()));
    script.send(0, create("/zookeeper/config/child", 0));
    script.send(0, create("/zookeeper/mine", 0));
    script.send(0, delete("/zookeeper/mine"));
    script.send(0, set("/zookeeper", "text"));
    script.send(0, set("/", "text"));
    look(script, 1);
    script.send(1, super_user());
    for path in RESERVED {
        script.send(1, delete(path));
    }
    script.send(1, set("/zookeeper/config", ""));
    script.send(1, get_acl("/zookeeper/config"));
    look(script, 1);
    for (joining, leaving, members) in [
        (None, None, None),
        (s("server.2=h:1:2;3"), None, None),
        (s("junk"), s("x"), s("y")),
    ] {
        for config in [-1, 0, 1] {
            let (joining, leaving, members) = (joining.clone(), leaving.clone(), members.clone());
            script.send(
                0,
                Op::Reconfig {
                    joining,
                    leaving,
                    members,
                    config,
                },
            );
        }
    }
}

/// Versions, counters and zxids of a node and its parent through every kind of change.
pub fn stats(script: &mut Script) {
    let node = script.at("n");
    let child = format!("{node}/c");
    let look = |script: &mut Script| {
        for path in [script.root.clone(), script.at("n"), script.at("n/c")] {
            script.send(1, exists(&path, false));
        }
    };
    let changes = vec![
        create(&node, 0),
        create(&child, 0),
        set(&node, "1"),
        set_version(&node, "2", 1),
        set_version(&node, "3", 1),
        set_version(&node, "3", -2),
        set_version(&node, "3", 2),
        set_acl(&node, open_acl()),
        Op::SetAcl {
            path: s(&node),
            acl: open_acl(),
            version: 1,
        },
        Op::SetAcl {
            path: s(&node),
            acl: open_acl(),
            version: 1,
        },
        delete(&node),
        delete(&child),
        create(&child, 1),
        create(&child, 1),
        Op::PathVersion {
            code: 2,
            path: s(&child),
            version: 1,
        },
        Op::PathVersion {
            code: 2,
            path: s(&child),
            version: 0,
        },
        create(&child, 2),
        multi(vec![
            create(&child, 0),
            set(&child, "x"),
            set(&child, "y"),
            set(&node, "z"),
        ]),
        multi(vec![delete(&child), create(&child, 1), create(&child, 0)]),
        multi(vec![delete(&child), create(&child, 1)]),
        multi(vec![]),
        delete(&node),
    ];
    for change in changes {
        script.send(0, change);
        look(script);
    }
    script.finish(0);
    look(script);
}

pub fn sequences(script: &mut Script) {
    let p = script.at("p");
    script.send(0, create(&p, 0));
    for flags in [2, 3, 2, 0, 3, 2] {
        script.send(0, create(&format!("{p}/n-"), flags));
        script.send(0, create(&format!("{p}/m-"), flags));
    }
    script.send(0, delete(&format!("{p}/n-0000000000")));
    script.send(0, create(&format!("{p}/"), 2));
    script.send(0, create(&format!("{p}/"), 3));
    script.send(0, create(&format!("{p}/absent/"), 2));
    script.send(0, create(&format!("{p}/\u{1}"), 2));
    script.send(0, create(&format!("{p}/."), 2));
    script.send(0, create(&format!("{p}//"), 2));
    script.send(0, create("/", 2));
    script.send(0, create("", 2));
    // A failed create does not count, a pending one does.
    script.send(0, create(&format!("{p}/n-"), 0));
    script.batch(
        0,
        (0..5)
            .map(|n| create(&format!("{p}/q{n}-"), 2 + n % 2))
            .collect(),
    );
    script.send(
        0,
        multi((0..4).map(|_| create(&format!("{p}/r-"), 2)).collect()),
    );
    script.send(
        0,
        multi(vec![create(&format!("{p}/f-"), 2), delete("/absent")]),
    );
    script.send(0, create(&format!("{p}/after-"), 2));
    for code in [15, 19] {
        script.send(0, create_as(code, &format!("{p}/k-"), 2, open_acl()));
    }
    script.send(
        0,
        crate::make::create_ttl(&format!("{p}/t-"), 6, 10_000_000),
    );
    // The names the server itself would give next.
    for n in 30..36 {
        script.send(0, create(&format!("{p}/n-{n:010}"), 0));
    }
    script.send(0, create(&format!("{p}/n-"), 2));
    script.send(0, create(&format!("{p}/n-0000000000/x"), 2));
    script.send(1, children(&p, false));
}

pub fn quota(script: &mut Script) {
    let top = script.at("q");
    let quota = format!("/zookeeper/quota{top}");
    let limits = format!("{quota}/zookeeper_limits");
    let usage = format!("{quota}/zookeeper_stats");
    script.send(0, create_data(&top, s("12345")));
    script.send(0, create_data(&format!("{top}/old"), s("abc")));
    script.send(0, create(&format!("/zookeeper/quota{}", script.root), 0));
    script.send(0, create(&quota, 0));
    script.send(
        0,
        create_data(
            &limits,
            s("count=-1,bytes=-1=;byteHardLimit=40;countHardLimit=5"),
        ),
    );
    script.send(1, get(&usage, false));
    script.send(0, create_data(&usage, s("count=0,bytes=0")));
    script.send(1, get(&usage, true));
    let a = format!("{top}/a");
    let b = format!("{top}/b");
    let changes = vec![
        create_data(&a, s("0123456789")),
        create_data(&b, s("0123456789")),
        set(&a, "01234567890123456789012345678901234567890"),
        set(&a, "012345678901234567890"),
        set(&a, "0123456789012345678901"),
        set(&a, "0123456789012345678901x"),
        create_data(&format!("{a}/x"), None),
        create_data(&format!("{a}/y"), None),
        create_data(&format!("{a}/z"), Some(Vec::new())),
        multi(vec![create_data(&format!("{top}/m1"), None), delete(&b)]),
        delete(&format!("{a}/x")),
        multi(vec![
            create_data(&format!("{top}/m1"), None),
            create_data(&format!("{top}/m2"), None),
        ]),
        multi(vec![
            set(&a, ""),
            set(&b, "0123456789012345678901234567890123456789"),
        ]),
        Op::SetData {
            path: s(&a),
            data: None,
            version: -1,
        },
        create_data(&format!("{top}/seq-"), s("1")),
        set(&limits, "count=2,bytes=10"),
        create_data(
            &format!("{top}/soft"),
            s("many bytes, more than the soft limit"),
        ),
        set(
            &limits,
            "count=1,bytes=10=;byteHardLimit=10;countHardLimit=1",
        ),
        create_data(&format!("{top}/hard"), None),
        set(&a, "x"),
        set(&a, "y"),
        set(&top, ""),
        delete(&format!("{top}/soft")),
        set(&limits, "count=-1,bytes=-1=;countHardLimit=100"),
        create_data(&format!("{top}/more"), s("123")),
        set(&usage, "count=50,bytes=60"),
        create_data(&format!("{top}/more2"), s("123")),
        delete(&usage),
        create_data(&format!("{top}/more3"), s("123")),
        set(
            &limits,
            "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=0",
        ),
        create_data(&format!("{top}/uncounted"), s("123")),
        set(&a, "without a usage node, longer than before"),
        set(&limits, "count=-1,bytes=-1=;countHardLimit=100"),
        create_data(&usage, s("count=0,bytes=0")),
        delete(&limits),
        create_data(&format!("{top}/more4"), s("123")),
        create_data(&limits, s("count=-1,bytes=-1=;byteHardLimit=1")),
        create_data(&format!("{top}/more5"), s("123")),
    ];
    for change in changes {
        script.send(0, change);
        script.send(1, get(&usage, false));
        script.send(1, exists(&top, false));
    }
    // A deeper quota takes over for its part of the tree; super is not exempt.
    let deep = format!("{quota}/a");
    script.send(0, create(&deep, 0));
    script.send(
        0,
        create_data(
            &format!("{deep}/zookeeper_limits"),
            s("count=3,bytes=-1=;countHardLimit=3"),
        ),
    );
    script.send(
        0,
        create_data(&format!("{deep}/zookeeper_stats"), s("count=0,bytes=0")),
    );
    script.send(0, super_user());
    for n in 0..4 {
        script.send(0, create_data(&format!("{a}/deep{n}"), s("d")));
        script.send(1, get(&usage, false));
        script.send(1, get(&format!("{deep}/zookeeper_stats"), false));
    }
    script.send(
        0,
        create_as(1, &format!("{a}/e"), 1, acl(31, "world", "anyone")),
    );
    script.step(Step::Finish { slot: 0 });
    script.send(1, get(&format!("{deep}/zookeeper_stats"), false));
}
