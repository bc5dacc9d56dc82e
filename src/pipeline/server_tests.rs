//! The pure server, step by step.

use super::*;
use crate::base::ConnId;
use crate::config::RequestThrottle;
use crate::jute::Output as _;
use crate::pipeline::ConnectRequest;
use crate::tree::TreeOptions;

fn at(mono_ms: i64) -> Now {
    Now {
        mono_ms,
        wall_ms: mono_ms,
    }
}

fn server() -> Server {
    let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
    let options = ServerOptions::default();
    let sessions = Arc::new(SessionTracker::new(i64::from(options.tick_ms)));
    Server::new(tree, sessions, options, at(1000))
}

fn open(server: &mut Server, out: &mut Effects) -> Arc<Inbox> {
    let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
    let request = ConnectRequest {
        inbox: inbox.clone(),
        session: SessionId::NONE,
        password: Box::default(),
        timeout: 4000,
    };
    server.step(at(1000), Input::Connect(request), out);
    inbox
}

#[test]
fn nothing_is_answered_before_it_is_durable() {
    let (mut server, mut out) = (server(), Effects::default());
    let inbox = open(&mut server, &mut out);
    assert_eq!(out.log.len(), 1);
    assert!(inbox.is_empty());
    server.step(at(1001), Input::Durable(Zxid(1)), &mut out);
    assert!(matches!(inbox.pop(Zxid(1)), Some(Item::Connected(..))));
}

/// With `jute.maxbuffer` raised, a node may be larger than the default allows; also in a multi.
#[test]
fn the_configured_limit_is_the_limit() {
    use crate::base::Acl;
    use crate::jute::Jute;
    use crate::proto::request::{CreateRequest, MultiHeader};
    let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
    let sessions = Arc::new(SessionTracker::new(2000));
    let options = ServerOptions {
        value_max: 8 << 20,
        ..ServerOptions::default()
    };
    let mut server = Server::new(tree.clone(), sessions, options, at(1000));
    let data = vec![7; 3 << 20];
    let mut out = Effects::default();
    for (n, op) in [OpCode::Create, OpCode::Multi].into_iter().enumerate() {
        let name = format!("/big{n}");
        let mut body = Vec::new();
        if op == OpCode::Multi {
            MultiHeader {
                op: 1,
                done: false,
                err: -1,
            }
            .encode(&mut body);
        }
        let mut create = CreateRequest {
            path: Some((&*name).into()),
            ..Default::default()
        };
        create.data = Some(&data);
        create.path.encode(&mut body);
        body.buffer(create.data);
        Some(Acl::open()).encode(&mut body);
        body.int(0);
        if op == OpCode::Multi {
            MultiHeader::END.encode(&mut body);
        }
        let request = internal(SessionId::NONE, op, body.into(), at(1000));
        server.step(at(1000), Input::Request(request), &mut out);
        server.step(at(1000), Input::Durable(Zxid(n as i64 + 1)), &mut out);
        assert_eq!(
            tree.facts(&name).map(|f| f.data_len),
            Some(data.len()),
            "{name}"
        );
    }
}

/// Found by `compat-tests/model.rs`.
#[test]
fn zookeeper_2926_a_snapshot_holds_no_session_that_is_not_in_the_tree_yet() {
    let (mut server, mut out) = (server(), Effects::default());
    open(&mut server, &mut out);
    server.start_snapshot(&mut out);
    assert_eq!(out.snapshot.take().map(|job| job.sessions), Some(vec![]));
    server.step(at(1001), Input::Durable(Zxid(1)), &mut out);
    server.step(at(1001), Input::SnapshotDone, &mut out);
    server.start_snapshot(&mut out);
    assert_eq!(out.snapshot.map(|job| job.sessions.len()), Some(1));
}

/// Found by `compat-tests/model.rs`.
#[test]
fn the_reaper_takes_no_node_that_came_in_place_of_its_candidate() {
    use crate::jute::{Jute, Output};
    use crate::proto::request::CreateRequest;
    let (mut server, mut out) = (server(), Effects::default());
    let create = CreateRequest {
        path: Some("/a".into()),
        ..CreateRequest::default()
    };
    let mut body = Vec::new();
    create.path.encode(&mut body);
    body.buffer(None);
    Some(crate::base::Acl::open()).encode(&mut body);
    body.int(0);
    let request = internal(SessionId::NONE, OpCode::Create, body.into(), at(1000));
    server.step(at(1000), Input::Request(request), &mut out);
    let mut body = Vec::new();
    body.string(Some("/a"));
    let reap = internal(
        SessionId::NONE,
        OpCode::DeleteContainer,
        body.into(),
        at(1000),
    );
    server.step(at(1000), Input::Request(reap), &mut out);
    server.step(at(1000), Input::Durable(Zxid(2)), &mut out);
    assert!(server.tree.facts("/a").is_some());
}

/// One at a time; what waits too long is told so in its place, under the zxid of the last change.
#[test]
fn throttled_writes_wait_and_are_answered_in_turn() {
    let mut server = server();
    server.throttler = Throttler::new(
        RequestThrottle {
            max_requests: 1,
            throttled_op_wait_ms: Some(50),
            ..server.options.throttle.clone()
        },
        server.sessions.clone(),
    );
    let mut out = Effects::default();
    let inbox = open(&mut server, &mut out);
    server.step(at(1000), Input::Durable(Zxid(1)), &mut out);
    assert!(matches!(inbox.pop(Zxid(1)), Some(Item::Connected(..))));
    out.log.clear();
    let session = server.sessions.all()[0].0;
    for xid in 1..=3 {
        let mut body = Vec::new();
        body.string(Some("/nope"));
        body.int(-1);
        let mut request = internal(session, OpCode::Delete, body.into(), at(1000));
        (request.xid, request.origin) = (xid, Some(inbox.clone()));
        server.step(at(1000), Input::Request(request), &mut out);
    }
    assert_eq!(out.log.len(), 1);
    assert_eq!(
        server.next_tick(),
        Some(1100),
        "it looks again at the latest"
    );
    server.step(at(1040), Input::Durable(Zxid(2)), &mut out);
    assert_eq!(out.log.len(), 2, "an answer makes room");
    server.step(at(1060), Input::Durable(Zxid(3)), &mut out);
    assert_eq!(out.log.len(), 2, "the third waited for too long");
    let replies: Vec<_> = std::iter::from_fn(|| inbox.pop(Zxid(9)))
        .map(|item| match item {
            Item::Reply(zxid, frame) => (zxid.0, frame[7], frame[19] as i8),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(replies, [(2, 1, -101), (3, 2, -101), (3, 3, -127)]);
}

#[test]
fn sessions_expire_also_when_inputs_never_cease() {
    let (mut server, mut out) = (server(), Effects::default());
    let inbox = open(&mut server, &mut out);
    server.step(at(1001), Input::Durable(Zxid(1)), &mut out);
    out.log.clear();
    for ms in 1002..=6000 {
        server.step(at(ms), Input::SnapshotDone, &mut out);
    }
    assert_eq!(out.log.len(), 1, "one closeSession");
    server.step(at(6001), Input::Durable(Zxid(2)), &mut out);
    assert!(server.sessions.is_empty());
    inbox.pop(Zxid(9));
    assert!(matches!(inbox.pop(Zxid(9)), Some(Item::Close(Zxid(2)))));
}

/// The list of a closing session's nodes is cut where a reader would refuse it; they all go.
#[test]
fn zookeeper_4306_a_session_with_too_many_ephemerals_ends_in_a_record_that_can_be_read() {
    use crate::jute::Jute;
    use crate::proto::txn::{Entry, Txn};
    let (mut server, mut out) = (server(), Effects::default());
    open(&mut server, &mut out);
    let session = server.sessions.all()[0].0;
    let long = "x".repeat(4_000);
    for n in 0..300 {
        let mut body = Vec::new();
        body.string(Some(&format!("/{n}-{long}")));
        body.buffer(None);
        Some(crate::base::Acl::open()).encode(&mut body);
        body.int(1);
        let create = internal(session, OpCode::Create, body.into(), at(1000));
        server.step(at(1000), Input::Request(create), &mut out);
    }
    server.step(at(1000), Input::Durable(Zxid(301)), &mut out);
    assert_eq!(server.tree.ephemerals_of(session).len(), 300);
    out.log.clear();
    let close = internal(session, OpCode::CloseSession, Box::default(), at(1000));
    server.step(at(1000), Input::Request(close), &mut out);
    let Some(LogOp::Append(zxid, bytes)) = out.log.first() else {
        panic!("nothing is logged")
    };
    assert!(bytes.len() < crate::base::limits::MAX_BUFFER_DEFAULT);
    let entry = Entry::from_bytes(bytes).expect("a record");
    assert!(matches!(entry.txn, Txn::CloseSession(Some(_))));
    server.step(at(1001), Input::Durable(*zxid), &mut out);
    assert!(server.tree.ephemerals_of(session).is_empty());
    assert_eq!(server.sessions.all(), []);
}

/// Found by the simulator, and so in Apache: a client closes what expires already. The second end
/// ends nothing more.
#[test]
fn a_session_may_be_closed_twice() {
    let (mut server, mut out) = (server(), Effects::default());
    let inbox = open(&mut server, &mut out);
    server.step(at(1000), Input::Durable(Zxid(1)), &mut out);
    let Some(Item::Connected(_, c)) = inbox.pop(Zxid(1)) else {
        panic!("no session");
    };
    let mut closed = |at_ms: i64, input: Input| {
        let mut out = Effects::default();
        server.step(at(at_ms), input, &mut out);
        let closes = |op: &LogOp| matches!(op, LogOp::Append(..));
        out.log.iter().filter(|op| closes(op)).count()
    };
    assert_eq!(closed(20_000, Input::Tick), 1);
    let close = Request {
        xid: 7,
        origin: Some(inbox.clone()),
        ..internal(c.session, OpCode::CloseSession, Box::default(), at(20_000))
    };
    assert_eq!(closed(20_000, Input::Request(close)), 1);
    closed(20_001, Input::Durable(Zxid(2)));
    assert!(matches!(inbox.pop(Zxid(2)), Some(Item::Close(_))));
    closed(20_002, Input::Durable(Zxid(3)));
    assert!(matches!(inbox.pop(Zxid(3)), Some(Item::Reply(Zxid(3), _))));
    assert!(server.sessions.is_empty());
    assert_eq!(server.tree.applied(), Zxid(3));
}
