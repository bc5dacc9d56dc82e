//! Syncs: what they wait for.

use super::*;

#[test]
fn a_sync_of_our_own_waits_until_it_is_applied() {
    let mut t = Talk::active(3, 1);
    t.leader.sync_here();
    assert_eq!(t.did(), ["Synced"]);
    t.leader.propose(0, z(2, 1), Arc::from([]));
    t.leader.sync_here();
    t.ack(2, z(2, 1));
    assert!(!t.did().iter().any(|d| d == "Synced"), "not durable here");
    t.leader.logged(z(2, 1));
    assert_eq!(t.did().last().map(String::as_str), Some("Synced"));
}

fn pong() -> QuorumPacket {
    QuorumPacket::new(P::Ping, z(2, 0)).with_data([])
}

/// An answer to a PING from before the sync says nothing about the time of the sync.
#[test]
fn a_linearizable_sync_waits_for_a_quorum_that_answers_later() {
    let mut t = Talk::active(3, 1);
    t.leader.options.linearizable_sync = true;
    t.leader.tick(500);
    assert_eq!(t.did(), ["2 PING 2:0"]);
    t.leader.sync_here();
    assert_eq!(t.did(), ["2 PING 2:0"]);
    t.hear(2, pong());
    assert!(t.did().is_empty(), "sent before the sync came");
    // One that comes meanwhile waits for a round of its own.
    t.leader.sync_here();
    assert!(t.did().is_empty());
    t.hear(2, pong());
    assert_eq!(t.did(), ["Synced", "2 PING 2:0"]);
    t.hear(2, pong());
    assert_eq!(t.did(), ["Synced"]);
}

#[test]
fn a_linearizable_sync_of_a_learner_waits_too_and_for_its_commits() {
    let mut t = Talk::active(3, 1);
    t.leader.options.linearizable_sync = true;
    t.leader.propose(0, z(2, 1), Arc::from([]));
    let head = LearnerRequest {
        session: SessionId(1),
        cxid: 1,
        op: crate::proto::OpCode::Sync as i32,
        body: &[],
    };
    t.hear(
        2,
        QuorumPacket::new(P::Request, Zxid(-1)).with_data(head.encode()),
    );
    t.did();
    t.hear(2, pong());
    assert!(t.did().is_empty(), "the proposal is open");
    t.ack(2, z(2, 1));
    t.leader.logged(z(2, 1));
    assert!(t.did().contains(&"2 SYNC 0:0".to_owned()));
}

/// Found by the simulator: whoever was asked had gone, and the round never ended.
#[test]
fn a_follower_that_comes_during_a_round_is_asked_by_its_next_ping() {
    let mut t = Talk::active(3, 1);
    t.leader.options.linearizable_sync = true;
    t.leader.sync_here();
    assert_eq!(t.did(), ["2 PING 2:0"]);
    t.leader.gone(LinkId(2));
    t.join(3, 3, P::FollowerInfo, z(1, 1));
    t.ack(3, z(2, 0));
    assert!(!t.did().contains(&"Synced".to_owned()));
    t.leader.tick(500);
    assert!(t.did().contains(&"3 PING 2:0".to_owned()));
    t.hear(3, pong());
    assert_eq!(t.did(), ["Synced"]);
}
