//! The rules of fast leader election one by one.

use super::*;
use crate::config::Ensemble;
use ServerState::{Following, Leading, Looking, Observing};

/// Members 1 to `voters`, then `observers` more.
pub(super) fn ensemble(voters: i64, observers: i64) -> Ensemble {
    let line = |i: i64| {
        let role = if i <= voters {
            "participant"
        } else {
            "observer"
        };
        format!("server.{i}=h{i}:1:2:{role}\n")
    };
    let text: String = (1..=voters + observers).map(line).collect();
    Ensemble::parse(&text, false).unwrap()
}

pub(super) fn members(voters: i64) -> Members {
    Members::new(ensemble(voters, 1), None)
}

pub(super) fn election(me: i64, members: Members) -> Election {
    Election::new(ServerId(me), members, ElectionOptions::default())
}

pub(super) const OWN: InitialVote = InitialVote {
    zxid: Zxid(10),
    epoch: 1,
    empty: false,
};

/// Server `me` of `voters`, in round 1.
pub(super) fn looking(me: i64, voters: i64) -> Election {
    let mut e = election(me, members(voters));
    e.look_for_leader(0, OWN, &mut Vec::new());
    e
}

/// A vote for `leader` at (epoch 1, zxid 10) in `round`.
pub(super) fn note(state: ServerState, leader: i64, round: i64) -> Notification {
    Notification {
        state,
        leader: ServerId(leader),
        zxid: Zxid(10),
        election_epoch: round,
        peer_epoch: 1,
        version: 2,
        config: None,
    }
}

pub(super) fn receive(e: &mut Election, from: i64, n: &Notification) -> Vec<Effect> {
    let mut out = Vec::new();
    e.receive(1, ServerId(from), n, &mut out);
    out
}

pub(super) fn tick(e: &mut Election, now: i64) -> Vec<Effect> {
    let mut out = Vec::new();
    e.tick(now, &mut out);
    out
}

/// Where `effects` send to, and what they say: (to, leader, round).
pub(super) fn sent(effects: &[Effect]) -> Vec<(i64, i64, i64)> {
    let one = |e: &Effect| match e {
        Effect::Send(to, n) => Some((to.0, n.leader.0, n.election_epoch)),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

pub(super) fn elected(effects: &[Effect]) -> Option<(i64, ServerState)> {
    effects.iter().find_map(|e| match e {
        Effect::Elected(vote, state) => Some((vote.leader.0, *state)),
        _ => None,
    })
}

#[test]
fn a_round_starts_with_its_own_vote_to_all_voters() {
    let mut e = election(2, members(3));
    let mut out = Vec::new();
    e.look_for_leader(0, OWN, &mut out);
    assert_eq!(sent(&out), [(1, 2, 1), (3, 2, 1)]);
    let Effect::Send(_, n) = &out[0] else {
        panic!()
    };
    assert_eq!((n.state, n.zxid, n.peer_epoch), (Looking, Zxid(10), 1));
    assert_eq!(n.config.as_deref(), Some(members(3).text()));
}

#[test]
fn a_server_alone_elects_itself_at_once() {
    let mut e = election(1, members(1));
    let mut out = Vec::new();
    e.look_for_leader(0, OWN, &mut out);
    assert_eq!(elected(&out), Some((1, Leading)));
}

#[test]
fn a_better_vote_is_taken_over_and_passed_on() {
    let mut e = looking(1, 5);
    assert_eq!(sent(&receive(&mut e, 3, &note(Looking, 3, 1))).len(), 4);
    assert!(sent(&receive(&mut e, 2, &note(Looking, 2, 1))).is_empty());
    assert_eq!(
        sent(&receive(&mut e, 4, &note(Looking, 4, 1)))[0],
        (2, 4, 1)
    );
}

#[test]
fn a_quorum_waits_for_a_better_vote() {
    let mut e = looking(1, 3);
    let out = receive(&mut e, 2, &note(Looking, 2, 1));
    assert_eq!(elected(&out), None, "server 3 may still come");
    assert!(elected(&tick(&mut e, 200)).is_none());
    assert_eq!(elected(&tick(&mut e, 201)), Some((2, Following)));
    assert!(e.next_deadline().is_none());
}

#[test]
fn a_better_vote_during_the_wait_wins() {
    let mut e = looking(1, 3);
    receive(&mut e, 2, &note(Looking, 2, 1));
    let out = receive(&mut e, 3, &note(Looking, 3, 1));
    assert_eq!(sent(&out)[0], (2, 3, 1));
    assert_eq!(elected(&tick(&mut e, 201)), Some((3, Following)));
}

#[test]
fn nobody_waits_when_every_voter_agrees_or_is_lost() {
    let mut e = looking(3, 3);
    receive(&mut e, 1, &note(Looking, 3, 1));
    let all = receive(&mut e, 2, &note(Looking, 3, 1));
    assert_eq!(elected(&all), Some((3, Leading)));
    let mut e = looking(2, 3);
    e.peer_lost(0, ServerId(3), &mut Vec::new());
    let out = receive(&mut e, 1, &note(Looking, 2, 1));
    assert_eq!(
        elected(&out),
        Some((2, Leading)),
        "server 3 is the dead leader"
    );
    let mut e = looking(2, 3);
    receive(&mut e, 1, &note(Looking, 2, 1));
    let mut out = Vec::new();
    e.peer_lost(5, ServerId(3), &mut out);
    assert_eq!(elected(&out), Some((2, Leading)), "lost during the wait");
}

/// A server that went long ago may be on its way back, with a better vote.
#[test]
fn a_server_lost_long_ago_is_waited_for() {
    let mut e = election(2, members(3));
    e.peer_lost(0, ServerId(3), &mut Vec::new());
    let mut out = Vec::new();
    e.look_for_leader(5000, OWN, &mut out);
    e.receive(5000, ServerId(1), &note(Looking, 2, 1), &mut out);
    assert_eq!(elected(&out), None);
    assert_eq!(elected(&tick(&mut e, 5200)), Some((2, Leading)));
}

#[test]
fn a_lost_server_that_is_heard_again_is_waited_for() {
    let mut e = looking(2, 5);
    for s in [3, 4, 5] {
        e.peer_lost(0, ServerId(s), &mut Vec::new());
    }
    let mut low = note(Looking, 4, 1);
    low.zxid = Zxid(1);
    receive(&mut e, 4, &low);
    receive(&mut e, 3, &low);
    let out = receive(&mut e, 1, &note(Looking, 2, 1));
    assert_eq!(elected(&out), None);
    receive(&mut e, 3, &note(Looking, 2, 1));
    assert!(e.is_looking(), "server 4 has not agreed yet");
    let out = receive(&mut e, 4, &note(Looking, 2, 1));
    assert_eq!(elected(&out), Some((2, Leading)));
}

#[test]
fn a_later_round_clears_the_votes() {
    let mut e = looking(2, 5);
    receive(&mut e, 1, &note(Looking, 2, 1));
    let mut n = note(Looking, 1, 4);
    n.zxid = Zxid(1);
    let out = receive(&mut e, 3, &n);
    assert_eq!(sent(&out)[0], (1, 2, 4), "its own vote, in the new round");
    receive(&mut e, 4, &note(Looking, 2, 4));
    assert!(elected(&tick(&mut e, 250)).is_none(), "two of five");
    receive(&mut e, 1, &note(Looking, 2, 4));
    assert_eq!(elected(&tick(&mut e, 500)), Some((2, Leading)));
}

/// Apache: `FLEBackwardElectionRoundTest`.
#[test]
fn an_earlier_round_does_not_count_and_is_answered() {
    let mut e = looking(3, 3);
    receive(&mut e, 1, &note(Looking, 1, 7));
    let out = receive(&mut e, 2, &note(Looking, 3, 6));
    assert_eq!(sent(&out), [(2, 3, 7)]);
    assert!(elected(&tick(&mut e, 10_000)).is_none());
}

#[test]
fn silence_doubles_the_wait_up_to_the_limit() {
    let options = ElectionOptions {
        max_interval_ms: 500,
        connect_interval_ms: 1_000_000,
        ..ElectionOptions::default()
    };
    let mut e = Election::new(ServerId(1), members(3), options);
    e.look_for_leader(0, OWN, &mut Vec::new());
    let mut at = Vec::new();
    for _ in 0..4 {
        let due = e.next_deadline().unwrap();
        assert!(tick(&mut e, due - 1).is_empty());
        let out = tick(&mut e, due);
        assert_eq!((sent(&out).len(), &out[0]), (2, &Effect::ConnectAll));
        at.push(due);
    }
    assert_eq!(at, [200, 600, 1100, 1600]);
}

#[test]
fn missing_connections_are_asked_for_every_second() {
    let mut e = looking(1, 3);
    let mut asked = 0;
    for now in 0..10_000 {
        let out = tick(&mut e, now);
        asked += out.iter().filter(|e| **e == Effect::ConnectAll).count();
    }
    assert!(asked >= 9, "{asked}");
}

/// Apache: `FLEZeroWeightTest`.
#[test]
fn weight_zero_cannot_be_voted_for() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2\n\
                group.1=1:2:3:4\nweight.4=0";
    let members = Members::new(Ensemble::parse(text, false).unwrap(), None);
    let mut e = election(1, members.clone());
    e.look_for_leader(0, OWN, &mut Vec::new());
    let mut n = note(Looking, 4, 1);
    n.zxid = Zxid(99);
    assert!(sent(&receive(&mut e, 4, &n)).is_empty());
    assert_eq!(
        sent(&receive(&mut e, 3, &note(Looking, 3, 1)))[0],
        (2, 3, 1)
    );
    let mut voter = election(4, members);
    voter.look_for_leader(
        0,
        InitialVote {
            zxid: Zxid(0),
            epoch: 0,
            empty: false,
        },
        &mut Vec::new(),
    );
    let out = receive(&mut voter, 3, &note(Looking, 3, 1));
    assert_eq!(sent(&out)[0], (1, 3, 1), "it votes all the same");
}

#[test]
fn lost_data_neither_counts_nor_is_counted() {
    let mut e = looking(2, 3);
    let mut n = note(Looking, 3, 5);
    n.zxid = Zxid(-1);
    assert!(
        receive(&mut e, 3, &n).is_empty(),
        "its round does not matter either"
    );
    let mut empty = election(3, members(3));
    let own = InitialVote {
        zxid: Zxid(-1),
        epoch: 0,
        empty: false,
    };
    empty.look_for_leader(0, own, &mut Vec::new());
    receive(&mut empty, 1, &note(Looking, 2, 1));
    receive(&mut empty, 2, &note(Looking, 2, 1));
    assert!(elected(&tick(&mut empty, 1000)).is_none());
    receive(&mut empty, 1, &note(Following, 2, 1));
    let out = receive(&mut empty, 2, &note(Leading, 2, 1));
    assert_eq!(
        elected(&out),
        Some((2, Following)),
        "an established quorum takes it in"
    );
}

#[test]
fn a_server_alone_without_its_data_never_leads() {
    let mut e = election(1, members(1));
    let mut out = Vec::new();
    e.look_for_leader(
        0,
        InitialVote {
            zxid: Zxid(-1),
            epoch: 0,
            empty: false,
        },
        &mut out,
    );
    assert_eq!(elected(&out), None);
    assert_eq!(elected(&tick(&mut e, 1000)), None);
}

#[test]
fn votes_for_servers_that_do_not_vote_are_nothing() {
    let mut e = looking(1, 3);
    for leader in [4, 99, i64::MIN, i64::MAX] {
        let mut n = note(Looking, leader, 1);
        n.zxid = Zxid(99);
        assert!(receive(&mut e, 2, &n).is_empty(), "{leader}");
    }
    assert!(receive(&mut e, 2, &note(Observing, 2, 1)).is_empty());
}

#[test]
fn outsiders_are_answered_at_once_under_the_present_round() {
    let mut e = looking(1, 3);
    assert_eq!(sent(&receive(&mut e, 4, &note(Looking, 4, 1))), [(4, 1, 1)]);
    assert_eq!(
        sent(&receive(&mut e, -1, &note(Observing, 4, 1))),
        [(-1, 1, 1)]
    );
    receive(&mut e, 2, &note(Following, 3, 6));
    receive(&mut e, 3, &note(Leading, 3, 6));
    let out = receive(&mut e, 4, &note(Looking, i64::MIN, 1));
    let Effect::Send(_, n) = &out[0] else {
        panic!()
    };
    assert_eq!(
        (n.state, n.leader, n.election_epoch),
        (Following, ServerId(3), 6)
    );
}

#[test]
fn looking_voters_are_answered_and_others_are_not() {
    let mut e = looking(3, 3);
    receive(&mut e, 1, &note(Looking, 3, 1));
    receive(&mut e, 2, &note(Looking, 3, 1));
    e.set_peer_epoch(2);
    let out = receive(&mut e, 1, &note(Looking, 1, 9));
    assert_eq!(out[0], Effect::VoterLooking(ServerId(1)));
    let Effect::Send(_, n) = &out[1] else {
        panic!()
    };
    assert_eq!((n.state, n.election_epoch, n.peer_epoch), (Leading, 1, 2));
    assert!(receive(&mut e, 2, &note(Following, 3, 1)).is_empty());
}

#[test]
fn an_observer_waits_for_the_voters() {
    let mut e = election(4, members(3));
    let mut out = Vec::new();
    e.look_for_leader(0, OWN, &mut out);
    assert_eq!(sent(&out)[0], (1, i64::MIN, 1));
    receive(&mut e, 1, &note(Following, 2, 5));
    let out = receive(&mut e, 2, &note(Leading, 2, 5));
    assert_eq!(elected(&out), Some((2, Observing)));
    let mut e = election(9, members(3));
    e.look_for_leader(0, OWN, &mut Vec::new());
    receive(&mut e, 1, &note(Following, 2, 5));
    let out = receive(&mut e, 2, &note(Leading, 2, 5));
    assert_eq!(
        elected(&out),
        Some((2, Following)),
        "in no list: follows without a vote"
    );
}

#[test]
fn during_a_reconfiguration_both_configurations_must_agree() {
    let mut next = ensemble(3, 0);
    next.version = 5;
    for (id, server) in ensemble(5, 0).members {
        next.members.insert(id, server);
    }
    let members = Members::new(ensemble(3, 0), Some(next));
    let mut e = election(3, members);
    let mut out = Vec::new();
    e.look_for_leader(0, OWN, &mut out);
    assert_eq!(sent(&out).len(), 4, "voters of both hear of it");
    receive(&mut e, 2, &note(Looking, 3, 1));
    assert!(
        elected(&tick(&mut e, 300)).is_none(),
        "two of three, but two of five"
    );
    receive(&mut e, 5, &note(Looking, 3, 1));
    assert_eq!(elected(&tick(&mut e, 600)), Some((3, Leading)));
}

#[test]
fn a_newer_configuration_is_reported_while_looking() {
    let options = ElectionOptions {
        adopt_configs: true,
        ..ElectionOptions::default()
    };
    let mut e = Election::new(ServerId(1), members(3), options);
    e.look_for_leader(0, OWN, &mut Vec::new());
    let mut newer = ensemble(5, 0);
    newer.version = 7;
    let mut n = note(Looking, 2, 1);
    n.config = Some(newer.text());
    let out = receive(&mut e, 2, &n);
    assert_eq!(
        out,
        [Effect::AdoptConfig(Box::new(newer.clone()))],
        "and nothing is counted"
    );
    e.set_members(Members::new(newer, None));
    assert!(!sent(&receive(&mut e, 2, &n)).is_empty());
    let mut same = ensemble(5, 0);
    same.version = 8;
    n.config = Some(same.text());
    n.leader = ServerId(3);
    let out = receive(&mut e, 3, &n);
    assert!(matches!(&out[0], Effect::AdoptConfig(c) if c.version == 8));
    assert_eq!(sent(&out).len(), 4, "the same members: the vote counts");
}

/// With reconfiguration switched off a newer version would restart elections for ever (Apache) or,
/// as "last seen", elect leaders that cannot commit (ZOOKEEPER-3829).
/// A configuration nobody can read killed the receiver, and the server was deaf from then on.
/// The members of an established ensemble report different zxids and rounds; a restarted voter
/// must be able to join them.
/// A follower that goes on to report the epoch from before the leader's reign keeps others out:
/// votes of different epochs are different, so the epoch is renewed once the role is established.
/// A quorum that follows is not enough: the leader itself may be gone (Apache: `checkLeader`).
/// Followers that have not noticed yet that this server restarted do not make it their leader.
#[test]
fn it_does_not_lead_on_the_word_of_an_earlier_round() {
    let mut e = looking(3, 3);
    receive(&mut e, 1, &note(Following, 3, 9));
    receive(&mut e, 2, &note(Following, 3, 9));
    assert!(e.is_looking());
    let out = receive(&mut e, 2, &note(Following, 3, 1));
    assert_eq!(
        elected(&out),
        Some((3, Leading)),
        "on that of its own it does"
    );
}

/// Apache: `FLELostMessageTest`: the only vote of a peer that finished was lost.
#[test]
fn a_peer_that_finished_first_is_joined() {
    let mut leader = looking(2, 3);
    receive(&mut leader, 1, &note(Looking, 2, 1));
    assert_eq!(elected(&tick(&mut leader, 300)), Some((2, Leading)));
    let mut late = looking(1, 3);
    let out = receive(&mut leader, 1, &note(Looking, 1, 1));
    let Effect::Send(_, n) = &out[1] else {
        panic!()
    };
    receive(&mut late, 2, n);
    receive(&mut late, 3, &note(Following, 2, 1));
    assert_eq!(late.current_vote().unwrap().leader, ServerId(2));
}

/// Reports in the format without an epoch agree by leader alone.
#[test]
fn old_formats_can_be_followed() {
    let mut e = looking(3, 3);
    let mut old = note(Following, 1, 4);
    (old.version, old.peer_epoch) = (0, 77);
    receive(&mut e, 2, &old);
    assert_eq!(
        elected(&receive(&mut e, 1, &note(Leading, 1, 4))),
        Some((1, Following))
    );
}

#[test]
fn settling_ends_a_round_and_its_own_messages_are_ignored() {
    let mut e = looking(1, 3);
    assert!(receive(&mut e, 1, &note(Leading, 3, 1)).is_empty());
    let vote = e.current_vote().unwrap();
    e.settle(vote, Leading);
    assert_eq!((e.is_looking(), e.state()), (false, Leading));
    assert!(tick(&mut e, 10_000).is_empty());
}

#[test]
fn the_clock_has_an_end_and_stays_there() {
    let mut e = looking(1, 3);
    receive(&mut e, 2, &note(Looking, 2, i64::MAX));
    let mut out = Vec::new();
    e.look_for_leader(0, OWN, &mut out);
    assert_eq!(sent(&out)[0].2, i64::MAX);
}
