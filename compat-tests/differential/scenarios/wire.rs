//! Handshakes, frames, opcodes, xids.

use crate::codec::{Bytes, frame};
use crate::make::{create_data, exists, get};
use crate::op::{Op, PING, ZxidRef};
use crate::program::{Hello, HelloSession, Password, Step};
use crate::scenarios::Script;
use crate::values::s;
use crate::world::LONG_TIMEOUT_MS;

pub fn handshakes(script: &mut Script) {
    let ping = || vec![Op::Bare { code: PING }];
    for timeout in [
        0,
        1,
        -1,
        i32::MIN,
        299,
        300,
        301,
        3_600_000,
        3_600_001,
        i32::MAX,
    ] {
        for read_only in [None, Some(0), Some(1), Some(2)] {
            script.lonely(
                Hello {
                    timeout,
                    read_only,
                    ..Hello::new(0)
                },
                ping(),
            );
        }
    }
    let passwords: [Bytes; 5] = [
        None,
        Some(vec![]),
        Some(vec![9; 15]),
        Some(vec![9; 16]),
        Some(vec![9; 100]),
    ];
    for password in passwords {
        for read_only in [None, Some(1)] {
            let password = Password::Exact(password.clone());
            let hello = Hello {
                password,
                read_only,
                ..Hello::new(LONG_TIMEOUT_MS)
            };
            script.lonely(hello.clone(), ping());
            script.hello(2, hello, false);
            script.finish(2);
        }
    }
    for protocol in [1, -1, i32::MIN, i32::MAX] {
        script.lonely(
            Hello {
                protocol,
                ..Hello::new(LONG_TIMEOUT_MS)
            },
            ping(),
        );
    }
    for last_zxid in [
        ZxidRef::Last(0),
        ZxidRef::Exact(-1),
        ZxidRef::Exact(i64::MIN),
    ] {
        script.lonely(
            Hello {
                last_zxid,
                ..Hello::new(LONG_TIMEOUT_MS)
            },
            ping(),
        );
    }
    refusals(script);
    malformed(script);
    // Requests behind the hello wait for the session.
    let root = script.root.clone();
    script.lonely(
        Hello::new(LONG_TIMEOUT_MS),
        (0..20)
            .map(|n| {
                if n % 2 == 0 {
                    get(&root, true)
                } else {
                    exists("/", false)
                }
            })
            .collect(),
    );
}

fn alone(script: &mut Script, hello: Option<Hello>, raw: Vec<u8>) {
    script.step(Step::Lonely {
        hello,
        raw,
        then: Vec::new(),
    });
}

fn refusals(script: &mut Script) {
    for last_zxid in [
        ZxidRef::Last(1),
        ZxidRef::Last(1000),
        ZxidRef::Exact(i64::MAX),
    ] {
        for read_only in [None, Some(0)] {
            let hello = Hello {
                last_zxid,
                read_only,
                ..Hello::new(LONG_TIMEOUT_MS)
            };
            alone(script, Some(hello), Vec::new());
        }
    }
    for id in [1, -1, 77, i64::MIN, i64::MAX] {
        for read_only in [None, Some(0), Some(1)] {
            let session = HelloSession::Exact(id);
            let hello = Hello {
                session,
                read_only,
                ..Hello::new(LONG_TIMEOUT_MS)
            };
            alone(script, Some(hello), Vec::new());
        }
    }
}

fn malformed(script: &mut Script) {
    let good = Hello::new(LONG_TIMEOUT_MS).encode(0, (0, [0; 16]));
    for cut in [0, 1, 3, 4, 12, 16, 20, 24, 27, 28, 29, 43] {
        alone(script, None, frame(&good[..cut]));
    }
    for len in [-2, i32::MIN, i32::MAX, 17, 18, 1000] {
        let mut bad = good.clone();
        bad[24..28].copy_from_slice(&len.to_be_bytes());
        // 17 swallows the readOnly byte: a fine hello with a longer password.
        if len != 17 {
            alone(script, None, frame(&bad));
        }
    }
    for len in [-1, i32::MIN, i32::MAX, script.max_frame() + 1] {
        alone(script, None, len.to_be_bytes().to_vec());
    }
    alone(script, None, b"zzzz".to_vec());
}

impl Script {
    /// Longest frame the profile's servers take.
    fn max_frame(&self) -> i32 {
        let set = self
            .profile
            .properties
            .iter()
            .find_map(|p| p.strip_prefix("jute.maxbuffer="));
        set.map_or(0xf_ffff, |n| n.parse().expect("a number"))
    }
}

pub fn garbage(script: &mut Script) {
    let hello = Hello::new(LONG_TIMEOUT_MS).encode(0, (0, [0; 16]));
    let pieces: Vec<Vec<u8>> = vec![
        frame(&[]),
        frame(&[0]),
        frame(&[0, 0, 0, 1]),
        frame(&[0, 0, 0, 1, 0, 0, 0]),
        (-1_i32).to_be_bytes().to_vec(),
        i32::MIN.to_be_bytes().to_vec(),
        i32::MAX.to_be_bytes().to_vec(),
        (script.max_frame() + 1).to_be_bytes().to_vec(),
        b"ruok".to_vec(),
        b"srvr".to_vec(),
        frame(&hello),
    ];
    for bytes in pieces {
        script.step(Step::Garbage { slot: 1, bytes });
        script.again(1);
    }
    // The session and its connection stay usable byte by byte.
    let root = script.root.clone();
    for chunk in [1, 2, 3, 5, 9] {
        let batch = vec![
            get(&root, false),
            Op::Bare { code: PING },
            exists(&root, true),
        ];
        script.step(Step::Send {
            slot: 1,
            batch,
            chunk: Some(chunk),
        });
    }
}

pub fn largest(script: &mut Script) {
    let max = usize::try_from(script.max_frame()).expect("positive");
    let path = script.at("large");
    // Header 8, path 4 + n, data 4, ACL 4 + 4 + 4 + 5 + 4 + 6, flags 4.
    let rest = 8 + 4 + path.len() + 4 + 27 + 4;
    for less in [0, 1] {
        let data = Some(vec![b'L'; max - rest - less]);
        script.send(0, create_data(&path, data));
        script.send(1, get(&path, false));
        script.send(1, crate::make::delete(&path));
    }
    // The second session has a small one to read while the connection for the large one dies.
    script.step(Step::Garbage {
        slot: 0,
        bytes: (script.max_frame() + 1).to_be_bytes().to_vec(),
    });
    script.send(1, exists(&path, false));
    script.again(0);
}

pub fn opcodes(script: &mut Script) {
    // -10 and 20 are left out (DEV-3, DEV-4); the others have requests of their own elsewhere.
    let around = (-12..=30)
        .chain(98..=115)
        .chain([-101, -100, 1000, i32::MIN, i32::MAX]);
    for code in around {
        let known = crate::op::name(code).is_some();
        if !known && code != 20 && code != -10 {
            script.send_closing(1, Op::Bare { code });
        }
    }
    let path = s(&script.root);
    script.send_closing(
        1,
        Op::PathVersion {
            code: 13,
            path: path.clone(),
            version: -1,
        },
    );
    script.send_closing(
        1,
        Op::PathVersion {
            code: 13,
            path,
            version: 99,
        },
    );
    script.send_closing(1, Op::Sasl { token: None });
    script.send(
        1,
        Op::Sasl {
            token: Some(Vec::new()),
        },
    );
    script.send(1, Op::Sasl { token: s("second") });
    script.send(1, exists("/", false));
}

pub fn xids(script: &mut Script) {
    let root = script.root.clone();
    for xid in [0, 1, -3, -4, -5, -8, -9, -100, i32::MIN, i32::MAX, 7, 7, 6] {
        for op in [
            exists(&root, false),
            Op::Bare { code: PING },
            crate::make::set(&root, "y"),
        ] {
            script.step(Step::SendXid { slot: 0, xid, op });
        }
    }
    let op = crate::make::digest("user1:pw1");
    for xid in [-4, 5, 0] {
        script.step(Step::SendXid {
            slot: 0,
            xid,
            op: op.clone(),
        });
    }
    script.step(Step::SendXid {
        slot: 0,
        xid: -2,
        op: exists(&root, false),
    });
}
