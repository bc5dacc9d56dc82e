//! What all connections share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use parking_lot::RwLock;

use crate::base::ConnId;
use crate::pipeline::Input;
use crate::session::{Authorizer, BlueThrottle, ConnectKind, SessionTracker};
use crate::telemetry::metrics::METRICS;
use crate::tree::{AclList, DataTree, inbox::ReadCheck};

use super::info::{Registry, ServerStats};
use super::large::LargeRequests;

/// The clocks, given by the runtime.
pub trait Clock: Send + Sync {
    /// Monotonic ms.
    fn mono_ms(&self) -> i64;
    /// Wall ms since 1970.
    fn wall_ms(&self) -> i64;
}

/// What a four-letter word answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordReply {
    /// These bytes, then close.
    Text(Vec<u8>),
    /// The word wants this many bytes behind it.
    Needs(usize),
}

/// Runs four-letter words; given by the runtime.
pub trait FourLetterWords: Send + Sync {
    /// The answer to a connection that begins with `word`, with what came behind it; `None` when it
    /// is no word but a length.
    fn run(&self, word: [u8; 4], behind: &[u8], conn: ConnId) -> Option<WordReply>;
}

/// Bounds of connections and requests.
#[derive(Clone, Debug)]
pub struct EdgeLimits {
    /// Longest frame, bytes (`jute.maxbuffer`).
    pub frame_max: usize,
    /// Longest string or buffer inside one (`jute.maxbuffer` plus extra size).
    pub value_max: usize,
    /// Writes in the pipeline above which connections that have some wait (`globalOutstandingLimit`).
    pub outstanding_max: usize,
    /// Bytes of writes in the pipeline, likewise.
    pub outstanding_bytes_max: usize,
    /// Connections from one address (`maxClientCnxns`); 0 is no limit.
    pub per_ip_max: u32,
    /// Connections in all (`maxCnxns`); 0 is no limit.
    pub total_max: u32,
    /// A connection without a session is closed after this long, ms.
    pub sessionless_ms: u64,
    /// SO_KEEPALIVE on client sockets.
    pub keep_alive: bool,
}

/// Shared by every connection of the process.
pub struct Edge {
    /// The data.
    pub tree: Arc<DataTree>,
    /// The sessions.
    pub sessions: Arc<SessionTracker>,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
    /// To the sequencer.
    pub inputs: Sender<Input>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Four-letter words.
    pub words: Arc<dyn FourLetterWords>,
    /// Open connections.
    pub registry: Arc<Registry>,
    /// Counters.
    pub stats: Arc<ServerStats>,
    /// Bounds.
    pub limits: EdgeLimits,
    /// Writes handed to the sequencer and not answered yet.
    pub outstanding: Arc<AtomicUsize>,
    /// Their bytes.
    pub outstanding_bytes: AtomicUsize,
    /// Large requests not answered yet.
    pub large: LargeRequests,
    /// Throttle of connect requests, when there is one.
    pub connect_throttle: Option<Mutex<BlueThrottle>>,
    /// False while clients are not served.
    pub serving: AtomicBool,
    /// A sync goes to the sequencer, like a write: another server leads, or a quorum must confirm
    /// that this one does.
    pub ordered_syncs: AtomicBool,
    /// There is no leader: only clients that may be served reads alone are let in.
    pub read_only: bool,
    /// New sessions are known to this server only.
    pub local_sessions: bool,
    /// Auth packets and SASL exchanges that were refused.
    pub auth_failed: AtomicUsize,
}

/// The edge of the moment: a server of an ensemble has a new one with each role.
#[derive(Clone)]
pub struct CurrentEdge(Arc<RwLock<Arc<Edge>>>);

impl CurrentEdge {
    /// Begins with this one.
    pub fn new(edge: Arc<Edge>) -> Self {
        Self(Arc::new(RwLock::new(edge)))
    }

    /// The one of the moment.
    pub fn get(&self) -> Arc<Edge> {
        self.0.read().clone()
    }

    /// Connections accepted from now on get this one.
    pub fn set(&self, edge: Arc<Edge>) {
        *self.0.write() = edge;
    }
}

impl Edge {
    /// The check of watch deliveries, for inboxes.
    pub fn read_check(&self) -> ReadCheck {
        let authorizer = self.authorizer.clone();
        Arc::new(move |ids, acl: &AclList| authorizer.allows(ids, acl, crate::base::Perms::READ))
    }

    /// May a connect request of this kind be served at `now` (monotonic ms)?
    pub fn admits(&self, kind: ConnectKind, now: i64) -> bool {
        let (admitted, deficit) = match &self.connect_throttle {
            None => (true, 0),
            Some(throttle) => {
                let mut throttle = throttle.lock();
                (throttle.admit(kind, now), throttle.deficit())
            }
        };
        if admitted {
            METRICS.connection_token_deficit.record(deficit);
        }
        admitted
    }

    /// True while the pipeline has more than its share of writes.
    pub fn is_full(&self) -> bool {
        self.outstanding.load(Ordering::Relaxed) > self.limits.outstanding_max
            || self.outstanding_bytes.load(Ordering::Relaxed) > self.limits.outstanding_bytes_max
    }
}
