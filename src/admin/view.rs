//! What the words need to know about the server.

use std::net::SocketAddr;

use crate::base::ids::{ServerId, SessionId, Zxid};
use crate::telemetry::metrics::GaugeSource;
use crate::telemetry::zone::{self, Zone};

/// The running server, as the four-letter words and the admin commands see it.
///
/// Each method is asked while a client waits, so it may take locks for a moment but must not wait
/// for disk or network. Lists come out in the order given here; Apache's order is that of a hash table.
pub trait ServerView: Send + Sync {
    /// `3.9.5-<commit>, built on <yyyy-MM-dd HH:mm> UTC`.
    fn version(&self) -> String;

    /// Whether requests are served: not during elections and synchronisation. Apache:
    /// `AbstractFourLetterCommand.isZKServerRunning`.
    fn is_serving(&self) -> bool;

    /// The role.
    fn mode(&self) -> Mode;

    /// `leading - broadcast`, `following - synchronization - diff`, ...; `None` outside ensembles
    /// and in read-only mode. Apache: `QuorumPeer.getDetailedState`.
    fn peer_state(&self) -> Option<String>;

    /// The learner master of an observer.
    fn observer_master_id(&self) -> Option<ServerId>;

    /// The numbers of `srvr`.
    fn stats(&self) -> ServerStats;

    /// All client connections, the probing one included.
    fn connections(&self) -> Vec<ConnectionInfo>;

    /// The settings of `conf`.
    fn configuration(&self) -> Configuration;

    /// The lines of `envi`: see [`environment`](super::environment).
    fn environment(&self) -> Vec<(&'static str, String)>;

    /// The sessions of `dump`.
    fn sessions(&self) -> SessionDump;

    /// Sessions that own ephemeral znodes, with the paths.
    fn ephemerals(&self) -> Vec<(SessionId, Vec<String>)>;

    /// When connections expire, in buckets; `None` to leave them out as Netty does.
    fn connection_expiry(&self) -> Option<Vec<ExpiryBucket<ConnectionRef>>>;

    /// Data watches: session and its paths.
    fn watches_by_session(&self) -> Vec<(SessionId, Vec<String>)>;

    /// Data watches: path and its sessions.
    fn watches_by_path(&self) -> Vec<(String, Vec<SessionId>)>;

    /// Data watches in numbers.
    fn watch_summary(&self) -> WatchSummary;

    /// Bytes of all snapshots.
    fn data_dir_size(&self) -> u64;

    /// Bytes of all logs, the space reserved ahead included.
    fn log_dir_size(&self) -> u64;

    /// The remembered digests, oldest first.
    fn digests(&self) -> Vec<(Zxid, i64)>;

    /// The trace mask; nothing uses it. Default 306 (`ZooTrace`).
    fn trace_mask(&self) -> i64;

    /// Stores the trace mask.
    fn set_trace_mask(&self, mask: i64);

    /// `crst`: resets the statistics of all connections.
    fn reset_connection_stats(&self);

    /// `srst`: resets latency, packet counts, response sizes and, on a leader, proposal sizes.
    /// Counters and summaries are reset by the caller.
    fn reset_server_stats(&self);

    /// Whether `srst` resets counters and summaries: true with Apache's default metrics provider,
    /// false with the Prometheus one.
    fn resets_metrics(&self) -> bool;

    /// The time zone of the dates in `dump`.
    fn zone(&self) -> &'static Zone {
        zone::local()
    }

    /// The gauges, for `mntr`.
    fn gauges(&self) -> &dyn GaugeSource;

    /// Whether `mntr` also says `zk_followers`, the name before 3.6 of `zk_learners`.
    fn prints_followers(&self) -> bool {
        false
    }
}

/// The role of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Not in an ensemble.
    Standalone,
    /// Leads.
    Leader,
    /// Follows and votes, or follows without a vote.
    Follower,
    /// Observes.
    Observer,
    /// Cut off from its ensemble, serving reads only.
    ReadOnly,
}

impl Mode {
    /// Apache's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        }
    }
}

/// The numbers of `srvr` and `stat`. Apache: `ServerStats`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerStats {
    /// Shortest request, in ms; 0 without any.
    pub latency_min_ms: i64,
    /// Average, in ms with at most 4 decimals
    /// ([`average`](crate::telemetry::java_num::average)).
    pub latency_avg_ms: f64,
    /// Longest request, in ms.
    pub latency_max_ms: i64,
    /// Packets from clients.
    pub received: u64,
    /// Packets to clients.
    pub sent: u64,
    /// Open client connections.
    pub connections: usize,
    /// Requests not answered yet.
    pub outstanding: u64,
    /// Last applied transaction.
    pub zxid: Zxid,
    /// Znodes.
    pub node_count: u64,
    /// Sizes of proposals, on a leader.
    pub proposal_sizes: Option<ProposalSizes>,
}

/// Sizes of proposals, in bytes; -1 if there was none. Apache: `BufferStats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalSizes {
    /// The last.
    pub last: i64,
    /// The smallest.
    pub min: i64,
    /// The largest.
    pub max: i64,
}

/// One client connection. Apache: `ServerCnxn.dumpConnectionInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The client.
    pub remote: SocketAddr,
    /// 1 reading, 4 writing, 5 both, 0 throttled or the probe itself.
    pub interest_ops: u32,
    /// Requests not answered yet.
    pub queued: u64,
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// What is known once there is a session.
    pub session: Option<ConnectionSession>,
}

/// The part of a connection that has a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSession {
    /// Its id.
    pub id: SessionId,
    /// Short name of the last operation: `PING`, `GETC`, ...; `NA` before the first.
    pub last_operation: &'static str,
    /// When the connection was made, in ms since 1970.
    pub established_ms: i64,
    /// Negotiated timeout.
    pub timeout_ms: i32,
    /// Client's last xid; negative ones (-1: none) are not printed.
    pub last_cxid: i64,
    /// Last transaction seen; -1 if none.
    pub last_zxid: Zxid,
    /// When the last reply went out, in ms of the monotonic clock.
    pub last_response_ms: i64,
    /// Latency of the last request.
    pub latency_last_ms: i64,
    /// Shortest latency.
    pub latency_min_ms: i64,
    /// Average latency, cut to an integer.
    pub latency_avg_ms: i64,
    /// Longest latency.
    pub latency_max_ms: i64,
}

/// The settings that `conf` prints. Apache: `ZooKeeperServerConf`, `QuorumZooKeeperServer.dumpConf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// -1 if there is none.
    pub client_port: i32,
    /// -1 if there is none.
    pub secure_client_port: i32,
    /// Absolute, with the `version-2` at the end.
    pub data_dir: String,
    /// In bytes.
    pub data_dir_size: u64,
    /// Absolute, with the `version-2` at the end.
    pub data_log_dir: String,
    /// In bytes.
    pub data_log_size: u64,
    /// `tickTime`.
    pub tick_time_ms: i32,
    /// `maxClientCnxns`.
    pub max_client_cnxns: i32,
    /// `minSessionTimeout`.
    pub min_session_timeout_ms: i32,
    /// `maxSessionTimeout`.
    pub max_session_timeout_ms: i32,
    /// `clientPortListenBacklog`, -1 for the default.
    pub client_port_listen_backlog: i32,
    /// `myid`, 0 outside ensembles.
    pub server_id: ServerId,
    /// Only in an ensemble.
    pub quorum: Option<QuorumConfiguration>,
}

/// What an ensemble adds to `conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumConfiguration {
    /// `initLimit`, in ticks.
    pub init_limit: i32,
    /// `syncLimit`, in ticks.
    pub sync_limit: i32,
    /// `electionAlg`, always 3.
    pub election_alg: i32,
    /// Election ports of all own addresses.
    pub election_ports: Vec<u16>,
    /// Quorum ports of all own addresses.
    pub quorum_ports: Vec<u16>,
    /// Whether this server is an observer (`peerType=1`).
    pub is_observer: bool,
    /// The server lines and `version=<hex>`, without final newline; `None` in read-only mode.
    pub membership: Option<String>,
}

/// What falls due at one moment. Apache: `ExpiryQueue.dump`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryBucket<T> {
    /// In ms since 1970.
    pub expires_at_ms: i64,
    /// Who expires; may be nobody.
    pub members: Vec<T>,
}

/// A connection as `dump` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRef {
    /// The client.
    pub remote: SocketAddr,
    /// Its session, [`SessionId::NONE`] if there is none.
    pub session: SessionId,
}

/// The sessions that `dump` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDump {
    /// Local sessions; `None` when they are not enabled.
    pub local: Option<Vec<ExpiryBucket<SessionId>>>,
    /// Global sessions.
    pub global: GlobalSessions,
}

/// Global sessions as the two kinds of server know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlobalSessions {
    /// Leader and standalone expire them. Apache: `SessionTrackerImpl.dumpSessions`.
    Tracked(Vec<ExpiryBucket<SessionId>>),
    /// Learners know their timeouts (ms) only. Apache: `LearnerSessionTracker.dumpSessions`.
    Known(Vec<(SessionId, i32)>),
}

/// Data watches in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchSummary {
    /// Sessions with watches.
    pub connections: usize,
    /// Paths with watches.
    pub paths: usize,
    /// All watches.
    pub watches: usize,
}
