//! Conversations with a leader: scripted learners, one for each rule.

use super::*;
use crate::proto::quorum::Capabilities;
use crate::proto::quorum::payload::encode_int;
use crate::proto::quorum::{LearnerInfo, PacketType as P};

const TICK: i64 = 1000;

fn z(epoch: i32, counter: u32) -> Zxid {
    Zxid::of(Epoch(epoch), counter)
}

fn bytes(n: u8) -> Arc<[u8]> {
    Arc::from([n])
}

/// Servers 1 to `voters`.
fn config(voters: i64, version: i64) -> Ensemble {
    let lines: String = (1..=voters)
        .map(|n| format!("server.{n}=h{n}:1:2\n"))
        .collect();
    Ensemble::parse(&format!("{lines}version={version:x}"), true).unwrap()
}

/// A leader of three or more with what it did since it was last asked.
struct Talk {
    leader: Leader,
    now: i64,
}

impl Talk {
    /// Server 1 of `voters`, in epoch 1 with transactions 1..=`last` of it, of which it keeps those
    /// behind `base`.
    fn new(voters: i64, base: u32, last: u32) -> Self {
        let mut cache = CommittedLog::new(z(1, base), 500, 0);
        for n in base + 1..=last {
            cache.push(z(1, n), bytes(n as u8));
        }
        let views = Views::new(config(voters, 0), None);
        Self::with(views, false, cache, last)
    }

    fn with(views: Views, reconfig: bool, cache: CommittedLog, last: u32) -> Self {
        let options = LeaderOptions {
            tick_ms: TICK,
            init_limit: 10,
            sync_limit: 5,
            reconfig,
            force_snapshot: false,
            initial_counter: 0,
            linearizable_sync: false,
        };
        let history = History {
            last: z(1, last),
            accepted: Epoch(1),
            current: Epoch(1),
        };
        Self {
            leader: Leader::new(ServerId(1), options, views, history, cache, 0),
            now: 0,
        }
    }

    fn hear(&mut self, link: u64, packet: QuorumPacket) {
        self.leader.packet(self.now, LinkId(link), packet);
    }

    fn hello(&mut self, link: u64, sid: i64, kind: P, accepted: i32) {
        self.leader.connected(self.now, LinkId(link));
        let info = LearnerInfo::new(ServerId(sid), 0).encode();
        self.hear(
            link,
            QuorumPacket::new(kind, z(accepted, 0)).with_data(info),
        );
    }

    /// A server of ours joins, and is up to date; it is known by its link.
    fn ours(&mut self, link: u64, sid: i64, kind: P, last: Zxid) {
        self.leader.connected(self.now, LinkId(link));
        let mut info = LearnerInfo::new(ServerId(sid), 0).encode();
        Capabilities::OURS.append(&mut info);
        self.hear(link, QuorumPacket::new(kind, z(1, 0)).with_data(info));
        self.promise(link, 1, last);
        self.ack(link, z(2, 0));
        self.did();
    }

    fn promise(&mut self, link: u64, current: i32, last: Zxid) {
        let packet = QuorumPacket::new(P::AckEpoch, last).with_data(encode_int(current));
        self.hear(link, packet);
    }

    fn ack(&mut self, link: u64, zxid: Zxid) {
        self.hear(link, QuorumPacket::new(P::Ack, zxid));
    }

    /// Effects as short words.
    fn did(&mut self) -> Vec<String> {
        let effects = self.leader.take_effects();
        effects
            .iter()
            .map(|e| match e {
                LeaderEffect::Send(l, p) => {
                    let name = PacketType::from_i32(p.kind).map_or("?", PacketType::name);
                    format!("{} {name} {:x}:{}", l.0, p.zxid.epoch().0, p.zxid.counter())
                }
                LeaderEffect::SendSnapshot(l) => format!("{} snapshot", l.0),
                LeaderEffect::ReadLog { link, from, upto } => {
                    format!("{} read {}..{}", link.0, from.counter(), upto.counter())
                }
                LeaderEffect::Close(l, _) => format!("{} close", l.0),
                LeaderEffect::AcceptEpoch(e) => format!("accept {}", e.0),
                LeaderEffect::EnterEpoch(e) => format!("enter {}", e.0),
                LeaderEffect::Serve(e) => format!("serve {}", e.0),
                LeaderEffect::Commit(z) => format!("commit {}:{}", z.epoch().0, z.counter()),
                LeaderEffect::StepDown(_) => "step down".into(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    /// Leads epoch 2 with server 2, at `last`, on link 2.
    fn active(voters: i64, last: u32) -> Self {
        let mut t = Self::new(voters, 0, last);
        for sid in 2..=(voters / 2 + 1) {
            t.hello(sid as u64, sid, P::FollowerInfo, 1);
        }
        t.leader.epoch_accepted(0);
        for sid in 2..=(voters / 2 + 1) {
            t.promise(sid as u64, 1, z(1, last));
        }
        t.leader.epoch_entered(0);
        for sid in 2..=(voters / 2 + 1) {
            t.ack(sid as u64, z(2, 0));
        }
        assert_eq!(t.leader.phase(), Phase::Active);
        t.did();
        t
    }

    /// A further learner that ends at `last` joins; it has not acknowledged NEWLEADER.
    fn join(&mut self, link: u64, sid: i64, kind: P, last: Zxid) -> Vec<String> {
        self.hello(link, sid, kind, 1);
        self.promise(link, 1, last);
        self.did()
            .into_iter()
            .filter(|d| !d.contains("LEADERINFO"))
            .collect()
    }
}

#[test]
fn nothing_is_said_before_it_is_durable() {
    let mut t = Talk::new(3, 0, 1);
    t.hello(2, 2, P::FollowerInfo, 4);
    assert_eq!(t.did(), ["accept 5"], "one above everything promised");
    t.leader.epoch_accepted(0);
    assert_eq!(t.did(), ["2 LEADERINFO 5:0"]);
    t.promise(2, 1, z(1, 1));
    assert_eq!(t.did(), ["enter 5"]);
    t.leader.epoch_entered(0);
    assert_eq!(t.did(), ["2 DIFF 1:1", "2 NEWLEADER 5:0"]);
    t.ack(2, z(5, 0));
    assert_eq!(t.did(), ["serve 5", "2 UPTODATE ffffffff:4294967295"]);
}

#[test]
fn observers_and_strangers_are_no_quorum() {
    let mut t = Talk::new(3, 0, 1);
    t.hello(2, 2, P::ObserverInfo, 1);
    t.hello(9, 9, P::FollowerInfo, 1);
    assert!(t.did().is_empty());
}

/// A promise made before is no second one: another leader of that epoch may have it.
#[test]
fn a_promise_counts_once() {
    let mut t = Talk::new(3, 0, 1);
    t.hello(2, 2, P::FollowerInfo, 1);
    t.leader.epoch_accepted(0);
    t.did();
    t.promise(2, -1, z(1, 1));
    assert!(t.did().is_empty());
}

#[test]
fn who_is_ahead_is_sent_away_until_a_quorum_has_promised() {
    let mut t = Talk::new(3, 0, 1);
    t.hello(2, 2, P::FollowerInfo, 1);
    t.leader.epoch_accepted(0);
    t.did();
    t.promise(2, 1, z(1, 2));
    assert_eq!(t.did(), ["2 close"]);
}

#[test]
fn the_first_packet_must_be_an_introduction() {
    let mut t = Talk::new(3, 0, 1);
    t.leader.connected(0, LinkId(7));
    t.ack(7, z(1, 1));
    assert_eq!(t.did(), ["7 close"]);
}

#[test]
fn zookeeper_3104_a_learner_gets_what_it_lacks_and_newleader_behind_it() {
    let mut t = Talk::active(3, 3);
    let did = t.join(3, 3, P::FollowerInfo, z(1, 2));
    assert_eq!(
        did,
        [
            "3 DIFF 1:3",
            "3 PROPOSAL 1:3",
            "3 COMMIT 1:3",
            "3 NEWLEADER 2:0"
        ]
    );
    let did = t.join(4, 4, P::ObserverInfo, z(1, 7));
    assert_eq!(did, ["4 TRUNC 1:3", "4 NEWLEADER 2:0"]);
}

#[test]
fn zookeeper_2418_what_is_too_old_is_read_from_the_log_or_sent_whole() {
    for (found, first) in [
        (Some(vec![2, 3]), "2 DIFF 1:4"),
        (Some(vec![3]), "2 SNAP 1:4"),
        (None, "2 SNAP 1:4"),
    ] {
        let mut t = Talk::new(3, 3, 4);
        t.hello(2, 2, P::FollowerInfo, 1);
        t.leader.epoch_accepted(0);
        t.promise(2, 1, z(1, 1));
        t.leader.epoch_entered(0);
        assert_eq!(t.did().last().unwrap(), "2 read 1..3");
        // A hole in the log is found, and is no history.
        let found = found.map(|f| f.into_iter().map(|n| (z(1, n), bytes(0))).collect());
        t.leader.log_read(LinkId(2), found);
        assert_eq!(t.did()[0], first);
    }
}

#[test]
fn a_proposal_commits_when_a_quorum_has_logged_it_and_is_applied_when_we_have() {
    let mut t = Talk::active(3, 1);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.leader.propose(0, z(2, 2), bytes(2));
    assert_eq!(t.did(), ["2 PROPOSAL 2:1", "2 PROPOSAL 2:2"]);
    t.leader.logged(z(2, 1));
    assert!(t.did().is_empty());
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), ["2 COMMIT 2:1", "commit 2:1"]);
}

/// In a larger ensemble the others may be faster than our own disk.
#[test]
fn zookeeper_4882_what_we_have_not_logged_is_not_applied() {
    let mut t = Talk::active(5, 1);
    t.join(4, 4, P::FollowerInfo, z(1, 1));
    t.ack(4, z(2, 0));
    t.did();
    t.leader.propose(0, z(2, 1), bytes(1));
    for link in [2, 3, 4] {
        t.ack(link, z(2, 1));
    }
    assert!(!t.did().iter().any(|d| d.starts_with("commit")));
    t.leader.logged(z(2, 1));
    assert_eq!(t.did(), ["commit 2:1"]);
}

#[test]
fn zookeeper_4394_commits_wait_for_uptodate() {
    let mut t = Talk::active(3, 1);
    t.leader.propose(0, z(2, 1), bytes(1));
    let did = t.join(3, 3, P::FollowerInfo, z(1, 1));
    assert_eq!(did.last().unwrap(), "3 NEWLEADER 2:0");
    assert!(did.contains(&"3 PROPOSAL 2:1".into()));
    t.leader.logged(z(2, 1));
    t.ack(2, z(2, 1));
    assert!(!t.did().contains(&"3 COMMIT 2:1".into()));
    t.ack(3, z(2, 0));
    assert_eq!(t.did(), ["3 UPTODATE ffffffff:4294967295", "3 COMMIT 2:1"]);
}

/// Old followers acknowledge proposals before NEWLEADER. That is no acknowledgement of NEWLEADER,
/// counts for nothing yet (their epoch may be the old one), and is not forgotten.
#[test]
fn zookeeper_4685_an_early_acknowledgement_counts_when_newleader_is_acknowledged() {
    let mut t = Talk::active(3, 1);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.leader.logged(z(2, 1));
    t.join(3, 3, P::FollowerInfo, z(1, 1));
    t.ack(3, z(2, 1));
    assert!(t.did().is_empty());
    t.ack(3, z(2, 0));
    let did = t.did();
    assert_eq!(
        did,
        [
            "3 UPTODATE ffffffff:4294967295",
            "2 COMMIT 2:1",
            "3 COMMIT 2:1",
            "commit 2:1"
        ]
    );
}

/// It was acknowledged, and then cut off when its server joined again: who has it now?
#[test]
fn what_was_acknowledged_on_an_older_link_counts_no_more() {
    let mut t = Talk::active(3, 1);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.leader.logged(z(2, 1));
    t.ack(2, z(2, 1));
    t.leader.propose(0, z(2, 2), bytes(2));
    t.ack(2, z(2, 2));
    t.leader.gone(LinkId(2));
    t.did();
    let did = t.join(7, 2, P::FollowerInfo, z(2, 2));
    assert_eq!(did, ["7 TRUNC 2:1", "7 PROPOSAL 2:2", "7 NEWLEADER 2:0"]);
    t.leader.logged(z(2, 2));
    assert!(t.did().is_empty());
    t.ack(7, z(2, 0));
    t.ack(7, z(2, 2));
    assert!(t.did().contains(&"commit 2:2".into()));
}

#[test]
fn a_server_that_connects_again_has_one_link() {
    let mut t = Talk::active(3, 1);
    let did = t.join(7, 2, P::FollowerInfo, z(1, 1));
    assert_eq!(did, ["2 close", "7 DIFF 1:1", "7 NEWLEADER 2:0"]);
}

#[test]
fn an_acknowledgement_of_nothing_ends_the_link() {
    let mut t = Talk::active(3, 1);
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), ["2 close"]);
}

#[test]
fn observers_hear_what_is_decided() {
    let mut t = Talk::active(3, 1);
    let did = t.join(4, 4, P::ObserverInfo, z(1, 1));
    assert_eq!(did, ["4 DIFF 1:1", "4 NEWLEADER 2:0"]);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.leader.logged(z(2, 1));
    t.ack(4, z(2, 1));
    assert_eq!(t.did(), ["2 PROPOSAL 2:1"], "its word does not count");
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), ["2 COMMIT 2:1", "4 INFORM 2:1", "commit 2:1"]);
}

#[test]
fn a_sync_is_answered_behind_what_was_proposed_before_it() {
    let mut t = Talk::active(3, 1);
    let sync = LearnerRequest {
        session: SessionId(1),
        cxid: 1,
        op: crate::proto::OpCode::Sync as i32,
        body: b"",
    };
    let sync = || QuorumPacket::new(P::Request, Zxid(-1)).with_data(sync.encode());
    t.hear(2, sync());
    assert_eq!(t.did(), ["2 SYNC 0:0"]);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.hear(2, sync());
    t.leader.logged(z(2, 1));
    t.did();
    t.ack(2, z(2, 1));
    assert_eq!(t.did(), ["2 COMMIT 2:1", "2 SYNC 0:0", "commit 2:1"]);
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut t = Talk::active(3, 1);
    t.now = 5 * TICK;
    t.leader.tick(t.now);
    assert!(!t.did().contains(&"step down".into()));
    t.now = 6 * TICK + 1;
    t.leader.tick(t.now);
    let did = t.did();
    assert!(
        did.contains(&"2 close".into()) && did.contains(&"step down".into()),
        "{did:?}"
    );
    assert_eq!(t.leader.phase(), Phase::Ended);
}

#[test]
fn the_waits_of_discovery_end() {
    let mut t = Talk::new(3, 0, 1);
    t.leader.tick(11 * TICK);
    assert_eq!(t.did(), ["step down"]);
}

#[test]
fn who_logs_too_slowly_goes_but_not_who_has_just_come() {
    let mut t = Talk::active(3, 1);
    t.leader.propose(0, z(2, 1), bytes(1));
    t.now = 6 * TICK;
    t.join(3, 3, P::FollowerInfo, z(1, 1));
    t.ack(3, z(2, 0));
    t.hear(2, QuorumPacket::new(P::Ping, Zxid(0)).with_data(Vec::new()));
    t.did();
    t.leader.tick(t.now);
    let did = t.did();
    assert!(
        did.contains(&"2 close".into()) && !did.contains(&"3 close".into()),
        "{did:?}"
    );
}

#[test]
fn nobody_is_believed_to_have_come_to_the_last_epoch() {
    let mut t = Talk::new(3, 0, 3);
    for liar in [i32::MAX, i32::MAX - 1, 1 << 25] {
        t.hello(9, 2, P::FollowerInfo, liar);
        assert_eq!(t.did(), ["9 close"], "{liar}");
    }
    t.hello(2, 2, P::FollowerInfo, 1);
    assert_eq!(t.did(), ["accept 2"]);
}

#[test]
fn those_who_say_nothing_take_no_more_than_their_places() {
    let mut t = Talk::new(3, 0, 3);
    t.hello(1, 5, P::ObserverInfo, 1);
    t.did();
    for link in 2..2 + UNKNOWN_MAX as u64 {
        t.leader.connected(0, LinkId(link));
    }
    assert!(t.did().is_empty());
    t.leader.connected(0, LinkId(1000));
    assert_eq!(t.did(), ["2 close"]);
    assert_eq!(t.leader.handlers().count(), 1 + UNKNOWN_MAX);
}

#[path = "handover_tests.rs"]
mod handover;
#[path = "reconfig_tests.rs"]
mod reconfig;
#[path = "sync_tests.rs"]
mod syncs;
