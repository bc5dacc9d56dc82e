//! Keys of zoo.cfg's own parser (class QuorumPeerConfig).

use super::Kind::{Bool, Class, Host, Int, Long, Path, Text};
use super::{Row, key};

const TLS: &str = "TLS is not part of this version yet";
const PAUSE: &str = "there is no JVM whose pauses could be watched";

pub(super) const ROWS: &[Row] = &[
    key!(
        "dataDir",
        Path,
        "",
        "",
        "snapshots and myid; required in a file"
    ),
    key!(
        "dataLogDir",
        Path,
        "",
        "",
        "transaction logs; dataDir when unset"
    ),
    key!(
        "clientPort",
        Int,
        "port",
        "",
        "plain-text client listener; none when unset"
    )
    .range("0..=65535")
    .seen(),
    key!(
        "clientPortAddress",
        Host,
        "",
        "",
        "address of the client listener; all when unset"
    )
    .seen(),
    key!("secureClientPort", Int, "port", "", "TLS client listener")
        .range("0..=65535")
        .planned("TLS is not part of this version yet; the port is not opened")
        .seen(),
    key!(
        "secureClientPortAddress",
        Host,
        "",
        "",
        "address of the TLS client listener"
    )
    .planned(TLS)
    .seen(),
    key!(
        "observerMasterPort",
        Int,
        "port",
        "0",
        "followers serve observers here; 0 = off"
    )
    .ensemble(),
    key!(
        "clientPortListenBacklog",
        Int,
        "connections",
        "-1",
        "listen backlog; -1 = default"
    )
    .seen(),
    key!(
        "tickTime",
        Int,
        "ms",
        "3000",
        "unit of session time-outs and limits"
    )
    .range("1..")
    .seen(),
    key!(
        "initLimit",
        Int,
        "ticks",
        "0",
        "time to connect to and sync with the leader"
    )
    .range("1.. in an ensemble")
    .ensemble(),
    key!("syncLimit", Int, "ticks", "0", "largest lag of a follower")
        .range("1.. in an ensemble")
        .ensemble(),
    key!(
        "connectToLearnerMasterLimit",
        Int,
        "ticks",
        "0",
        "time to connect; 0 = initLimit"
    )
    .ensemble(),
    key!(
        "maxClientCnxns",
        Int,
        "connections",
        "60",
        "connections per client IP; 0 = no limit"
    )
    .seen(),
    key!(
        "minSessionTimeout",
        Int,
        "ms",
        "-1",
        "lower session bound; -1 = 2 ticks"
    )
    .seen(),
    key!(
        "maxSessionTimeout",
        Int,
        "ms",
        "-1",
        "upper session bound; -1 = 20 ticks"
    )
    .seen(),
    key!(
        "localSessionsEnabled",
        Bool,
        "",
        "false",
        "sessions without a transaction"
    )
    .ensemble()
    .seen(),
    key!(
        "localSessionsUpgradingEnabled",
        Bool,
        "",
        "false",
        "local sessions become global at need"
    )
    .ensemble()
    .seen(),
    key!(
        "electionAlg",
        Int,
        "",
        "3",
        "election algorithm; anything but 3 is an error"
    )
    .range("3"),
    key!(
        "quorumListenOnAllIPs",
        Bool,
        "",
        "false",
        "quorum and election ports on all addresses"
    )
    .ensemble(),
    key!(
        "peerType",
        Text,
        "",
        "participant",
        "own role; the server list wins"
    )
    .range("participant, observer")
    .ensemble(),
    key!(
        "syncEnabled",
        Bool,
        "",
        "true",
        "observers write logs and snapshots"
    )
    .ensemble(),
    key!(
        "server.*",
        Text,
        "",
        "",
        "member: host:quorumPort:electionPort[:role][;[host:]clientPort]"
    )
    .range("see the grammar of server.N"),
    key!("group.*", Text, "", "", "members of a group, a:b:c").ensemble(),
    key!("weight.*", Int, "", "1", "voting weight of a member").ensemble(),
    key!(
        "dynamicConfigFile",
        Path,
        "",
        "",
        "file with the member list"
    ),
    key!(
        "standaloneEnabled",
        Bool,
        "",
        "true",
        "one member runs standalone"
    )
    .seen(),
    key!(
        "reconfigEnabled",
        Bool,
        "",
        "false",
        "the reconfig operation"
    )
    .seen(),
    key!(
        "autopurge.snapRetainCount",
        Int,
        "snapshots",
        "3",
        "snapshots a purge keeps"
    )
    .range("3.."),
    key!(
        "autopurge.purgeInterval",
        Text,
        "hours",
        "0",
        "purge period; 0 = off; ms/s/m/h/d suffix"
    ),
    key!("sslQuorum", Bool, "", "false", "TLS between peers").ensemble(),
    key!(
        "portUnification",
        Bool,
        "",
        "false",
        "quorum ports take plain text and TLS"
    )
    .planned(TLS),
    key!(
        "sslQuorumReloadCertFiles",
        Bool,
        "",
        "false",
        "reload quorum certificates"
    )
    .planned(TLS),
    key!(
        "quorum.auth.enableSasl",
        Bool,
        "",
        "false",
        "SASL between peers"
    )
    .ensemble(),
    key!(
        "quorum.auth.learnerRequireSasl",
        Bool,
        "",
        "false",
        "learners insist on SASL"
    )
    .ensemble(),
    key!(
        "quorum.auth.serverRequireSasl",
        Bool,
        "",
        "false",
        "servers insist on SASL"
    )
    .ensemble(),
    key!(
        "quorum.auth.learner.saslLoginContext",
        Text,
        "",
        "QuorumLearner",
        "JAAS section"
    )
    .ensemble(),
    key!(
        "quorum.auth.server.saslLoginContext",
        Text,
        "",
        "QuorumServer",
        "JAAS section"
    )
    .ensemble(),
    key!(
        "quorum.auth.kerberos.servicePrincipal",
        Text,
        "",
        "zkquorum/localhost",
        "principal"
    )
    .ensemble(),
    key!(
        "quorum.cnxn.threads.size",
        Int,
        "threads",
        "20",
        "pool for peer authentication"
    )
    .silent("connections are not served by threads"),
    key!("jvm.pause.monitor", Bool, "", "false", "watch JVM pauses").silent(PAUSE),
    key!(
        "jvm.pause.warn-threshold.ms",
        Long,
        "ms",
        "10000",
        "pause worth a WARN"
    )
    .silent(PAUSE),
    key!(
        "jvm.pause.info-threshold.ms",
        Long,
        "ms",
        "1000",
        "pause worth an INFO"
    )
    .silent(PAUSE),
    key!(
        "jvm.pause.sleep.time.ms",
        Long,
        "ms",
        "500",
        "sleep of the watcher"
    )
    .silent(PAUSE),
    key!(
        "metricsProvider.className",
        Class,
        "",
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "DefaultMetricsProvider, NullMetricsProvider or PrometheusMetricsProvider"
    ),
    key!(
        "metricsProvider.httpHost",
        Host,
        "",
        "0.0.0.0",
        "address of the /metrics endpoint"
    ),
    key!(
        "metricsProvider.httpPort",
        Int,
        "port",
        "7000",
        "port of the /metrics endpoint"
    ),
    key!(
        "metricsProvider.exportJvmInfo",
        Bool,
        "",
        "true",
        "process families as well"
    ),
    key!(
        "metricsProvider.numWorkerThreads",
        Int,
        "threads",
        "1",
        "reporting threads"
    )
    .silent("metrics are recorded where the work happens"),
    key!(
        "metricsProvider.maxQueueSize",
        Int,
        "samples",
        "1000000",
        "reporting queue"
    )
    .silent("metrics are recorded where the work happens"),
    key!(
        "metricsProvider.workerShutdownTimeoutMs",
        Long,
        "ms",
        "1000",
        "wait for the threads"
    )
    .silent("metrics are recorded where the work happens"),
    key!(
        "metricsProvider.httpsPort",
        Int,
        "port",
        "",
        "port of the TLS /metrics endpoint (3.10)"
    )
    .planned(TLS),
    key!(
        "metricsProvider.ssl.*",
        Text,
        "",
        "",
        "TLS of the /metrics endpoint (3.10)"
    )
    .planned(TLS),
    key!(
        "metricsProvider.*",
        Text,
        "",
        "",
        "handed to the provider without the prefix"
    )
    .silent("the provider has no such setting"),
    key!("oraclePath", Path, "", "", "two-member oracle quorum")
        .refused("oracle quorums are not supported"),
    Row::new(
        "multiAddress.enabled",
        "zookeeper.multiAddress.enabled",
        Bool,
        "",
        "false",
        "several addresses for a member",
    )
    .parser(),
    Row::new(
        "multiAddress.reachabilityCheckEnabled",
        "zookeeper.multiAddress.reachabilityCheckEnabled",
        Bool,
        "",
        "true",
        "try which address answers",
    )
    .parser()
    .ensemble(),
    Row::new(
        "multiAddress.reachabilityCheckTimeoutMs",
        "zookeeper.multiAddress.reachabilityCheckTimeoutMs",
        Int,
        "ms",
        "1000",
        "time for that try",
    )
    .parser()
    .ensemble(),
];
