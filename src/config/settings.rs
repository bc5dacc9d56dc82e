//! The typed settings: what the rest of the server reads instead of property names.
//!
//! One struct for each area. Names carry their unit at the end. "0 = off" and "-1 = off" of Apache's
//! settings are `Option` or documented on the field, never a magic number to be remembered.

pub use super::listen_addr::{ListenAddr, java_ipv6};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listeners {
    /// Plain-text client listener (`clientPort`, `clientPortAddress`); `None` = no such listener.
    pub client: Option<ListenAddr>,
    /// TLS client listener (`secureClientPort`, `secureClientPortAddress`).
    pub secure_client: Option<ListenAddr>,
    /// `clientPortListenBacklog` as configured, -1 when unset (what `conf` reports).
    pub backlog: i32,
    /// `clientTcpKeepAlive`: SO_KEEPALIVE on client sockets.
    pub tcp_keep_alive: bool,
    /// `nio.sessionlessCnxnTimeout`: ms after which a connection without a session is closed.
    pub sessionless_timeout_ms: u64,
    /// `client.portUnification`: the plain port also accepts TLS.
    pub port_unification: bool,
}

/// Ticks and session time-outs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `tickTime`, ms, at least 1.
    pub tick_time_ms: i32,
    /// Lower bound of a negotiated session time-out, ms (default 2 ticks).
    pub min_timeout_ms: i32,
    /// Upper bound of a negotiated session time-out, ms (default 20 ticks).
    pub max_timeout_ms: i32,
    /// `localSessionsEnabled` (ensembles only).
    pub local_enabled: bool,
    /// `localSessionsUpgradingEnabled` (ensembles only).
    pub local_upgrading_enabled: bool,
}

/// Caps on connections, frames and queued requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `maxClientCnxns`: connections per client IP, 0 = no limit.
    pub max_client_cnxns: u32,
    /// `maxCnxns`: connections per listener kind, 0 = no limit.
    pub max_cnxns: u32,
    /// `globalOutstandingLimit`: requests in the pipeline before reading pauses.
    pub global_outstanding: u32,
    /// `jute.maxbuffer`: longest frame in bytes.
    pub jute_max_buffer: u32,
    /// `jute.maxbuffer.extrasize`: slack for stored transactions, bytes.
    pub jute_extra_size: u32,
    /// `largeRequestThreshold`: bytes from which a request counts as large; `None` = off.
    pub large_request_threshold: Option<u32>,
    /// `largeRequestMaxBytes`: bytes of large requests in flight.
    pub large_request_max_bytes: u64,
    /// `maxResponseCacheSize` (entries; 0 = off). Accepted, reported, not needed here.
    pub response_cache_size: u32,
    /// `maxGetChildrenResponseCacheSize` (entries; 0 = off).
    pub children_response_cache_size: u32,
}

/// Token bucket on session creation (`connection_throttle_*`, class BlueThrottle).
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionThrottle {
    /// Bucket size; 0 = throttle off.
    pub tokens: i32,
    /// Refill period, ms.
    pub fill_time_ms: i32,
    /// Tokens per refill.
    pub fill_count: i32,
    /// Freeze time of the random drop, ms; -1 = no random drop.
    pub freeze_time_ms: i32,
    /// Increase of the drop chance per step.
    pub drop_increase: f64,
    /// Decrease of the drop chance per step.
    pub drop_decrease: f64,
    /// Ratio of dropping below which the chance decreases.
    pub decrease_ratio: f64,
    /// Weigh sessions by kind.
    pub weight_enabled: bool,
    /// Weight of a global session.
    pub global_session_weight: i32,
    /// Weight of a local session.
    pub local_session_weight: i32,
    /// Weight of a renewed session.
    pub renew_session_weight: i32,
}

/// Request throttler (`request_throttle_*`, class RequestThrottler).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestThrottle {
    /// Requests in process before submission stalls; 0 = off.
    pub max_requests: u32,
    /// Wake-up period while stalled, ms.
    pub stall_time_ms: u32,
    /// Drop stale requests while throttling.
    pub drop_stale: bool,
    /// A request older than its session time-out is stale.
    pub stale_latency_check: bool,
    /// A request of a closed connection is stale.
    pub stale_connection_check: bool,
    /// `throttled_op_wait_time`, ms; `None` = off.
    pub throttled_op_wait_ms: Option<u32>,
    /// `request_throttler.shutdownTimeout`, ms.
    pub shutdown_timeout_ms: u32,
}

/// What the tree and the request checks allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `enforceQuota`: hard quotas reject.
    pub enforce_quota: bool,
    /// `skipACL=yes`: no ACL checks at all.
    pub skip_acl: bool,
    /// `enableEagerACLCheck`: check writes before they are proposed.
    pub eager_acl_check: bool,
    /// `closeSessionTxn.enabled`: closeSession transactions carry their ephemeral paths.
    pub close_session_txn: bool,
    /// `extendedTypesEnabled`: TTL nodes.
    pub extended_types: bool,
    /// `emulate353TTLNodes`: TTL bit layout of 3.5.3.
    pub emulate_353_ttl: bool,
    /// `digest.enabled`: tree digests in transactions, snapshots and `hash`.
    pub digest: bool,
    /// `reconfigEnabled`: the reconfig operation.
    pub reconfig: bool,
    /// `readonlymode.enabled`: serve reads while partitioned.
    pub read_only_mode: bool,
    /// `znode.container.checkIntervalMs`: period of the container and TTL reaper.
    pub container_check_interval_ms: u64,
    /// `znode.container.maxPerMinute`: deletions the reaper may send a minute.
    pub container_max_per_minute: u32,
    /// `znode.container.maxNeverUsedIntervalMs`; `None` = containers never used are kept.
    pub container_max_never_used_ms: Option<u64>,
}

/// Compression of snapshots we write (all are read).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotCompression {
    /// No compression (checked stream).
    None,
    /// `gz`.
    Gzip,
    /// `snappy`.
    Snappy,
}

/// Directories, logs and snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// `dataDir`: holds `myid`, and `version-2` with the snapshots.
    pub data_dir: PathBuf,
    /// `dataLogDir`: holds `version-2` with the transaction logs; `dataDir` when unset.
    pub data_log_dir: PathBuf,
    /// `snapCount`: transactions per log and snapshot (randomised in n/2+1 ..= n), at least 2.
    pub snap_count: u32,
    /// `snapSizeLimitInKb`: bytes of transactions per snapshot; `None` = off.
    pub snap_size_limit_bytes: Option<u64>,
    /// `txnLogSizeLimitInKb`: size at which a log is rolled; `None` = off.
    pub txn_log_size_limit_bytes: Option<u64>,
    /// `preAllocSize`: log pre-allocation.
    pub pre_alloc_bytes: u64,
    /// `forceSync`: false only for `no`.
    pub force_sync: bool,
    /// `fsync.warningthresholdms`: a slower sync is logged.
    pub fsync_warning_ms: u64,
    /// `flushDelay`: longest wait of a transaction for its batch, ms.
    pub flush_delay_ms: u64,
    /// `maxWriteQueuePollTime`, ms (default a third of `flushDelay`).
    pub max_write_queue_poll_ms: u64,
    /// `maxBatchSize`: transactions per flush; `None` = no cap.
    pub max_batch_size: Option<u32>,
    /// `commitLogCount`: transactions kept in memory for DIFF, at least 500.
    pub commit_log_count: u32,
    /// `snapshotSizeFactor`: share of the snapshot size for DIFF from disk; negative = off.
    pub snapshot_size_factor: f64,
    /// `snapshot.compression.method`.
    pub snapshot_compression: SnapshotCompression,
    /// `snapshot.trust.empty`: logs without a snapshot are accepted.
    pub trust_empty_snapshot: bool,
    /// `datadir.autocreate`: create missing directories.
    pub data_dir_autocreate: bool,
    /// `db.autocreate`: an empty directory is an empty database (else only with `initialize`).
    pub db_autocreate: bool,
    /// `serializeLastProcessedZxid.enabled`: snapshots end with the last zxid.
    pub serialize_last_processed_zxid: bool,
    /// `autopurge.snapRetainCount`: snapshots kept by a purge, at least 3.
    pub purge_retain_count: u32,
    /// `autopurge.purgeInterval`, ms; `None` = no purge.
    pub purge_interval_ms: Option<u64>,
}

/// One `authProvider.<suffix>` entry whose class is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthProviderKind {
    /// `DigestAuthenticationProvider`, scheme `digest` (built in).
    Digest,
    /// `IPAuthenticationProvider`, scheme `ip` (built in).
    Ip,
    /// `SASLAuthenticationProvider`, scheme `sasl`.
    Sasl,
    /// `X509AuthenticationProvider`, scheme `x509`.
    X509,
    /// `EnsembleAuthenticationProvider`, scheme `ensemble`.
    Ensemble,
}

/// Hash of the digest scheme (`DigestAuthenticationProvider.digestAlg`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA1, the default.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// Authentication and the rules it enforces.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    /// `DigestAuthenticationProvider.superDigest`: `super:<hash>`. A secret; never logged.
    pub super_digest: Option<String>,
    /// `DigestAuthenticationProvider.enabled`.
    pub digest_enabled: bool,
    /// `DigestAuthenticationProvider.digestAlg`.
    pub digest_algorithm: DigestAlgorithm,
    /// `X509AuthenticationProvider.superUser`: one exact principal.
    pub x509_super_user: Option<String>,
    /// `superUser` and `superUser.<x>`: SASL ids with super rights.
    pub super_users: Vec<String>,
    /// Providers available, from `authProvider.*` and built in, sorted, without duplicates.
    pub providers: Vec<AuthProviderKind>,
    /// `ensembleAuthName`: names the `ensemble` scheme accepts.
    pub ensemble_names: Vec<String>,
    /// `allowSaslFailedClients`.
    pub allow_sasl_failed_clients: bool,
    /// Schemes of which a connection needs one; `None` = nothing enforced. From `enforce.auth.*` and
    /// `sessionRequireClientSASLAuth`.
    pub enforced_schemes: Option<Vec<String>>,
    /// `IPAuthenticationProvider.usexforwardedfor` (AdminServer only).
    pub use_x_forwarded_for: bool,
    /// `java.security.auth.login.config`: JAAS file.
    pub jaas_file: Option<PathBuf>,
    /// `sasl.serverconfig`: JAAS section of the server.
    pub sasl_server_section: String,
    /// `fips-mode`.
    pub fips_mode: bool,
}

/// AdminServer (`admin.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// `admin.enableServer`: on unless exactly `false`; off by default when no configuration is given.
    pub enabled: bool,
    /// `admin.serverAddress`.
    pub address: String,
    /// `admin.serverPort`.
    pub port: u16,
    /// `admin.commandURL`: prefix of all commands.
    pub command_url: String,
    /// `admin.idleTimeout`, ms.
    pub idle_timeout_ms: u64,
    /// `admin.portUnification`.
    pub port_unification: bool,
    /// `admin.forceHttps`.
    pub force_https: bool,
    /// `admin.needClientAuth`.
    pub need_client_auth: bool,
    /// `admin.rateLimiterIntervalInMS`.
    pub rate_limiter_interval_ms: u64,
    /// `admin.snapshot.enabled`.
    pub snapshot_enabled: bool,
    /// `admin.restore.enabled`.
    pub restore_enabled: bool,
}

/// Which metrics provider class was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsProvider {
    /// `DefaultMetricsProvider`: `mntr` and AdminServer only.
    Default,
    /// `NullMetricsProvider`: nothing.
    Null,
    /// `PrometheusMetricsProvider`: also an HTTP endpoint.
    Prometheus,
}

/// Metrics (`metricsProvider.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `metricsProvider.className`.
    pub provider: MetricsProvider,
    /// `metricsProvider.httpHost`.
    pub http_host: String,
    /// `metricsProvider.httpPort`.
    pub http_port: u16,
    /// `metricsProvider.exportJvmInfo`: also process-level families.
    pub export_process_info: bool,
    /// All `metricsProvider.*` settings without the prefix and without `className`.
    pub options: BTreeMap<String, String>,
}

/// Four-letter words that may run (`4lw.commands.whitelist`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FourLetterWords {
    /// An element of the list was `*`.
    pub all: bool,
    /// Listed words, in the order given; `srvr` (always) and `isro` (read-only mode) are included.
    pub words: Vec<String>,
}

/// Audit log (`audit.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `audit.enable`.
    pub enabled: bool,
}

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// Level word in lower case: `trace`, `debug`, `info`, `warn`, `error` or `off`.
    pub level: String,
    /// Our own filter expression from the environment variable `ZABRA_LOG`; wins over `level`.
    pub filter: Option<String>,
    /// File to append to as well, when the root logger names a file appender and `log.dir` and
    /// `log.file` are set.
    pub file: Option<PathBuf>,
}

/// Participant or observer (class QuorumPeer.LearnerType).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerType {
    /// Votes.
    Participant,
    /// Follows without a vote.
    Observer,
}

/// SASL between peers (`quorum.auth.*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumAuth {
    /// `quorum.auth.enableSasl`.
    pub enabled: bool,
    /// `quorum.auth.learnerRequireSasl`.
    pub learner_required: bool,
    /// `quorum.auth.serverRequireSasl`.
    pub server_required: bool,
    /// `quorum.auth.learner.saslLoginContext`.
    pub learner_login_context: String,
    /// `quorum.auth.server.saslLoginContext`.
    pub server_login_context: String,
    /// `quorum.auth.kerberos.servicePrincipal`.
    pub service_principal: String,
}

/// Everything about peers that is not the member list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// `initLimit`, ticks.
    pub init_limit_ticks: i32,
    /// `syncLimit`, ticks.
    pub sync_limit_ticks: i32,
    /// `connectToLearnerMasterLimit`, ticks; 0 = `initLimit`.
    pub connect_limit_ticks: i32,
    /// `electionAlg`: always 3.
    pub election_alg: i32,
    /// Role of this server: the server list, or `peerType` when it is in no list.
    pub peer_type: PeerType,
    /// `quorumListenOnAllIPs`.
    pub listen_on_all_ips: bool,
    /// `standaloneEnabled`.
    pub standalone_enabled: bool,
    /// `syncEnabled` / `zookeeper.observer.syncEnabled`.
    pub sync_enabled: bool,
    /// `observerMasterPort`; `None` = off.
    pub observer_master_port: Option<u16>,
    /// `dynamicConfigFile`.
    pub dynamic_config_file: Option<PathBuf>,
    /// `leaderServes`: false only for `no`.
    pub leader_serves: bool,
    /// `cnxTimeout`: election connect time-out, ms.
    pub cnx_timeout_ms: u32,
    /// `quorumCnxnTimeoutMs`: election read time-out; `None` = syncLimit * tickTime.
    pub cnxn_read_timeout_ms: Option<u32>,
    /// `tcpKeepAlive` on election sockets.
    pub tcp_keep_alive: bool,
    /// `electionPortBindRetry`; 0 = for ever.
    pub election_bind_retry: u32,
    /// `fastleader.minNotificationInterval`, ms.
    pub min_notification_ms: u32,
    /// `fastleader.maxNotificationInterval`, ms.
    pub max_notification_ms: u32,
    /// `leader.maxTimeToWaitForEpoch`, ms; `None` = off.
    pub max_time_to_wait_for_epoch_ms: Option<u32>,
    /// `leader.maxConcurrentSnapSyncs`.
    pub max_concurrent_snap_syncs: u32,
    /// `leader.maxConcurrentDiffSyncs`.
    pub max_concurrent_diff_syncs: u32,
    /// `leaderConnectDelayDuringRetryMs`.
    pub leader_connect_delay_ms: u32,
    /// `observer.reconnectDelayMs`.
    pub observer_reconnect_delay_ms: u32,
    /// `observer.election.DelayMs`.
    pub observer_election_delay_ms: u32,
    /// `observerMaster.sizeLimit`, bytes.
    pub observer_master_size_limit: u32,
    /// `forceSnapshotSync`.
    pub force_snapshot_sync: bool,
    /// `linearizableSync`.
    pub linearizable_sync: bool,
    /// `multiAddress.enabled`.
    pub multi_address_enabled: bool,
    /// `multiAddress.reachabilityCheckEnabled`.
    pub multi_address_check_enabled: bool,
    /// `multiAddress.reachabilityCheckTimeoutMs`.
    pub multi_address_check_timeout_ms: u32,
    /// `sslQuorum`.
    pub ssl: bool,
    /// `portUnification` of the quorum ports.
    pub port_unification: bool,
    /// `sslQuorumReloadCertFiles`.
    pub ssl_reload_cert_files: bool,
    /// SASL between peers.
    pub auth: QuorumAuth,
}

impl std::fmt::Debug for Auth {
    /// Leaves the super digest out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("super_digest", &self.super_digest.as_ref().map(|_| "(set)"))
            .field("digest_enabled", &self.digest_enabled)
            .field("digest_algorithm", &self.digest_algorithm)
            .field("x509_super_user", &self.x509_super_user)
            .field("super_users", &self.super_users)
            .field("providers", &self.providers)
            .field("ensemble_names", &self.ensemble_names)
            .field("allow_sasl_failed_clients", &self.allow_sasl_failed_clients)
            .field("enforced_schemes", &self.enforced_schemes)
            .field("use_x_forwarded_for", &self.use_x_forwarded_for)
            .field("jaas_file", &self.jaas_file)
            .field("sasl_server_section", &self.sasl_server_section)
            .field("fips_mode", &self.fips_mode)
            .finish()
    }
}
