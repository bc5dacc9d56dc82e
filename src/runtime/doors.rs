//! What clients come in by, built anew for each role a server takes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::Sender;
use parking_lot::{Mutex, RwLock};

use crate::admin::view::Mode;
use crate::config::Config;
use crate::conn::{Clock, Edge, Registry, ServerStats};
use crate::pipeline::Input;
use crate::session::{Authorizer, BlueThrottle, SessionTracker};
use crate::store::os::DataDirs;
use crate::tree::DataTree;

use super::clock::SystemClock;
use super::options;
use super::start::whitelist;
use super::view::{SharedLearners, View};
use super::words::Words;

/// The view of the moment; none before the first.
pub type ViewCell = Arc<RwLock<Option<Arc<View>>>>;

/// What stays the same from role to role.
pub(super) struct Doors {
    pub(super) config: Arc<Config>,
    pub(super) clock: Arc<SystemClock>,
    pub(super) authorizer: Arc<Authorizer>,
    pub(super) dirs: Arc<DataDirs>,
    pub(super) view: ViewCell,
    pub(super) learners: SharedLearners,
    registry: Arc<Registry>,
    stats: Arc<ServerStats>,
    seed: u64,
}

impl Doors {
    pub(super) fn new(
        config: &Arc<Config>,
        clock: &Arc<SystemClock>,
        authorizer: &Arc<Authorizer>,
        dirs: &Arc<DataDirs>,
        seed: u64,
    ) -> Self {
        Self {
            config: config.clone(),
            clock: clock.clone(),
            authorizer: authorizer.clone(),
            dirs: dirs.clone(),
            view: ViewCell::default(),
            learners: SharedLearners::default(),
            registry: Arc::default(),
            stats: Arc::default(),
            seed,
        }
    }

    /// The edge of a role, not serving yet, and what its commands see.
    pub(super) fn edge(
        &self,
        tree: &Arc<DataTree>,
        sessions: &Arc<SessionTracker>,
        inputs: Sender<Input>,
        mode: Mode,
    ) -> Arc<Edge> {
        let config = &self.config;
        let now = self.clock.mono_ms();
        let edge = Arc::new(Edge {
            tree: tree.clone(),
            sessions: sessions.clone(),
            authorizer: self.authorizer.clone(),
            inputs,
            clock: self.clock.clone(),
            words: Arc::new(Words {
                whitelist: whitelist(config),
                view: self.view.clone(),
            }),
            registry: self.registry.clone(),
            stats: self.stats.clone(),
            limits: options::edge_limits(config),
            outstanding: Arc::new(AtomicUsize::new(0)),
            outstanding_bytes: AtomicUsize::new(0),
            large: options::large_requests(config),
            connect_throttle: BlueThrottle::new(&config.connection_throttle, now, self.seed)
                .map(Mutex::new),
            serving: AtomicBool::new(false),
            ordered_syncs: AtomicBool::new(ordered_syncs(config, mode)),
            read_only: mode == Mode::ReadOnly,
            local_sessions: mode != Mode::Standalone && config.sessions.local_enabled,
            auth_failed: AtomicUsize::new(0),
        });
        self.show(&edge, mode);
        edge
    }

    /// The edge belongs to another role from now on.
    pub(super) fn turn(&self, edge: &Arc<Edge>, mode: Mode) {
        let ordered = ordered_syncs(&self.config, mode);
        edge.ordered_syncs.store(ordered, Ordering::SeqCst);
        self.show(edge, mode);
    }

    fn show(&self, edge: &Arc<Edge>, mode: Mode) {
        let view = View::new(
            edge.clone(),
            self.config.clone(),
            self.dirs.clone(),
            self.clock.clone(),
            mode,
            self.learners.clone(),
        );
        *self.view.write() = Some(Arc::new(view));
    }
}

fn ordered_syncs(config: &Config, mode: Mode) -> bool {
    match mode {
        // Without a quorum it is refused there.
        Mode::Follower | Mode::Observer | Mode::ReadOnly => true,
        Mode::Leader => config.quorum.linearizable_sync,
        Mode::Standalone => false,
    }
}
