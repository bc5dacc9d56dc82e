//! Directories, transaction logs and snapshots.

use super::Kind::{Bool, Float, Int, Long, Text};
use super::{Row, sys};

pub(super) const ROWS: &[Row] = &[
    sys!(
        "snapCount",
        Int,
        "transactions",
        "100000",
        "transactions per log and snapshot"
    )
    .range("2.. (lower: 2)"),
    sys!(
        "snapSizeLimitInKb",
        Long,
        "KB",
        "4194304",
        "log bytes per snapshot; 0 or less = off"
    ),
    sys!(
        "txnLogSizeLimitInKb",
        Long,
        "KB",
        "-1",
        "size that rolls a log; 0 or less = off"
    ),
    sys!(
        "preAllocSize",
        Long,
        "KB",
        "65536",
        "pre-allocation of logs"
    )
    .range("1.."),
    sys!("forceSync", Text, "", "yes", "no = never sync the log")
        .range("yes, no")
        .fine(&["yes"]),
    sys!(
        "fsync.warningthresholdms",
        Long,
        "ms",
        "1000",
        "a slower sync is logged"
    )
    .alias(&["fsync.warningthresholdms"]),
    sys!("flushDelay", Long, "ms", "0", "longest wait for a batch"),
    sys!(
        "maxWriteQueuePollTime",
        Long,
        "ms",
        "",
        "poll of the write queue; flushDelay / 3"
    ),
    sys!(
        "maxBatchSize",
        Int,
        "transactions",
        "1000",
        "transactions per flush"
    ),
    sys!(
        "commitLogCount",
        Int,
        "transactions",
        "500",
        "kept in memory for DIFF"
    )
    .range("500.. (lower: 500)"),
    sys!(
        "snapshotSizeFactor",
        Float,
        "",
        "0.33",
        "share of the snapshot for DIFF from disk"
    ),
    sys!(
        "snapshot.compression.method",
        Text,
        "",
        "",
        "compression of snapshots"
    )
    .range("empty, gz, snappy"),
    sys!(
        "snapshot.trust.empty",
        Bool,
        "",
        "false",
        "logs without a snapshot are accepted"
    ),
    sys!(
        "datadir.autocreate",
        Bool,
        "",
        "true",
        "create missing directories"
    ),
    sys!(
        "db.autocreate",
        Bool,
        "",
        "true",
        "an empty directory is an empty database"
    ),
    sys!("digest.enabled", Bool, "", "true", "tree digests"),
    sys!(
        "serializeLastProcessedZxid.enabled",
        Bool,
        "",
        "true",
        "last zxid in snapshots"
    ),
];
