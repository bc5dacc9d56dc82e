//! Local sessions at a leader and at a learner, step by step.

use super::*;
use crate::base::{Acl, ConnId, ServerId, Zxid};
use crate::pipeline::{ConnectRequest, Forward, Input, ServerOptions};
use crate::proto::txn::{CreateSessionTxn, Entry, ErrorTxn, Txn, TxnHeader};
use crate::session::SessionTracker;
use crate::tree::{DataTree, Item, TreeOptions};

const ME: i64 = 3;

fn at(mono_ms: i64) -> Now {
    Now {
        mono_ms,
        wall_ms: mono_ms,
    }
}

fn server(role: Role, upgrading: bool) -> Server {
    let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
    let options = ServerOptions {
        role,
        server_id: ServerId(ME),
        local_sessions: true,
        local_upgrading: upgrading,
        ..ServerOptions::default()
    };
    let sessions = Arc::new(match role {
        Role::Leader => SessionTracker::new(2000),
        _ => SessionTracker::of_learner(2000),
    });
    Server::new(tree, sessions, options, at(0))
}

/// A client with a session, and what came for it.
struct Client {
    inbox: Arc<Inbox>,
    session: SessionId,
    xid: i32,
}

impl Client {
    fn open(server: &mut Server, conn: u64) -> Self {
        let inbox = Inbox::new(ConnId(conn), vec![], Arc::new(|_, _| true));
        let request = ConnectRequest {
            inbox: inbox.clone(),
            session: SessionId::NONE,
            password: Box::default(),
            timeout: 4000,
        };
        let mut out = Effects::default();
        server.step(at(0), Input::Connect(request), &mut out);
        assert!(
            out.log.is_empty() && out.forward.is_empty(),
            "no transaction"
        );
        let session = match inbox.pop(Zxid(i64::MAX)) {
            Some(Item::Connected(_, c)) => c.session,
            other => panic!("{other:?}"),
        };
        Self {
            inbox,
            session,
            xid: 0,
        }
    }

    fn send(&mut self, server: &mut Server, op: OpCode, body: Vec<u8>) -> Effects {
        self.xid += 1;
        let request = Request {
            xid: self.xid,
            origin: Some(self.inbox.clone()),
            ..internal(self.session, op, body.into(), at(1))
        };
        let mut out = Effects::default();
        server.step(at(1), Input::Request(request), &mut out);
        out
    }

    /// Error of the next reply.
    fn error(&self) -> Option<i32> {
        match self.inbox.pop(Zxid(i64::MAX))? {
            Item::Reply(_, frame) => {
                let error = frame[16..20].try_into().unwrap();
                Some(i32::from_be_bytes(error))
            }
            other => panic!("{other:?}"),
        }
    }
}

fn create(p: &str, flags: i32) -> Vec<u8> {
    let mut body = Vec::new();
    body.string(Some(p));
    body.buffer(None);
    Some(Acl::open()).encode(&mut body);
    body.int(flags);
    body
}

fn multi(parts: &[(OpCode, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (op, part) in parts {
        MultiHeader {
            op: *op as i32,
            done: false,
            err: -1,
        }
        .encode(&mut body);
        body.extend(part);
    }
    MultiHeader::END.encode(&mut body);
    body
}

fn types(out: &Effects) -> Vec<i32> {
    let bytes = |op: &crate::pipeline::LogOp| match op {
        crate::pipeline::LogOp::Append(_, bytes) => Some(bytes.clone()),
        crate::pipeline::LogOp::Roll => None,
    };
    let op = |b: Arc<[u8]>| Entry::from_bytes(&b).unwrap().header.op;
    out.log.iter().filter_map(bytes).map(op).collect()
}

fn forwarded(out: &Effects) -> Vec<(OpCode, i32)> {
    let one = |f: &Forward| match f {
        Forward::Request { op, xid, .. } => (*op, *xid),
        Forward::Revalidate(..) => panic!("{f:?}"),
    };
    out.forward.iter().map(one).collect()
}

/// A transaction of the leader, as its learner gets it.
fn decide(server: &mut Server, client: &Client, xid: i32, zxid: i64, txn: &Txn<'_>) -> Effects {
    let op = match txn {
        Txn::CreateSession(_) => OpCode::CreateSession,
        _ => OpCode::Error,
    };
    let header = TxnHeader {
        client_id: client.session.0,
        cxid: xid,
        zxid,
        time: 0,
        op: op as i32,
    };
    let mut bytes = header.to_array().to_vec();
    txn.encode(&mut bytes);
    let mut out = Effects::default();
    server.step(at(2), Input::Decided(bytes.into()), &mut out);
    out
}

#[test]
fn what_wants_an_ephemeral_node() {
    let wants = |op, body: &[u8]| wants_ephemeral(op, body, 1000);
    assert!(wants(OpCode::Create, &create("/a", 1)));
    assert!(wants(OpCode::Create2, &create("/a", 3)));
    assert!(!wants(OpCode::Create, &create("/a", 2)));
    assert!(!wants(OpCode::CreateContainer, &create("/a", 1)));
    let plain = (OpCode::Create, create("/a", 0));
    let ephemeral = (OpCode::Create2, create("/b", 1));
    assert!(!wants(OpCode::Multi, &multi(std::slice::from_ref(&plain))));
    assert!(wants(
        OpCode::Multi,
        &multi(&[plain.clone(), ephemeral.clone()])
    ));
    let whole = multi(&[plain, ephemeral]);
    assert!(!wants(OpCode::Multi, &whole[..whole.len() - 9]), "cut off");
    assert!(!wants(OpCode::Create, &[]));
}

#[test]
fn it_opens_and_closes_without_a_transaction() {
    for role in [Role::Leader, Role::Learner] {
        let mut server = server(role, true);
        let mut client = Client::open(&mut server, 1);
        assert_eq!(server.sessions.local_len(), 1);
        assert!(server.snapshot_job().sessions.is_empty());
        let out = client.send(&mut server, OpCode::CloseSession, vec![]);
        assert!(out.log.is_empty() && out.forward.is_empty());
        assert_eq!(client.error(), Some(0), "{role:?}");
        assert!(matches!(client.inbox.pop(Zxid(1)), Some(Item::Close(_))));
        assert_eq!(server.sessions.local_len(), 0);
    }
}

#[test]
fn it_expires_where_it_is() {
    for role in [Role::Leader, Role::Learner, Role::ReadOnly] {
        let mut server = server(role, true);
        let client = Client::open(&mut server, 1);
        let due = server.sessions.next_local_deadline().unwrap();
        assert!(server.next_tick().is_some_and(|t| t <= due));
        let mut out = Effects::default();
        server.step(at(due), Input::Tick, &mut out);
        assert!(out.log.is_empty() && out.forward.is_empty(), "{role:?}");
        assert!(matches!(client.inbox.pop(Zxid(1)), Some(Item::Close(_))));
        assert!(server.sessions.get(client.session).is_none());
    }
}

#[test]
fn a_leader_upgrades_by_a_transaction_ahead_of_the_create() {
    let mut server = server(Role::Leader, true);
    let mut client = Client::open(&mut server, 1);
    let body = multi(&[(OpCode::Create, create("/e", 1))]);
    let out = client.send(&mut server, OpCode::Multi, body);
    assert_eq!(types(&out), [-10, 14]);
    assert_eq!(server.sessions.local_len(), 0);
    assert!(server.snapshot_job().sessions.is_empty(), "not decided yet");
    server.step(at(2), Input::Durable(Zxid(2)), &mut Effects::default());
    assert_eq!(client.error(), Some(0));
    assert_eq!(server.snapshot_job().sessions, [(client.session.0, 4000)]);
    let out = client.send(&mut server, OpCode::Create, create("/f", 1));
    assert_eq!(types(&out), [1], "once is enough");
}

#[test]
fn a_leader_that_must_not_upgrade_says_so_in_a_transaction() {
    let mut server = server(Role::Leader, false);
    let mut client = Client::open(&mut server, 1);
    let out = client.send(&mut server, OpCode::Create, create("/e", 1));
    assert_eq!(types(&out), [-1]);
    server.step(at(2), Input::Durable(Zxid(1)), &mut Effects::default());
    assert_eq!(client.error(), Some(Code::EphemeralOnLocalSession as i32));
    client.send(&mut server, OpCode::Create, create("/p", 0));
    server.step(at(2), Input::Durable(Zxid(2)), &mut Effects::default());
    assert_eq!(client.error(), Some(0), "it lives on");
}

#[test]
fn a_learner_upgrades_by_a_request_ahead_of_the_create() {
    let mut server = server(Role::Learner, true);
    let mut client = Client::open(&mut server, 1);
    client.send(&mut server, OpCode::Create, create("/p", 0));
    let out = client.send(&mut server, OpCode::Create2, create("/e", 3));
    let expected = [(OpCode::CreateSession, 0), (OpCode::Create2, 2)];
    assert_eq!(forwarded(&out), expected);
    let counts = |s: &Server| (s.sessions.local_len(), s.sessions.len());
    assert_eq!(counts(&server), (0, 0), "neither here nor there");
    assert_eq!(
        server.touched(-1).len(),
        1,
        "its life is the leader's to know"
    );
    decide(
        &mut server,
        &client,
        1,
        1,
        &Txn::Error(ErrorTxn { err: -101 }),
    );
    assert_eq!(client.error(), Some(-101));
    let opened = Txn::CreateSession(CreateSessionTxn { timeout: 4000 });
    decide(&mut server, &client, 0, 2, &opened);
    assert_eq!(counts(&server), (0, 1));
    assert_eq!(client.error(), None);
    assert_eq!(server.snapshot_job().sessions, [(client.session.0, 4000)]);
}

#[test]
fn a_learner_knows_the_reason_better_than_its_leader() {
    let mut server = server(Role::Learner, false);
    let mut client = Client::open(&mut server, 1);
    let out = client.send(&mut server, OpCode::Create, create("/e", 1));
    assert_eq!(forwarded(&out), [(OpCode::Create, 1)]);
    let expired = Txn::Error(ErrorTxn { err: -112 });
    decide(&mut server, &client, 1, 1, &expired);
    assert_eq!(client.error(), Some(Code::EphemeralOnLocalSession as i32));
}

#[test]
fn its_end_waits_for_what_it_asked_before() {
    let mut server = server(Role::Learner, true);
    let mut client = Client::open(&mut server, 1);
    client.send(&mut server, OpCode::Create, create("/p", 0));
    let mut path = Vec::new();
    path.string(Some("/"));
    client.send(&mut server, OpCode::Sync, path);
    client.send(&mut server, OpCode::CloseSession, vec![]);
    assert_eq!(client.error(), None);
    decide(
        &mut server,
        &client,
        1,
        1,
        &Txn::Error(ErrorTxn { err: -110 }),
    );
    assert_eq!(client.error(), Some(-110));
    assert_eq!(client.error(), None, "the sync is on its way");
    server.step(at(2), Input::Synced, &mut Effects::default());
    assert_eq!((client.error(), client.error()), (Some(0), Some(0)));
    assert_eq!(server.sessions.local_len(), 0);
}

#[test]
fn a_leader_takes_writes_of_other_servers_local_sessions_and_no_ephemerals() {
    let mut server = server(Role::Leader, true);
    let mut ask = |session: i64, flags: i32, p: &str| {
        let request = Request {
            owner: Owner::Link(7, ServerId(2)),
            ..internal(
                SessionId(session),
                OpCode::Create,
                create(p, flags).into(),
                at(1),
            )
        };
        let mut out = Effects::default();
        server.step(at(1), Input::Request(request), &mut out);
        types(&out)
    };
    let elsewhere = 0x0200_0000_0000_0001;
    assert_eq!(ask(elsewhere, 0, "/a"), [1]);
    assert_eq!(ask(elsewhere, 1, "/b"), [-1]);
    assert_eq!(
        ask(ME << 56 | 1, 0, "/c"),
        [-1],
        "one of ours would be known"
    );
}

#[test]
fn it_does_not_move() {
    let mut server = server(Role::Leader, true);
    let client = Client::open(&mut server, 1);
    assert!(!server.revalidate(Owner::Link(7, ServerId(2)), client.session, 4000, at(1)));
    server.sessions.upgrade(client.session, SessionKind::Global);
    assert!(server.revalidate(Owner::Link(7, ServerId(2)), client.session, 4000, at(1)));
}

#[test]
fn it_goes_on_at_its_own_server() {
    let mut server = server(Role::Learner, true);
    let client = Client::open(&mut server, 1);
    let connect = |session: SessionId| {
        let inbox = Inbox::new(ConnId(2), vec![], Arc::new(|_, _| true));
        let request = ConnectRequest {
            inbox: inbox.clone(),
            session,
            password: crate::session::password_of(session).into(),
            timeout: 5000,
        };
        (inbox, request)
    };
    let (inbox, request) = connect(client.session);
    let mut out = Effects::default();
    server.step(at(1), Input::Connect(request), &mut out);
    assert!(out.forward.is_empty(), "the leader does not know it");
    assert!(matches!(inbox.pop(Zxid(1)), Some(Item::Connected(_, c)) if c.timeout == 5000));
    assert!(matches!(client.inbox.pop(Zxid(1)), Some(Item::Close(_))));
    let (_, request) = connect(SessionId(5));
    server.step(at(1), Input::Connect(request), &mut out);
    assert!(matches!(out.forward[..], [Forward::Revalidate(..)]));
}
