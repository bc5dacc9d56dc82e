//! System properties become typed settings. Defaults come from the key table.

use super::error::ConfigError;
use super::keys::{self, Kind};
use super::load::{Basis, warn};
use super::membership::Membership;
use super::settings::*;
use super::static_file::StaticFile;
use super::value::{comma_list, decode_integer, parse_purge_interval_ms, system_bool};
use super::{Environment, Message};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Reads properties the way the Java server does.
pub(super) struct Reader<'a> {
    pub properties: &'a BTreeMap<String, String>,
    pub messages: &'a mut Vec<Message>,
}

impl<'a> Reader<'a> {
    /// A reader of `properties` that complains to `messages`.
    pub fn new(
        properties: &'a BTreeMap<String, String>,
        messages: &'a mut Vec<Message>,
    ) -> Reader<'a> {
        Reader {
            properties,
            messages,
        }
    }

    /// The text of a property or of one of its aliases, when it is set.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let aliases = keys::by_property(name).map_or(&[][..], |row| row.aliases);
        std::iter::once(name)
            .chain(aliases.iter().copied())
            .find_map(|name| self.properties.get(name))
            .map(String::as_str)
    }

    /// The text, or the default of the table.
    pub fn text_or_default(&self, name: &str) -> &'a str {
        self.text(name).unwrap_or_else(|| default(name))
    }

    /// A text that is not empty.
    pub fn some_text(&self, name: &str) -> Option<String> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_string)
    }

    /// A boolean.
    pub fn flag(&self, name: &str) -> bool {
        system_bool(self.text_or_default(name))
    }

    /// An integer; the default when it cannot be read or is out of its type.
    fn int(&mut self, name: &str) -> i64 {
        let fallback = default(name).parse().unwrap_or(0);
        self.int_or(name, fallback)
    }

    fn int_or(&mut self, name: &str, fallback: i64) -> i64 {
        let Some(text) = self.text(name) else {
            return fallback;
        };
        let narrow = keys::by_property(name).is_some_and(|row| row.kind == Kind::Int);
        let fits = |value: &i64| !narrow || i32::try_from(*value).is_ok();
        decode_integer(text).filter(fits).unwrap_or_else(|| {
            let text = format!("{name}: {text:?} is not an integer; using the default {fallback}");
            warn(self.messages, text);
            fallback
        })
    }

    /// An integer of at least `least`; the default, with a WARN, when it is lower.
    fn at_least(&mut self, name: &str, least: i64) -> i64 {
        let value = self.int(name);
        if value >= least {
            return value;
        }
        let fallback = default(name).parse().unwrap_or(least);
        warn(
            self.messages,
            format!("{name}: {value} is too small; using the default {fallback}"),
        );
        fallback
    }

    fn float(&mut self, name: &str) -> f64 {
        let fallback = default(name).parse().unwrap_or(0.0);
        let Some(text) = self.text(name) else {
            return fallback;
        };
        text.parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .unwrap_or_else(|| {
                let text =
                    format!("{name}: {text:?} is not a number; using the default {fallback}");
                warn(self.messages, text);
                fallback
            })
    }

    fn count(&mut self, name: &str) -> u32 {
        count(self.int(name))
    }

    fn signed(&mut self, name: &str) -> i32 {
        i32::try_from(self.int(name)).unwrap_or(i32::MAX)
    }

    fn ms(&mut self, name: &str) -> u64 {
        size(self.int(name))
    }

    /// `None` for zero and below.
    fn positive(&mut self, name: &str) -> Option<u32> {
        Some(self.count(name)).filter(|count| *count > 0)
    }

    /// A size in KB as bytes; `None` for zero and below.
    fn kilobytes(&mut self, name: &str) -> Option<u64> {
        Some(size(self.int(name)).saturating_mul(1024)).filter(|bytes| *bytes > 0)
    }

    fn port(&mut self, name: &str) -> u16 {
        let number = self.int(name);
        u16::try_from(number).unwrap_or_else(|_| {
            let fallback = default(name).parse().unwrap_or(0);
            let text = format!("{name}: {number} is no port; using the default {fallback}");
            warn(self.messages, text);
            fallback
        })
    }
}

fn default(name: &str) -> &'static str {
    keys::by_property(name).map_or("", |row| row.default)
}

/// A count: below zero is zero.
fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

/// A size or a time: below zero is zero.
fn size(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn listeners(reader: &mut Reader<'_>, basis: &Basis) -> Listeners {
    Listeners {
        client: basis.client.clone(),
        secure_client: basis.secure_client.clone(),
        backlog: basis.file.int("clientPortListenBacklog"),
        tcp_keep_alive: reader.flag("zookeeper.clientTcpKeepAlive"),
        sessionless_timeout_ms: reader.ms("zookeeper.nio.sessionlessCnxnTimeout"),
        port_unification: reader.flag("zookeeper.client.portUnification"),
    }
}

pub(super) fn limits(reader: &mut Reader<'_>, max_client_cnxns: i32) -> Limits {
    let jute_max_buffer = reader.at_least("jute.maxbuffer", 1);
    let extra = reader.int_or("zookeeper.jute.maxbuffer.extrasize", jute_max_buffer);
    Limits {
        max_client_cnxns: count(max_client_cnxns.into()),
        max_cnxns: reader.count("zookeeper.maxCnxns"),
        global_outstanding: reader.count("zookeeper.globalOutstandingLimit"),
        jute_max_buffer: count(jute_max_buffer),
        jute_extra_size: count(extra),
        large_request_threshold: reader.positive("zookeeper.largeRequestThreshold"),
        large_request_max_bytes: size(reader.at_least("zookeeper.largeRequestMaxBytes", 1)),
        response_cache_size: reader.count("zookeeper.maxResponseCacheSize"),
        children_response_cache_size: reader.count("zookeeper.maxGetChildrenResponseCacheSize"),
    }
}

pub(super) fn connection_throttle(reader: &mut Reader<'_>) -> ConnectionThrottle {
    let [global, local, renew] = weights(reader);
    ConnectionThrottle {
        tokens: reader.signed("zookeeper.connection_throttle_tokens"),
        fill_time_ms: reader.signed("zookeeper.connection_throttle_fill_time"),
        fill_count: reader.signed("zookeeper.connection_throttle_fill_count"),
        freeze_time_ms: reader.signed("zookeeper.connection_throttle_freeze_time"),
        drop_increase: reader.float("zookeeper.connection_throttle_drop_increase"),
        drop_decrease: reader.float("zookeeper.connection_throttle_drop_decrease"),
        decrease_ratio: reader.float("zookeeper.connection_throttle_decrease_ratio"),
        weight_enabled: reader.flag("zookeeper.connection_throttle_weight_enabled"),
        global_session_weight: global,
        local_session_weight: local,
        renew_session_weight: renew,
    }
}

/// Weights of global, local and renewed sessions; the first and last are no less than the second.
fn weights(reader: &mut Reader<'_>) -> [i32; 3] {
    let local = reader.signed("zookeeper.connection_throttle_local_session_weight");
    let mut no_less = |name: &str| {
        let weight = weight(reader, name);
        if weight >= local {
            return weight;
        }
        let text = format!(
            "{name}: {weight} is less than the weight of a local session, {local}, which counts"
        );
        warn(reader.messages, text);
        local
    };
    let global = no_less("zookeeper.connection_throttle_global_session_weight");
    let renew = no_less("zookeeper.connection_throttle_renew_session_weight");
    let local = weight(reader, "zookeeper.connection_throttle_local_session_weight");
    [global, local, renew]
}

fn weight(reader: &mut Reader<'_>, name: &str) -> i32 {
    i32::try_from(reader.at_least(name, 1)).unwrap_or(i32::MAX)
}

pub(super) fn request_throttle(reader: &mut Reader<'_>) -> RequestThrottle {
    RequestThrottle {
        max_requests: reader.count("zookeeper.request_throttle_max_requests"),
        stall_time_ms: reader.count("zookeeper.request_throttle_stall_time"),
        drop_stale: reader.flag("zookeeper.request_throttle_drop_stale"),
        stale_latency_check: reader.flag("zookeeper.request_stale_latency_check"),
        stale_connection_check: reader.flag("zookeeper.request_stale_connection_check"),
        throttled_op_wait_ms: reader.positive("zookeeper.throttled_op_wait_time"),
        shutdown_timeout_ms: reader.count("zookeeper.request_throttler.shutdownTimeout"),
    }
}

pub(super) fn features(reader: &mut Reader<'_>, file: &StaticFile) -> Features {
    let unused = reader.ms("znode.container.maxNeverUsedIntervalMs");
    let features = Features {
        enforce_quota: reader.flag("zookeeper.enforceQuota"),
        skip_acl: reader.text("zookeeper.skipACL") == Some("yes"),
        eager_acl_check: reader.flag("zookeeper.enableEagerACLCheck"),
        close_session_txn: reader.flag("zookeeper.closeSessionTxn.enabled"),
        extended_types: reader.flag("zookeeper.extendedTypesEnabled"),
        emulate_353_ttl: reader.flag("zookeeper.emulate353TTLNodes"),
        digest: reader.flag("zookeeper.digest.enabled"),
        reconfig: file.bool("reconfigEnabled"),
        read_only_mode: reader.flag("readonlymode.enabled"),
        container_check_interval_ms: size(reader.at_least("znode.container.checkIntervalMs", 1)),
        container_max_per_minute: count(reader.at_least("znode.container.maxPerMinute", 1)),
        container_max_never_used_ms: Some(unused).filter(|ms| *ms > 0),
    };
    if features.skip_acl {
        warn(
            reader.messages,
            "zookeeper.skipACL==\"yes\", ACL checks will be skipped".into(),
        );
    }
    features
}

pub(super) fn storage(reader: &mut Reader<'_>, basis: &Basis) -> Storage {
    let file = &basis.file;
    let flush_delay_ms = reader.ms("zookeeper.flushDelay");
    let poll = i64::try_from(flush_delay_ms / 3).unwrap_or(i64::MAX);
    let interval = parse_purge_interval_ms(file.text_or_default("autopurge.purgeInterval"));
    let snap_size = reader.kilobytes("zookeeper.snapSizeLimitInKb");
    Storage {
        data_dir: basis.data_dir.clone(),
        data_log_dir: basis.data_log_dir.clone(),
        snap_count: snap_count(reader),
        snap_size_limit_bytes: snap_size,
        txn_log_size_limit_bytes: reader.kilobytes("zookeeper.txnLogSizeLimitInKb"),
        pre_alloc_bytes: reader.kilobytes("zookeeper.preAllocSize").unwrap_or(0),
        force_sync: force_sync(reader),
        fsync_warning_ms: reader.ms("zookeeper.fsync.warningthresholdms"),
        flush_delay_ms,
        max_write_queue_poll_ms: size(reader.int_or("zookeeper.maxWriteQueuePollTime", poll)),
        max_batch_size: reader.positive("zookeeper.maxBatchSize"),
        commit_log_count: commit_log_count(reader),
        snapshot_size_factor: reader.float("zookeeper.snapshotSizeFactor"),
        snapshot_compression: compression(reader),
        trust_empty_snapshot: reader.flag("zookeeper.snapshot.trust.empty"),
        data_dir_autocreate: reader.flag("zookeeper.datadir.autocreate"),
        db_autocreate: reader.flag("zookeeper.db.autocreate"),
        serialize_last_processed_zxid: reader.flag("zookeeper.serializeLastProcessedZxid.enabled"),
        purge_retain_count: count(file.int("autopurge.snapRetainCount").into()),
        purge_interval_ms: interval.ok().map(size).filter(|ms| *ms > 0),
    }
}

fn snap_count(reader: &mut Reader<'_>) -> u32 {
    let given = reader.count("zookeeper.snapCount");
    if given < 2 {
        let text = "SnapCount should be 2 or more. Now, snapCount is reset to 2";
        warn(reader.messages, text.into());
    }
    given.max(2)
}

fn commit_log_count(reader: &mut Reader<'_>) -> u32 {
    const LEAST: u32 = 500;
    let given = reader.count("zookeeper.commitLogCount");
    if given < LEAST {
        let text = format!(
            "The configured commitLogCount {given} is less than the recommended \
                            {LEAST}, going to use the recommended one"
        );
        warn(reader.messages, text);
    }
    given.max(LEAST)
}

fn force_sync(reader: &mut Reader<'_>) -> bool {
    let on = reader.text_or_default("zookeeper.forceSync") != "no";
    if !on {
        let text = "zookeeper.forceSync is no: the log is not synced, acknowledged writes may be lost \
                    when the machine stops";
        warn(reader.messages, text.into());
    }
    on
}

fn compression(reader: &mut Reader<'_>) -> SnapshotCompression {
    let text = reader.text_or_default("zookeeper.snapshot.compression.method");
    match text.to_ascii_lowercase().as_str() {
        "" => SnapshotCompression::None,
        "gz" => SnapshotCompression::Gzip,
        "snappy" => SnapshotCompression::Snappy,
        _ => {
            let text = format!(
                "zookeeper.snapshot.compression.method: {text:?} is neither gz nor \
                                snappy; snapshots are not compressed"
            );
            warn(reader.messages, text);
            SnapshotCompression::None
        }
    }
}

pub(super) fn admin(reader: &mut Reader<'_>) -> Admin {
    Admin {
        enabled: reader.text("zookeeper.admin.enableServer") != Some("false"),
        address: reader
            .text_or_default("zookeeper.admin.serverAddress")
            .to_string(),
        port: reader.port("zookeeper.admin.serverPort"),
        command_url: reader
            .text_or_default("zookeeper.admin.commandURL")
            .to_string(),
        idle_timeout_ms: reader.ms("zookeeper.admin.idleTimeout"),
        port_unification: reader.flag("zookeeper.admin.portUnification"),
        force_https: reader.flag("zookeeper.admin.forceHttps"),
        need_client_auth: reader.flag("zookeeper.admin.needClientAuth"),
        rate_limiter_interval_ms: reader.ms("zookeeper.admin.rateLimiterIntervalInMS"),
        snapshot_enabled: reader.flag("zookeeper.admin.snapshot.enabled"),
        restore_enabled: reader.flag("zookeeper.admin.restore.enabled"),
    }
}

pub(super) fn metrics(file: &StaticFile) -> Result<Metrics, ConfigError> {
    const CLASS: &str = "metricsProvider.className";
    let class = file.text_or_default(CLASS);
    let provider = match class {
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider" => MetricsProvider::Default,
        "org.apache.zookeeper.metrics.impl.NullMetricsProvider" => MetricsProvider::Null,
        "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider" => {
            MetricsProvider::Prometheus
        }
        _ => {
            let cause = "metrics provider class was not found";
            return Err(file.at(CLASS, ConfigError::illegal(cause)));
        }
    };
    let option = |name: &str| {
        let default = || {
            file.text_or_default(&format!("metricsProvider.{name}"))
                .to_string()
        };
        file.metrics.get(name).cloned().unwrap_or_else(default)
    };
    let port = option("httpPort");
    // Only the Prometheus provider reads the port, so only there a bad one matters.
    let http_port = match port.parse() {
        Ok(port) => port,
        Err(_) if provider != MetricsProvider::Prometheus => 0,
        Err(_) => {
            let cause = format!("Cannot boot MetricsProvider {class}");
            let error = ConfigError::unexpected("java.io.IOException", cause);
            return Err(error.at_key("metricsProvider.httpPort", 0));
        }
    };
    Ok(Metrics {
        provider,
        http_host: option("httpHost"),
        http_port,
        export_process_info: system_bool(&option("exportJvmInfo")),
        options: file.metrics.clone(),
    })
}

/// Class FourLetterCommands.
pub(super) fn words(reader: &Reader<'_>) -> FourLetterWords {
    let mut words = comma_list(reader.text_or_default("zookeeper.4lw.commands.whitelist"));
    let all = words.iter().any(|word| word == "*");
    words.retain(|word| word != "*");
    if reader.text("readonlymode.enabled") == Some("true") {
        words.push("isro".into());
    }
    words.push("srvr".into());
    FourLetterWords { all, words }
}

/// Level and file from our own variable, from log4j's property and variables, or INFO on the console.
pub(super) fn logging(reader: &Reader<'_>, env: Environment<'_>) -> Logging {
    let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let root = reader
        .some_text("zookeeper.root.logger")
        .or_else(|| set("ZOO_LOG4J_PROP"))
        .or_else(|| set("ROOT_LOG_LEVEL"))
        .or_else(|| set("ZOO_LOG_LEVEL"))
        .or_else(|| reader.some_text("zookeeper.console.threshold"))
        .unwrap_or_default();
    let level = root
        .split(',')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let level = match level.as_str() {
        "all" | "trace" => "trace",
        "debug" => "debug",
        "warn" | "warning" => "warn",
        "error" | "fatal" => "error",
        "off" => "off",
        _ => "info",
    };
    let file = (root.contains("ROLLINGFILE")).then(|| {
        let dir = reader.text_or_default("zookeeper.log.dir");
        PathBuf::from(dir).join(reader.text_or_default("zookeeper.log.file"))
    });
    Logging {
        level: level.to_string(),
        filter: set("ZABRA_LOG"),
        file,
    }
}

pub(super) fn quorum(reader: &mut Reader<'_>, file: &StaticFile, members: &Membership) -> Quorum {
    let sync_enabled = match reader.text("zookeeper.observer.syncEnabled") {
        Some(text) => system_bool(text),
        None => file.bool("syncEnabled"),
    };
    let observer_master_port = u16::try_from(file.int("observerMasterPort"))
        .ok()
        .filter(|port| *port > 0);
    let check_timeout = match file.text("multiAddress.reachabilityCheckTimeoutMs") {
        Some(_) => count(file.int("multiAddress.reachabilityCheckTimeoutMs").into()),
        None => reader.count("zookeeper.multiAddress.reachabilityCheckTimeoutMs"),
    };
    let multi = |key: &str| file.bool_or_property(key, reader.properties);
    Quorum {
        multi_address_enabled: multi("multiAddress.enabled"),
        multi_address_check_enabled: multi("multiAddress.reachabilityCheckEnabled"),
        multi_address_check_timeout_ms: check_timeout,
        init_limit_ticks: file.int("initLimit"),
        sync_limit_ticks: file.int("syncLimit"),
        connect_limit_ticks: file.int("connectToLearnerMasterLimit"),
        election_alg: file.int("electionAlg"),
        peer_type: members.peer_type,
        listen_on_all_ips: file.bool("quorumListenOnAllIPs"),
        standalone_enabled: file.bool("standaloneEnabled"),
        sync_enabled,
        observer_master_port,
        dynamic_config_file: file.text("dynamicConfigFile").map(PathBuf::from),
        leader_serves: reader.text_or_default("zookeeper.leaderServes") != "no",
        cnx_timeout_ms: reader.count("zookeeper.cnxTimeout"),
        cnxn_read_timeout_ms: reader.positive("zookeeper.quorumCnxnTimeoutMs"),
        tcp_keep_alive: reader.flag("zookeeper.tcpKeepAlive"),
        election_bind_retry: reader.count("zookeeper.electionPortBindRetry"),
        min_notification_ms: reader.count("zookeeper.fastleader.minNotificationInterval"),
        max_notification_ms: reader.count("zookeeper.fastleader.maxNotificationInterval"),
        max_time_to_wait_for_epoch_ms: reader.positive("zookeeper.leader.maxTimeToWaitForEpoch"),
        max_concurrent_snap_syncs: reader.count("zookeeper.leader.maxConcurrentSnapSyncs"),
        max_concurrent_diff_syncs: reader.count("zookeeper.leader.maxConcurrentDiffSyncs"),
        leader_connect_delay_ms: reader.count("zookeeper.leaderConnectDelayDuringRetryMs"),
        observer_reconnect_delay_ms: reader.count("zookeeper.observer.reconnectDelayMs"),
        observer_election_delay_ms: reader.count("zookeeper.observer.election.DelayMs"),
        observer_master_size_limit: reader.count("zookeeper.observerMaster.sizeLimit"),
        force_snapshot_sync: reader.flag("zookeeper.forceSnapshotSync"),
        linearizable_sync: reader.flag("zookeeper.linearizableSync"),
        ssl: file.bool("sslQuorum"),
        port_unification: file.bool("portUnification"),
        ssl_reload_cert_files: file.bool("sslQuorumReloadCertFiles"),
        auth: quorum_auth(file),
    }
}

fn quorum_auth(file: &StaticFile) -> QuorumAuth {
    let text = |key: &str| file.text_or_default(key).to_string();
    QuorumAuth {
        enabled: file.bool("quorum.auth.enableSasl"),
        learner_required: file.bool("quorum.auth.learnerRequireSasl"),
        server_required: file.bool("quorum.auth.serverRequireSasl"),
        learner_login_context: text("quorum.auth.learner.saslLoginContext"),
        server_login_context: text("quorum.auth.server.saslLoginContext"),
        service_principal: text("quorum.auth.kerberos.servicePrincipal"),
    }
}
