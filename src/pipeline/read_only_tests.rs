//! A member without a quorum, step by step.

use super::*;
use crate::base::{ConnId, Zxid};
use crate::pipeline::server::internal;
use crate::pipeline::{Input, Role, ServerOptions};
use crate::session::SessionTracker;
use crate::tree::{DataTree, TreeOptions};

const NOW: Now = Now {
    mono_ms: 1000,
    wall_ms: 1000,
};
const KNOWN: SessionId = SessionId(77);
const UNKNOWN: SessionId = SessionId(78);

fn server(local_sessions: bool) -> Server {
    let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
    let options = ServerOptions {
        role: Role::ReadOnly,
        local_sessions,
        ..ServerOptions::default()
    };
    let sessions = Arc::new(SessionTracker::of_learner(2000));
    sessions.track(KNOWN, 4000, 0);
    Server::new(tree, sessions, options, NOW)
}

fn connect(server: &mut Server, session: SessionId, right: bool) -> Arc<Inbox> {
    let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
    let password = match right {
        true => password_of(session),
        false => [0; 16],
    };
    let request = ConnectRequest {
        inbox: inbox.clone(),
        session,
        password: password.into(),
        timeout: 4000,
    };
    let mut out = Effects::default();
    server.step(NOW, Input::Connect(request), &mut out);
    assert!(out.log.is_empty() && out.forward.is_empty());
    inbox
}

/// What came: a session, an error, or the end.
fn heard(inbox: &Inbox) -> String {
    match inbox.pop(Zxid(0)) {
        None => "nothing".into(),
        Some(Item::Connected(_, c)) if c.timeout == 0 => "rejected".into(),
        Some(Item::Connected(..)) => "open".into(),
        Some(Item::Reply(_, f)) => i32::from_be_bytes(f[16..20].try_into().unwrap()).to_string(),
        Some(other) => format!("{other:?}").split('(').next().unwrap().into(),
    }
}

fn close(server: &mut Server, session: SessionId, inbox: Option<&Arc<Inbox>>) {
    let request = Request {
        origin: inbox.cloned(),
        ..internal(session, OpCode::CloseSession, Box::default(), NOW)
    };
    server.step(NOW, Input::Request(request), &mut Effects::default());
}

#[test]
fn sessions_of_the_ensemble_are_sent_away_without_a_word() {
    for local in [false, true] {
        for right in [false, true] {
            let inbox = connect(&mut server(local), KNOWN, right);
            assert_eq!(heard(&inbox), "Close");
        }
    }
}

#[test]
fn new_ones_are_local_or_there_are_none() {
    let mut with = server(true);
    let inbox = connect(&mut with, SessionId::NONE, true);
    assert_eq!(heard(&inbox), "open");
    assert_eq!(with.sessions.local_len(), 1);
    let mut without = server(false);
    let inbox = connect(&mut without, SessionId::NONE, true);
    assert_eq!(heard(&inbox), "-119");
    assert_eq!(without.sessions.local_len(), 0);
}

#[test]
fn unknown_ones_are_expired_where_there_are_local_ones() {
    assert_eq!(
        heard(&connect(&mut server(true), UNKNOWN, true)),
        "rejected"
    );
    assert_eq!(
        heard(&connect(&mut server(false), UNKNOWN, false)),
        "rejected"
    );
    let mut without = server(false);
    let inbox = connect(&mut without, UNKNOWN, true);
    assert_eq!(heard(&inbox), "open");
    close(&mut without, UNKNOWN, Some(&inbox));
    assert_eq!(heard(&inbox), "-119", "its end would be a transaction");
    close(&mut without, UNKNOWN, None);
    assert_eq!(heard(&inbox), "Close");
}

#[test]
fn nothing_is_written_and_local_sessions_end() {
    let mut server = server(true);
    let inbox = connect(&mut server, SessionId::NONE, true);
    heard(&inbox);
    let session = server
        .sessions
        .by_deadline(crate::session::SessionKind::Local);
    let session = session.into_values().flatten().next().unwrap();
    for op in [
        OpCode::Create,
        OpCode::Multi,
        OpCode::Sync,
        OpCode::Reconfig,
    ] {
        let request = Request {
            origin: Some(inbox.clone()),
            ..internal(session, op, Box::default(), NOW)
        };
        let mut out = Effects::default();
        server.step(NOW, Input::Request(request), &mut out);
        assert!(out.log.is_empty() && out.forward.is_empty());
        assert_eq!(heard(&inbox), "-119", "{op:?}");
    }
    close(&mut server, session, Some(&inbox));
    assert_eq!(heard(&inbox), "0");
    assert_eq!(heard(&inbox), "Close");
    assert_eq!(server.sessions.local_len(), 0);
}
