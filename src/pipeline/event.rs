//! The contract of the pure core: what goes in, what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::base::limits::MAX_BUFFER_DEFAULT;
use crate::base::{Id, ServerId, SessionId, Zxid};
use crate::config::RequestThrottle;
use crate::proto::OpCode;
use crate::session::Authorizer;
use crate::tree::snapshot::WalkStart;
use crate::tree::{DataTree, Inbox};

/// Both clocks at the moment of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, ms: sessions and timers go by it.
    pub mono_ms: i64,
    /// Wall clock, ms since 1970: transactions are stamped with it.
    pub wall_ms: i64,
}

/// Which server a session's client is connected to, as the leader knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// This one.
    #[default]
    Here,
    /// The learner on this link, with its id; negative if it told none.
    Link(u64, ServerId),
}

/// Marks the id of a server among the owners' numbers; those of links are below.
pub(super) const BY_ID: u64 = 1 << 63;

impl Owner {
    /// As sessions note it; never 0.
    pub fn number(self) -> u64 {
        match self {
            Self::Here => 1,
            Self::Link(link, _) => link.saturating_add(2),
        }
    }

    /// True when the session whose owner is noted as `number` is this one's.
    pub(super) fn has(self, number: u64) -> bool {
        let by_id = match self {
            Self::Here => None,
            Self::Link(_, sid) => Self::server(sid),
        };
        number == self.number() || by_id == Some(number)
    }

    /// The server of this id, on whatever link it comes, as sessions note it.
    pub(super) fn server(sid: ServerId) -> Option<u64> {
        let id = u64::try_from(sid.0).ok();
        id.map(|id| id | BY_ID).filter(|n| *n != Self::GONE)
    }

    /// A server that is not there any more, as sessions note it: nobody's number.
    pub(super) const GONE: u64 = u64::MAX;
}

/// What this server is to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// There are no others.
    #[default]
    Alone,
    /// Orders the writes of all.
    Leader,
    /// Sends its clients' writes to the leader, and applies what comes back.
    Learner,
    /// Has no leader, and serves reads of what it has (Apache: `ReadOnlyZooKeeperServer`).
    ReadOnly,
}

/// A write on its way through the server.
#[derive(Debug)]
pub struct Request {
    /// Where its client is connected.
    pub owner: Owner,
    /// Session that asks; [`SessionId::NONE`] for the server itself.
    pub session: SessionId,
    /// Its xid.
    pub xid: i32,
    /// Operation; one of class `Write`, or what the server starts itself.
    pub op: OpCode,
    /// Request record, as received.
    pub body: Box<[u8]>,
    /// Identities of the connection when the request was received.
    pub ids: Arc<[Id]>,
    /// Where the reply goes.
    pub origin: Option<Arc<Inbox>>,
    /// When it was received, monotonic ms.
    pub received_ms: i64,
}

/// A client wants to open or resume a session.
#[derive(Debug)]
pub struct ConnectRequest {
    /// Its connection.
    pub inbox: Arc<Inbox>,
    /// 0 for a new session.
    pub session: SessionId,
    /// As sent.
    pub password: Box<[u8]>,
    /// Wanted timeout, ms, not yet clamped.
    pub timeout: i32,
}

/// What happens to the server.
#[derive(Debug)]
pub enum Input {
    /// A write from a client.
    Request(Request),
    /// A connect request.
    Connect(ConnectRequest),
    /// A connection is gone.
    Gone(Arc<Inbox>, SessionId),
    /// Everything up to here is decided and on stable storage: alone, our log holds it; a leader
    /// also has its quorum.
    Durable(Zxid),
    /// The leader decided this, and our log holds it.
    Decided(Arc<[u8]>),
    /// The leader answered our oldest sync.
    Synced,
    /// The leader's word on a session that wants to resume here.
    Revalidated(SessionId, bool),
    /// The snapshot that was running has ended.
    SnapshotDone,
    /// Time passed.
    Tick,
}

/// What the log must do, in order.
#[derive(Clone, Debug)]
pub enum LogOp {
    /// Append an entry; then, once everything handed over before is durable, say so.
    Append(Zxid, Arc<[u8]>),
    /// Go on in a new file.
    Roll,
}

/// A snapshot to write in the background.
#[derive(Debug)]
pub struct SnapshotJob {
    /// What of.
    pub tree: Arc<DataTree>,
    /// Where the walk begins.
    pub start: WalkStart,
    /// Sessions and their timeouts, ms, ascending.
    pub sessions: Vec<(i64, i32)>,
    /// Set when the snapshot must not be finished: the tree may hold by now what is never decided.
    pub cancelled: Arc<AtomicBool>,
}

impl SnapshotJob {
    /// A snapshot of `tree` as it is now, with these sessions.
    pub fn new(tree: Arc<DataTree>, sessions: &BTreeMap<i64, i32>) -> Self {
        Self {
            start: tree.walk_start(),
            sessions: sessions.iter().map(|(s, t)| (*s, *t)).collect(),
            cancelled: Arc::default(),
            tree,
        }
    }
}

/// What a learner asks its leader.
#[derive(Debug)]
pub enum Forward {
    /// To decide about a write, or to answer a sync.
    Request {
        /// Session that asks.
        session: SessionId,
        /// Its xid.
        xid: i32,
        /// Operation.
        op: OpCode,
        /// Request record.
        body: Arc<[u8]>,
        /// Identities of the client.
        ids: Arc<[Id]>,
    },
    /// Whether a session lives; with the timeout it gets here, ms.
    Revalidate(SessionId, i32),
}

/// What the world must do.
#[derive(Debug, Default)]
pub struct Effects {
    /// For the leader, in order.
    pub forward: Vec<Forward>,
    /// The epoch has no zxid left: a new one must begin.
    pub exhausted: bool,
    /// For the log thread.
    pub log: Vec<LogOp>,
    /// Connections whose inbox got something.
    pub wakes: Vec<Arc<Inbox>>,
    /// For the snapshot thread.
    pub snapshot: Option<SnapshotJob>,
}

/// What the configuration says to the core.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// What this server is to the others.
    pub role: Role,
    /// Own id; 1 when standalone.
    pub server_id: ServerId,
    /// `localSessionsEnabled`: new sessions are known to their server only. Not when alone.
    pub local_sessions: bool,
    /// `localSessionsUpgradingEnabled`: one that creates an ephemeral becomes everybody's.
    pub local_upgrading: bool,
    /// Longest string, buffer or log entry, bytes (`jute.maxbuffer` plus the extra size): what
    /// another server with the same settings reads back.
    pub value_max: usize,
    /// `tickTime`, ms.
    pub tick_ms: i32,
    /// Bounds of a negotiated session timeout, ms.
    pub session_timeout_ms: (i32, i32),
    /// `extendedTypesEnabled`: TTL nodes.
    pub extended_types: bool,
    /// `enforceQuota`.
    pub enforce_quota: bool,
    /// `reconfigEnabled`.
    pub reconfig: bool,
    /// `digest.enabled`.
    pub digest: bool,
    /// Transactions per log and snapshot (`snapCount`).
    pub snap_count: u32,
    /// Bytes of transactions per snapshot; `None` is no limit.
    pub snap_size: Option<u64>,
    /// Period of the reaper, ms.
    pub reap_interval_ms: i64,
    /// Most deletions a minute.
    pub reap_per_minute: u32,
    /// Containers never used go after this many ms; 0 is never.
    pub reap_never_used_ms: i64,
    /// Throttle of requests.
    pub throttle: RequestThrottle,
    /// Counter at which a leader's epoch opens; 0 but in tests (`testingonly.initialZxid`).
    pub initial_counter: u32,
    /// A sync is answered only when a quorum has confirmed the leader meanwhile.
    pub linearizable_sync: bool,
    /// Seed of the roll distances.
    pub seed: u64,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
}

impl Default for ServerOptions {
    /// Apache's defaults for a standalone server, with a tick of 2000 ms.
    fn default() -> Self {
        Self {
            role: Role::Alone,
            server_id: ServerId(1),
            local_sessions: false,
            local_upgrading: false,
            value_max: 2 * MAX_BUFFER_DEFAULT,
            tick_ms: 2000,
            session_timeout_ms: (4000, 40_000),
            extended_types: false,
            enforce_quota: false,
            reconfig: false,
            digest: true,
            snap_count: 100_000,
            snap_size: None,
            reap_interval_ms: 60_000,
            reap_per_minute: 10_000,
            reap_never_used_ms: 0,
            throttle: RequestThrottle {
                max_requests: 0,
                stall_time_ms: 100,
                drop_stale: true,
                stale_latency_check: false,
                stale_connection_check: true,
                throttled_op_wait_ms: None,
                shutdown_timeout_ms: 10_000,
            },
            initial_counter: 0,
            linearizable_sync: false,
            seed: 1,
            authorizer: Arc::default(),
        }
    }
}
