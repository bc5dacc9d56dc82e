//! The table of metrics: every name of Apache ZooKeeper 3.9 (and the additions of 3.10), and the
//! handles through which code records.
//!
//! ```
//! use zabra::telemetry::metrics::METRICS;
//! METRICS.readlatency.record(3);
//! METRICS.connection_request_count.inc();
//! METRICS.write_per_namespace.with("app").record_len(96);
//! ```
//!
//! Recording takes no lock and, but for the first use of a summary or label, no memory. Names of
//! stages that another architecture does not have (commit processor, prep processor) are in the
//! table all the same: dashboards and `mntr` parsers look for them.
//!
//! Apache: `ServerMetrics`, `ZooKeeperServer.registerMetrics`, `LeaderZooKeeperServer`,
//! `QuorumZooKeeperServer`.

mod buckets;
mod counter;
mod def;
mod gauge;
mod set;
mod stripe;
mod summary;
mod unfed;

pub use counter::Counter;
pub use def::{Handle, Kind, MetricDef, Unit};
pub use gauge::{GaugeSource, Number};
pub use set::{CHILDREN_MAX, CounterSet, Set, SummarySet};
pub use summary::{Histogram, Summary, Totals, WINDOW_TURN_MS, WINDOW_TURNS};
pub use unfed::UNFED;

macro_rules! row {
    ($name:expr, $kind:ident, $label:expr, $unit:ident, $help:expr) => {
        MetricDef {
            name: $name,
            kind: Kind::$kind,
            label: $label,
            unit: Unit::$unit,
            help: $help,
        }
    };
}

macro_rules! metrics {
    (
        gauge { $($g:ident $gn:literal $gu:ident $gh:literal;)* }
        gauge_set[$gl:literal] { $($gs:ident $gsn:literal $gsu:ident $gsh:literal;)* }
        counter { $($c:ident $cu:ident $ch:literal;)* }
        counter_set[$cl:literal] { $($cs:ident $csu:ident $csh:literal;)* }
        basic { $($b:ident $bu:ident $bh:literal;)* }
        advanced { $($a:ident $au:ident $ah:literal;)* }
        basic_set[$bl:literal] { $($bs:ident $bsu:ident $bsh:literal;)* }
        advanced_set[$al:literal] { $($xs:ident $xsu:ident $xsh:literal;)* }
    ) => {
        /// The gauges.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Gauge { $(#[doc = $gh] $g,)* }

        impl Gauge {
            /// All gauges, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$g,)*];

            /// Apache's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$g => $gn,)* }
            }
        }

        /// The gauges with a label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum GaugeSet { $(#[doc = $gsh] $gs,)* }

        impl GaugeSet {
            /// All gauge sets, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$gs,)*];

            /// Apache's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$gs => $gsn,)* }
            }
        }

        /// Everything that is recorded where work happens.
        pub struct Metrics {
            $(#[doc = $ch] pub $c: Counter,)*
            $(#[doc = $csh] pub $cs: CounterSet,)*
            $(#[doc = $bh] pub $b: Summary,)*
            $(#[doc = $ah] pub $a: Summary,)*
            $(#[doc = $bsh] pub $bs: SummarySet,)*
            $(#[doc = $xsh] pub $xs: SummarySet,)*
        }

        impl Metrics {
            /// All metrics, at zero.
            #[must_use]
            pub const fn new() -> Self {
                Self {
                    $($c: Counter::new(),)*
                    $($cs: CounterSet::new(),)*
                    $($b: Summary::new(),)*
                    $($a: Summary::new(),)*
                    $($bs: SummarySet::new(),)*
                    $($xs: SummarySet::new(),)*
                }
            }

            /// The rows of [`TABLE`] with the handle of each, in table order.
            pub fn rows(&self) -> impl Iterator<Item = (&'static MetricDef, Handle<'_>)> {
                TABLE.iter().zip([
                    $(Handle::Gauge(Gauge::$g),)*
                    $(Handle::GaugeSet(GaugeSet::$gs),)*
                    $(Handle::Counter(&self.$c),)*
                    $(Handle::CounterSet(&self.$cs),)*
                    $(Handle::Summary(&self.$b),)*
                    $(Handle::Summary(&self.$a),)*
                    $(Handle::SummarySet(&self.$bs),)*
                    $(Handle::SummarySet(&self.$xs),)*
                ])
            }
        }

        /// All metrics, kind by kind in the order of Apache's default provider.
        pub static TABLE: &[MetricDef] = &[
            $(row!($gn, Gauge, None, $gu, $gh),)*
            $(row!($gsn, GaugeSet, Some($gl), $gsu, $gsh),)*
            $(row!(stringify!($c), Counter, None, $cu, $ch),)*
            $(row!(stringify!($cs), CounterSet, Some($cl), $csu, $csh),)*
            $(row!(stringify!($b), Basic, None, $bu, $bh),)*
            $(row!(stringify!($a), Advanced, None, $au, $ah),)*
            $(row!(stringify!($bs), BasicSet, Some($bl), $bsu, $bsh),)*
            $(row!(stringify!($xs), AdvancedSet, Some($al), $xsu, $xsh),)*
        ];
    };
}

metrics! {
    gauge {
        AvgLatency "avg_latency" Ms "Average request latency since start or srst; a double.";
        MinLatency "min_latency" Ms "Shortest request latency since start or srst.";
        MaxLatency "max_latency" Ms "Longest request latency since start or srst.";
        PacketsReceived "packets_received" Count "Packets from clients since start or srst.";
        PacketsSent "packets_sent" Count "Packets to clients since start or srst.";
        NumAliveConnections "num_alive_connections" Count "Open client connections.";
        OutstandingRequests "outstanding_requests" Count "Requests read but not answered.";
        Uptime "uptime" Ms "Time in this role.";
        ZnodeCount "znode_count" Count "Znodes, the system ones included.";
        WatchCount "watch_count" Count "Data and child watches.";
        EphemeralsCount "ephemerals_count" Count "Ephemeral znodes.";
        ApproximateDataSize "approximate_data_size" Bytes "Bytes of all paths and data.";
        GlobalSessions "global_sessions" Count "Sessions known to the ensemble.";
        LocalSessions "local_sessions" Count "Sessions known to this server only.";
        OpenFileDescriptorCount "open_file_descriptor_count" Count "Open file descriptors.";
        MaxFileDescriptorCount "max_file_descriptor_count" Count "Limit of open file descriptors.";
        ConnectionDropProbability "connection_drop_probability" Ratio
            "Share of new connections that the throttle drops; a double.";
        LastClientResponseSize "last_client_response_size" Bytes "Last reply; -1 before the first.";
        MaxClientResponseSize "max_client_response_size" Bytes "Largest reply; -1 before the first.";
        MinClientResponseSize "min_client_response_size" Bytes
            "Smallest reply; -1 before the first.";
        OutstandingTlsHandshake "outstanding_tls_handshake" Count "TLS handshakes under way.";
        AuthFailedCount "auth_failed_count" Count "Failed client authentications.";
        NonMtlsRemoteConnCount "non_mtls_remote_conn_count" Count
            "Connections from other hosts without client certificate.";
        NonMtlsLocalConnCount "non_mtls_local_conn_count" Count
            "Connections from this host without client certificate.";
        QuorumSize "quorum_size" Count "Voting members. Ensemble only.";
        SyncedObservers "synced_observers" Count "Observers in sync. Leader and follower only.";
        Learners "learners" Count "Connected learners. Leader only.";
        SyncedFollowers "synced_followers" Count "Followers in sync. Leader only.";
        SyncedNonVotingFollowers "synced_non_voting_followers" Count
            "Followers in sync that do not vote. Leader only.";
        PendingSyncs "pending_syncs" Count "Unanswered sync requests. Leader only.";
        LeaderUptime "leader_uptime" Ms "Time since this server leads. Leader only.";
        LastProposalSize "last_proposal_size" Bytes "Last proposal; -1 if none. Leader only.";
        MaxProposalSize "max_proposal_size" Bytes "Largest proposal; -1 if none. Leader only.";
        MinProposalSize "min_proposal_size" Bytes "Smallest proposal; -1 if none. Leader only.";
    }
    gauge_set["key"] {
        QuotaCountLimitPerNamespace "quota_count_limit_per_namespace" Count
            "Allowed znodes by namespace.";
        QuotaBytesLimitPerNamespace "quota_bytes_limit_per_namespace" Bytes
            "Allowed bytes by namespace.";
        QuotaCountUsagePerNamespace "quota_count_usage_per_namespace" Count
            "Used znodes by namespace.";
        QuotaBytesUsagePerNamespace "quota_bytes_usage_per_namespace" Bytes
            "Used bytes by namespace.";
    }
    counter {
        snapshot_error_count Count "Snapshots over HTTP that failed.";
        snapshot_rate_limited_count Count "Snapshots over HTTP refused by the rate limit.";
        restore_error_count Count "Restores over HTTP that failed.";
        restore_rate_limited_count Count "Restores over HTTP refused by the rate limit.";
        looking_count Count "Times this server went looking for a leader.";
        diff_count Count "Learners synchronised by DIFF.";
        snap_count Count "Learners synchronised by SNAP.";
        commit_count Count "Proposals committed by this leader.";
        connection_request_count Count "Connect requests of clients.";
        connection_rejected Count "Connections refused by a limit.";
        bytes_received_count Bytes "Bytes of client requests.";
        unrecoverable_error_count Count "Errors that end the server.";
        add_dead_watcher_stall_time Ms "Time that closing connections waited for the watch cleaner.";
        dead_watchers_queued Count "Watchers of closed connections handed to the cleaner.";
        dead_watchers_cleared Count "Watchers of closed connections removed by the cleaner.";
        response_packet_cache_hits Count "getData replies taken from the cache.";
        response_packet_cache_misses Count "getData replies not in the cache.";
        response_packet_get_children_cache_hits Count "getChildren replies taken from the cache.";
        response_packet_get_children_cache_misses Count "getChildren replies not in the cache.";
        ensemble_auth_success Count "Connections that passed the ensemble name check.";
        ensemble_auth_fail Count "Connections that failed the ensemble name check.";
        ensemble_auth_skip Count "Connections that did not ask for the ensemble name check.";
        prep_processor_request_queued Count "Requests queued for preparation.";
        outstanding_changes_queued Count "Changes proposed, not yet applied, ever recorded.";
        outstanding_changes_removed Count "Such changes taken off again.";
        revalidate_count Count "Sessions that this leader revalidated for learners.";
        connection_drop_count Count "Connections dropped by the throttle.";
        connection_revalidate_count Count "Sessions revalidated when a client came back.";
        sessionless_connections_expired Count "Connections closed for not opening a session in time.";
        stale_sessions_expired Count "Sessions that timed out.";
        request_commit_queued Count "Requests queued for commit.";
        throttled_ops Count "Requests answered with a throttling error.";
        learner_proposal_received_count Count "Proposals received from the leader.";
        learner_commit_received_count Count "Commits received from the leader.";
        sync_processor_request_queued Count "Requests queued for the log.";
        proposal_count Count "Proposals sent by this leader.";
        quit_leading_due_to_disloyal_voter Count "Times leading ended because a voter left.";
        stale_requests Count "Requests that waited longer than the throttle allows.";
        stale_requests_dropped Count "Such requests that were dropped.";
        stale_replies Count "Replies to connections that were gone.";
        request_throttle_wait_count Count "Times a request had to wait for the throttle.";
        large_requests_rejected Count "Requests refused because large ones are under way.";
        digest_mismatches_count Count "Transactions after which the tree digest differed.";
        unsuccessful_handshake Count "TLS handshakes that failed.";
        insecure_admin_count Count "Plain admin connections where TLS is possible.";
        tls_handshake_exceeded Count "Connections refused by the limit of TLS handshakes.";
        cnxn_closed_without_zk_server_running Count "Connections closed because nothing is served.";
        skip_learner_request_to_next_processor_count Count
            "Learner requests that skipped a closing stage.";
        requests_not_forwarded_to_commit_processor Count "Requests answered without commit.";
        response_bytes Bytes "Bytes of replies.";
        watch_bytes Bytes "Bytes of watch events.";
        ttl_node_deleted_count Count "TTL znodes deleted after their time. 3.10.";
        ttl_node_created_count Count "TTL znodes created. 3.10.";
        op_count_total Count "Requests of all kinds. 3.10.";
        op_count_add_watch Count "addWatch requests. 3.10.";
        op_count_check Count "check requests. 3.10.";
        op_count_check_watches Count "checkWatches requests. 3.10.";
        op_count_close_session Count "closeSession requests. 3.10.";
        op_count_create Count "create requests of all kinds. 3.10.";
        op_count_create_session Count "createSession requests. 3.10.";
        op_count_delete Count "delete requests. 3.10.";
        op_count_exists Count "exists requests. 3.10.";
        op_count_get_acl Count "getACL requests. 3.10.";
        op_count_get_all_children_number Count "getAllChildrenNumber requests. 3.10.";
        op_count_get_children Count "getChildren requests of both kinds. 3.10.";
        op_count_get_data Count "getData requests. 3.10.";
        op_count_get_ephemerals Count "getEphemerals requests. 3.10.";
        op_count_multi Count "multi requests. 3.10.";
        op_count_multi_read Count "multiRead requests. 3.10.";
        op_count_ping Count "Pings of clients. 3.10.";
        op_count_reconfig Count "reconfig requests. 3.10.";
        op_count_remove_watches Count "removeWatches requests. 3.10.";
        op_count_set_acl Count "setACL requests. 3.10.";
        op_count_set_data Count "setData requests. 3.10.";
        op_count_set_watches Count "setWatches requests of both kinds. 3.10.";
        op_count_sync Count "sync requests. 3.10.";
        op_count_who_am_i Count "whoAmI requests. 3.10.";
    }
    counter_set["key"] {
        quota_exceeded_error_per_namespace Count "Writes refused by a hard quota, by namespace.";
    }
    basic {
        fsynctime Ms "Making the log durable.";
        snapshottime Ms "Writing a snapshot.";
        restore_time Ms "Restoring a snapshot over HTTP.";
        dbinittime Ms "Loading the database.";
        follower_sync_time Ms "Follower catching up with the leader.";
        observer_sync_time Ms "Observer catching up with the leader.";
        election_time Ms "Between looking and knowing the leader.";
        connection_token_deficit Count "Tokens missing in the connection throttle.";
        inflight_snap_count Count "SNAP synchronisations under way.";
        inflight_diff_count Count "DIFF synchronisations under way.";
        node_created_watch_count Count "Watches fired by the creation of a znode.";
        node_deleted_watch_count Count "Watches fired by the deletion of a znode.";
        node_changed_watch_count Count "Watches fired by a change of data.";
        node_children_watch_count Count "Watches fired by a change of the children.";
        prep_processor_queue_size Count "Requests waiting for preparation.";
        prep_process_time Ms "Preparing a request.";
        proposal_process_time Ms "Handing a request from preparation to log and learners.";
        unavailable_time Ms "Time without serving.";
        leader_unavailable_time Ms "Time without serving on a server that leads next.";
        requests_in_session_queue Count "Requests of one session waiting for a commit.";
        pending_session_queue_size Count "Sessions with such requests.";
        reads_after_write_in_session_queue Count "Reads waiting behind a write of their session.";
        reads_issued_from_session_queue Count "Such reads released by one commit.";
        session_queues_drained Count "Session queues emptied in one round.";
        time_waiting_empty_pool_in_commit_processor_read_ms Ms "Writes waiting for reads to end.";
        write_batch_time_in_commit_processor Ms "One round of commits.";
        concurrent_request_processing_in_commit_processor Count "Requests being processed at once.";
        read_commit_proc_req_queued Count "Reads waiting for the commit stage.";
        write_commit_proc_req_queued Count "Writes waiting for the commit stage.";
        commit_commit_proc_req_queued Count "Commits waiting for the commit stage.";
        read_commit_proc_issued Count "Reads released in one round.";
        write_commit_proc_issued Count "Writes released in one round.";
        commit_process_time Ms "Committing a transaction.";
        startup_txns_loaded Count "Transactions replayed at start.";
        startup_txns_load_time Ms "Replaying transactions at start.";
        startup_snap_load_time Ms "Loading the snapshot at start.";
        sync_processor_queue_size Count "Requests waiting for the log.";
        sync_process_time Ms "Writing a request to the log.";
        sync_processor_batch_size Count "Requests made durable together.";
        netty_queued_buffer_capacity Bytes "Bytes queued for a connection that is not read yet.";
        learner_request_processor_queue_size Count "Learner requests waiting at the leader.";
        socket_closing_time Ms "Closing a connection between servers.";
    }
    advanced {
        readlatency Ms "Read requests, from arrival to reply.";
        updatelatency Ms "Write requests, from arrival to reply.";
        propagation_latency Ms "From proposal at the leader to applied here.";
        dead_watchers_cleaner_latency Ms "One round of the watch cleaner.";
        prep_processor_queue_time_ms Ms "Waiting for preparation.";
        close_session_prep_time Ms "Preparing the end of a session.";
        read_commitproc_time_ms Ms "Reads in the commit stage.";
        write_commitproc_time_ms Ms "Writes in the commit stage.";
        local_write_committed_time_ms Ms "Commit of writes of this server's clients.";
        server_write_committed_time_ms Ms "Commit of writes of other servers' clients.";
        om_proposal_process_time_ms Ms "Proposals at an observer master.";
        om_commit_process_time_ms Ms "Commits at an observer master.";
        read_final_proc_time_ms Ms "Reads in the final stage.";
        write_final_proc_time_ms Ms "Writes in the final stage.";
        proposal_latency Ms "From request to proposal.";
        proposal_ack_creation_latency Ms "From proposal to acknowledgement.";
        commit_propagation_latency Ms "From commit at the leader to commit here.";
        sync_processor_queue_and_flush_time_ms Ms "Waiting for the log and until durable.";
        sync_processor_queue_time_ms Ms "Waiting for the log.";
        sync_processor_queue_flush_time_ms Ms "From written to durable.";
        quorum_ack_latency Ms "From proposal to the acknowledgement of a quorum.";
        request_throttle_queue_time_ms Ms "Waiting for the throttle.";
        jvm_pause_time_ms Ms "Stalls of the process or the machine.";
    }
    basic_set["key"] {
        write_per_namespace Bytes "Bytes written, by namespace.";
        read_per_namespace Bytes "Bytes read, by namespace.";
        learner_handler_qp_size Count "Packets queued for a learner, by server id.";
    }
    advanced_set["key"] {
        learner_handler_qp_time_ms Ms "Time of packets in the queue for a learner, by server id.";
        ack_latency Ms "From proposal to acknowledgement, by server id.";
    }
}

/// The metrics of this process.
pub static METRICS: Metrics = Metrics::new();

impl Metrics {
    /// Moves the quantile windows of all summaries on to `now_ms` (monotonic). The runtime calls it
    /// once a minute or so, and before each scrape.
    pub fn rotate(&self, now_ms: i64) {
        self.each_summary(|summary| summary.rotate(now_ms));
    }

    /// Empties all counters and summaries; labels stay. `srst` does this when the default provider
    /// is in use. Apache: `DefaultMetricsProvider.resetAllValues` (the Prometheus one resets nothing).
    pub fn reset(&self) {
        for (_, handle) in self.rows() {
            match handle {
                Handle::Counter(counter) => counter.reset(),
                Handle::CounterSet(set) => set.children().iter().for_each(|(_, c)| c.reset()),
                Handle::Gauge(_)
                | Handle::GaugeSet(_)
                | Handle::Summary(_)
                | Handle::SummarySet(_) => {}
            }
        }
        self.each_summary(Summary::reset);
    }

    fn each_summary(&self, each: impl Fn(&Summary)) {
        for (_, handle) in self.rows() {
            match handle {
                Handle::Summary(summary) => each(summary),
                Handle::SummarySet(set) => set.children().iter().for_each(|(_, s)| each(s)),
                Handle::Gauge(_)
                | Handle::GaugeSet(_)
                | Handle::Counter(_)
                | Handle::CounterSet(_) => {}
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_rows_match_their_handles() {
        let metrics = Box::new(Metrics::new());
        let names: BTreeSet<_> = TABLE.iter().map(|def| def.name).collect();
        assert_eq!(names.len(), TABLE.len());
        assert_eq!(metrics.rows().count(), TABLE.len());
        for (def, handle) in metrics.rows() {
            let fits = match handle {
                Handle::Gauge(gauge) => def.kind == Kind::Gauge && def.name == gauge.name(),
                Handle::GaugeSet(set) => def.kind == Kind::GaugeSet && def.name == set.name(),
                Handle::Counter(_) => def.kind == Kind::Counter,
                Handle::CounterSet(_) => def.kind == Kind::CounterSet,
                Handle::Summary(_) => matches!(def.kind, Kind::Basic | Kind::Advanced),
                Handle::SummarySet(_) => matches!(def.kind, Kind::BasicSet | Kind::AdvancedSet),
            };
            assert!(fits, "{}", def.name);
            assert_eq!(
                def.label.is_some(),
                matches!(
                    def.kind,
                    Kind::GaugeSet | Kind::CounterSet | Kind::BasicSet | Kind::AdvancedSet
                )
            );
        }
    }

    #[test]
    fn the_table_is_in_dump_order() {
        let place = |kind| Kind::DUMP_ORDER.iter().position(|k| *k == kind);
        assert!(TABLE.is_sorted_by_key(|def| place(def.kind)));
    }

    #[test]
    fn reset_empties_everything_but_keeps_labels() {
        let metrics = Box::new(Metrics::new());
        metrics.commit_count.add(3);
        metrics.readlatency.record(7);
        metrics.read_per_namespace.with("app").record_len(100);
        metrics.quota_exceeded_error_per_namespace.with("app").inc();
        metrics.reset();
        assert_eq!(metrics.commit_count.get(), 0);
        assert_eq!(metrics.readlatency.totals(), Totals::default());
        let children = metrics.read_per_namespace.children();
        assert_eq!(children.len(), 1);
        assert_eq!(children[0].1.totals().count, 0);
        assert_eq!(
            metrics.quota_exceeded_error_per_namespace.with("app").get(),
            0
        );
    }

    #[test]
    fn an_idle_server_pays_little() {
        // Counters are in place; summaries take memory when first used.
        assert!(size_of::<Metrics>() < 64 * 1024, "{}", size_of::<Metrics>());
    }
}
