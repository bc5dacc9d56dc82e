//! Sessions: ephemerals, reconnects, expiry, closing.

use crate::make::{add_watch, children, create, delete, ephemerals, exists, get, multi};
use crate::op::{CLOSE, Op, ZxidRef};
use crate::program::{Hello, Password, Step};
use crate::scenarios::Script;
use crate::world::LONG_TIMEOUT_MS;

pub fn sessions(script: &mut Script) {
    let root = script.root.clone();
    script.send(1, add_watch(&root, 1));
    for (ending, tag) in ["close", "pipelined", "expire open", "expire closed"]
        .iter()
        .zip("abcd".chars())
    {
        script.connect(2);
        let mine = script.at(&format!("{tag}1"));
        script.send(2, create(&mine, 1));
        script.send(2, create(&script.at(&format!("{tag}2-")), 3));
        script.send(2, multi(vec![create(&script.at(&format!("{tag}3")), 1)]));
        script.send(2, create(&script.at(&format!("{tag}4")), 1));
        script.send(0, delete(&script.at(&format!("{tag}4"))));
        script.send(2, create(&format!("{mine}/child"), 0));
        script.send(2, create(&format!("{mine}/child"), 2));
        script.send(2, ephemerals("/"));
        script.send(0, exists(&mine, true));
        script.send(0, children(&root, true));
        script.send(0, children(&mine, true));
        script.send(0, get(&mine, true));
        script.batch(
            2,
            vec![
                exists(&mine, true),
                children(&mine, true),
                add_watch(&root, 0),
            ],
        );
        let close = Op::Bare { code: CLOSE };
        match *ending {
            "close" => script.send(2, close),
            "pipelined" => script.batch(2, vec![get(&mine, false), ephemerals("/"), close]),
            "expire open" => script.step(Step::Expire {
                slot: 2,
                keep_open: true,
            }),
            _ => script.step(Step::Expire {
                slot: 2,
                keep_open: false,
            }),
        }
        script.send(0, children(&root, false));
        // The session is over, whatever one brings along.
        for password in [Password::Right, Password::Wrong] {
            script.refused(2, Hello::again(LONG_TIMEOUT_MS, password, ZxidRef::Last(0)));
        }
    }
    comebacks(script);
}

/// Reconnects of every kind, all of which leave the session and its ephemeral alive.
fn comebacks(script: &mut Script) {
    script.connect(2);
    let mine = script.at("mine");
    script.send(2, create(&mine, 1));
    let hello = |password, last| Hello::again(LONG_TIMEOUT_MS, password, last);
    let right = || hello(Password::Right, ZxidRef::Last(0));
    for take_over in [false, true, true] {
        script.send(2, exists(&mine, true));
        script.hello(2, right(), take_over);
        script.send(2, ephemerals("/"));
    }
    let wrong = [
        Password::Wrong,
        Password::Exact(None),
        Password::Exact(Some(Vec::new())),
        Password::Exact(Some(vec![0; 16])),
        Password::Exact(Some(vec![0; 15])),
        Password::Exact(Some(vec![0; 17])),
    ];
    for password in wrong {
        for read_only in [Some(0), None, Some(1)] {
            let hello = Hello {
                read_only,
                ..hello(password.clone(), ZxidRef::Last(0))
            };
            script.refused(2, hello);
        }
    }
    script.refused(2, hello(Password::Right, ZxidRef::Last(1)));
    script.hello(2, hello(Password::Right, ZxidRef::Exact(0)), false);
    script.hello(
        2,
        Hello {
            read_only: None,
            ..right()
        },
        false,
    );
    script.hello(
        2,
        Hello {
            read_only: Some(1),
            ..right()
        },
        true,
    );
    script.send(2, ephemerals("/"));
    // The watch of the first connection is gone with it.
    script.send(0, delete(&mine));
    script.step(Step::Drop { slot: 2 });
    script.send(0, exists(&mine, false));
    script.again(2);
    script.send(2, ephemerals("/"));
    script.finish(2);
}
