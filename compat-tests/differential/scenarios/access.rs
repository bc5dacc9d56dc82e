//! ACL ids, permissions, authentication.

use crate::make::{
    acl, auth as login, children, create_as, delete, digest, exists, get, get_acl, multi,
    multi_read, set, set_acl, super_user, total, who_am_i,
};
use crate::op::{Acl, Op};
use crate::scenarios::Script;
use crate::values::{BAD_IDS, GOOD_IDS, entry, open_acl, s};

const USER_1: &str = "user1:GMJqCvSAmNfv41XqBotWHO0HsNc=";

/// Every id of the tables, alone and in company.
pub fn ids(script: &mut Script) {
    script.connect(2);
    script.send(2, digest("user1:pw1"));
    let mut n = 0;
    let mut lists: Vec<Option<Vec<Acl>>> = Vec::new();
    for (scheme, id) in GOOD_IDS.iter().chain(&BAD_IDS) {
        lists.push(acl(31, scheme, id));
        lists.push(Some(vec![
            entry(1, "world", "anyone"),
            entry(31, scheme, id),
        ]));
    }
    let none = |scheme, id| {
        Some(vec![Acl {
            perms: 31,
            scheme,
            id,
        }])
    };
    lists.extend([
        None,
        Some(Vec::new()),
        none(None, s("x")),
        none(s("world"), None),
        Some(vec![entry(31, "world", "anyone"), nameless(31)]),
        Some(vec![entry(1, "world", "anyone"), nameless(31)]),
        Some(vec![nameless(31), entry(31, "world", "anyone")]),
        none(s("digest"), None),
        none(s("ip"), None),
        none(s("auth"), None),
        none(s("digest"), Some(b"u:\xff\xfe".to_vec())),
        none(s("digest"), Some(b"u:\xed\xa0\x80".to_vec())),
        Some(vec![entry(31, "world", "anyone"); 3]),
        Some(vec![
            entry(31, "world", "anyone"),
            entry(1, "world", "anyone"),
        ]),
        Some(vec![
            entry(31, "auth", ""),
            entry(1, "auth", "x"),
            entry(31, "digest", USER_1),
        ]),
    ]);
    lists.extend([0, -1, 32, 63, i32::MIN, i32::MAX].map(|perms| acl(perms, "world", "anyone")));
    let set_here = script.at("set-here");
    script.send(0, create_as(1, &set_here, 0, open_acl()));
    for list in lists {
        for slot in [0, 2] {
            n += 1;
            let path = script.at(&format!("n{n}"));
            script.send(slot, create_as(15, &path, 0, list.clone()));
            for reader in [0, 1, 2] {
                script.send(reader, get_acl(&path));
            }
            script.send(
                slot,
                multi(vec![create_as(1, &format!("{path}m"), 0, list.clone())]),
            );
            script.send(slot, get_acl(&format!("{path}m")));
        }
        script.send(2, set_acl(&script.at(&format!("n{n}")), list.clone()));
        script.send(2, get_acl(&script.at(&format!("n{n}"))));
    }
}

/// An entry without a scheme.
fn nameless(perms: i32) -> Acl {
    Acl {
        perms,
        scheme: None,
        id: s("x"),
    }
}

/// Each permission alone against each operation, for owner, stranger and super user.
pub fn permissions(script: &mut Script) {
    script.connect(2);
    script.connect(3);
    script.send(2, digest("user1:pw1"));
    script.send(3, super_user());
    for perms in [1, 2, 4, 8, 16, 0, 30, 29, 27, 23, 15] {
        for (tag, scheme, id) in [
            ("w", "world", "anyone"),
            ("d", "digest", USER_1),
            ("i", "ip", "127.0.0.1"),
        ] {
            let path = script.at(&format!("{tag}{perms}"));
            script.send(3, create_as(1, &path, 0, open_acl()));
            script.send(3, create_as(1, &format!("{path}/c"), 0, open_acl()));
            script.send(3, set_acl(&path, acl(perms, scheme, id)));
            for slot in [0, 2, 3] {
                every_op(script, slot, &path);
            }
        }
    }
    // A watcher without READ hears nothing, and its one-shot watch is spent.
    let path = script.at("secret");
    for slot in [0, 2] {
        script.send(slot, exists(&path, true));
        script.send(slot, crate::make::add_watch(&script.root.clone(), 1));
    }
    script.send(3, create_as(1, &path, 0, acl(31, "digest", USER_1)));
    for slot in [0, 2] {
        script.send(slot, get(&path, true));
        script.send(slot, children(&path, true));
        script.send(slot, crate::make::add_watch(&path, 0));
    }
    script.send(3, set(&path, "1"));
    script.send(3, create_as(1, &format!("{path}/open"), 0, open_acl()));
    script.send(3, set_acl(&path, open_acl()));
    script.send(3, set(&path, "2"));
    script.send(3, set_acl(&path, acl(2, "world", "anyone")));
    script.send(3, delete(&format!("{path}/open")));
    script.send(3, delete(&path));
    script.send(3, create_as(1, &path, 0, open_acl()));
}

fn every_op(script: &mut Script, slot: usize, path: &str) {
    let child = format!("{path}/c");
    let mine = format!("{path}/by{slot}");
    let ops = [
        exists(path, true),
        get(path, true),
        children(path, true),
        get_acl(path),
        total(path),
        multi_read(vec![get(path, false), get(&child, false)]),
        multi(vec![crate::make::check(path, -1)]),
        set(path, "x"),
        create_as(1, &mine, 0, open_acl()),
        create_as(15, &mine, 1, open_acl()),
        delete(&mine),
        delete(&child),
        multi(vec![create_as(1, &child, 0, open_acl())]),
        Op::SetAcl {
            path: s(path),
            acl: open_acl(),
            version: 99,
        },
    ];
    ops.into_iter().for_each(|op| script.send(slot, op));
}

pub fn auth(script: &mut Script) {
    script.send(0, who_am_i());
    let fine = [
        digest("user1:pw1"),
        who_am_i(),
        digest("user1:pw1"),
        who_am_i(),
        digest("user1:other"),
        digest("user2:pw2"),
        digest(""),
        digest(":"),
        digest("x"),
        digest("a:b:c"),
        digest("é:日本\u{1f600}"),
        login("digest", Some(b"u\xff:\xed\xa0\x80".to_vec())),
        who_am_i(),
        login("ip", None),
        login("ip", s("1.2.3.4")),
        who_am_i(),
        Op::Auth {
            kind: 7,
            scheme: s("digest"),
            auth: s("kind:7"),
        },
        super_user(),
        who_am_i(),
    ];
    fine.into_iter().for_each(|op| script.send(0, op));
    let node = script.at("all");
    script.send(0, create_as(1, &node, 0, acl(31, "auth", "")));
    for slot in [0, 1] {
        script.send(slot, get_acl(&node));
    }
    let refused = [
        login("digest", None),
        login("world", s("anyone")),
        login("super", s("x")),
        login("auth", s("")),
        login("sasl", s("x")),
        login("x509", s("x")),
        login("bogus", s("x")),
        login("", s("x")),
        login("DIGEST", s("a:b")),
        Op::Auth {
            kind: 0,
            scheme: None,
            auth: s("x"),
        },
        Op::Auth {
            kind: 0,
            scheme: None,
            auth: None,
        },
    ];
    for op in refused {
        script.send_closing(0, op);
    }
    // Identities belong to the connection.
    script.send(0, who_am_i());
    script.send(0, digest("user1:pw1"));
    script.send(0, get(&node, false));
    script.again(0);
    script.send(0, who_am_i());
    script.send(0, get(&node, false));
    // An identity counts for what is sent behind it.
    script.batch(
        0,
        vec![digest("user1:pw1"), get(&node, false), get_acl(&node)],
    );
}
