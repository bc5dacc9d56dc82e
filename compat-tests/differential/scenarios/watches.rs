//! Which watch sees which change.

use crate::make::{
    add_watch, check_watches, children, create, delete, exists, get, multi, remove_watches, set,
    set_acl, set_watches,
};
use crate::op::{Op, ZxidRef};
use crate::scenarios::Script;
use crate::values::open_acl;

/// Ways to watch the node at a path; `parent` is the node above it.
fn registrations(path: &str, parent: &str) -> Vec<Vec<Op>> {
    vec![
        vec![get(path, true)],
        vec![exists(path, true)],
        vec![children(path, true)],
        vec![children(parent, true)],
        vec![add_watch(path, 0)],
        vec![add_watch(path, 1)],
        vec![add_watch(parent, 0)],
        vec![add_watch(parent, 1)],
        vec![get(path, true), children(path, true)],
        vec![exists(path, true), add_watch(path, 0)],
        vec![add_watch(path, 0), add_watch(path, 1), exists(path, true)],
        vec![
            add_watch(parent, 1),
            add_watch(path, 0),
            children(path, true),
        ],
        vec![
            add_watch(parent, 0),
            add_watch(parent, 0),
            children(parent, true),
        ],
    ]
}

/// Things that happen to it.
fn changes(path: &str) -> Vec<Vec<Op>> {
    let child = format!("{path}/c");
    vec![
        vec![delete(path), create(path, 0)],
        vec![set(path, "1"), set(path, "2")],
        vec![set_acl(path, open_acl())],
        vec![create(&child, 0), set(&child, "1"), delete(&child)],
        vec![multi(vec![
            set(path, "1"),
            create(&child, 0),
            set(path, "2"),
            delete(&child),
        ])],
        vec![multi(vec![delete(path), create(path, 1)])],
        vec![multi(vec![set(path, "1"), delete("/absent")])],
    ]
}

/// Every registration against every change, once before the node exists and once after.
pub fn matrix(script: &mut Script) {
    let kinds = registrations("", "").len();
    let cases = changes("").len();
    for kind in 0..kinds {
        for case in 0..=cases {
            let parent = script.at(&format!("p{kind}-{case}"));
            let path = format!("{parent}/n");
            script.send(0, create(&parent, 0));
            if case < cases {
                script.send(0, create(&path, 0));
            }
            let watch = registrations(&path, &parent).swap_remove(kind);
            script.batch(1, watch);
            match case {
                // Nothing there yet: the first event is the node's creation.
                n if n == cases => {
                    script.send(0, create(&path, 0));
                    script.send(0, delete(&path));
                }
                n => changes(&path)
                    .swap_remove(n)
                    .into_iter()
                    .for_each(|op| script.send(0, op)),
            }
        }
        // The next kind begins without watches.
        script.again(1);
    }
    own_changes(script);
}

/// A client hears of its own changes before their replies.
fn own_changes(script: &mut Script) {
    let path = script.at("own");
    script.batch(
        1,
        vec![
            exists(&path, true),
            add_watch("/", 1),
            add_watch(&script.at(""), 0),
        ],
    );
    script.batch(
        1,
        vec![
            create(&path, 0),
            get(&path, true),
            set(&path, "1"),
            set(&path, "2"),
        ],
    );
    script.send(
        1,
        multi(vec![create(&format!("{path}/a"), 1), set(&path, "3")]),
    );
    script.batch(1, vec![delete(&format!("{path}/a")), delete(&path)]);
}

/// Each registration, checked and removed by each type; then changes show what is left.
pub fn removal(script: &mut Script) {
    let kinds = registrations("", "").len();
    for kind in 0..kinds {
        for remove in [0, 1, 2, 3, 4, 5, 6] {
            let parent = script.at(&format!("p{kind}-{remove}"));
            let path = format!("{parent}/n");
            script.send(0, create(&parent, 0));
            script.send(0, create(&path, 0));
            script.batch(1, registrations(&path, &parent).swap_remove(kind));
            script.batch(1, (1..6).map(|k| check_watches(&path, k)).collect());
            script.batch(
                1,
                vec![remove_watches(&path, remove), remove_watches(&path, remove)],
            );
            script.batch(1, (1..6).map(|k| check_watches(&path, k)).collect());
            let child = format!("{path}/c");
            script.batch(
                0,
                vec![
                    set(&path, "1"),
                    create(&child, 0),
                    delete(&child),
                    delete(&path),
                ],
            );
        }
    }
    // Another connection's watches are its own.
    let path = script.at("shared");
    script.send(0, create(&path, 0));
    script.send(0, get(&path, true));
    script.send(1, remove_watches(&path, 3));
    script.send(1, set(&path, "1"));
}

/// setWatches and setWatches2 over nodes in every state, for several ages of the client.
pub fn catch_up(script: &mut Script) {
    let names = [
        "same", "changed", "child", "deleted", "reborn", "absent", "late", "acl",
    ];
    let paths: Vec<String> = names.iter().map(|name| script.at(name)).collect();
    for path in &paths[..5] {
        script.send(0, create(path, 0));
    }
    script.send(0, create(&paths[7], 0));
    script.send(1, get(&paths[0], false));
    let changes = vec![
        set(&paths[1], "new"),
        create(&format!("{}/c", paths[2]), 0),
        delete(&paths[3]),
        delete(&paths[4]),
        create(&paths[4], 0),
        create(&paths[6], 0),
        set_acl(&paths[7], open_acl()),
    ];
    changes.into_iter().for_each(|op| script.send(0, op));
    let zxids = (0..10).map(|n| ZxidRef::Last(-n)).chain([
        ZxidRef::Exact(0),
        ZxidRef::Exact(-1),
        ZxidRef::Exact(i64::MAX),
    ]);
    for zxid in zxids {
        for which in ["d", "e", "c", "p", "r", "decpr"] {
            script.again(1);
            script.send(1, set_watches(zxid, which, &paths));
            script.batch(1, paths.iter().map(|p| check_watches(p, 3)).collect());
        }
    }
    let short = |lists| Op::SetWatches {
        code: 101,
        zxid: ZxidRef::Last(-4),
        lists,
    };
    script.again(1);
    let all: Vec<_> = paths.iter().map(|p| crate::values::s(p)).collect();
    script.send(
        1,
        short(vec![Some(all.clone()), Some(all.clone()), Some(all)]),
    );
    // What was armed again fires.
    for path in &paths {
        script.send(0, set(path, "fire"));
        script.send(0, create(&format!("{path}/fire"), 0));
    }
    script.send(0, create(&paths[5], 0));
}
