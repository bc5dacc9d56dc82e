//! Quorum and election.

use super::Kind::{Bool, Int, Text};
use super::{Row, bare, sys};

const MEMORY: &str = "tunes the Java implementation";
const TESTS: &str = "belongs to Apache's own test harness";

pub(super) const ROWS: &[Row] = &[
    sys!(
        "leaderServes",
        Text,
        "",
        "yes",
        "no = the leader takes no clients"
    )
    .range("yes, no")
    .ensemble(),
    sys!("cnxTimeout", Int, "ms", "5000", "election connect time-out").ensemble(),
    sys!(
        "quorumCnxnTimeoutMs",
        Int,
        "ms",
        "-1",
        "election read time-out; -1 = syncLimit"
    )
    .ensemble(),
    sys!(
        "tcpKeepAlive",
        Bool,
        "",
        "false",
        "keep-alive of election sockets"
    )
    .ensemble(),
    sys!("electionPortBindRetry", Int, "tries", "3", "0 = for ever").ensemble(),
    sys!(
        "fastleader.minNotificationInterval",
        Int,
        "ms",
        "200",
        "election back-off"
    )
    .ensemble(),
    sys!(
        "fastleader.maxNotificationInterval",
        Int,
        "ms",
        "60000",
        "election back-off"
    )
    .ensemble(),
    sys!(
        "leader.maxTimeToWaitForEpoch",
        Int,
        "ms",
        "-1",
        "give up leading; -1 = off"
    )
    .ensemble(),
    sys!(
        "leader.maxConcurrentSnapSyncs",
        Int,
        "learners",
        "10",
        "SNAP syncs at once"
    )
    .ensemble(),
    sys!(
        "leader.maxConcurrentDiffSyncs",
        Int,
        "learners",
        "100",
        "DIFF syncs at once"
    )
    .ensemble(),
    sys!(
        "leader.ackLoggingFrequency",
        Int,
        "acks",
        "1000",
        "log every nth ack"
    )
    .silent(MEMORY),
    sys!(
        "leader.closeSocketAsync",
        Bool,
        "",
        "false",
        "close in the background"
    )
    .alias(&["leader.closeSocketAsync"])
    .silent(MEMORY),
    sys!(
        "learner.closeSocketAsync",
        Bool,
        "",
        "false",
        "close in the background"
    )
    .alias(&["learner.closeSocketAsync"])
    .silent(MEMORY),
    sys!(
        "learner.asyncSending",
        Bool,
        "",
        "false",
        "send in the background"
    )
    .alias(&["learner.asyncSending"])
    .silent(MEMORY),
    sys!(
        "leaderConnectDelayDuringRetryMs",
        Int,
        "ms",
        "100",
        "pause of a learner"
    )
    .ensemble(),
    Row::new(
        "observer.syncEnabled",
        "zookeeper.observer.syncEnabled",
        Bool,
        "",
        "true",
        "observers write logs and snapshots; wins over syncEnabled",
    )
    .ensemble(),
    sys!(
        "observer.reconnectDelayMs",
        Int,
        "ms",
        "0",
        "pause of an observer"
    )
    .ensemble(),
    sys!(
        "observer.election.DelayMs",
        Int,
        "ms",
        "200",
        "pause before looking"
    )
    .ensemble(),
    sys!(
        "observerMaster.sizeLimit",
        Int,
        "bytes",
        "33554432",
        "queue for observers"
    )
    .silent("observers begin at what is applied; there is no queue"),
    sys!(
        "follower.skipLearnerRequestToNextProcessor",
        Bool,
        "",
        "false",
        "saves memory"
    )
    .silent(MEMORY),
    sys!(
        "forward_learner_requests_to_commit_processor_disabled",
        Bool,
        "",
        "false",
        "saves memory"
    )
    .silent(MEMORY),
    sys!(
        "linearizableSync",
        Bool,
        "",
        "false",
        "not of Apache: the leader answers a sync once a quorum has confirmed it meanwhile"
    )
    .ensemble(),
    sys!(
        "testingonly.initialZxid",
        super::Kind::Long,
        "",
        "",
        "counter at which a leader's epoch opens, for tests of its end"
    )
    .ensemble(),
    sys!("forceSnapshotSync", Bool, "", "false", "always SNAP").ensemble(),
    bare!("follower.nodelay", Bool, "", "true", "TCP_NODELAY").silent("it is always set"),
    bare!("leader.nodelay", Bool, "", "true", "TCP_NODELAY").silent("it is always set"),
    bare!(
        "readonlymode.enabled",
        Bool,
        "",
        "false",
        "serve reads while partitioned"
    )
    .ensemble()
    .seen(),
    sys!("controllerPort", Int, "port", "", "port of the controller").silent(TESTS),
    sys!("test.*", Text, "", "", "switches of tests").silent(TESTS),
    sys!("testingonly.*", Text, "", "", "switches of tests").silent(TESTS),
];
