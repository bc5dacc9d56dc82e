//! Container and TTL nodes disappear by themselves. Each step waits for one removal, so that the
//! moment of the reaper's round does not matter.

use crate::make::{add_watch, children, create, create_as, create_ttl, delete, exists, multi, set};
use crate::program::Step;
use crate::scenarios::Script;
use crate::values::open_acl;

pub fn reaper(script: &mut Script) {
    let root = script.root.clone();
    script.batch(1, vec![add_watch(&root, 1), children(&root, true)]);
    // A container goes after its last child, not before its first one.
    let container = script.at("container");
    script.send(0, create_as(19, &container, 4, open_acl()));
    script.send(0, create(&format!("{container}/a"), 0));
    script.send(0, create(&format!("{container}/b"), 1));
    script.send(0, delete(&format!("{container}/a")));
    script.batch(
        1,
        vec![exists(&container, true), children(&container, true)],
    );
    script.step(Step::SendAwait {
        slot: 0,
        op: delete(&format!("{container}/b")),
        txns: 1,
    });
    script.send(0, exists(&container, false));
    // The container of a container.
    let outer = script.at("outer");
    script.send(0, create_as(19, &outer, 4, open_acl()));
    script.send(0, create_as(19, &format!("{outer}/inner"), 4, open_acl()));
    script.send(0, create(&format!("{outer}/inner/x"), 0));
    script.step(Step::SendAwait {
        slot: 0,
        op: delete(&format!("{outer}/inner/x")),
        txns: 2,
    });
    script.send(0, exists(&outer, false));
    // A TTL node goes when its time is up, unless it has children.
    script.batch(
        1,
        vec![exists(&script.at("ttl"), true), children(&root, true)],
    );
    script.step(Step::SendAwait {
        slot: 0,
        op: create_ttl(&script.at("ttl"), 5, 1),
        txns: 1,
    });
    script.send(0, exists(&script.at("ttl"), false));
    script.step(Step::SendAwait {
        slot: 0,
        op: create_ttl(&script.at("ttl-"), 6, 1),
        txns: 1,
    });
    let parent = script.at("parent");
    let child = format!("{parent}/child");
    script.send(0, multi(vec![create_ttl(&parent, 5, 1), create(&child, 0)]));
    script.send(0, set(&parent, "data"));
    script.send(0, exists(&parent, false));
    script.step(Step::SendAwait {
        slot: 0,
        op: delete(&child),
        txns: 1,
    });
    // A plain node with the same history stays.
    let plain = script.at("plain");
    script.send(0, create(&plain, 0));
    script.send(0, create(&format!("{plain}/x"), 0));
    script.send(0, delete(&format!("{plain}/x")));
    script.step(Step::SendAwait {
        slot: 0,
        op: create_ttl(&script.at("ttl2"), 5, 1),
        txns: 1,
    });
    script.send(0, children(&root, false));
}
