//! Roles that change under sessions, step by step.

use std::sync::Arc;

use super::*;
use crate::base::{Acl, ConnId, ServerId, SessionId};
use crate::jute::{Jute, Output};
use crate::pipeline::server::internal;
use crate::pipeline::{ConnectRequest, Forward, Input, LogOp, ServerOptions};
use crate::proto::txn::Entry;
use crate::session::SessionTracker;
use crate::tree::{DataTree, Inbox, Item, TreeOptions};

const ME: ServerId = ServerId(3);
const ELSEWHERE: SessionId = SessionId(0x0200_0000_0000_0001);

fn at(mono_ms: i64) -> Now {
    Now {
        mono_ms,
        wall_ms: mono_ms,
    }
}

/// A server of an ensemble with local sessions, whose next zxid is behind `last`.
fn server(role: Role, last: Zxid) -> Server {
    let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
    tree.set_loaded(last);
    let options = ServerOptions {
        role,
        server_id: ME,
        local_sessions: true,
        local_upgrading: true,
        ..ServerOptions::default()
    };
    let sessions = Arc::new(match role {
        Role::Leader => SessionTracker::new(2000),
        _ => SessionTracker::of_learner(2000),
    });
    Server::new(tree, sessions, options, at(0))
}

fn ask(server: &mut Server, request: Request) -> Effects {
    let mut out = Effects::default();
    server.step(at(1), Input::Request(request), &mut out);
    out
}

fn ephemeral(session: SessionId, owner: Owner, p: &str) -> Request {
    let mut body = Vec::new();
    body.string(Some(p));
    body.buffer(None);
    Some(Acl::open()).encode(&mut body);
    body.int(1);
    Request {
        owner,
        ..internal(session, OpCode::Create, body.into(), at(1))
    }
}

fn opening(session: SessionId, owner: Owner) -> Request {
    let mut body = Vec::new();
    body.int(4000);
    Request {
        owner,
        ..internal(session, OpCode::CreateSession, body.into(), at(1))
    }
}

fn types(out: &Effects) -> Vec<i32> {
    let entry = |op: &LogOp| match op {
        LogOp::Append(_, bytes) => Some(Entry::from_bytes(bytes).unwrap().header.op),
        LogOp::Roll => None,
    };
    out.log.iter().filter_map(entry).collect()
}

fn resume(server: &mut Server, conn: u64, session: SessionId) -> (Arc<Inbox>, Effects) {
    let inbox = Inbox::new(ConnId(conn), vec![], Arc::new(|_, _| true));
    let request = ConnectRequest {
        inbox: inbox.clone(),
        session,
        password: match session {
            SessionId::NONE => Box::default(),
            s => crate::session::password_of(s).into(),
        },
        timeout: 4000,
    };
    let mut out = Effects::default();
    server.step(at(1), Input::Connect(request), &mut out);
    (inbox, out)
}

/// Found by the simulator: the opening was held, its session counted, and an ephemeral node came
/// before the session.
#[test]
fn a_session_whose_opening_is_held_is_not_known() {
    let mut server = server(Role::Leader, Zxid(0xffff_fffe));
    let link = Owner::Link(7);
    let out = ask(&mut server, opening(ELSEWHERE, link));
    assert!(out.exhausted && out.log.is_empty());
    assert!(!server.revalidate(8, ELSEWHERE, 4000, at(1)));
    let mut out = Effects::default();
    server.resign(&mut out);
    assert!(out.forward.is_empty(), "its learner sends it again");
    server.lead(Zxid(1 << 32), at(2), &mut out);
    let out = ask(&mut server, ephemeral(ELSEWHERE, link, "/e"));
    assert_eq!(types(&out), [-1], "not before its session");
    assert_eq!(types(&ask(&mut server, opening(ELSEWHERE, link))), [-10]);
    let out = ask(&mut server, ephemeral(ELSEWHERE, link, "/e"));
    assert_eq!(types(&out), [1]);
}

/// The same with a session of the leader itself, whose opening takes the last zxid, or would.
#[test]
fn an_upgrade_at_the_end_of_an_epoch_is_all_held_or_all_but_the_opening() {
    for (last, logged) in [(0xffff_fffe, vec![]), (0xffff_fffd, vec![-10])] {
        let mut server = server(Role::Leader, Zxid(last));
        let (inbox, _) = resume(&mut server, 1, SessionId::NONE);
        let Some(Item::Connected(_, c)) = inbox.pop(Zxid(i64::MAX)) else {
            panic!("no session");
        };
        let request = Request {
            origin: Some(inbox),
            xid: 5,
            ..ephemeral(c.session, Owner::Here, "/e")
        };
        let out = ask(&mut server, request);
        assert!(out.exhausted);
        assert_eq!(types(&out), logged);
        assert_eq!(server.sessions.is_local(c.session), logged.is_empty());
        let mut out = Effects::default();
        if !logged.is_empty() {
            server.step(at(2), Input::Durable(Zxid(last + 1)), &mut out);
        }
        server.resign(&mut out);
        server.lead(Zxid(1 << 32), at(2), &mut out);
        let mut all = logged;
        all.extend(types(&out));
        assert_eq!(all, [-10, 1]);
    }
}

#[test]
fn the_leaders_word_makes_no_session_the_ensembles() {
    let mut server = server(Role::Learner, Zxid(5));
    let (inbox, out) = resume(&mut server, 1, ELSEWHERE);
    assert!(matches!(out.forward[..], [Forward::Revalidate(..)]));
    let mut out = Effects::default();
    server.step(at(1), Input::Revalidated(ELSEWHERE, true), &mut out);
    assert!(matches!(inbox.pop(Zxid(9)), Some(Item::Connected(_, c)) if c.session == ELSEWHERE));
    assert!(server.snapshot_job().sessions.is_empty());
    // The leader dies, and what it had not said dies with it.
    assert!(server.live_sessions().is_empty());
    // Or it hands over: had its opening been proposed, it would be here.
    server.lead(Zxid(1 << 32), at(2), &mut out);
    assert!(server.sessions.get(ELSEWHERE).is_none());
    assert!(matches!(inbox.pop(Zxid(9)), Some(Item::Close(_))));
}

#[test]
fn a_session_that_nobody_asks_for_any_more_is_not_opened() {
    let mut server = server(Role::Learner, Zxid(5));
    server.options.local_sessions = false;
    let (inbox, out) = resume(&mut server, 1, SessionId::NONE);
    let [Forward::Request { session, .. }] = out.forward[..] else {
        panic!("{:?}", out.forward);
    };
    inbox.close();
    let mut out = Effects::default();
    server.resend(&mut out);
    assert!(out.forward.is_empty());
    assert!(server.sessions.get(session).is_none());
    assert!(server.opening.is_empty());
}
