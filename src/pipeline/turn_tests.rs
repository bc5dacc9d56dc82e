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
    let link = Owner::Link(7, ServerId(2));
    let out = ask(&mut server, opening(ELSEWHERE, link));
    assert!(out.exhausted && out.log.is_empty());
    assert!(!server.revalidate(Owner::Link(8, ServerId(4)), ELSEWHERE, 4000, at(1)));
    let mut out = Effects::default();
    server.resign(|_| None, &mut out);
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
        server.resign(|_| None, &mut out);
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

/// The learners of the leader before, by their links.
fn sid(link: u64) -> Option<ServerId> {
    (link < 10).then_some(ServerId(link as i64))
}

fn session_of(n: i64) -> SessionId {
    SessionId(0x0200_0000_0000_0000 + n)
}

/// Sets data on "/" for `session`; true when it is refused because the client has moved on.
fn moved(server: &mut Server, session: SessionId, owner: Owner) -> bool {
    let mut body = Vec::new();
    body.string(Some("/"));
    body.buffer(None);
    body.int(-1);
    let request = Request {
        owner,
        ..internal(session, OpCode::SetData, body.into(), at(3))
    };
    let out = ask(server, request);
    let Some(LogOp::Append(zxid, bytes)) = out.log.first() else {
        panic!("{out:?}");
    };
    server.step(at(3), Input::Durable(*zxid), &mut Effects::default());
    match Entry::from_bytes(bytes).unwrap().txn {
        crate::proto::txn::Txn::Error(e) => {
            assert_eq!(e.err, crate::proto::Code::SessionMoved as i32);
            true
        }
        _ => false,
    }
}

/// A leader whose sessions 1 to 5 are: here, at learner 4, at one that is gone, nobody's, and at
/// learner 2, which is to lead.
fn leader_of_five() -> Server {
    let leader = server(Role::Leader, Zxid(1 << 32));
    let owners = [
        Some(Owner::Here),
        Some(Owner::Link(4, ServerId(4))),
        Some(Owner::Link(77, ServerId(4))),
        None,
        Some(Owner::Link(2, ServerId(2))),
    ];
    for (n, owner) in (1..).zip(owners) {
        let session = leader.sessions.track(session_of(n), 4000, 0);
        session.set_owner(owner.map_or(0, Owner::number));
    }
    leader
}

#[test]
fn the_heir_knows_where_every_client_is() {
    let mut leader = leader_of_five();
    let ids = leader.begin_telling();
    assert_eq!(ids.len(), 5);
    let told = leader.owners_of(&ids, sid);
    // Meanwhile session 4 asks at learner 4, and session 5 moves there.
    assert!(!moved(
        &mut leader,
        session_of(4),
        Owner::Link(4, ServerId(4))
    ));
    let link = Owner::Link(4, ServerId(4));
    assert!(leader.revalidate(link, session_of(5), 4000, at(1)));
    leader.hold();
    let changed = leader.end_telling();
    assert_eq!(changed, [session_of(4), session_of(5)]);
    let changed = leader.owners_of(&changed, sid);

    let mut heir = server(Role::Learner, Zxid(1 << 32));
    heir.options.server_id = ServerId(2);
    for n in 1..=4 {
        heir.sessions.track(session_of(n), 4000, 0);
    }
    // A client that has moved on, which nobody here has noticed.
    let inbox = Inbox::new(ConnId(9), vec![], Arc::new(|_, _| true));
    heir.bound.insert(session_of(5), inbox);
    heir.owners_told(&told);
    heir.owners_told(&changed);
    // The opening of session 5 is applied only now.
    heir.sessions.track(session_of(5), 4000, 0);
    heir.lead(Zxid(2 << 32), at(2), &mut Effects::default());

    let (old, other) = (Owner::Link(60, ME), Owner::Link(61, ServerId(4)));
    let mut all = |n| [old, other, Owner::Here].map(|o| moved(&mut heir, session_of(n), o));
    assert_eq!(all(1), [false, true, true]);
    assert_eq!(all(2), [true, false, true]);
    assert_eq!(all(3), [true, true, true], "until it resumes");
    assert_eq!(all(4), [true, false, true]);
    assert_eq!(all(5), [true, false, true]);
}

#[test]
fn a_leader_that_goes_on_knows_them_too() {
    let mut leader = leader_of_five();
    let mut out = Effects::default();
    leader.resign(sid, &mut out);
    leader.lead(Zxid(2 << 32), at(2), &mut out);
    let other = Owner::Link(61, ServerId(4));
    let mut all = |n| [other, Owner::Here].map(|o| moved(&mut leader, session_of(n), o));
    assert_eq!(all(1), [true, false]);
    assert_eq!(all(2), [false, true]);
    assert_eq!(all(3), [true, true]);
    assert_eq!(all(4), [false, true], "whoever asks first");
}

/// While writes are held, nobody changes hands behind the heir's back.
#[test]
fn sessions_that_move_wait_while_writes_are_held() {
    let mut leader = leader_of_five();
    leader.hold();
    let (inbox, out) = resume(&mut leader, 1, session_of(2));
    assert!(inbox.is_empty() && out.forward.is_empty());
    let mut out = Effects::default();
    leader.release(at(2), &mut out);
    assert!(matches!(
        inbox.pop(Zxid(i64::MAX)),
        Some(Item::Connected(..))
    ));
    leader.hold();
    let (inbox, _) = resume(&mut leader, 2, session_of(4));
    leader.resign(sid, &mut out);
    leader.resend(&mut out);
    assert!(inbox.is_empty());
    assert!(matches!(out.forward[..], [Forward::Revalidate(s, _)] if s == session_of(4)));
}

/// A hundred thousand sessions are told in parts that hold up nothing else.
#[test]
fn many_sessions_are_told_in_small_packets() {
    let mut leader = server(Role::Leader, Zxid(1 << 32));
    for n in 0..100_000 {
        let link = Owner::Link(n as u64 % 5, ServerId(n % 5));
        let session = leader.sessions.track(session_of(n), 4000, 0);
        session.set_owner(link.number());
    }
    let ids = leader.begin_telling();
    let mut heir = server(Role::Learner, Zxid(1 << 32));
    heir.options.server_id = ServerId(2);
    for part in ids.chunks(4096) {
        let owners = leader.owners_of(part, sid);
        let bytes = owners.encode();
        assert!(bytes.len() < 34_000, "{}", bytes.len());
        let read = crate::proto::quorum::payload::Owners::decode(Some(&bytes)).unwrap();
        assert_eq!(read, owners);
        part.iter()
            .for_each(|s| drop(heir.sessions.track(*s, 4000, 0)));
        heir.owners_told(&read);
    }
    heir.lead(Zxid(2 << 32), at(2), &mut Effects::default());
    let owner = |n| heir.sessions.get(session_of(n)).and_then(|s| s.owner());
    assert_eq!(owner(99_997), Some(Owner::Here.number()));
    assert_eq!(owner(99_999), Owner::server(ServerId(4)));
}
