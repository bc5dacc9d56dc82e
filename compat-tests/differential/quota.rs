//! Quota steps. They work below `<root>/q` and `/zookeeper/quota<root>/q` and keep to what Apache
//! survives: its bookkeeping throws, for good, on a stats node it cannot parse (see `deviations`).

use crate::codec::Bytes;
use crate::op::Op;
use crate::program::{Slot, Step};
use crate::rng::Rng;
use crate::values::{open_acl, s};

/// Limits in every form zkCli writes, and some it does not.
const LIMITS: [&str; 8] = [
    "count=3,bytes=-1",
    "count=3,bytes=40",
    "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=4",
    "count=-1,bytes=-1=;byteHardLimit=30;countHardLimit=-1",
    "count=2,bytes=10=;byteHardLimit=60;countHardLimit=6",
    "count=-1,bytes=-1=;byteHardLimit=0;countHardLimit=0",
    "count=-1,bytes=-1=;countHardLimit=5",
    "count=1,bytes=1",
];

fn create(path: String, data: Bytes) -> Op {
    Op::Create {
        code: 1,
        path: s(&path),
        data,
        acl: open_acl(),
        flags: 0,
    }
}

fn data(rng: &mut Rng) -> Bytes {
    match rng.below(6) {
        0 => None,
        1 => Some(Vec::new()),
        n => Some(vec![b'q'; n * rng.below(12)]),
    }
}

/// One step; most are a request below the quota, some change the quota itself.
pub fn quota_step(rng: &mut Rng, root: &str, slot: Slot) -> Step {
    let top = format!("{root}/q");
    let quota = format!("/zookeeper/quota{root}/q");
    let child = format!("{top}/{}", rng.pick(&["a", "b", "c", "a/x", "b/y", "d"]));
    let limits = rng.pick(&LIMITS);
    let one = |op| vec![op];
    let batch = match rng.weighted(&[12, 30, 25, 12, 6, 3, 3, 9]) {
        0 => vec![
            create(top, s("12345")),
            create(format!("/zookeeper/quota{root}"), None),
            create(quota.clone(), None),
            create(format!("{quota}/zookeeper_limits"), s(limits)),
            create(format!("{quota}/zookeeper_stats"), s("count=0,bytes=0")),
        ],
        1 => one(create(child, data(rng))),
        2 => one(Op::SetData {
            path: s(&child),
            data: data(rng),
            version: -1,
        }),
        3 => one(Op::PathVersion {
            code: 2,
            path: s(&child),
            version: -1,
        }),
        4 => {
            let path = s(&format!("{quota}/zookeeper_limits"));
            one(Op::SetData {
                path,
                data: s(limits),
                version: -1,
            })
        }
        5 => {
            let path = s(&format!("{quota}/zookeeper_limits"));
            one(Op::PathVersion {
                code: 2,
                path,
                version: -1,
            })
        }
        6 => {
            let path = s(&format!("{quota}/zookeeper_stats"));
            one(match rng.below(3) {
                0 => Op::SetData {
                    path,
                    data: s("count=1,bytes=2"),
                    version: -1,
                },
                1 => Op::Path { code: 6, path },
                _ => Op::PathVersion {
                    code: 2,
                    path,
                    version: -1,
                },
            })
        }
        _ => {
            let name = rng.pick(&["zookeeper_limits", "zookeeper_stats"]);
            let path = s(&format!("{quota}/{name}"));
            one(Op::PathWatch {
                code: 4,
                path,
                watch: rng.chance(40),
            })
        }
    };
    Step::Send {
        slot,
        batch,
        chunk: None,
    }
}
