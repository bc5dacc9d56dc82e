//! The counters section: a few clients whose answers, and what the servers counted meanwhile, must be
//! the same; most under a throttle that acts.

use std::time::{Duration, Instant};

use crate::codec::{Dec, Enc, frame, session_password};
use crate::conn::{Conn, Got};
use crate::make::{children, create, create_data, delete, exists, get, multi, set};
use crate::pair::Launchers;
use crate::profiles::Profile;
use crate::runner::Ledger;
use crate::servers::{Launcher, Server};

/// Time for one answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A configuration, and what clients do under it; they tell what they saw, line by line.
struct Case {
    name: &'static str,
    properties: &'static [&'static str],
    act: fn(&Server) -> Vec<String>,
    /// Keys of `mntr` that count the same on both servers.
    counters: &'static [&'static str],
}

const CASES: [Case; 7] = [
    Case {
        name: "watches",
        properties: &[],
        act: watches,
        counters: &[
            "zk_cnt_node_created_watch_count",
            "zk_sum_node_created_watch_count",
            "zk_cnt_node_changed_watch_count",
            "zk_sum_node_changed_watch_count",
            "zk_cnt_node_children_watch_count",
            "zk_sum_node_children_watch_count",
            "zk_cnt_node_deleted_watch_count",
            "zk_sum_node_deleted_watch_count",
            "zk_watch_bytes",
            "zk_response_bytes",
            "zk_outstanding_changes_queued",
            "zk_outstanding_changes_removed",
            "zk_cnt_updatelatency",
        ],
    },
    Case {
        name: "connection tokens",
        properties: &[
            "zookeeper.connection_throttle_tokens=2",
            "zookeeper.connection_throttle_fill_count=0",
        ],
        act: tokens,
        counters: &[
            "zk_connection_rejected",
            "zk_connection_request_count",
            "zk_cnt_connection_token_deficit",
            "zk_sum_connection_token_deficit",
            "zk_max_connection_token_deficit",
            "zk_connection_drop_probability",
        ],
    },
    Case {
        name: "weights of sessions",
        properties: &[
            "zookeeper.connection_throttle_tokens=2",
            "zookeeper.connection_throttle_fill_count=0",
            "zookeeper.connection_throttle_weight_enabled=true",
        ],
        act: weights,
        counters: &[
            "zk_connection_rejected",
            "zk_sum_connection_token_deficit",
            "zk_max_connection_token_deficit",
        ],
    },
    Case {
        name: "random drop",
        properties: &[
            "zookeeper.connection_throttle_tokens=1",
            "zookeeper.connection_throttle_fill_count=0",
            "zookeeper.connection_throttle_freeze_time=1",
            "zookeeper.connection_throttle_drop_increase=1",
        ],
        act: drops,
        counters: &["zk_connection_drop_probability"],
    },
    Case {
        name: "large requests",
        properties: &[
            "zookeeper.largeRequestThreshold=1000",
            "zookeeper.largeRequestMaxBytes=2000",
        ],
        act: large,
        counters: &["zk_large_requests_rejected", "zk_connection_rejected"],
    },
    Case {
        name: "requests in process",
        properties: &["zookeeper.request_throttle_max_requests=1"],
        act: one_at_a_time,
        counters: &["zk_throttled_ops", "zk_stale_requests_dropped"],
    },
    Case {
        name: "requests that wait too long",
        properties: &[
            "zookeeper.request_throttle_max_requests=1",
            "zookeeper.throttled_op_wait_time=1",
        ],
        act: too_late,
        counters: &[],
    },
];

/// Runs every case on both servers.
pub fn section(launchers: &Launchers, ledger: &mut Ledger) -> Result<(), String> {
    let mut found = 0;
    for case in &CASES {
        let left = observe(&launchers.left, case)?;
        let right = observe(&launchers.right, case)?;
        ledger.steps += left.len();
        if left != right {
            found += 1;
            println!("DIFFERENCE counters {}", case.name);
            println!("    {}: {left:?}", launchers.left.name);
            println!("    {}: {right:?}", launchers.right.name);
        }
    }
    ledger.differences += found;
    println!("counters: {} cases, {found} differences", CASES.len());
    Ok(())
}

fn observe(launcher: &Launcher, case: &Case) -> Result<Vec<String>, String> {
    let profile = Profile {
        name: case.name,
        why: "",
        config: &["4lw.commands.whitelist=*"],
        properties: case.properties,
        enforces_auth: false,
        scripted_by_default: false,
        share: 0,
    };
    let server = Server::start(launcher, &profile)?;
    let mut lines = (case.act)(&server);
    lines.extend(case.counters.iter().map(|key| counter(&server, key)));
    Ok(lines)
}

fn counter(server: &Server, key: &str) -> String {
    let Ok(mut conn) = Conn::open(server.addr) else {
        return "no connection".to_owned();
    };
    conn.send(b"mntr");
    let (answer, _) = conn.read_to_end(ANSWER);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let line = answer.lines().find(|l| l.split('\t').next() == Some(key));
    line.unwrap_or("no such key").to_owned()
}

/// Connects, to `session` unless that is 0: the connection, the session, and what happened.
fn connect(server: &Server, session: i64) -> (Option<(Conn, i64)>, &'static str) {
    let Ok(mut conn) = Conn::open(server.addr) else {
        return (None, "no connection");
    };
    let mut hello = Enc::default();
    hello.i32(0);
    hello.i64(0);
    hello.i32(30_000);
    hello.i64(session);
    let password = match session {
        0 => vec![0; 16],
        s => session_password(s).to_vec(),
    };
    hello.bytes(&Some(password));
    hello.bool(false);
    conn.send(&frame(&hello.0));
    match conn.next(ANSWER) {
        Got::Frame(answer) => {
            let mut dec = Dec::new(&answer);
            let (_, timeout) = (dec.i32("version"), dec.i32("timeout"));
            match (timeout, dec.i64("session")) {
                (Ok(1..), Ok(session)) => (Some((conn, session)), "a session"),
                _ => (None, "refused"),
            }
        }
        Got::Closed => (None, "closed"),
        Got::Silent | Got::BadLength(_) => (None, "no answer"),
    }
}

/// A create whose whole frame, without its length, is `len` bytes, or as short as it can be.
fn sized(xid: i32, path: &str, len: usize) -> Vec<u8> {
    let payload = |data: usize| create_data(path, Some(vec![7; data])).encode(xid, 0);
    frame(&payload(len.saturating_sub(payload(0).len())))
}

/// xid and error of the next reply.
fn answer(conn: &mut Conn) -> Result<(i32, i32), &'static str> {
    match conn.next(ANSWER) {
        Got::Frame(reply) => {
            let mut dec = Dec::new(&reply);
            let (xid, _, err) = (dec.i32("xid"), dec.i64("zxid"), dec.i32("err"));
            xid.and_then(|xid| Ok((xid, err?))).map_err(|_| "no reply")
        }
        Got::Closed => Err("closed"),
        Got::Silent | Got::BadLength(_) => Err("no answer"),
    }
}

/// Two clients that watch the same nodes, and one of them changes those; a multi fails, too.
fn watches(server: &Server) -> Vec<String> {
    let (Some((a, _)), Some((b, _))) = (connect(server, 0).0, connect(server, 0).0) else {
        return vec!["no session".to_owned()];
    };
    let mut clients = [a, b];
    let mut lines = Vec::new();
    for (xid, op) in (1..).zip([
        exists("/w", true),
        create("/w", 0),
        get("/w", true),
        children("/w", true),
        set("/w", "1"),
        create("/w/c", 1),
        get("/w/c", true),
        children("/w/c", true),
        children("/w", true),
        delete("/w/c"),
        multi(vec![create("/w/d", 0), delete("/w/none")]),
        create("/w", 0),
    ]) {
        let request = frame(&op.encode(xid, 0));
        let asked = if matches!(op.code(), 3 | 4 | 12) {
            2
        } else {
            1
        };
        for conn in &mut clients[..asked] {
            conn.send(&request);
            // Events come before the reply to what caused them.
            let mut got = answer(conn);
            while matches!(got, Ok((-1, _))) {
                got = answer(conn);
            }
            lines.push(format!("{op}: {got:?}"));
        }
    }
    lines
}

fn tokens(server: &Server) -> Vec<String> {
    (0..4).map(|_| connect(server, 0).1.to_owned()).collect()
}

/// A new session is 3 of 6 tokens and a renewed one 2, so that there is no second one.
fn weights(server: &Server) -> Vec<String> {
    let (first, seen) = connect(server, 0);
    let session = first.map_or(0, |(_, session)| session);
    let (again, other) = (connect(server, session).1, connect(server, 0).1);
    [seen, again, other].map(str::to_owned).to_vec()
}

/// Once the only token is gone, and after the freeze time, everyone is dropped.
fn drops(server: &Server) -> Vec<String> {
    let mut seen = vec![connect(server, 0).1.to_owned()];
    let deadline = Instant::now() + ANSWER;
    while !counter(server, "zk_connection_drop_probability").ends_with("1.0")
        && Instant::now() < deadline
    {
        let refused = connect(server, 0).1.to_owned();
        if seen.last() != Some(&refused) {
            seen.push(refused);
        }
    }
    seen
}

/// Of these lengths the last are too long to be let in, one by its whole frame and one alone.
fn large(server: &Server) -> Vec<String> {
    let each = [100, 1000, 1001, 2000, 2001, 5000].map(|len| {
        let (Some((mut conn, _)), _) = connect(server, 0) else {
            return format!("{len}: no session");
        };
        conn.send(&sized(1, &format!("/n{len}"), len));
        format!("{len}: {:?}", answer(&mut conn))
    });
    each.to_vec()
}

/// Two clients that pipeline: throttled or not, all is done, and in order.
fn one_at_a_time(server: &Server) -> Vec<String> {
    let (Some((mut a, _)), Some((mut b, _))) = (connect(server, 0).0, connect(server, 0).0) else {
        return vec!["no session".to_owned()];
    };
    for xid in 1..=40 {
        a.send(&sized(xid, &format!("/a{xid}"), 0));
        b.send(&sized(xid, &format!("/b{}", xid / 2), 0));
    }
    let all = |conn: &mut Conn| (1..=40).map(|_| format!("{:?}", answer(conn))).collect();
    let (mut lines, rest): (Vec<String>, Vec<String>) = (all(&mut a), all(&mut b));
    lines.extend(rest);
    lines
}

/// How many come too late is a matter of time; that all are answered in their places is not.
fn too_late(server: &Server) -> Vec<String> {
    let Some((mut conn, _)) = connect(server, 0).0 else {
        return vec!["no session".to_owned()];
    };
    let batch: Vec<u8> = (1..=100)
        .flat_map(|xid| sized(xid, &format!("/late{xid}"), 20_000))
        .collect();
    conn.send(&batch);
    let shown = |n: i32| match answer(&mut conn) {
        Ok((xid, 0 | -127)) if xid == n => "done or too late".to_owned(),
        other => format!("{other:?}"),
    };
    (1..=100).map(shown).collect()
}
