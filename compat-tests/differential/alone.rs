//! The deviations on purpose that programs keep away from, checked against our server alone: each
//! check states the answer we want where Apache's would differ, depend on timing, or end the server.

use std::time::Duration;

use crate::codec::{Bytes, frame};
use crate::conn::{Conn, Got};
use crate::make::{
    acl, create, create_as, create_data, create_ttl, delete, exists, get, mangled, multi, set,
    set_acl,
};
use crate::op::{CLOSE, Mangle, Op, PING, ZxidRef};
use crate::profiles::Profile;
use crate::program::{Hello, Password, Step};
use crate::runner::Ledger;
use crate::servers::{Launcher, Server};
use crate::values::{open_acl, s};
use crate::view::Seen;
use crate::world::{LONG_TIMEOUT_MS, Outcome, Place, World};

/// What a check needs to know of the outcome of a step.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Reply with this error code.
    Err(i32),
    Closed,
    Rejected,
    Other,
}

struct Alone {
    world: World,
    server: Server,
}

type Check = fn(&mut Alone) -> Result<(), String>;

const CHECKS: [(&str, Check); 11] = [
    ("DEV-2", password_first),
    ("DEV-3", create_session),
    ("DEV-4", delete_container),
    ("DEV-5", ttl_modes),
    ("DEV-6", quota_nodes),
    ("DEV-7", undecodable),
    ("DEV-9", delete_behind_close),
    ("DEV-10", unknown_in_order),
    ("DEV-11", container_stays),
    ("DEV-12", new_acl_counts),
    ("DEV-1", plain_utf8),
];

/// Runs every check on one server. A failed check counts as a difference.
pub fn section(launcher: &Launcher, ledger: &mut Ledger) -> Result<(), String> {
    let profile = Profile::named("main")?;
    let server = Server::start(launcher, profile)?;
    let world = World::open(server.addr, None)?;
    let mut alone = Alone { world, server };
    let before = ledger.differences;
    for (id, check) in CHECKS {
        for slot in 0..3 {
            alone.connect(slot);
        }
        ledger.tally.count(id);
        if let Err(why) = check(&mut alone).and_then(|()| alone.still_there()) {
            ledger.differences += 1;
            println!("DIFFERENCE alone {id}: {why}");
        }
        for slot in 0..3 {
            alone.world.run(&Step::Finish { slot });
        }
    }
    let found = ledger.differences - before;
    println!(
        "alone: {} deviations checked, {found} differences",
        CHECKS.len()
    );
    Ok(())
}

impl Alone {
    fn connect(&mut self, slot: usize) {
        let hello = Hello::new(LONG_TIMEOUT_MS);
        self.world.run(&Step::Connect {
            slot,
            hello,
            take_over: false,
            then: Vec::new(),
        });
    }

    fn still_there(&mut self) -> Result<(), String> {
        if self.server.is_running() {
            return self.want("the server is gone", exists("/", false), &[0]);
        }
        Err(format!("the server ended; {}", self.server.log_tail()))
    }

    fn answers(&mut self, slot: usize, batch: Vec<Op>) -> Vec<Answer> {
        let outcome = self.world.run(&Step::Send {
            slot,
            batch,
            chunk: None,
        });
        of_slot(&outcome, Place::Slot(slot))
    }

    /// Sends one request on slot 0 and wants one of some error codes.
    fn want(&mut self, what: &str, op: Op, codes: &[i32]) -> Result<(), String> {
        let shown = op.to_string();
        let answers = self.answers(0, vec![op]);
        match answers.as_slice() {
            [Answer::Err(err)] if codes.contains(err) => Ok(()),
            other => Err(format!("{what}: {shown}: {other:?}, wanted {codes:?}")),
        }
    }

    /// The monitor's zxid, which no request of a check moves.
    fn zxid(&mut self) -> i64 {
        let outcome = self.world.run(&Step::Drop { slot: 4 });
        let barrier = outcome
            .iter()
            .flat_map(|(_, seen)| seen)
            .find_map(|seen| match seen {
                Seen::Barrier { zxid, .. } => Some(*zxid),
                _ => None,
            });
        barrier.unwrap_or(-1)
    }
}

fn of_slot(outcome: &Outcome, place: Place) -> Vec<Answer> {
    crate::compare::at(outcome, place)
        .iter()
        .filter_map(|seen| match seen {
            Seen::Barrier { .. } | Seen::Event { .. } => None,
            Seen::Reply { err, .. } => Some(Answer::Err(*err)),
            Seen::Closed => Some(Answer::Closed),
            Seen::Hello { timeout: 0, .. } => Some(Answer::Rejected),
            _ => Some(Answer::Other),
        })
        .collect()
}

fn expect(what: &str, got: &[Answer], wanted: &[Answer]) -> Result<(), String> {
    if got == wanted {
        Ok(())
    } else {
        Err(format!("{what}: {got:?}, wanted {wanted:?}"))
    }
}

/// A stranger with a wrong password is rejected, and the client's connection stays open.
fn password_first(alone: &mut Alone) -> Result<(), String> {
    let id = alone.world.session(0);
    let mut conn = Conn::open(alone.server.addr).map_err(|e| e.to_string())?;
    let hello = Hello::again(LONG_TIMEOUT_MS, Password::Wrong, ZxidRef::Exact(0));
    conn.send(&frame(&hello.encode(0, (id, [0; 16]))));
    let wait = Duration::from_secs(5);
    match (conn.next(wait), conn.next(wait)) {
        (Got::Frame(answer), Got::Closed) if answer[4..16] == [0; 12] => {}
        other => return Err(format!("the stranger saw {other:?}")),
    }
    alone.want("the client was cut off", exists("/", false), &[0])
}

fn create_session(alone: &mut Alone) -> Result<(), String> {
    let op = Op::PathKind {
        code: -10,
        path: None,
        kind: 0,
    };
    let got = alone.answers(0, vec![op]);
    expect("createSession", &got, &[Answer::Err(-6), Answer::Closed])?;
    alone.connect(0);
    Ok(())
}

fn delete_container(alone: &mut Alone) -> Result<(), String> {
    alone.want("prepare", create_as(19, "/container", 4, open_acl()), &[0])?;
    let op = Op::Path {
        code: 20,
        path: s("/container"),
    };
    expect(
        "deleteContainer",
        &alone.answers(1, vec![op]),
        &[Answer::Err(-6), Answer::Closed],
    )?;
    alone.want("the container is gone", exists("/container", false), &[0])
}

fn ttl_modes(alone: &mut Alone) -> Result<(), String> {
    for flags in 0..=4 {
        for ttl in [-1, -2, i64::MIN] {
            alone.want("not a TTL mode", create_ttl("/ttl", flags, ttl), &[-8])?;
            // Inside a multi the flags decide, so it may succeed; the server must survive it.
            let inner = multi(vec![create_ttl("/ttl", flags, ttl), delete("/absent")]);
            alone.want("inside a multi", inner, &[0, -5])?;
        }
    }
    alone.want("nothing was made", exists("/ttl", false), &[-101])
}

/// Everything that poisons Apache's log, followed by writes that would trip over it.
fn quota_nodes(alone: &mut Alone) -> Result<(), String> {
    let fine = [0];
    let node = |path: &str, data: Bytes| create_data(path, data);
    alone.want(
        "limits at the top",
        node("/zookeeper/quota/zookeeper_limits", s("count=1,bytes=1")),
        &fine,
    )?;
    alone.want(
        "stats at the top",
        node("/zookeeper/quota/zookeeper_stats", s("count=0,bytes=0")),
        &fine,
    )?;
    alone.want("a write beside", create("/quota-a", 0), &fine)?;
    alone.want(
        "delete limits",
        delete("/zookeeper/quota/zookeeper_limits"),
        &fine,
    )?;
    alone.want(
        "delete stats",
        delete("/zookeeper/quota/zookeeper_stats"),
        &fine,
    )?;
    for parent in ["/zookeeper1", "/zookeeper/a", "/zookeeper", "/plain"] {
        if parent != "/zookeeper" {
            alone.want("prepare", create(parent, 0), &fine)?;
        }
        let limits = format!("{parent}/zookeeper_limits");
        alone.want(
            "limits elsewhere",
            node(&limits, s("count=1,bytes=1")),
            &fine,
        )?;
        alone.want("delete limits elsewhere", delete(&limits), &fine)?;
    }
    let top = "/quota-b";
    let quota = format!("/zookeeper/quota{top}");
    alone.want("prepare", create(top, 0), &fine)?;
    alone.want("prepare", create(&quota, 0), &fine)?;
    let limits = format!("{quota}/zookeeper_limits");
    let usage = format!("{quota}/zookeeper_stats");
    alone.want("prepare", node(&limits, s("count=100,bytes=1000")), &fine)?;
    alone.want("prepare", node(&usage, s("count=0,bytes=0")), &fine)?;
    for (n, data) in [
        None,
        s(""),
        s("nonsense"),
        s("count=x,bytes=y"),
        Some(vec![0xff]),
    ]
    .into_iter()
    .enumerate()
    {
        let path = s(&usage);
        alone.want(
            "odd usage",
            Op::SetData {
                path,
                data: data.clone(),
                version: -1,
            },
            &fine,
        )?;
        alone.want("a write below", create(&format!("{top}/u{n}"), 0), &fine)?;
        alone.want("a write below", set(top, "data"), &fine)?;
        let path = s(&limits);
        alone.want(
            "odd limits",
            Op::SetData {
                path,
                data,
                version: -1,
            },
            &fine,
        )?;
        // Whether odd limits refuse the write is open; the server must live.
        alone.want(
            "a write below",
            create(&format!("{top}/l{n}"), 0),
            &[0, -5, -125],
        )?;
    }
    alone.want("delete odd limits", delete(&limits), &fine)?;
    alone.want("delete odd usage", delete(&usage), &fine)?;
    alone.want(
        "a write at the end",
        create(&format!("{top}/end"), 0),
        &fine,
    )
}

/// A write that cannot be decoded takes no zxid.
fn undecodable(alone: &mut Alone) -> Result<(), String> {
    let before = alone.zxid();
    for op in [
        create("/never", 0),
        delete("/never"),
        set("/never", "x"),
        set_acl("/never", open_acl()),
    ] {
        alone.want("undecodable", mangled(op, Mangle::Truncate(3)), &[-5])?;
    }
    match alone.zxid() {
        after if after == before => Ok(()),
        after => Err(format!("the zxid went from {before} to {after}")),
    }
}

/// A delete that comes to the server after a closeSession must not see its ephemerals any more.
fn delete_behind_close(alone: &mut Alone) -> Result<(), String> {
    for round in 0..40 {
        let parent = format!("/close{round}");
        alone.want("prepare", create(&parent, 0), &[0])?;
        alone.connect(3);
        let made = alone.answers(3, vec![create(&format!("{parent}/e"), 1)]);
        expect("prepare", &made, &[Answer::Err(0)])?;
        let close = Op::Bare { code: CLOSE };
        let (close_zxid, delete_zxid, delete_err) =
            alone.world.race([(3, close), (0, delete(&parent))])?;
        if delete_err == -111 && delete_zxid > close_zxid {
            return Err(format!(
                "-111 at zxid {delete_zxid}, behind the close at {close_zxid}"
            ));
        }
    }
    Ok(())
}

fn unknown_in_order(alone: &mut Alone) -> Result<(), String> {
    let batch = vec![
        create("/ordered", 0),
        get("/ordered", false),
        Op::Bare { code: 99 },
    ];
    let wanted = [
        Answer::Err(0),
        Answer::Err(0),
        Answer::Err(-6),
        Answer::Closed,
    ];
    expect("create, get, unknown", &alone.answers(1, batch), &wanted)
}

fn container_stays(alone: &mut Alone) -> Result<(), String> {
    for round in 0..20 {
        let path = format!("/stays{round}");
        alone.connect(3);
        let batch = vec![
            create_as(19, &path, 1, open_acl()),
            Op::Bare { code: CLOSE },
        ];
        let wanted = [Answer::Err(0), Answer::Err(0), Answer::Closed];
        expect("container, close", &alone.answers(3, batch), &wanted)?;
        alone.want(
            "the container went with the session",
            exists(&path, false),
            &[0],
        )?;
    }
    Ok(())
}

fn new_acl_counts(alone: &mut Alone) -> Result<(), String> {
    for round in 0..20 {
        let path = format!("/acl{round}");
        let child = format!("{path}/c");
        let batch = vec![
            create_as(1, &path, 0, acl(17, "world", "anyone")),
            create(&child, 0),
            set_acl(&path, open_acl()),
            create(&child, 0),
            set_acl(&path, acl(17, "world", "anyone")),
            delete(&child),
            Op::Bare { code: PING },
        ];
        let wanted = [0, -102, 0, 0, 0, -102, 0].map(Answer::Err);
        expect(
            "ACL changes in a pipeline",
            &alone.answers(1, batch),
            &wanted,
        )?;
    }
    Ok(())
}

/// A non-BMP character of an ACL id comes back as it went in.
fn plain_utf8(alone: &mut Alone) -> Result<(), String> {
    let id = "\u{1f600}:h\u{1f600}";
    alone.want(
        "prepare",
        create_as(1, "/utf8", 0, acl(31, "digest", id)),
        &[0],
    )?;
    let login = crate::make::super_user();
    alone.want("prepare", login, &[0])?;
    let outcome = alone.world.run(&Step::Send {
        slot: 0,
        batch: vec![crate::make::get_acl("/utf8")],
        chunk: None,
    });
    let shown = format!("{:?}", crate::compare::at(&outcome, Place::Slot(0)));
    let wanted = format!("{:?}", s(id));
    if shown.contains(&wanted) {
        Ok(())
    } else {
        Err(format!("{shown} lacks {wanted}"))
    }
}
