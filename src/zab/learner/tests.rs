//! Conversations with a learner: a scripted leader, one for each rule.

use super::*;
use crate::jute::Jute as _;
use crate::proto::quorum::PacketType as P;
use crate::proto::quorum::payload::encode_activate;
use crate::proto::txn::{ErrorTxn, Txn, TxnHeader};

fn z(epoch: i32, counter: u32) -> Zxid {
    Zxid::of(Epoch(epoch), counter)
}

fn txn(zxid: Zxid) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = TxnHeader {
        zxid: zxid.0,
        op: -1,
        ..TxnHeader::default()
    };
    header.encode(&mut bytes);
    Txn::Error(ErrorTxn { err: -101 }).encode(&mut bytes);
    bytes
}

struct Talk(Learner);

impl Talk {
    /// In epoch 1, with transactions up to `last` of it.
    fn new(kind: LearnerKind, last: u32) -> Self {
        let options = LearnerOptions {
            me: ServerId(2),
            kind,
            tick_ms: 1000,
            init_limit: 10,
            sync_limit: 5,
            config_version: 0,
            reconfig: false,
            whole: false,
        };
        let history = History {
            last: z(1, last),
            accepted: Epoch(1),
            current: Epoch(1),
        };
        Self(Learner::new(options, history, 0))
    }

    /// Has promised epoch 2.
    fn promised(kind: LearnerKind, last: u32) -> Self {
        let mut t = Self::new(kind, last);
        t.hear(P::LeaderInfo, z(2, 0));
        t.0.epoch_accepted(0);
        t.did();
        t
    }

    /// Serves in epoch 2.
    fn serving(kind: LearnerKind, last: u32) -> Self {
        let mut t = Self::promised(kind, last);
        t.hear(P::Diff, z(1, last));
        t.hear(P::NewLeader, z(2, 0));
        t.0.epoch_entered(0);
        t.hear(P::UpToDate, Zxid(-1));
        assert_eq!(t.0.phase(), Phase::Serving);
        t.did();
        t
    }

    fn hear(&mut self, kind: P, zxid: Zxid) {
        let packet = QuorumPacket::new(kind, zxid);
        self.0.packet(
            0,
            match kind {
                P::Proposal | P::Inform => packet.with_data(txn(zxid)),
                _ => packet,
            },
        );
    }

    fn did(&mut self) -> Vec<String> {
        let at = |z: Zxid| format!("{}:{}", z.epoch().0, z.counter());
        let effects = self.0.take_effects();
        effects
            .iter()
            .map(|e| match e {
                LearnerEffect::Send(p) => {
                    let name = PacketType::from_i32(p.kind).map_or("?", PacketType::name);
                    format!("{name} {}", at(p.zxid))
                }
                LearnerEffect::Acknowledge(z, _) => format!("ACK {}", at(*z)),
                LearnerEffect::AcceptEpoch(e) => format!("accept {}", e.0),
                LearnerEffect::EnterEpoch(e) => format!("enter {}", e.0),
                LearnerEffect::Truncate(z) => format!("cut {}", at(*z)),
                LearnerEffect::SaveSnapshot => "save".into(),
                LearnerEffect::Log(z, _) => format!("log {}", at(*z)),
                LearnerEffect::Apply(z, _) => format!("apply {}", at(*z)),
                LearnerEffect::Leave(_) => "leave".into(),
                LearnerEffect::Fatal(code, _) => format!("exit {code}"),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

use LearnerKind::{Follower, Observer};

#[test]
fn the_promise_is_durable_before_it_is_given() {
    let mut t = Talk::new(Follower, 3);
    assert_eq!(t.did(), ["FOLLOWERINFO 1:0"]);
    t.hear(P::LeaderInfo, z(2, 0));
    assert_eq!(t.did(), ["accept 2"]);
    t.0.epoch_accepted(0);
    assert_eq!(t.did(), ["ACKEPOCH 1:3"]);
}

#[test]
fn a_promise_is_kept_and_not_given_twice() {
    let mut t = Talk::new(Follower, 3);
    t.did();
    t.hear(P::LeaderInfo, z(0, 0));
    assert_eq!(t.did(), ["leave"]);
    let mut t = Talk::new(Follower, 3);
    t.did();
    t.0.packet(0, QuorumPacket::new(P::LeaderInfo, z(1, 0)));
    match &t.0.take_effects()[..] {
        [LearnerEffect::Send(p)] => assert_eq!(p.data.as_deref(), Some(&[255; 4][..])),
        other => panic!("{other:?}"),
    }
}

/// History, then epoch, then the acknowledgement, each durable before the next.
#[test]
fn zookeeper_4643_4646_4785_3911_3023_the_order_of_taking_over() {
    let mut t = Talk::promised(Follower, 1);
    t.hear(P::Diff, z(1, 3));
    for n in [2, 3] {
        t.hear(P::Proposal, z(1, n));
        t.hear(P::Commit, z(1, n));
    }
    assert!(t.did().is_empty());
    t.hear(P::NewLeader, z(2, 0));
    assert_eq!(t.did(), ["log 1:2", "log 1:3"]);
    t.0.logged(0, z(1, 2));
    assert_eq!(t.did(), [""; 0]);
    t.0.logged(0, z(1, 3));
    assert_eq!(t.did(), ["apply 1:2", "apply 1:3", "enter 2"]);
    t.0.epoch_entered(0);
    assert_eq!(t.did(), ["ACK 2:0"]);
}

#[test]
fn zookeeper_4685_4394_nothing_is_acknowledged_before_newleader_and_early_commits_are_kept() {
    let mut t = Talk::promised(Follower, 1);
    t.hear(P::Diff, z(1, 1));
    t.hear(P::Proposal, z(2, 1));
    t.hear(P::NewLeader, z(2, 0));
    assert_eq!(
        t.did(),
        ["enter 2"],
        "what is not committed is not logged yet"
    );
    t.0.epoch_entered(0);
    t.hear(P::Commit, z(2, 1));
    assert_eq!(t.did(), ["ACK 2:0"]);
    t.hear(P::UpToDate, Zxid(-1));
    assert_eq!(t.did(), ["ACK 2:0", "Serve", "log 2:1"]);
    t.0.logged(0, z(2, 1));
    assert_eq!(t.did(), ["ACK 2:1", "apply 2:1"]);
}

#[test]
fn zookeeper_2355_diff_moves_nothing() {
    let mut t = Talk::promised(Follower, 1);
    t.hear(P::Diff, z(1, 9));
    t.hear(P::Proposal, z(1, 2));
    assert!(t.did().is_empty(), "1:2 is the next one still");
    t.hear(P::Proposal, z(1, 4));
    assert_eq!(t.did(), ["leave"]);
}

#[test]
fn zookeeper_3642_a_snapshot_is_ours_once_it_is_saved() {
    let mut t = Talk::promised(Follower, 1);
    t.0.snapshot(0, z(1, 7));
    t.hear(P::Proposal, z(1, 8));
    t.hear(P::Commit, z(1, 8));
    assert_eq!(t.did(), ["apply 1:8"]);
    t.hear(P::NewLeader, z(2, 0));
    assert_eq!(t.did(), ["save"]);
    assert!(t.0.is_unsaved());
    t.0.snapshot_saved(0);
    assert!(!t.0.is_unsaved());
    assert_eq!(t.did(), ["enter 2"]);
}

#[test]
fn zookeeper_5094_a_role_that_ends_while_the_log_is_cut_reads_it_again() {
    let mut t = Talk::promised(Follower, 5);
    t.hear(P::Trunc, z(1, 3));
    assert_eq!(t.did(), ["cut 1:3"]);
    assert!(t.0.is_unsaved());
    t.0.truncated(0, z(1, 3), z(1, 3));
    assert!(!t.0.is_unsaved());
    t.hear(P::Proposal, z(1, 4));
    assert!(t.did().is_empty());
}

/// Cut further back its history would be older than its epoch says.
#[test]
fn a_cut_that_cannot_be_made_asks_for_everything() {
    let mut t = Talk::promised(Follower, 5);
    t.hear(P::Trunc, z(1, 3));
    t.did();
    t.0.truncated(0, z(1, 3), z(1, 5));
    assert_eq!(t.did(), ["StartOver"]);
    let options = LearnerOptions {
        whole: true,
        ..t.0.options
    };
    let mut again = Talk(Learner::new(
        options,
        History {
            accepted: Epoch(2),
            ..t.0.history
        },
        0,
    ));
    again.did();
    again.hear(P::LeaderInfo, z(2, 0));
    match &again.0.take_effects()[..] {
        [LearnerEffect::Send(p)] => assert_eq!(p.zxid, Zxid(-1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_has_the_opening_of_an_epoch_in_the_log() {
    let mut t = Talk::promised(Follower, 5);
    t.hear(P::Trunc, z(1, 0));
    t.did();
    t.0.truncated(0, z(1, 0), z(0, 9));
    assert_eq!(t.0.phase(), Phase::Syncing);
}

#[test]
fn acknowledgements_follow_the_log_in_order() {
    let mut t = Talk::serving(Follower, 1);
    t.hear(P::Proposal, z(2, 1));
    t.hear(P::Proposal, z(2, 2));
    t.hear(P::Commit, z(2, 1));
    assert_eq!(
        t.did(),
        ["log 2:1", "log 2:2"],
        "applied when it is in our log (ZOOKEEPER-4882)"
    );
    t.0.logged(0, z(2, 2));
    assert_eq!(t.did(), ["ACK 2:1", "ACK 2:2", "apply 2:1"]);
}

#[test]
fn a_commit_names_the_oldest_proposal() {
    let mut t = Talk::serving(Follower, 1);
    t.hear(P::Proposal, z(2, 1));
    t.hear(P::Proposal, z(2, 2));
    t.did();
    t.hear(P::Commit, z(2, 2));
    assert_eq!(t.did(), ["exit 12"]);
    let mut t = Talk::serving(Follower, 1);
    t.hear(P::Commit, z(2, 1));
    assert_eq!(t.did(), ["leave"]);
    let mut t = Talk::promised(Follower, 1);
    t.hear(P::Diff, z(1, 2));
    t.hear(P::Commit, z(1, 2));
    assert_eq!(t.did(), ["leave"]);
}

#[test]
fn holes_doubles_and_rubbish_end_the_link() {
    for second in [z(2, 1), z(2, 3), z(1, 9)] {
        let mut t = Talk::serving(Follower, 1);
        t.hear(P::Proposal, z(2, 1));
        t.did();
        t.hear(P::Proposal, second);
        assert_eq!(t.did(), ["leave"], "{second}");
    }
    let mut t = Talk::serving(Follower, 1);
    t.0.packet(
        0,
        QuorumPacket::new(P::Proposal, z(2, 1)).with_data(vec![1, 2, 3]),
    );
    assert_eq!(t.did(), ["leave"]);
}

#[test]
fn an_observer_logs_and_says_nothing() {
    let mut t = Talk::serving(Observer, 1);
    t.hear(P::Inform, z(2, 1));
    t.hear(P::Sync, Zxid(0));
    assert_eq!(t.did(), ["log 2:1"]);
    t.0.logged(0, z(2, 1));
    assert_eq!(t.did(), ["apply 2:1", "Synced"], "a sync keeps its place");
}

#[test]
fn pings_are_answered_once_we_serve() {
    let mut t = Talk::promised(Follower, 1);
    t.hear(P::Diff, z(1, 1));
    t.hear(P::Ping, Zxid(0));
    assert!(t.did().is_empty());
    let mut t = Talk::serving(Follower, 1);
    t.hear(P::Ping, z(2, 0));
    assert_eq!(t.did(), [format!("{:?}", LearnerEffect::Ping(z(2, 0)))]);
}

#[test]
fn a_silent_leader_is_left() {
    let mut t = Talk::serving(Follower, 1);
    t.0.tick(4999);
    assert!(t.did().is_empty());
    t.0.tick(5000);
    assert_eq!(t.did(), ["leave"]);
}

#[test]
fn zookeeper_2845_what_is_logged_and_not_decided_stays_ours() {
    let mut t = Talk::serving(Follower, 1);
    t.hear(P::Proposal, z(2, 1));
    let kept: Vec<_> = t.0.logged_and_pending().into_iter().map(|l| l.0).collect();
    assert_eq!(kept, [z(2, 1)], "the next election goes by it");
}

fn handover(last: Zxid) -> QuorumPacket {
    let data = encode_activate(ServerId(3), &[]);
    QuorumPacket::new(P::Handover, last).with_data(data)
}

#[test]
fn a_handover_comes_behind_what_was_decided() {
    let mut t = Talk::serving(LearnerKind::Follower, 1);
    t.hear(P::Proposal, z(2, 1));
    t.hear(P::Commit, z(2, 1));
    t.0.packet(0, handover(z(2, 1)));
    assert!(t.0.is_moving());
    assert!(!t.did().iter().any(|d| d.contains("Moved")));
    t.0.logged(0, z(2, 1));
    let did = t.did();
    assert_eq!(did.last().map(String::as_str), Some("Moved(ServerId(3))"));
    assert_eq!(t.0.phase(), Phase::Ended);
}

#[test]
fn a_handover_from_another_history_is_none() {
    for last in [z(2, 1), z(1, 2)] {
        let mut t = Talk::serving(LearnerKind::Follower, 1);
        t.hear(P::Proposal, z(2, 1));
        t.0.packet(0, handover(last));
        let did = t.did();
        assert!(!did.iter().any(|d| d.contains("Moved")), "{did:?}");
        assert_eq!(t.0.phase(), Phase::Ended);
    }
}

#[path = "reconfig_tests.rs"]
mod reconfig;
