//! A server that stands still, with what Apache's had when the golden replies were taken.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::environment;
use super::view::{
    Configuration, ConnectionInfo, ConnectionRef, ConnectionSession, ExpiryBucket, GlobalSessions,
    Mode, ProposalSizes, QuorumConfiguration, ServerStats, ServerView, SessionDump, WatchSummary,
};
use crate::base::ids::{ServerId, SessionId, Zxid};
use crate::telemetry::metrics::{Gauge, GaugeSet, GaugeSource, Number};
use crate::telemetry::zone::Zone;

static UTC: LazyLock<Zone> = LazyLock::new(Zone::utc);

const VERSION: &str =
    "3.9.4-7246445ec281f3dbf53dc54e970c914f39713903, built on 2025-08-19 19:53 UTC";
const MEMBERSHIP: &str = "server.1=127.0.0.1:22881:23881:participant;127.0.0.1:22181\n\
     server.2=127.0.0.1:22882:23882:participant;127.0.0.1:22182\n\
     server.3=127.0.0.1:22883:23883:participant;127.0.0.1:22183\n\
     server.4=127.0.0.1:22884:23884:observer;127.0.0.1:22184\n\
     version=100000000";

/// 2026-11-22 14:14:00 UTC.
const MINUTE_MS: i64 = 1_795_356_840_000;

pub(crate) struct FakeServer {
    pub(crate) mode: Mode,
    pub(crate) serving: bool,
    pub(crate) stats: ServerStats,
    pub(crate) connections: Vec<ConnectionInfo>,
    pub(crate) configuration: Configuration,
    pub(crate) sessions: SessionDump,
    pub(crate) ephemerals: Vec<(SessionId, Vec<String>)>,
    pub(crate) expiry: Option<Vec<ExpiryBucket<ConnectionRef>>>,
    pub(crate) watches: Vec<(SessionId, Vec<String>)>,
    pub(crate) prints_followers: bool,
    pub(crate) trace_mask: AtomicI64,
    pub(crate) connection_resets: AtomicU32,
    pub(crate) server_resets: AtomicU32,
}

fn address(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn probe(port: u16) -> ConnectionInfo {
    let remote = address(port);
    ConnectionInfo {
        remote,
        interest_ops: 0,
        queued: 0,
        received: 1,
        sent: 0,
        session: None,
    }
}

fn reference(port: u16, session: i64) -> ConnectionRef {
    ConnectionRef {
        remote: address(port),
        session: SessionId(session),
    }
}

fn bucket<T>(second: i64, members: Vec<T>) -> ExpiryBucket<T> {
    ExpiryBucket {
        expires_at_ms: MINUTE_MS + second * 1_000,
        members,
    }
}

fn owners(ids: &[i64]) -> Vec<(SessionId, Vec<String>)> {
    let paths = |i: usize| {
        vec![
            format!("/locks/l-{i:010}"),
            format!("/kafka/brokers/ids/{i}"),
        ]
    };
    ids.iter()
        .enumerate()
        .map(|(i, id)| (SessionId(*id), paths(i)))
        .collect()
}

/// id, port, packets received, cxid, established, last response, last latency, largest latency.
fn client(row: (i64, u16, u64, i64, i64, i64, i64, i64)) -> ConnectionInfo {
    let (id, port, received, last_cxid, established, last_response_ms, last, max) = row;
    ConnectionInfo {
        remote: address(port),
        interest_ops: 1,
        queued: 0,
        received,
        sent: received + 2,
        session: Some(ConnectionSession {
            id: SessionId(id),
            last_operation: "PING",
            established_ms: MINUTE_MS + established,
            timeout_ms: 15_000,
            last_cxid,
            last_zxid: Zxid(0x1ae),
            last_response_ms,
            latency_last_ms: last,
            latency_min_ms: 0,
            latency_avg_ms: 0,
            latency_max_ms: max,
        }),
    }
}

const CLIENTS: [i64; 3] = [
    0x100_0011_6b35_0000,
    0x100_0011_6b35_0001,
    0x100_0011_6b35_0002,
];
const MEMBERS: [i64; 4] = [
    0x0100_0016_73d7_0000,
    0x0200_0016_749e_0000,
    0x0300_0016_79bf_0000,
    0x0400_0016_7c49_0000,
];

impl FakeServer {
    /// As in the captures of a loaded standalone server.
    pub(crate) fn standalone() -> Self {
        Self {
            mode: Mode::Standalone,
            serving: true,
            stats: ServerStats {
                latency_min_ms: 0,
                latency_avg_ms: 0.417,
                latency_max_ms: 9,
                received: 883,
                sent: 888,
                connections: 4,
                outstanding: 0,
                zxid: Zxid(0x1ae),
                node_count: 214,
                proposal_sizes: None,
            },
            connections: vec![
                client((CLIENTS[0], 34_782, 446, 0x1ba, 1_294, 1_156_891, 0, 9)),
                client((CLIENTS[1], 34_798, 221, 0xda, 1_309, 1_156_568, 0, 4)),
                client((CLIENTS[2], 34_810, 214, 0xd3, 1_313, 1_156_953, 1, 4)),
                probe(39_382),
            ],
            configuration: Configuration {
                client_port: 22_181,
                secure_client_port: -1,
                data_dir: "/data/version-2".to_owned(),
                data_dir_size: 67_109_358,
                data_log_dir: "/data/version-2".to_owned(),
                data_log_size: 67_109_358,
                tick_time_ms: 2_000,
                max_client_cnxns: 100,
                min_session_timeout_ms: 4_000,
                max_session_timeout_ms: 40_000,
                client_port_listen_backlog: -1,
                server_id: ServerId(0),
                quorum: None,
            },
            sessions: SessionDump {
                local: None,
                global: GlobalSessions::Tracked(vec![
                    bucket(17, vec![]),
                    bucket(19, vec![]),
                    bucket(23, vec![]),
                    bucket(27, CLIENTS.iter().rev().map(|id| SessionId(*id)).collect()),
                ]),
            },
            ephemerals: owners(&CLIENTS),
            expiry: Some(vec![
                bucket(15, vec![]),
                bucket(25, vec![reference(39_420, 0)]),
                bucket(
                    35,
                    vec![
                        reference(34_782, CLIENTS[0]),
                        reference(34_798, CLIENTS[1]),
                        reference(34_810, CLIENTS[2]),
                    ],
                ),
            ]),
            watches: vec![
                (
                    SessionId(CLIENTS[0]),
                    vec!["/nothere".into(), "/app/cfg/n00001".into()],
                ),
                (SessionId(CLIENTS[1]), vec!["/nothere".into()]),
                (SessionId(CLIENTS[2]), vec!["/nothere".into()]),
            ],
            prints_followers: false,
            trace_mask: AtomicI64::new(306),
            connection_resets: AtomicU32::new(0),
            server_resets: AtomicU32::new(0),
        }
    }

    fn member(mode: Mode, id: u16, data_dir_size: u64) -> Self {
        let mut server = Self::standalone();
        server.mode = mode;
        server.configuration = Configuration {
            client_port: i32::from(22_180 + id),
            data_dir_size,
            data_log_size: data_dir_size,
            tick_time_ms: 1_000,
            max_client_cnxns: 60,
            min_session_timeout_ms: 2_000,
            max_session_timeout_ms: 20_000,
            server_id: ServerId(i64::from(id)),
            quorum: Some(QuorumConfiguration {
                init_limit: 10,
                sync_limit: 5,
                election_alg: 3,
                election_ports: vec![23_880 + id],
                quorum_ports: vec![22_880 + id],
                is_observer: mode == Mode::Observer,
                membership: Some(MEMBERSHIP.to_owned()),
            }),
            ..server.configuration
        };
        server
    }

    /// As in the captures of an ensemble.
    pub(crate) fn leader() -> Self {
        let mut server = Self::member(Mode::Leader, 2, 67_109_602);
        server.stats = ServerStats {
            latency_avg_ms: 2.6159,
            latency_max_ms: 24,
            received: 167,
            sent: 168,
            connections: 2,
            zxid: Zxid(0x1_0000_01b1),
            node_count: 216,
            proposal_sizes: Some(ProposalSizes {
                last: 75,
                min: 36,
                max: 299,
            }),
            ..server.stats
        };
        server
    }

    /// As in the captures of an ensemble.
    pub(crate) fn observer() -> Self {
        let mut server = Self::member(Mode::Observer, 4, 67_110_330);
        let known = MEMBERS.iter().map(|id| (SessionId(*id), 15_000)).collect();
        server.sessions = SessionDump {
            local: None,
            global: GlobalSessions::Known(known),
        };
        server.ephemerals = owners(&MEMBERS);
        // 14:20
        server.expiry = Some(vec![
            bucket(375, vec![]),
            bucket(
                385,
                vec![reference(42_080, 0), reference(52_090, MEMBERS[3])],
            ),
        ]);
        server
    }

    /// As in the captures of a member without quorum, with read-only mode enabled.
    pub(crate) fn read_only() -> Self {
        let mut server = Self::member(Mode::ReadOnly, 1, 67_142_037);
        server.configuration.client_port = 29_181;
        if let Some(quorum) = &mut server.configuration.quorum {
            quorum.election_ports = vec![29_981];
            quorum.quorum_ports = vec![29_881];
            quorum.membership = None;
        }
        server.stats = ServerStats {
            received: 2,
            sent: 1,
            connections: 1,
            zxid: Zxid(0x1_0000_01b5),
            node_count: 208,
            ..ServerStats::default()
        };
        server.connections = vec![probe(51_134)];
        server.sessions.global = GlobalSessions::Known(vec![]);
        server.ephemerals.clear();
        server.watches.clear();
        // 14:25
        server.expiry = Some(vec![
            bucket(675, vec![]),
            bucket(685, vec![reference(51_170, 0)]),
        ]);
        server
    }

    fn in_ensemble(&self) -> bool {
        matches!(self.mode, Mode::Leader | Mode::Follower | Mode::Observer)
    }
}

impl ServerView for FakeServer {
    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn is_serving(&self) -> bool {
        self.serving
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn peer_state(&self) -> Option<String> {
        match self.mode {
            Mode::Standalone | Mode::ReadOnly => None,
            Mode::Leader => Some("leading - broadcast".to_owned()),
            Mode::Follower => Some("following - broadcast".to_owned()),
            Mode::Observer => Some("observing - broadcast".to_owned()),
        }
    }

    fn observer_master_id(&self) -> Option<ServerId> {
        (self.mode == Mode::Observer).then_some(ServerId(2))
    }

    fn stats(&self) -> ServerStats {
        self.stats.clone()
    }

    fn connections(&self) -> Vec<ConnectionInfo> {
        self.connections.clone()
    }

    fn configuration(&self) -> Configuration {
        self.configuration.clone()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        environment::collect(VERSION)
    }

    fn sessions(&self) -> SessionDump {
        self.sessions.clone()
    }

    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)> {
        self.ephemerals.clone()
    }

    fn connection_expiry(&self) -> Option<Vec<ExpiryBucket<ConnectionRef>>> {
        self.expiry.clone()
    }

    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)> {
        self.watches.clone()
    }

    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)> {
        if self.watches.is_empty() {
            return vec![];
        }
        let [a, b, c] = CLIENTS.map(SessionId);
        vec![
            ("/nothere".to_owned(), vec![b, a, c]),
            ("/app/cfg/n00001".to_owned(), vec![a]),
        ]
    }

    fn watch_summary(&self) -> WatchSummary {
        let watches = self.watches.iter().map(|(_, paths)| paths.len()).sum();
        let paths = self.watches_by_path().len();
        WatchSummary {
            connections: self.watches.len(),
            paths,
            watches,
        }
    }

    fn data_dir_size(&self) -> u64 {
        self.configuration.data_dir_size
    }

    fn log_dir_size(&self) -> u64 {
        self.configuration.data_log_size
    }

    fn digests(&self) -> Vec<(Zxid, i64)> {
        [
            (0x80, 150_935_663_294),
            (0x100, 267_361_537_660),
            (0x180, 408_165_119_797),
        ]
        .map(|(zxid, digest)| (Zxid(zxid), digest))
        .into()
    }

    fn trace_mask(&self) -> i64 {
        self.trace_mask.load(Ordering::Relaxed)
    }

    fn set_trace_mask(&self, mask: i64) {
        self.trace_mask.store(mask, Ordering::Relaxed);
    }

    fn reset_connection_stats(&self) {
        self.connection_resets.fetch_add(1, Ordering::Relaxed);
    }

    fn reset_server_stats(&self) {
        self.server_resets.fetch_add(1, Ordering::Relaxed);
    }

    fn resets_metrics(&self) -> bool {
        // The metrics belong to all tests of the process.
        false
    }

    fn gauges(&self) -> &dyn GaugeSource {
        self
    }

    fn prints_followers(&self) -> bool {
        self.prints_followers
    }

    fn zone(&self) -> &'static Zone {
        &UTC
    }
}

impl GaugeSource for FakeServer {
    fn gauge(&self, gauge: Gauge) -> Option<Number> {
        match gauge {
            Gauge::AvgLatency => Some(Number::Float(self.stats.latency_avg_ms)),
            Gauge::ConnectionDropProbability => Some(Number::Float(0.0)),
            Gauge::ZnodeCount => Some(Number::Int(214)),
            Gauge::QuorumSize => self.in_ensemble().then_some(Number::Int(3)),
            Gauge::SyncedObservers => {
                matches!(self.mode, Mode::Leader | Mode::Follower).then_some(Number::Int(1))
            }
            Gauge::Learners
            | Gauge::SyncedFollowers
            | Gauge::SyncedNonVotingFollowers
            | Gauge::PendingSyncs
            | Gauge::LeaderUptime
            | Gauge::LastProposalSize
            | Gauge::MaxProposalSize
            | Gauge::MinProposalSize => (self.mode == Mode::Leader).then_some(Number::Int(3)),
            _ => Some(Number::Int(7)),
        }
    }

    fn gauge_set(&self, set: GaugeSet) -> Vec<(String, Number)> {
        let value = match set {
            GaugeSet::QuotaCountLimitPerNamespace => 1_000,
            GaugeSet::QuotaBytesLimitPerNamespace => 1_000_000,
            GaugeSet::QuotaCountUsagePerNamespace => 196,
            GaugeSet::QuotaBytesUsagePerNamespace => 12_231,
        };
        vec![("app".to_owned(), Number::Int(value))]
    }
}
