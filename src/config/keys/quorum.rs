//! Quorum and election.

use super::Kind::{Bool, Int, Text};
use super::{Row, bare, sys};

const ENSEMBLE: &str = "takes effect with ensembles, which this version does not run yet";
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
    .planned(ENSEMBLE),
    sys!("cnxTimeout", Int, "ms", "5000", "election connect time-out").planned(ENSEMBLE),
    sys!(
        "quorumCnxnTimeoutMs",
        Int,
        "ms",
        "-1",
        "election read time-out; -1 = syncLimit"
    )
    .planned(ENSEMBLE),
    sys!(
        "tcpKeepAlive",
        Bool,
        "",
        "false",
        "keep-alive of election sockets"
    )
    .planned(ENSEMBLE),
    sys!("electionPortBindRetry", Int, "tries", "3", "0 = for ever").planned(ENSEMBLE),
    sys!(
        "fastleader.minNotificationInterval",
        Int,
        "ms",
        "200",
        "election back-off"
    )
    .planned(ENSEMBLE),
    sys!(
        "fastleader.maxNotificationInterval",
        Int,
        "ms",
        "60000",
        "election back-off"
    )
    .planned(ENSEMBLE),
    sys!(
        "leader.maxTimeToWaitForEpoch",
        Int,
        "ms",
        "-1",
        "give up leading; -1 = off"
    )
    .planned(ENSEMBLE),
    sys!(
        "leader.maxConcurrentSnapSyncs",
        Int,
        "learners",
        "10",
        "SNAP syncs at once"
    )
    .planned(ENSEMBLE),
    sys!(
        "leader.maxConcurrentDiffSyncs",
        Int,
        "learners",
        "100",
        "DIFF syncs at once"
    )
    .planned(ENSEMBLE),
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
    .planned(ENSEMBLE),
    Row::new(
        "observer.syncEnabled",
        "zookeeper.observer.syncEnabled",
        Bool,
        "",
        "true",
        "observers write logs and snapshots; wins over syncEnabled",
    )
    .planned(ENSEMBLE),
    sys!(
        "observer.reconnectDelayMs",
        Int,
        "ms",
        "0",
        "pause of an observer"
    )
    .planned(ENSEMBLE),
    sys!(
        "observer.election.DelayMs",
        Int,
        "ms",
        "200",
        "pause before looking"
    )
    .planned(ENSEMBLE),
    sys!(
        "observerMaster.sizeLimit",
        Int,
        "bytes",
        "33554432",
        "queue for observers"
    )
    .planned(ENSEMBLE),
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
    sys!("forceSnapshotSync", Bool, "", "false", "always SNAP").planned(ENSEMBLE),
    bare!("follower.nodelay", Bool, "", "true", "TCP_NODELAY").silent("it is always set"),
    bare!("leader.nodelay", Bool, "", "true", "TCP_NODELAY").silent("it is always set"),
    bare!(
        "readonlymode.enabled",
        Bool,
        "",
        "false",
        "serve reads while partitioned"
    )
    .seen(),
    sys!("controllerPort", Int, "port", "", "port of the controller").silent(TESTS),
    sys!("test.*", Text, "", "", "switches of tests").silent(TESTS),
    sys!("testingonly.*", Text, "", "", "switches of tests").silent(TESTS),
];
