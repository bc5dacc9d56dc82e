//! Limits, requests, sessions, and the tuning of Apache's threads.

use super::Kind::{Bool, Class, Float, Int, Long, Text};
use super::{Row, bare, sys};

const THREADS: &str = "tunes threads of the Java server";
const CACHE: &str = "answers are made without such a cache";
const WATCHES: &str = "there is one implementation of watches";

pub(super) const ROWS: &[Row] = &[
    sys!(
        "maxCnxns",
        Int,
        "connections",
        "0",
        "connections per listener kind; 0 = no limit"
    )
    .seen(),
    sys!(
        "globalOutstandingLimit",
        Int,
        "requests",
        "1000",
        "requests before reading pauses"
    )
    .seen(),
    bare!("jute.maxbuffer", Int, "bytes", "1048575", "longest frame")
        .range("1..")
        .seen(),
    sys!(
        "jute.maxbuffer.extrasize",
        Int,
        "bytes",
        "",
        "slack of stored txns; = jute.maxbuffer"
    )
    .seen(),
    sys!(
        "largeRequestThreshold",
        Int,
        "bytes",
        "-1",
        "longer requests are large; -1 = off"
    )
    .seen(),
    sys!(
        "largeRequestMaxBytes",
        Int,
        "bytes",
        "104857600",
        "large requests in flight"
    )
    .seen(),
    sys!(
        "maxResponseCacheSize",
        Int,
        "entries",
        "400",
        "cache of getData answers"
    )
    .silent(CACHE)
    .seen(),
    sys!(
        "maxGetChildrenResponseCacheSize",
        Int,
        "entries",
        "400",
        "cache of getChildren answers"
    )
    .silent(CACHE)
    .seen(),
    sys!(
        "connection_throttle_tokens",
        Int,
        "tokens",
        "0",
        "session creation bucket; 0 = off"
    )
    .seen(),
    sys!(
        "connection_throttle_fill_time",
        Int,
        "ms",
        "1",
        "refill period"
    )
    .seen(),
    sys!(
        "connection_throttle_fill_count",
        Int,
        "tokens",
        "1",
        "tokens a refill"
    )
    .seen(),
    sys!(
        "connection_throttle_freeze_time",
        Int,
        "ms",
        "-1",
        "random drop; -1 = off"
    )
    .seen(),
    sys!(
        "connection_throttle_drop_increase",
        Float,
        "",
        "0.02",
        "step up of the drop chance"
    )
    .seen(),
    sys!(
        "connection_throttle_drop_decrease",
        Float,
        "",
        "0.002",
        "step down of the drop chance"
    )
    .seen(),
    sys!(
        "connection_throttle_decrease_ratio",
        Float,
        "",
        "0",
        "ratio that lets it step down"
    )
    .seen(),
    sys!(
        "connection_throttle_weight_enabled",
        Bool,
        "",
        "false",
        "weigh sessions by kind"
    )
    .seen(),
    sys!(
        "connection_throttle_global_session_weight",
        Int,
        "tokens",
        "3",
        "a global session"
    )
    .seen(),
    sys!(
        "connection_throttle_local_session_weight",
        Int,
        "tokens",
        "1",
        "a local session"
    )
    .seen(),
    sys!(
        "connection_throttle_renew_session_weight",
        Int,
        "tokens",
        "2",
        "a renewed session"
    )
    .seen(),
    sys!(
        "request_throttle_max_requests",
        Int,
        "requests",
        "0",
        "in process; 0 = off"
    )
    .seen(),
    sys!(
        "request_throttle_stall_time",
        Int,
        "ms",
        "100",
        "wake-up period while stalled"
    )
    .seen(),
    sys!(
        "request_throttle_drop_stale",
        Bool,
        "",
        "true",
        "drop stale requests"
    )
    .seen(),
    sys!(
        "request_throttler.shutdownTimeout",
        Int,
        "ms",
        "10000",
        "wait for the throttler"
    )
    .silent("a stop waits for nothing that has not begun"),
    sys!(
        "request_stale_latency_check",
        Bool,
        "",
        "false",
        "older than the session is stale"
    )
    .seen(),
    sys!(
        "request_stale_connection_check",
        Bool,
        "",
        "true",
        "of a closed connection is stale"
    )
    .seen(),
    sys!(
        "throttled_op_wait_time",
        Int,
        "ms",
        "0",
        "then answer ZTHROTTLEDOP; 0 = off"
    )
    .seen(),
    sys!("enforceQuota", Bool, "", "false", "hard quotas reject").seen(),
    sys!("skipACL", Text, "", "no", "yes = no ACL checks")
        .range("yes, no")
        .seen(),
    sys!(
        "enableEagerACLCheck",
        Bool,
        "",
        "false",
        "check writes before they are proposed"
    )
    .ensemble()
    .seen(),
    sys!(
        "closeSessionTxn.enabled",
        Bool,
        "",
        "true",
        "closeSession txns list ephemerals"
    )
    .seen(),
    sys!("extendedTypesEnabled", Bool, "", "false", "TTL nodes").seen(),
    sys!("emulate353TTLNodes", Bool, "", "false", "TTL bits of 3.5.3")
        .warned("the TTL layout of 3.5.3 is not supported; nodes are read in today's layout")
        .seen(),
    bare!(
        "znode.container.checkIntervalMs",
        Int,
        "ms",
        "60000",
        "period of the reaper"
    )
    .seen(),
    bare!(
        "znode.container.maxPerMinute",
        Int,
        "deletions",
        "10000",
        "pace of the reaper"
    )
    .seen(),
    bare!(
        "znode.container.maxNeverUsedIntervalMs",
        Long,
        "ms",
        "0",
        "unused containers; 0 = keep"
    )
    .seen(),
    sys!(
        "clientTcpKeepAlive",
        Bool,
        "",
        "false",
        "SO_KEEPALIVE on client sockets"
    )
    .seen(),
    sys!(
        "intBufferStartingSizeBytes",
        Int,
        "bytes",
        "1024",
        "first buffer"
    )
    .silent(THREADS),
    sys!(
        "nio.sessionlessCnxnTimeout",
        Int,
        "ms",
        "10000",
        "connections without a session"
    )
    .seen(),
    sys!("nio.numSelectorThreads", Int, "threads", "", "selectors").silent(THREADS),
    sys!("nio.numWorkerThreads", Int, "threads", "", "workers").silent(THREADS),
    sys!(
        "nio.directBufferBytes",
        Int,
        "bytes",
        "65536",
        "write buffer"
    )
    .silent(THREADS),
    sys!(
        "nio.shutdownTimeout",
        Int,
        "ms",
        "5000",
        "wait for the workers"
    )
    .silent(THREADS),
    sys!(
        "commitProcessor.numWorkerThreads",
        Int,
        "threads",
        "",
        "workers"
    )
    .silent(THREADS),
    sys!(
        "commitProcessor.shutdownTimeout",
        Long,
        "ms",
        "5000",
        "wait for them"
    )
    .silent(THREADS),
    sys!(
        "commitProcessor.maxReadBatchSize",
        Int,
        "requests",
        "-1",
        "reads a turn"
    )
    .silent(THREADS),
    sys!(
        "commitProcessor.maxCommitBatchSize",
        Int,
        "requests",
        "1",
        "commits a turn"
    )
    .silent(THREADS),
    sys!(
        "serverCnxnFactory",
        Class,
        "",
        "org.apache.zookeeper.server.NIOServerCnxnFactory",
        "connection layer"
    )
    .fine(&["org.apache.zookeeper.server.NettyServerCnxnFactory"])
    .warned("there is one connection layer; this class cannot run"),
    sys!(
        "netty.advancedFlowControl.enabled",
        Bool,
        "",
        "false",
        "flow control"
    )
    .silent(THREADS),
    sys!(
        "netty.server.outstandingHandshake.limit",
        Int,
        "handshakes",
        "-1",
        "TLS handshakes"
    )
    .planned("TLS is not part of this version yet"),
    sys!(
        "netty.server.earlyDropSecureConnectionHandshakes",
        Bool,
        "",
        "false",
        "drop early"
    )
    .planned("TLS is not part of this version yet"),
    sys!(
        "watchManagerName",
        Class,
        "",
        "org.apache.zookeeper.server.watch.WatchManager",
        "watch implementation"
    )
    .silent(WATCHES)
    .seen(),
    sys!(
        "watcherCleanThreadsNum",
        Int,
        "threads",
        "2",
        "cleaning of watches"
    )
    .silent(WATCHES),
    sys!(
        "watcherCleanThreshold",
        Int,
        "watchers",
        "1000",
        "cleaning of watches"
    )
    .silent(WATCHES),
    sys!(
        "watcherCleanIntervalInSeconds",
        Int,
        "s",
        "600",
        "cleaning of watches"
    )
    .silent(WATCHES),
    sys!(
        "maxInProcessingDeadWatchers",
        Int,
        "watchers",
        "-1",
        "cleaning of watches"
    )
    .silent(WATCHES),
    sys!("bitHashCacheSize", Int, "entries", "10", "cache of watches").silent(WATCHES),
    sys!(
        "pathStats.enabled",
        Bool,
        "",
        "false",
        "top paths in the log"
    )
    .silent("top-path statistics are not kept"),
    sys!(
        "pathStats.*",
        Text,
        "",
        "",
        "settings of the top-path statistics"
    )
    .silent("top-path statistics are not kept"),
    sys!(
        "messageTracker.Enabled",
        Bool,
        "",
        "false",
        "last quorum messages"
    )
    .silent("quorum messages are not kept"),
    sys!(
        "messageTracker.BufferSize",
        Int,
        "messages",
        "10",
        "how many"
    )
    .silent("quorum messages are not kept"),
];
