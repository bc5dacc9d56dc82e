//! The running server as its commands and metrics see it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::admin::view::{
    Configuration, ConnectionInfo, ConnectionRef, ConnectionSession, ExpiryBucket, GlobalSessions,
    Mode, QuorumConfiguration, ServerStats, ServerView, SessionDump, WatchSummary,
};
use crate::admin::{environment, process};
use crate::base::{ConnId, ServerId, SessionId, Zxid};
use crate::config::{Config, PeerType};
use crate::conn::{Clock, ConnInfo, Edge};
use parking_lot::Mutex;

use crate::proto::OpCode;
use crate::quorum::Learners;
use crate::session::SessionKind;
use crate::store::Dir;
use crate::store::os::DataDirs;
use crate::telemetry::java_num::round4;
use crate::telemetry::metrics::{Gauge, GaugeSet, GaugeSource, Number};
use crate::tree::quota::StatsTrack;

use super::clock::SystemClock;

/// Syncs of the log that took longer than the threshold.
pub static FSYNC_THRESHOLD_EXCEEDED: AtomicU64 = AtomicU64::new(0);

/// Apache's default trace mask (`ZooTrace`).
const TRACE_MASK: i64 = 306;

/// What this server says it is: of 3.9.5's shape, because clients parse it, with our own name in
/// the place of the commit's qualifier.
pub const VERSION: &str = concat!(
    "3.9.5-zabra-",
    env!("CARGO_PKG_VERSION"),
    ", built on 2026-11-25 00:00 UTC"
);

/// How many learners a leader has, for those who show it.
#[derive(Clone, Debug, Default)]
pub struct SharedLearners(Arc<Mutex<Learners>>);

impl SharedLearners {
    /// As noted last.
    pub fn get(&self) -> Learners {
        *self.0.lock()
    }

    /// Notes it.
    pub fn set(&self, learners: Learners) {
        *self.0.lock() = learners;
    }
}

/// See the module.
pub struct View {
    /// Shared with the connections.
    pub edge: Arc<Edge>,
    /// The settings.
    pub config: Arc<Config>,
    /// The directories.
    pub dirs: Arc<DataDirs>,
    /// The clocks.
    pub clock: Arc<SystemClock>,
    /// Start of serving, monotonic ms.
    pub started_ms: i64,
    mode: Mode,
    /// What a leader knows of its learners.
    pub learners: SharedLearners,
    trace_mask: AtomicI64,
}

impl View {
    /// A view of a server that serves since now.
    pub fn new(
        edge: Arc<Edge>,
        config: Arc<Config>,
        dirs: Arc<DataDirs>,
        clock: Arc<SystemClock>,
        mode: Mode,
        learners: SharedLearners,
    ) -> Self {
        let started_ms = clock.mono_ms();
        let trace_mask = AtomicI64::new(TRACE_MASK);
        Self {
            edge,
            config,
            dirs,
            clock,
            started_ms,
            mode,
            learners,
            trace_mask,
        }
    }

    /// How many vote by the configuration in use.
    fn quorum_size(&self) -> i64 {
        match self.learners.get().quorum_size {
            0 => self.config.ensemble.voters().count() as i64,
            n => n,
        }
    }

    fn in_ensemble(&self) -> bool {
        matches!(self.mode, Mode::Leader | Mode::Follower | Mode::Observer)
    }

    /// What only a leader shows.
    fn of_leader(&self, n: i64) -> Option<Number> {
        (self.mode == Mode::Leader).then_some(Number::Int(n))
    }

    /// A monotonic ms as a wall ms.
    fn wall(&self, mono_ms: i64) -> i64 {
        let now = self.clock.now();
        now.wall_ms + (mono_ms - now.mono_ms)
    }

    fn connection(info: &ConnInfo) -> ConnectionInfo {
        let id = info.session();
        let session = (id != SessionId::NONE).then(|| ConnectionSession {
            id,
            last_operation: last_operation(info.last_op.load(Relaxed)),
            established_ms: info.established_ms,
            timeout_ms: info.timeout_ms.load(Relaxed) as i32,
            last_cxid: info.last_xid.load(Relaxed),
            last_zxid: Zxid(info.last_zxid.load(Relaxed)),
            last_response_ms: info.last_response_ms.load(Relaxed),
            latency_last_ms: info.last_latency.load(Relaxed),
            latency_min_ms: info.latency.min(),
            latency_avg_ms: info.latency.mean() as i64,
            latency_max_ms: info.latency.max(),
        });
        ConnectionInfo {
            remote: info.peer,
            interest_ops: if id == SessionId::NONE { 0 } else { 1 },
            queued: info.queued.load(Relaxed),
            received: info.received.load(Relaxed),
            sent: info.sent.load(Relaxed),
            session,
        }
    }

    fn watches(&self) -> BTreeMap<String, Vec<SessionId>> {
        let sessions: BTreeMap<ConnId, SessionId> = self
            .edge
            .registry
            .all()
            .iter()
            .map(|(i, _)| (i.id, i.session()))
            .collect();
        let mut by_path: BTreeMap<String, Vec<SessionId>> = BTreeMap::new();
        self.edge.tree.for_each_data_watch(|p, inbox| {
            if let Some(session) = sessions.get(&inbox.id) {
                by_path.entry(p.to_owned()).or_default().push(*session);
            }
        });
        by_path.values_mut().for_each(|s| s.sort_unstable());
        by_path
    }

    /// What a member adds to `conf`; one without a quorum says nothing of the others.
    fn quorum_configuration(&self) -> QuorumConfiguration {
        let c = &self.config;
        let own = c.ensemble.members.get(&c.server_id.unwrap_or_default());
        let addresses = own.map(|s| s.addresses.as_slice()).unwrap_or_default();
        QuorumConfiguration {
            init_limit: c.quorum.init_limit_ticks,
            sync_limit: c.quorum.sync_limit_ticks,
            election_alg: c.quorum.election_alg,
            election_ports: addresses.iter().map(|a| a.election_port).collect(),
            quorum_ports: addresses.iter().map(|a| a.quorum_port).collect(),
            is_observer: c.quorum.peer_type == PeerType::Observer,
            membership: (self.mode != Mode::ReadOnly).then(|| c.ensemble.text()),
        }
    }

    fn quota(&self, limit: bool, bytes: bool) -> Vec<(String, Number)> {
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for (root, limits, usage) in self.edge.tree.all_quotas() {
            let track: &StatsTrack = if limit { &limits } else { &usage };
            let hard = if bytes {
                track.bytes_hard
            } else {
                track.count_hard
            };
            let soft = if bytes { track.bytes } else { track.count };
            let value = if limit && hard > -1 { hard } else { soft };
            if let Some(name) = crate::base::path::top_name(&root) {
                *sums.entry(name.to_owned()).or_default() += value;
            }
        }
        sums.into_iter()
            .map(|(name, n)| (name, Number::Int(n)))
            .collect()
    }
}

/// The short name of an operation code; `NA` before the first.
fn last_operation(code: i64) -> &'static str {
    let op = i32::try_from(code).ok().and_then(OpCode::of);
    op.filter(|op| *op != OpCode::Notification)
        .map_or("NA", OpCode::last_operation)
}

fn port(listener: Option<&crate::config::ListenAddr>) -> i32 {
    listener.map_or(-1, |l| i32::from(l.port))
}

fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

impl ServerView for View {
    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn is_serving(&self) -> bool {
        self.edge.serving.load(Relaxed)
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn peer_state(&self) -> Option<String> {
        let state = match self.mode {
            Mode::Standalone | Mode::ReadOnly => return None,
            Mode::Leader => "leading - broadcast",
            Mode::Follower => "following - broadcast",
            Mode::Observer => "observing - broadcast",
        };
        Some(state.to_owned())
    }

    fn observer_master_id(&self) -> Option<ServerId> {
        (self.mode == Mode::Observer).then(|| self.learners.get().master.unwrap_or(ServerId(-1)))
    }

    fn stats(&self) -> ServerStats {
        let stats = &self.edge.stats;
        ServerStats {
            latency_min_ms: stats.latency.min(),
            latency_avg_ms: round4(stats.latency.mean()),
            latency_max_ms: stats.latency.max(),
            received: stats.received.load(Relaxed),
            sent: stats.sent.load(Relaxed),
            connections: self.edge.registry.len(),
            outstanding: self.edge.outstanding.load(Relaxed) as u64,
            zxid: self.edge.tree.applied(),
            node_count: self.edge.tree.node_count() as u64,
            proposal_sizes: None,
        }
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.edge
            .registry
            .all()
            .iter()
            .map(|(info, _)| Self::connection(info))
            .collect()
    }

    fn configuration(&self) -> Configuration {
        let c = &self.config;
        let alone = self.mode == Mode::Standalone;
        let (data, log) = self.dirs.sizes().unwrap_or_default();
        Configuration {
            client_port: port(c.listeners.client.as_ref()),
            secure_client_port: port(c.listeners.secure_client.as_ref()),
            data_dir: absolute(self.dirs.snap().path()),
            data_dir_size: data,
            data_log_dir: absolute(self.dirs.log().path()),
            data_log_size: log,
            tick_time_ms: c.sessions.tick_time_ms,
            max_client_cnxns: i32::try_from(c.limits.max_client_cnxns).unwrap_or(i32::MAX),
            min_session_timeout_ms: c.sessions.min_timeout_ms,
            max_session_timeout_ms: c.sessions.max_timeout_ms,
            client_port_listen_backlog: c.listeners.backlog,
            server_id: ServerId(c.server_id.filter(|_| !alone).unwrap_or(0)),
            quorum: (!alone).then(|| self.quorum_configuration()),
        }
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        environment::collect(VERSION)
    }

    fn sessions(&self) -> SessionDump {
        let sessions = &self.edge.sessions;
        let buckets = |kind| {
            let buckets = sessions.by_deadline(kind).into_iter();
            let bucket = |(at, members)| ExpiryBucket {
                expires_at_ms: self.wall(at),
                members,
            };
            buckets.map(bucket).collect()
        };
        SessionDump {
            local: self
                .edge
                .local_sessions
                .then(|| buckets(SessionKind::Local)),
            global: match self.mode {
                Mode::Standalone | Mode::Leader => {
                    GlobalSessions::Tracked(buckets(SessionKind::Global))
                }
                _ => GlobalSessions::Known(sessions.all()),
            },
        }
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        let tree = &self.edge.tree;
        let paths = |s| {
            tree.ephemerals_of(s)
                .iter()
                .map(|p| p.text().to_owned())
                .collect()
        };
        tree.ephemeral_sessions()
            .into_iter()
            .map(|s| (s, paths(s)))
            .collect()
    }

    fn connection_expiry(&self) -> Option<Vec<ExpiryBucket<ConnectionRef>>> {
        let mut buckets: BTreeMap<i64, Vec<ConnectionRef>> = BTreeMap::new();
        let tick = self.edge.limits.sessionless_ms.max(1) as i64;
        for (info, _) in self.edge.registry.all() {
            let seen = info.last_response_ms.load(Relaxed).max(self.started_ms);
            let timeout = info.timeout_ms.load(Relaxed).max(1);
            let at = ((seen + timeout) / tick + 1) * tick;
            let member = ConnectionRef {
                remote: info.peer,
                session: info.session(),
            };
            buckets.entry(at).or_default().push(member);
        }
        let bucket = |(at, members)| ExpiryBucket {
            expires_at_ms: self.wall(at),
            members,
        };
        Some(buckets.into_iter().map(bucket).collect())
    }

    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)> {
        let mut by_session: BTreeMap<SessionId, Vec<String>> = BTreeMap::new();
        for (p, sessions) in self.watches() {
            for s in sessions {
                by_session.entry(s).or_default().push(p.clone());
            }
        }
        by_session.into_iter().collect()
    }

    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)> {
        self.watches().into_iter().collect()
    }

    fn watch_summary(&self) -> WatchSummary {
        let by_path = self.watches();
        let mut sessions: Vec<_> = by_path.values().flatten().collect();
        let watches = sessions.len();
        sessions.sort_unstable();
        sessions.dedup();
        WatchSummary {
            connections: sessions.len(),
            paths: by_path.len(),
            watches,
        }
    }

    fn data_dir_size(&self) -> u64 {
        self.dirs.sizes().unwrap_or_default().0
    }

    fn log_dir_size(&self) -> u64 {
        self.dirs.sizes().unwrap_or_default().1
    }

    fn digests(&self) -> Vec<(Zxid, i64)> {
        self.edge
            .tree
            .digest_log()
            .iter()
            .map(|d| (d.zxid, d.digest as i64))
            .collect()
    }

    fn trace_mask(&self) -> i64 {
        self.trace_mask.load(Relaxed)
    }

    fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.store(mask, Relaxed);
    }

    fn reset_connection_stats(&self) {
        self.edge
            .registry
            .all()
            .iter()
            .for_each(|(info, _)| info.reset());
    }

    fn reset_server_stats(&self) {
        self.edge.stats.reset();
    }

    fn resets_metrics(&self) -> bool {
        self.config.metrics.provider != crate::config::MetricsProvider::Prometheus
    }

    fn gauges(&self) -> &dyn GaugeSource {
        self
    }
}

impl GaugeSource for View {
    fn gauge(&self, gauge: Gauge) -> Option<Number> {
        let (stats, tree) = (&self.edge.stats, &self.edge.tree);
        let int = |n: i64| Some(Number::Int(n));
        let (last, min, max) = stats.last_response.get();
        match gauge {
            Gauge::AvgLatency => Some(Number::Float(round4(stats.latency.mean()))),
            Gauge::MinLatency => int(stats.latency.min()),
            Gauge::MaxLatency => int(stats.latency.max()),
            Gauge::PacketsReceived => int(stats.received.load(Relaxed) as i64),
            Gauge::PacketsSent => int(stats.sent.load(Relaxed) as i64),
            Gauge::NumAliveConnections => int(self.edge.registry.len() as i64),
            Gauge::OutstandingRequests => int(self.edge.outstanding.load(Relaxed) as i64),
            Gauge::Uptime => int(self.clock.mono_ms() - self.started_ms),
            Gauge::ZnodeCount => int(tree.node_count() as i64),
            Gauge::WatchCount => int(tree.watch_count()),
            Gauge::EphemeralsCount => int(tree.ephemeral_count() as i64),
            Gauge::ApproximateDataSize => int(tree.approximate_data_size()),
            Gauge::GlobalSessions => int(self.edge.sessions.len() as i64),
            Gauge::LocalSessions => int(self.edge.sessions.local_len() as i64),
            Gauge::OpenFileDescriptorCount => int(process::open_fds() as i64),
            Gauge::MaxFileDescriptorCount => int(process::max_fds() as i64),
            Gauge::ConnectionDropProbability => {
                let throttle = self.edge.connect_throttle.as_ref();
                Some(Number::Float(
                    throttle.map_or(0.0, |t| t.lock().drop_chance()),
                ))
            }
            Gauge::LastClientResponseSize => int(last),
            Gauge::MinClientResponseSize => int(min),
            Gauge::MaxClientResponseSize => int(max),
            Gauge::OutstandingTlsHandshake => int(0),
            Gauge::AuthFailedCount => int(self.edge.auth_failed.load(Relaxed) as i64),
            // Counted on TLS ports only.
            Gauge::NonMtlsRemoteConnCount | Gauge::NonMtlsLocalConnCount => int(0),
            Gauge::QuorumSize => self.in_ensemble().then(|| Number::Int(self.quorum_size())),
            Gauge::SyncedObservers => matches!(self.mode, Mode::Leader | Mode::Follower)
                .then(|| Number::Int(self.learners.get().observers)),
            Gauge::Learners => self.of_leader(self.learners.get().all),
            Gauge::SyncedFollowers => self.of_leader(self.learners.get().followers),
            Gauge::SyncedNonVotingFollowers => self.of_leader(self.learners.get().non_voting),
            Gauge::PendingSyncs => self.of_leader(self.learners.get().pending_syncs),
            Gauge::LeaderUptime => self.of_leader(self.clock.mono_ms() - self.started_ms),
            Gauge::LastProposalSize | Gauge::MaxProposalSize | Gauge::MinProposalSize => None,
        }
    }

    fn gauge_set(&self, set: GaugeSet) -> Vec<(String, Number)> {
        match set {
            GaugeSet::QuotaCountLimitPerNamespace => self.quota(true, false),
            GaugeSet::QuotaBytesLimitPerNamespace => self.quota(true, true),
            GaugeSet::QuotaCountUsagePerNamespace => self.quota(false, false),
            GaugeSet::QuotaBytesUsagePerNamespace => self.quota(false, true),
        }
    }
}
