//! Upstream's bugs of the election, by their names.

use super::rules_tests::{OWN, elected, ensemble, looking, members, note, receive, sent, tick};
use super::*;
use ServerState::{Following, Leading, Looking};

#[test]
fn zookeeper_3829_configs_are_ignored_without_reconfig() {
    let mut e = looking(1, 3);
    let mut newer = ensemble(5, 0);
    newer.version = 7;
    let mut n = note(Looking, 2, 1);
    n.config = Some(newer.text());
    let out = receive(&mut e, 2, &n);
    assert_eq!(sent(&out).len(), 2);
    assert!(!out.iter().any(|e| matches!(e, Effect::AdoptConfig(_))));
}

#[test]
fn zookeeper_3769_and_4787_unreadable_configs_do_no_harm() {
    let options = ElectionOptions {
        adopt_configs: true,
        ..ElectionOptions::default()
    };
    let mut e = Election::new(ServerId(1), members(3), options);
    e.look_for_leader(0, OWN, &mut Vec::new());
    for text in [
        "server.x=\u{fffd}",
        "version=zz",
        "\\u12",
        "",
        "server.1=h:1",
        "group.1=9",
    ] {
        let mut n = note(Looking, 2, 1);
        n.config = Some(text.to_string());
        receive(&mut e, 2, &n);
    }
    assert_eq!(elected(&tick(&mut e, 300)), Some((2, Following)));
}

#[test]
fn zookeeper_1732_and_1805_rounds_and_zxids_may_differ() {
    let mut e = looking(3, 3);
    let mut one = note(Following, 1, 7);
    one.zxid = Zxid(1);
    assert!(receive(&mut e, 2, &one).is_empty());
    let out = receive(&mut e, 1, &note(Leading, 1, 3));
    assert_eq!(elected(&out), Some((1, Following)));
    assert_eq!(e.current_vote().unwrap().election_epoch, 3);
}

#[test]
fn zookeeper_1818_the_epoch_of_the_vote_is_renewed() {
    let mut e = looking(3, 3);
    let mut new = note(Leading, 1, 1);
    new.peer_epoch = 2;
    receive(&mut e, 2, &note(Following, 1, 3));
    assert_eq!(
        elected(&receive(&mut e, 1, &{
            new.election_epoch = 3;
            new.clone()
        })),
        None
    );
    let mut follower = looking(2, 3);
    receive(&mut follower, 3, &note(Following, 1, 3));
    receive(&mut follower, 1, &note(Leading, 1, 3));
    follower.set_peer_epoch(2);
    let out = receive(&mut follower, 3, &note(Looking, 3, 1));
    let Effect::Send(_, n) = &out[0] else {
        panic!()
    };
    assert_eq!(elected(&receive(&mut e, 2, n)), Some((1, Following)));
}

#[test]
fn zookeeper_1514_the_leader_itself_must_be_heard() {
    let mut e = looking(1, 5);
    for from in [2, 3, 4] {
        assert!(receive(&mut e, from, &note(Following, 5, 2)).is_empty());
    }
    assert!(
        receive(&mut e, 5, &note(Looking, 5, 1))
            .iter()
            .all(|e| !matches!(e, Effect::Elected(..)))
    );
    assert_eq!(
        elected(&receive(&mut e, 5, &note(Leading, 5, 2))),
        Some((5, Following))
    );
}
