//! Reconfigurations: a leader with scripted learners.

use super::*;
use crate::proto::OpCode;
use crate::proto::txn::{SetDataTxn, Txn, TxnHeader, some};

/// Servers 1 to 3, under version 1, with reconfiguration on; leads epoch 2 with the follower 2.
fn led() -> Talk {
    let cache = CommittedLog::new(z(1, 0), 500, 0);
    let mut t = Talk::with(Views::new(config(3, 1), None), true, cache, 0);
    t.hello(2, 2, P::FollowerInfo, 1);
    t.leader.epoch_accepted(0);
    t.promise(2, 1, z(1, 0));
    t.leader.epoch_entered(0);
    t.ack(2, z(2, 0));
    assert_eq!(t.leader.phase(), Phase::Active);
    t.did();
    t
}

/// A transaction that proposes a configuration.
fn reconfig(zxid: Zxid, members: &str) -> Arc<[u8]> {
    let header = TxnHeader {
        client_id: 1,
        cxid: 1,
        zxid: zxid.0,
        time: 1,
        op: OpCode::Reconfig as i32,
    };
    let text = format!("{members}version={:x}", zxid.0);
    let mut bytes = header.to_array().to_vec();
    Txn::SetData(SetDataTxn {
        path: some("/zookeeper/config"),
        data: Some(text.as_bytes()),
        version: -1,
    })
    .encode(&mut bytes);
    bytes.into()
}

fn lines(sids: &[i64]) -> String {
    let line = |n: &i64| format!("server.{n}=h{n}:1:2\n");
    sids.iter().map(line).collect()
}

/// Words about packets and changes of role.
fn said(t: &mut Talk) -> Vec<String> {
    t.did()
        .into_iter()
        .map(|d| match d.starts_with("Activate") {
            true => {
                let designated = d.split("designated: ServerId(").nth(1).unwrap();
                format!("activate under {}", designated.split(')').next().unwrap())
            }
            false => d,
        })
        .collect()
}

#[test]
fn old_and_new_must_both_have_it_and_what_follows() {
    let mut t = led();
    t.join(4, 4, P::FollowerInfo, z(1, 0));
    t.ack(4, z(2, 0));
    t.did();
    let seen = t
        .leader
        .propose(0, z(2, 1), reconfig(z(2, 1), &lines(&[1, 4, 5])));
    assert_eq!(seen.unwrap().version, z(2, 1).0);
    assert!(t.leader.propose(0, z(2, 2), bytes(9)).is_none());
    t.did();
    t.leader.logged(z(2, 2));
    t.ack(2, z(2, 2));
    assert_eq!(t.did(), [""; 0], "1 and 2 are a quorum of the old one only");
    t.ack(4, z(2, 1));
    assert_eq!(
        said(&mut t),
        [
            "activate under 1",
            "2 COMMITANDACTIVATE 2:1",
            "4 COMMITANDACTIVATE 2:1",
            "commit 2:1",
        ]
    );
    t.ack(4, z(2, 2));
    assert_eq!(said(&mut t), ["2 COMMIT 2:2", "4 COMMIT 2:2", "commit 2:2"]);
    t.leader.propose(0, z(2, 3), bytes(9));
    t.did();
    t.leader.logged(z(2, 3));
    t.ack(2, z(2, 3));
    assert_eq!(t.did(), [""; 0], "2 has no vote any more");
}

#[test]
fn a_leader_that_is_removed_commits_nothing_more() {
    let mut t = led();
    t.join(3, 3, P::FollowerInfo, z(1, 0));
    t.ack(3, z(2, 0));
    t.leader
        .propose(0, z(2, 1), reconfig(z(2, 1), &lines(&[2, 3])));
    t.leader.propose(0, z(2, 2), bytes(9));
    t.did();
    t.ack(2, z(2, 1));
    t.ack(3, z(2, 2));
    assert_eq!(
        said(&mut t),
        [
            "activate under 3",
            "2 COMMITANDACTIVATE 2:1",
            "3 COMMITANDACTIVATE 2:1"
        ],
        "3 has logged more"
    );
    assert!(t.leader.is_retired());
    t.ack(2, z(2, 2));
    t.leader.logged(z(2, 2));
    assert_eq!(said(&mut t), ["commit 2:1"]);
    t.leader.gone(LinkId(3));
    assert_eq!(t.did(), [""; 0], "2 has perhaps not heard of it");
    t.leader.gone(LinkId(2));
    assert_eq!(t.did(), ["step down"]);
}

#[test]
fn a_leader_that_moves_gives_its_place_away() {
    let mut t = led();
    let members = format!("{}server.1=h1:7:2\n", lines(&[2, 3]));
    t.leader.propose(0, z(2, 1), reconfig(z(2, 1), &members));
    t.did();
    t.leader.logged(z(2, 1));
    t.ack(2, z(2, 1));
    assert_eq!(said(&mut t)[0], "activate under 2");
}

#[test]
fn the_first_configuration_gets_a_version_with_the_epoch() {
    let cache = CommittedLog::new(z(1, 0), 500, 0);
    let mut t = Talk::with(Views::new(config(3, 0), None), true, cache, 0);
    t.hello(2, 2, P::FollowerInfo, 1);
    t.did();
    t.leader.epoch_accepted(0);
    assert!(t.did()[0].starts_with("Seen"));
    t.promise(2, 1, z(1, 0));
    t.leader.epoch_entered(0);
    let newleader = t.leader.take_effects().into_iter().find_map(|e| match e {
        LeaderEffect::Send(_, p) if p.kind == P::NewLeader as i32 => p.data,
        _ => None,
    });
    let text = String::from_utf8(newleader.unwrap().to_vec()).unwrap();
    assert!(text.ends_with("version=200000000"), "{text}");
    t.ack(2, z(2, 0));
    let said = said(&mut t);
    assert_eq!(said[..2], ["activate under 1", "serve 2"]);
    assert_eq!(t.leader.views().committed.version, z(2, 0).0);
}

/// What an earlier leader proposed is completed by a quorum of both (ZOOKEEPER-1324).
#[test]
fn a_pending_configuration_needs_both_quorums_to_begin() {
    let cache = CommittedLog::new(z(1, 0), 500, 0);
    let mut next = config(3, 5);
    next.members.remove(&2);
    let views = Views::new(config(3, 1), Some(next));
    let mut t = Talk::with(views, true, cache, 0);
    t.hello(2, 2, P::FollowerInfo, 1);
    assert_eq!(t.did(), [""; 0], "1 and 2 are no quorum of the new one");
    t.hello(3, 3, P::FollowerInfo, 1);
    t.leader.epoch_accepted(0);
    t.promise(2, 1, z(1, 0));
    t.promise(3, 1, z(1, 0));
    t.leader.epoch_entered(0);
    t.ack(2, z(2, 0));
    t.did();
    t.ack(3, z(2, 0));
    assert_eq!(said(&mut t)[..2], ["activate under 1", "serve 2"]);
    assert!(!t.leader.views().is_changing());
}

#[test]
fn with_reconfiguration_off_nothing_of_it_happens() {
    let mut t = Talk::active(3, 0);
    assert!(
        t.leader
            .propose(0, z(2, 1), reconfig(z(2, 1), &lines(&[7])))
            .is_none()
    );
    t.did();
    t.leader.logged(z(2, 1));
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), ["2 COMMIT 2:1", "commit 2:1"]);
}
