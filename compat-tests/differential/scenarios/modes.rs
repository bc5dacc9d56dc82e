//! Every create opcode with every flag and ttl, and reads in every form.

use crate::make::{
    acl, children, create, create_as, create_ttl, ephemerals, exists, get, get_acl, multi, total,
};
use crate::op::Op;
use crate::scenarios::Script;
use crate::values::{open_acl, s};

pub fn flags(script: &mut Script) {
    let mut n = 0;
    let modes = [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 64, i32::MIN, i32::MAX];
    for flags in modes {
        let mut ops = Vec::new();
        for code in [1, 15, 19] {
            n += 1;
            ops.push(create_as(
                code,
                &script.at(&format!("f{n}-")),
                flags,
                open_acl(),
            ));
        }
        for ttl in [
            -1,
            0,
            1,
            9_999_999,
            (1 << 40) - 1,
            1 << 40,
            i64::MIN,
            i64::MAX,
        ] {
            n += 1;
            // Deadly for Apache (DEV-5).
            if ttl > 0 || matches!(flags, 5 | 6) {
                ops.push(create_ttl(&script.at(&format!("f{n}-")), flags, ttl));
            }
        }
        for op in ops {
            script.send(0, op.clone());
            // Once more, so that multi meets existing nodes, then below a fresh name.
            script.send(0, multi(vec![op]));
        }
        for code in [1, 15, 19] {
            n += 1;
            let path = script.at(&format!("f{n}-"));
            script.send(0, multi(vec![create_as(code, &path, flags, open_acl())]));
            script.send(1, exists(&path, false));
            script.send(1, create(&format!("{path}/child"), 0));
        }
        n += 1;
        let path = script.at(&format!("f{n}-"));
        script.send(0, multi(vec![create_ttl(&path, flags, 5_000_000)]));
        script.send(1, exists(&path, false));
        script.send(1, create(&format!("{path}/child"), 0));
    }
    script.send(0, ephemerals("/"));
    let root = script.root.clone();
    script.send(1, children(&root, false));
    script.send(1, total(&root));
    script.step(crate::program::Step::Finish { slot: 0 });
    script.send(1, children(&root, false));
}

pub fn reads(script: &mut Script) {
    let node = script.at("node");
    let below = format!("{node}/below");
    script.send(0, create(&node, 0));
    script.send(0, create(&below, 1));
    script.send(
        0,
        create_as(1, &script.at("private"), 0, acl(31, "digest", "nobody:x")),
    );
    for path in [
        node,
        below,
        script.at("private"),
        script.at("absent"),
        script.root.clone(),
    ] {
        for slot in [0, 1] {
            for watch in [false, true] {
                script.send(slot, exists(&path, watch));
                script.send(slot, get(&path, watch));
                script.send(
                    slot,
                    Op::PathWatch {
                        code: 8,
                        path: s(&path),
                        watch,
                    },
                );
                script.send(slot, children(&path, watch));
            }
            script.send(slot, get_acl(&path));
            script.send(slot, total(&path));
            script.send(slot, ephemerals(&path));
            script.send(
                slot,
                Op::Path {
                    code: 9,
                    path: s(&path),
                },
            );
        }
    }
    let half = script.root[..script.root.len() - 1].to_owned();
    for prefix in ["/", "", " ", "\t", "/x", "s", &half] {
        script.send(0, ephemerals(prefix));
    }
}
