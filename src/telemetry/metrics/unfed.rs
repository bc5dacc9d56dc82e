//! The metrics that nothing records, and why; COMPAT.md lists them.

/// Names of the table that stay at zero here, by reason. Everything else is recorded where the work
/// happens (`compat-tests/layers.rs` looks for it).
pub const UNFED: &[(&str, &[&str])] = &[
    (
        "of ensembles, and not recorded yet",
        &[
            "quit_leading_due_to_disloyal_voter",
            "skip_learner_request_to_next_processor_count",
            "commit_process_time",
            "learner_request_processor_queue_size",
            "socket_closing_time",
        ],
    ),
    (
        "Apache's commit processor, which runs in ensembles only; there is no such stage here",
        &[
            "request_commit_queued",
            "requests_not_forwarded_to_commit_processor",
            "requests_in_session_queue",
            "pending_session_queue_size",
            "reads_after_write_in_session_queue",
            "reads_issued_from_session_queue",
            "session_queues_drained",
            "time_waiting_empty_pool_in_commit_processor_read_ms",
            "write_batch_time_in_commit_processor",
            "concurrent_request_processing_in_commit_processor",
            "read_commit_proc_req_queued",
            "write_commit_proc_req_queued",
            "commit_commit_proc_req_queued",
            "read_commit_proc_issued",
            "write_commit_proc_issued",
            "read_commitproc_time_ms",
            "write_commitproc_time_ms",
            "local_write_committed_time_ms",
            "server_write_committed_time_ms",
            "read_final_proc_time_ms",
            "write_final_proc_time_ms",
        ],
    ),
    (
        "comes with the AdminServer",
        &[
            "snapshot_rate_limited_count",
            "restore_error_count",
            "restore_rate_limited_count",
            "restore_time",
            "insecure_admin_count",
        ],
    ),
    (
        "comes with TLS",
        &["unsuccessful_handshake", "tls_handshake_exceeded"],
    ),
    (
        "answers are made without such a cache",
        &[
            "response_packet_cache_hits",
            "response_packet_cache_misses",
            "response_packet_get_children_cache_hits",
            "response_packet_get_children_cache_misses",
        ],
    ),
    (
        "watches of a closed connection go at once; as with Apache's default watch manager",
        &[
            "add_dead_watcher_stall_time",
            "dead_watchers_queued",
            "dead_watchers_cleared",
            "dead_watchers_cleaner_latency",
        ],
    ),
    (
        "Netty's queue, which there is not; as with Apache's default connection factory",
        &["netty_queued_buffer_capacity"],
    ),
    (
        "no step of its own: one thread prepares and logs a batch, see prep_process_time",
        &["proposal_process_time", "close_session_prep_time"],
    ),
    (
        "no step of its own: an observer master passes on what it applies",
        &["om_proposal_process_time_ms", "om_commit_process_time_ms"],
    ),
    (
        "there is no JVM whose pauses could be watched",
        &["jvm_pause_time_ms"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::telemetry::metrics::TABLE;

    #[test]
    fn every_name_is_in_the_table_and_here_once() {
        let mut seen = BTreeSet::new();
        for name in UNFED.iter().flat_map(|(_, names)| *names) {
            assert!(TABLE.iter().any(|def| def.name == *name), "{name}");
            assert!(seen.insert(name), "{name} is here twice");
        }
    }
}
