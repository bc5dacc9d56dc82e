//! Differences on purpose that the differential tester does not meet: files, start-up, operations.

/// Area, what Apache does, what Zabra does and why.
pub const TABLE: &[(&str, &str, &str)] = &[
    (
        "start",
        "needs a zoo.cfg or arguments",
        "without any it serves on 127.0.0.1:2181 with data in ./data, nothing else open",
    ),
    (
        "start",
        "two servers on one data directory go unnoticed",
        "the second one refuses: the directory is locked (`zabra.lock`)",
    ),
    (
        "start",
        "writes a snapshot at every start, over the one it loaded",
        "writes one when enough was replayed; an existing snapshot is never rewritten in place",
    ),
    (
        "start",
        "starts empty when no snapshot passes its quick look and there are no logs",
        "refuses: an unreadable snapshot is not an empty database",
    ),
    (
        "recovery",
        "a record that ends early, has a wrong end byte or a zero length silently ends its file",
        "only the unfinished end of the newest log is cut; anything else stops the start and names \
         file and offset (`-Dzabra.acceptDamagedLog=true` gives up what lies behind it)",
    ),
    (
        "recovery",
        "`snapshot.22.tmp` and `log.1f.bak` are read as snapshot and log",
        "only the exact names count; others are named in a warning",
    ),
    (
        "recovery",
        "a snapshot whose tail was written under other flags is rejected",
        "every form of the tail is read",
    ),
    (
        "recovery",
        "TTL nodes are deleted at a start without `extendedTypesEnabled`",
        "they stay; only creating new ones needs the flag",
    ),
    (
        "recovery",
        "`emulate353TTLNodes` reads any negative owner as a TTL of 3.5.3 (its low 40 bits); new TTL \
         nodes get today's layout all the same",
        "takes such an owner for a session, as Apache does without the flag, and warns: only the \
         beta 3.5.3 wrote it, and sessions of servers with ids from 128 on look the same",
    ),
    (
        "snapshots",
        "written under their final name and not synced",
        "written aside, synced, renamed, directory synced",
    ),
    (
        "snapshots",
        "purge counts snapshots by their last five bytes",
        "purge counts snapshots it has read and verified",
    ),
    (
        "log",
        "space is a hole in a sparse file; a full disk is met in the middle of a record",
        "space is allocated ahead; a full disk stops the server before it acknowledges anything",
    ),
    (
        "log",
        "`txnLogSizeLimitInKb` counts the padding",
        "counts what is written",
    ),
    (
        "log",
        "`closeSessionTxn.enabled=false` leaves the list of ephemerals out",
        "the list is always written: a body-less record with a digest can be misread by 3.6 and later",
    ),
    (
        "listener",
        "backlog 50 when `clientPortListenBacklog` is not set",
        "4096, cut by the kernel's own limit: reconnect storms are served",
    ),
    (
        "watches",
        "events for a client that does not read are kept without bound",
        "a client with a million unread events is cut off; it re-arms its watches when it returns",
    ),
    (
        "reaper",
        "deletes whatever childless node is at a candidate's path by then, persistent ones too",
        "deletes it only if it still is a container or TTL node whose time has come",
    ),
    (
        "throttle",
        "reads wait in `request_throttle_*` too, and may be answered -127",
        "reads are answered where they arrive and never queue; writes wait as in Apache",
    ),
    (
        "secure port",
        "needs the Netty factory",
        "one connection layer: either class name is accepted",
    ),
    (
        "mntr",
        "changes its shape when the Prometheus provider is configured",
        "keeps the shape that exporters parse",
    ),
    (
        "metrics",
        "a comma behind the last label; no bound on the number of labels of a set",
        "no such comma; at most 1,000 labels a set",
    ),
    (
        "metrics",
        "a standalone server proposes nothing: commit_count, proposal_count and proposal_latency stay \
         at zero",
        "a standalone server is a quorum of one, and counts what it proposes and commits",
    ),
    (
        "metrics",
        "reads pass the throttler and the prep and sync processors, and are counted there",
        "reads pass by them: what they count are writes, and times and sizes are those of batches",
    ),
    (
        "version",
        "`3.9.5-<commit>`",
        "`3.9.5-zabra-<our version>`: clients that parse it see 3.9.5",
    ),
    (
        "ensemble",
        "sslQuorum and quorum.auth.* work",
        "not there yet: a configuration that sets one is refused at start",
    ),
    (
        "ensemble",
        "a leader with an id above 127 takes its own ended local sessions for another server's, and \
         prepares their writes",
        "their writes fail with SESSIONEXPIRED, as with smaller ids",
    ),
    (
        "ensemble",
        "without a quorum, errors of writes may overtake replies to earlier reads",
        "replies come in the order of the requests",
    ),
    (
        "ensemble",
        "an election waits 200 ms after a quorum agrees",
        "not when every voter agrees that has not just lost its connection",
    ),
    (
        "ensemble",
        "a voter on an empty directory votes (unless db.autocreate=false), also with one that missed what both had acknowledged",
        "once another voter has data, its vote counts when all of them look for a leader and are heard, or when a leader has given it everything; a file initialize in dataDir lets it vote at once",
    ),
    (
        "ensemble",
        "at counter 0xffffffff the leader steps down, and an election follows",
        "among our own servers it goes on in the next epoch, without one; with a server of Apache's connected as there",
    ),
    (
        "ensemble",
        "a leader leads until it ends",
        "`zabra handover` lets another of our servers lead, without an election",
    ),
    (
        "ensemble",
        "FOLLOWERINFO, OBSERVERINFO and LEADERINFO have a fixed length",
        "eight bytes behind it say what our servers can do; Apache passes over them",
    ),
    (
        "ensemble",
        "what waits for a learner has no bound",
        "512 MiB; then its link is closed, and it catches up",
    ),
    (
        "ensemble",
        "an observer tries every voter on observerMasterPort, also the leader, where nobody listens",
        "it passes the leader over, and learns from it directly when there is no follower",
    ),
    (
        "ensemble",
        "an observer that is ahead of its master must cut its log",
        "it waits until the master is as far",
    ),
    (
        "ensemble",
        "an observer master keeps packets (`observerMaster.sizeLimit`), and drops who needs older ones",
        "observers begin at what is applied; the setting has no effect",
    ),
    (
        "ensemble",
        "a follower whose observerMasterPort is taken goes back to the election",
        "it follows without observers, and says so",
    ),
    (
        "ensemble",
        "connections to the quorum port that say nothing have no bound, and any epoch is believed",
        "128 of them; epochs more than 2^24 ahead are not believed, so that nobody can end them",
    ),
    (
        "ensemble",
        "a follower tries five times to reach its leader",
        "it tries until `initLimit` (or `connectToLearnerMasterLimit`) is over",
    ),
    (
        "ensemble",
        "a follower applies a commit before its own log has the transaction",
        "a server applies only what its own log holds (ZOOKEEPER-4882)",
    ),
    (
        "ensemble",
        "TRUNC is ordered across epochs, and cuts behind a zxid that is not in the log",
        "a cut is ordered inside one epoch only, and made only at a zxid that is there; else a snapshot",
    ),
    (
        "ensemble",
        "logs and snapshots from before a SNAP stay",
        "they go once the snapshot is on disk: what they hold need never have been decided",
    ),
    (
        "ensemble",
        "a new leader deletes ephemerals of unknown sessions on its own",
        "it ends such sessions by a transaction, so that all members stay equal",
    ),
    (
        "ensemble",
        "an error of the log ends the role, and the process goes on",
        "it ends the process: what a disk has after an error is not known",
    ),
    (
        "ensemble",
        "at least `commitLogCount` transactions are kept for learners",
        "more of them, up to 16 MiB, unless snapshotSizeFactor is negative; the factor's size is not looked at",
    ),
    (
        "reconfig",
        "zoo.cfg is rewritten in hash order, backslashes lose their escapes, and every key that begins \
         with `clientPort` may go",
        "the lines keep their order and their escapes, and `clientPortListenBacklog` stays",
    ),
    (
        "reconfig",
        "`zoo.cfg.dynamic.next` is deleted when a server starts, though what it says is still pending",
        "it stays until the configuration is committed, or given up by a leader",
    ),
    (
        "reconfig",
        "a member acts on a committed configuration before it has applied the transaction",
        "it does when it has applied it",
    ),
    (
        "reconfig",
        "addresses of a joining server are resolved, and compared with those of the others",
        "they are compared as they are written",
    ),
    (
        "reconfig",
        "a leader that lost its place leads on until a full tick finds it without followers",
        "it goes as soon as the voters have gone",
    ),
];
