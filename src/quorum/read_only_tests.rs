//! A peer that finds no leader, step by step.

use crate::base::{ConnId, Epoch, ServerId, Zxid};
use crate::config::Ensemble;
use crate::pipeline::{ConnectRequest, ServerOptions};
use crate::quorum::{Data, PeerOptions, PeerState};
use crate::tree::{DataTree, Inbox, Item, TreeOptions};
use crate::zab::CommittedLog;
use crate::zab::election::{ElectionOptions, Members, Notification, ServerState};
use crate::zab::leader::History;
use std::collections::BTreeMap;

use super::*;

fn at(mono_ms: i64) -> Now {
    Now {
        mono_ms,
        wall_ms: mono_ms,
    }
}

fn peer(read_only_after_ms: Option<i64>) -> Peer {
    let text = "server.1=h1:1:2\nserver.2=h2:1:2\nserver.3=h3:1:2\n";
    let ensemble = Ensemble::parse(text, false).expect("a configuration");
    let options = PeerOptions {
        read_only_after_ms,
        me: ServerId(1),
        members: Members::new(ensemble, None),
        election: ElectionOptions::default(),
        server: ServerOptions {
            local_sessions: true,
            ..ServerOptions::default()
        },
        tick_ms: 500,
        init_limit: 10,
        sync_limit: 5,
        connect_limit_ms: 2000,
        standalone_enabled: true,
        leader_serves: true,
        force_snapshot: false,
        doubts_empty: true,
        observer_master_port: None,
        observer_delay_ms: 0,
    };
    let history = History {
        last: Zxid::ZERO,
        accepted: Epoch(0),
        current: Epoch(0),
    };
    let data = Data {
        tree: Arc::new(DataTree::fresh(TreeOptions::default())),
        sessions: BTreeMap::from([(77, 4000)]),
        recent: CommittedLog::new(Zxid::ZERO, 500, 1 << 20),
    };
    Peer::new(options, history, data)
}

/// Ticks until `until`, whenever the peer wants one; what it serves by then.
fn look(peer: &mut Peer, until: i64) -> Option<Serving> {
    let mut out = Effects::default();
    let mut now = 0;
    while let Some(due) = peer.next_tick().filter(|due| *due <= until) {
        now = due.max(now + 1);
        peer.step(at(now), Input::Tick, &mut out);
    }
    assert!(out.disk.is_empty(), "it touches no disk");
    out.net.into_iter().find_map(|e| match e {
        Effect::Serve(serving) => Some(serving),
        _ => None,
    })
}

fn started(read_only_after_ms: Option<i64>) -> Peer {
    let mut peer = peer(read_only_after_ms);
    peer.start(at(0), &mut Effects::default());
    peer
}

fn connect(peer: &mut Peer, instance: u64, now: i64) -> Arc<Inbox> {
    let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
    let request = ConnectRequest {
        inbox: inbox.clone(),
        session: SessionId::NONE,
        password: Box::default(),
        timeout: 4000,
    };
    let input = Input::Client(instance, pipeline::Input::Connect(request));
    peer.step(at(now), input, &mut Effects::default());
    inbox
}

#[test]
fn reads_are_served_once_looking_has_taken_so_long() {
    let mut peer = started(Some(2000));
    assert!(look(&mut peer, 1999).is_none());
    let serving = look(&mut peer, 2000).expect("it is time");
    assert!(serving.read_only && serving.clients && serving.learner);
    assert_eq!(serving.sessions.all(), [(SessionId(77), 4000)]);
    assert_eq!(peer.state(), PeerState::Looking);
    assert!(
        look(&mut started(None), 100_000).is_none(),
        "only if it may"
    );
}

#[test]
fn a_leader_ends_it_before_its_role_begins() {
    let mut peer = started(Some(2000));
    let serving = look(&mut peer, 2000).expect("it is time");
    let inbox = connect(&mut peer, serving.instance, 2001);
    assert!(matches!(inbox.pop(Zxid(0)), Some(Item::Connected(..))));
    assert_eq!(serving.sessions.local_len(), 1);
    // Two others say that they have elected one.
    let mut out = Effects::default();
    for sid in [2, 3] {
        let leader = ServerId(3);
        let state = match sid {
            3 => ServerState::Leading,
            _ => ServerState::Following,
        };
        let note = Notification {
            state,
            leader,
            zxid: Zxid::ZERO,
            election_epoch: 1,
            peer_epoch: 0,
            version: 2,
            config: None,
        };
        peer.step(at(2100), Input::Notification(ServerId(sid), note), &mut out);
    }
    let place = |wanted: fn(&Effect) -> bool| out.net.iter().position(wanted);
    let stopped = place(|e| matches!(e, Effect::StopServing)).expect("an end");
    let connects = place(|e| matches!(e, Effect::ConnectLeader(..))).expect("a role");
    assert!(stopped < connects);
    assert!(inbox.is_closed(), "whoever is connected must come again");
    let late = connect(&mut peer, serving.instance, 2200);
    assert!(late.is_empty(), "nobody is there any more");
}

#[test]
fn zookeeper_3526_what_it_serves_leaves_no_trace_in_the_history() {
    let mut peer = started(Some(2000));
    let (recent, sessions) = (peer.data().recent.last(), peer.data().sessions.clone());
    let serving = look(&mut peer, 2000).expect("it is time");
    let inbox = connect(&mut peer, serving.instance, 2001);
    assert!(matches!(inbox.pop(Zxid(0)), Some(Item::Connected(..))));
    assert_eq!(peer.data().recent.last(), recent);
    assert_eq!(peer.data().sessions, sessions);
    assert_eq!(peer.data().tree.applied(), Zxid::ZERO);
}

#[test]
fn its_local_sessions_expire() {
    let mut peer = started(Some(2000));
    let serving = look(&mut peer, 2000).expect("it is time");
    connect(&mut peer, serving.instance, 2001);
    look(&mut peer, 20_000);
    assert_eq!(serving.sessions.local_len(), 0);
}
