//! Reigns that end on purpose: a leader with scripted learners.

use super::*;
use crate::proto::quorum::payload::Owners;

/// There are no sessions, and nothing is prepared from here on.
fn held(t: &mut Talk) {
    t.leader.owners(&Owners::default(), true);
    t.leader.holding();
}

/// An active leader of epoch 2 of three with followers of ours, 2 and 3, on links 2 and 3.
fn all_ours() -> Talk {
    let mut t = Talk::new(3, 0, 1);
    for sid in [2, 3] {
        t.leader.connected(0, LinkId(sid));
        let mut info = LearnerInfo::new(ServerId(sid as i64), 0).encode();
        Capabilities::OURS.append(&mut info);
        t.hear(
            sid,
            QuorumPacket::new(P::FollowerInfo, z(1, 0)).with_data(info),
        );
    }
    t.leader.epoch_accepted(0);
    t.promise(2, 1, z(1, 1));
    t.promise(3, 1, z(1, 1));
    t.leader.epoch_entered(0);
    t.ack(2, z(2, 0));
    t.ack(3, z(2, 0));
    t.did();
    t
}

#[test]
fn a_handover_waits_for_what_is_open_and_for_the_heir() {
    let mut t = all_ours();
    t.leader.propose(0, z(2, 1), Arc::from([]));
    t.did();
    assert_eq!(t.leader.hand_over(0, Some(ServerId(3))), Ok(ServerId(3)));
    assert_eq!(t.did(), ["TellOwners"]);
    t.leader.owners(&Owners::default(), false);
    assert_eq!(t.did(), ["3 HANDOVEROWNERS 1:1"]);
    t.hear(2, QuorumPacket::new(P::HandoverOwners, z(2, 0)));
    assert!(t.did().is_empty(), "who asked that?");
    t.hear(3, QuorumPacket::new(P::HandoverOwners, z(2, 0)));
    assert_eq!(t.did(), ["TellOwners"]);
    t.leader.owners(&Owners::default(), true);
    assert_eq!(t.did(), ["3 HANDOVEROWNERS 1:1", "Hold"]);
    t.leader.changed_owners(&Owners::default());
    t.leader.holding();
    assert_eq!(t.did(), ["3 HANDOVEROWNERS 1:1"]);
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), Vec::<String>::new(), "ours is not durable");
    t.leader.logged(z(2, 1));
    let did = t.did();
    assert_eq!(
        did,
        [
            "2 COMMIT 2:1",
            "3 COMMIT 2:1",
            "commit 2:1",
            "3 HANDOVER 2:1"
        ]
    );
    t.hear(3, QuorumPacket::new(P::HandoverReady, z(2, 1)));
    let did = t.did();
    assert_eq!(
        did,
        ["HandedOver(ServerId(3))", "2 HANDOVER 2:1", "3 close"]
    );
    assert_eq!(t.leader.phase(), Phase::Ended);
}

#[test]
fn a_handover_is_refused_for_a_reason() {
    let mut t = all_ours();
    for (to, why) in [
        (1, "that server leads already"),
        (7, "that server is not connected"),
    ] {
        assert_eq!(t.leader.hand_over(0, Some(ServerId(to))), Err(why));
    }
    t.ours(9, 9, P::FollowerInfo, z(1, 1));
    let got = t.leader.hand_over(0, Some(ServerId(9)));
    assert_eq!(got, Err("that server has no vote"));
    assert!(t.did().is_empty(), "nothing is held");
    // Server 2 is Apache's here.
    let mut t = Talk::active(3, 1);
    let got = t.leader.hand_over(0, None);
    assert_eq!(got, Err("no other server can lead now"));
    assert_eq!(t.leader.renew(0), Err("not all servers are Zabra"));
    t.ours(3, 3, P::FollowerInfo, z(1, 1));
    assert_eq!(t.leader.hand_over(0, None), Ok(ServerId(3)), "two of three");
    let again = t.leader.hand_over(0, None);
    assert_eq!(again, Err("a handover is under way"));
}

/// Two voters of ours of five move at once; the others would have to find them by an election.
#[test]
fn a_handover_needs_a_quorum_that_moves() {
    let mut t = Talk::active(5, 1);
    t.ours(4, 4, P::FollowerInfo, z(1, 1));
    assert!(t.leader.hand_over(0, None).is_err());
    t.ours(5, 5, P::FollowerInfo, z(1, 1));
    assert!(t.leader.hand_over(0, None).is_ok());
}

#[test]
fn a_handover_is_given_up_when_the_heir_is_late_or_gone() {
    let mut t = all_ours();
    assert!(t.leader.hand_over(0, Some(ServerId(3))).is_ok());
    held(&mut t);
    t.did();
    t.leader.tick(HOLD_MS);
    let did = t.did();
    assert!(!did.iter().any(|d| d.starts_with("Resume")), "{did:?}");
    t.leader.tick(ANSWER_MS);
    let did = t.did();
    assert!(did.iter().any(|d| d.starts_with("Resume")), "{did:?}");
    assert!(did.iter().any(|d| d == "3 close"), "it may lead by now");
    assert_eq!(t.leader.phase(), Phase::Active);
    // Too late.
    t.hear(3, QuorumPacket::new(P::HandoverReady, z(1, 1)));
    assert!(t.did().is_empty());
    assert!(t.leader.hand_over(ANSWER_MS, Some(ServerId(2))).is_ok());
    held(&mut t);
    t.did();
    t.leader.gone(LinkId(2));
    assert!(t.did().iter().any(|d| d.starts_with("Resume")));
}

#[test]
fn a_handover_is_given_up_when_what_is_proposed_takes_too_long() {
    let mut t = all_ours();
    t.leader.propose(0, z(2, 1), Arc::from([]));
    t.did();
    assert!(t.leader.hand_over(0, Some(ServerId(3))).is_ok());
    held(&mut t);
    let did = t.did();
    let told = |d: &String| d.starts_with("3 HANDOVER ");
    assert!(!did.iter().any(told), "not yet: {did:?}");
    assert_eq!(t.leader.next_deadline(), HOLD_MS);
    t.leader.tick(HOLD_MS);
    let did = t.did();
    assert!(
        did.iter().any(|d| d.contains(NOT_SETTLED)) && !did.iter().any(|d| d == "3 close"),
        "{did:?}"
    );
}

#[test]
fn nobody_takes_what_was_not_offered() {
    let mut t = all_ours();
    t.hear(3, QuorumPacket::new(P::HandoverReady, z(1, 1)));
    assert_eq!(t.did(), ["3 close"]);
}

#[test]
fn an_epoch_that_ends_goes_on_in_the_next_one() {
    let mut t = all_ours();
    t.ours(4, 4, P::ObserverInfo, z(1, 1));
    t.leader.propose(0, z(2, 1), Arc::from([]));
    t.did();
    assert_eq!(t.leader.renew(0), Ok(()));
    assert_eq!(t.did(), ["Hold"]);
    t.leader.holding();
    t.leader.logged(z(2, 1));
    t.ack(2, z(2, 1));
    let did = t.did();
    let end = did.iter().position(|d| d == "HandedOver(ServerId(1))");
    let end = end.expect("it is over");
    assert_eq!(
        did[end + 1..],
        ["2 HANDOVER 2:1", "3 HANDOVER 2:1", "4 HANDOVER 2:1"]
    );
}

#[test]
fn a_voter_that_promised_a_later_epoch_is_overtaken() {
    let mut t = all_ours();
    t.leader.gone(LinkId(3));
    let mut info = LearnerInfo::new(ServerId(3), 0).encode();
    Capabilities::OURS.append(&mut info);
    let hello = QuorumPacket::new(P::FollowerInfo, z(3, 0)).with_data(info);
    // At once nothing changes; a tick later the next epoch begins.
    for (now, over) in [(0, false), (1000, true)] {
        t.now = now;
        t.leader.connected(now, LinkId(7));
        t.hear(7, hello.clone());
        t.leader.holding();
        let did = t.did();
        assert_eq!(
            did.contains(&"HandedOver(ServerId(1))".into()),
            over,
            "{did:?}"
        );
        t.leader.gone(LinkId(7));
    }
}

/// A heir that does not ask for more is given up; an epoch that ends meanwhile ends by the handover.
#[test]
fn owners_are_told_while_writes_go_on_and_not_for_ever() {
    let mut t = all_ours();
    assert!(t.leader.hand_over(0, Some(ServerId(3))).is_ok());
    t.did();
    t.leader.owners(&Owners::default(), false);
    assert_eq!(t.leader.renew(0), Ok(()));
    assert_eq!(t.did(), ["3 HANDOVEROWNERS 1:1"]);
    let limit = t.leader.sync_ms();
    for now in (0..=limit).step_by(500) {
        for sid in [2, 3] {
            t.now = now;
            t.hear(sid, QuorumPacket::new(P::Ping, z(2, 0)).with_data(vec![]));
        }
        t.leader.tick(now);
    }
    let did = t.did();
    assert!(did.iter().any(|d| d.starts_with("Resume")), "{did:?}");
    assert!(!did.iter().any(|d| d.contains("close")), "it follows");
    assert_eq!(t.leader.phase(), Phase::Active);
}
