//! Held against real scrapes of Apache.

use std::collections::BTreeMap;

use super::*;
use crate::telemetry::metrics::{Gauge, GaugeSet, Number};

/// A standalone server, or a leader.
struct Source {
    leader: bool,
}

impl GaugeSource for Source {
    fn gauge(&self, gauge: Gauge) -> Option<Number> {
        match gauge {
            Gauge::AvgLatency => Some(Number::Float(0.417)),
            Gauge::QuorumSize
            | Gauge::SyncedObservers
            | Gauge::Learners
            | Gauge::SyncedFollowers
            | Gauge::SyncedNonVotingFollowers
            | Gauge::PendingSyncs
            | Gauge::LeaderUptime
            | Gauge::LastProposalSize
            | Gauge::MaxProposalSize
            | Gauge::MinProposalSize => self.leader.then_some(Number::Int(3)),
            _ => Some(Number::Int(7)),
        }
    }

    fn gauge_set(&self, _set: GaugeSet) -> Vec<(String, Number)> {
        vec![("app".to_owned(), Number::Int(1_000_000))]
    }
}

fn loaded() -> Box<Metrics> {
    let metrics = Box::new(Metrics::new());
    metrics.connection_request_count.add(3);
    (0..100).for_each(|ms| metrics.readlatency.record(ms));
    metrics.node_children_watch_count.record(3);
    metrics.write_per_namespace.with("app").record_len(79);
    metrics.write_per_namespace.with("a\"b\\c").record_len(79);
    metrics.read_per_namespace.with("app").record_len(147);
    for learner in ["1", "3"] {
        metrics.ack_latency.with(learner).record(2);
        metrics.learner_handler_qp_size.with(learner).record(0);
        metrics.learner_handler_qp_time_ms.with(learner).record(1);
    }
    metrics
}

fn process() -> ProcessStats {
    ProcessStats {
        cpu_seconds: 2.59,
        threads: 9,
        memory_max_bytes: 1 << 28,
        ..Default::default()
    }
}

fn scrape(metrics: &Metrics, leader: bool, compat: Compat, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let gauges = &Source { leader };
    Scrape {
        metrics,
        gauges,
        process: Some(process()),
        compat,
    }
    .render(&names)
}

/// Family name to (HELP, type, samples with the value cut off).
type Shape = BTreeMap<String, (String, String, Vec<String>)>;

fn shape(text: &str) -> Shape {
    let mut shape = Shape::new();
    let mut help = String::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').expect("help text").1.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, kind) = rest.split_once(' ').expect("type");
            name = family.to_owned();
            let new = shape.insert(name.clone(), (help.clone(), kind.to_owned(), Vec::new()));
            assert!(new.is_none(), "{name} twice");
        } else {
            let sample = line.rsplit_once(' ').expect("value").0;
            // The comma before the brace is the one thing we leave out.
            let sample = sample.replace(",}", "}");
            let suffix = sample.split('{').next().expect("name");
            assert!(
                [name.clone(), format!("{name}_count"), format!("{name}_sum")]
                    .contains(&suffix.to_owned()),
                "{line}"
            );
            shape.get_mut(&name).expect("TYPE first").2.push(sample);
        }
    }
    shape
}

/// Families of `golden` that we leave out on purpose (operations of a JVM).
fn left_out(name: &str) -> bool {
    [
        "jvm_gc_",
        "jvm_memory_pool_",
        "jvm_buffer_pool_",
        "jvm_classes_",
        "jvm_threads_st",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
        || [
            "jvm_threads_deadlocked_monitor",
            "jvm_memory_bytes_committed",
            "jvm_memory_bytes_init",
        ]
        .contains(&name)
        || [
            "jvm_memory_committed_bytes",
            "jvm_memory_init_bytes",
            "jvm_compilation_time_seconds_total",
        ]
        .contains(&name)
        || name == "jvm_memory_objects_pending_finalization"
}

fn assert_covers(ours: &str, golden: &str) {
    let ours = shape(ours);
    for (name, (help, kind, samples)) in shape(golden) {
        if left_out(&name) {
            assert!(!ours.contains_key(&name), "{name}");
            continue;
        }
        let (our_help, our_kind, our_samples) = ours.get(&name).expect(&name);
        assert_eq!((our_help, our_kind), (&help, &kind), "{name}");
        if !name.starts_with("jvm_") && !our_samples.iter().any(|s| s.contains("key=")) {
            assert_eq!(our_samples, &samples, "{name}");
        }
    }
}

#[test]
fn a_standalone_scrape_has_every_family_of_apache() {
    let golden =
        include_str!("../../../compat-tests/golden/ops/3.9.4-standalone-prometheus-metrics.txt");
    assert_covers(&scrape(&loaded(), false, Compat::V3_9, &[]), golden);
}

#[test]
fn a_leader_scrape_has_every_family_of_apache() {
    let golden =
        include_str!("../../../compat-tests/golden/ops/3.9.4-leader-prometheus-metrics.txt");
    assert_covers(&scrape(&loaded(), true, Compat::V3_9, &[]), golden);
}

#[test]
fn a_3_10_scrape_has_every_family_of_apache_3_10() {
    let golden =
        include_str!("../../../compat-tests/golden/ops/3.10-standalone-prometheus-metrics.txt");
    let ours = scrape(&loaded(), false, Compat::V3_10, &[]);
    assert_covers(&ours, golden);
    let names: Vec<_> = ours
        .lines()
        .filter(|line| line.starts_with("# HELP"))
        .collect();
    assert!(names.is_sorted());
    assert!(ours.contains("\nreadlatency{quantile=\"0.95\"} 95.0\n") || ours.contains("0.95\"} 9"));
    assert!(ours.contains("\nreadlatency_count 100\n"));
}

#[test]
fn no_family_is_made_up() {
    let golden =
        include_str!("../../../compat-tests/golden/ops/3.9.4-leader-prometheus-metrics.txt");
    let golden = shape(golden);
    for name in shape(&scrape(&loaded(), true, Compat::V3_9, &[])).keys() {
        let addition = name.starts_with("op_count_") || name.starts_with("ttl_node_");
        assert!(addition || golden.contains_key(name), "{name}");
    }
}

#[test]
fn values_and_labels() {
    let text = scrape(&loaded(), false, Compat::V3_9, &[]);
    for line in [
        "# HELP connection_request_count connection_request_count",
        "# TYPE connection_request_count counter",
        "connection_request_count 3.0",
        "avg_latency 0.417",
        "quota_bytes_limit_per_namespace{key=\"app\"} 1000000.0",
        "node_children_watch_count{quantile=\"0.5\"} 3.0",
        "node_children_watch_count_count 1.0",
        "node_children_watch_count_sum 3.0",
        "write_per_namespace{key=\"app\",quantile=\"0.5\"} 79.0",
        "write_per_namespace_count{key=\"app\"} 1.0",
        "write_per_namespace_sum{key=\"a\\\"b\\\\c\"} 79.0",
        "unavailable_time{quantile=\"0.5\"} NaN",
        "unavailable_time_count 0.0",
        "process_cpu_seconds_total 2.59",
        "jvm_memory_bytes_max{area=\"heap\"} 2.68435456E8",
        "jvm_threads_deadlocked 0.0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    assert!(!text.contains("learners"));
}

#[test]
fn the_name_filter_works_on_samples() {
    let text = scrape(
        &loaded(),
        false,
        Compat::V3_9,
        &["readlatency_count", "znode_count", "nothing"],
    );
    let want = "# HELP znode_count znode_count\n# TYPE znode_count gauge\nznode_count 7.0\n\
                # HELP readlatency readlatency\n# TYPE readlatency summary\n\
                readlatency_count 100.0\n";
    assert_eq!(text, want);
}

#[test]
fn both_names_at_once() {
    let text = scrape(&loaded(), false, Compat::Both, &[]);
    let shape = shape(&text);
    assert!(shape.contains_key("commit_count") && shape.contains_key("commit_count_total"));
    assert!(shape.contains_key("op_count_total") && !shape.contains_key("op_count"));
    assert!(shape.contains_key("jvm_memory_bytes_used"));
    assert!(shape.contains_key("jvm_memory_used_bytes"));
    assert_eq!(shape["readlatency"].2.len(), 6);
    assert_eq!("both".parse(), Ok(Compat::Both));
    assert!("3.8".parse::<Compat>().is_err());
}

#[test]
fn export_jvm_info_off() {
    let metrics = loaded();
    let gauges = &Source { leader: false };
    let scrape = Scrape {
        metrics: &metrics,
        gauges,
        process: None,
        compat: Compat::V3_9,
    };
    let text = scrape.render(&[]);
    assert!(!text.contains("\nprocess_") && !text.contains("jvm_threads"));
    assert!(text.contains("\njvm_pause_time_ms_count 0.0\n"));
}

/// Metrics of Grafana dashboard 10465, the one that ZooKeeper's documentation links, apart from
/// the JVM internals that no JVM-less server has.
const DASHBOARD_10465: &str = "approximate_data_size znode_count ephemerals_count watch_count \
    global_sessions local_sessions num_alive_connections outstanding_requests packets_received \
    packets_sent uptime avg_latency min_latency max_latency quorum_size leader_uptime learners \
    synced_observers synced_non_voting_followers last_proposal_size min_proposal_size \
    max_proposal_size last_client_response_size min_client_response_size \
    max_client_response_size open_file_descriptor_count outstanding_tls_handshake \
    connection_drop_probability add_dead_watcher_stall_time bytes_received_count commit_count \
    connection_drop_count connection_rejected connection_request_count dead_watchers_cleared \
    dead_watchers_queued diff_count digest_mismatches_count ensemble_auth_fail \
    ensemble_auth_skip ensemble_auth_success learner_commit_received_count looking_count \
    outstanding_changes_queued outstanding_changes_removed prep_processor_request_queued \
    proposal_count quit_leading_due_to_disloyal_voter request_commit_queued \
    response_packet_cache_hits response_packet_cache_misses \
    response_packet_get_children_cache_hits response_packet_get_children_cache_misses \
    revalidate_count sessionless_connections_expired snap_count stale_sessions_expired \
    sync_processor_request_queued tls_handshake_exceeded unrecoverable_error_count \
    election_time_sum fsynctime_sum snapshottime_sum dbinittime_sum startup_snap_load_time_sum \
    startup_txns_loaded_sum readlatency_count updatelatency_count propagation_latency_sum \
    proposal_latency proposal_ack_creation_latency quorum_ack_latency ack_latency_sum \
    follower_sync_time_sum close_session_prep_time commit_process_time \
    commit_propagation_latency commit_commit_proc_req_queued_sum read_commit_proc_req_queued \
    write_commit_proc_req_queued read_commit_proc_issued write_commit_proc_issued \
    read_commitproc_time_ms write_commitproc_time_ms read_final_proc_time_ms \
    write_final_proc_time_ms local_write_committed_time_ms server_write_committed_time_ms \
    om_commit_process_time_ms om_proposal_process_time_ms \
    concurrent_request_processing_in_commit_processor connection_token_deficit \
    dead_watchers_cleaner_latency learner_handler_qp_size_sum node_changed_watch_count_sum \
    node_children_watch_count_sum node_created_watch_count_sum node_deleted_watch_count_sum \
    pending_session_queue_size prep_process_time prep_processor_queue_size \
    prep_processor_queue_time_ms reads_after_write_in_session_queue \
    reads_issued_from_session_queue requests_in_session_queue session_queues_drained \
    sync_process_time sync_processor_batch_size sync_processor_queue_flush_time_ms \
    sync_processor_queue_size time_waiting_empty_pool_in_commit_processor_read_ms \
    write_batch_time_in_commit_processor read_per_namespace_count write_per_namespace_count \
    jvm_pause_time_ms jvm_threads_current jvm_threads_deadlocked";

#[test]
fn dashboard_10465_finds_its_metrics() {
    let text = scrape(&loaded(), true, Compat::V3_9, &[]);
    let names: std::collections::BTreeSet<_> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    for name in DASHBOARD_10465.split_whitespace() {
        assert!(names.contains(name), "{name}");
    }
}
