//! A member of an ensemble: the thread that owns the pure peer, its log and its links
//! (Apache: `QuorumPeerMain`, `QuorumPeer.run`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};

use crate::admin::view::Mode;
use crate::base::ServerId;
use crate::config::{Config, ExitCode};
use crate::conn::CurrentEdge;
use crate::pipeline::{self, SnapshotJob};
use crate::quorum::{DiskOp, Effect, Effects, Input, Peer, PeerOptions, PeerState, Serving};
use crate::session::SessionTracker;
use crate::telemetry::facade;
use crate::zab::election::{ElectionOptions, Members};
use crate::zab::leader::History;

use super::client_door::ClientDoor;
use super::clock::SystemClock;
use super::control::{self, Waiting};
use super::doors::Doors;
use super::quorum_disk::{self, QuorumDisk};
use super::quorum_net::{Queued, QuorumNet};
use super::snap_thread::{LastSnapshot, SnapThread};
use super::start::{self, failed};
use super::view::VERSION;
use super::{fatal, io_threads, options, signals};

/// Most inputs stepped before their effects are carried out.
const INPUTS_MAX: usize = 4096;

/// How long a stop may take before it is enforced.
const STOP_MAX: Duration = Duration::from_millis(800);

/// At least so long a member looks for a leader before it serves reads without one, ms.
const READ_ONLY_AFTER_MIN_MS: i64 = 2000;

/// What this version must not pretend to do in an ensemble.
pub(super) fn unsupported(config: &Config) -> Option<String> {
    let not_yet = |what: &str| Some(format!("{what} is set, and not supported yet"));
    match config {
        c if c.quorum.ssl || c.quorum.port_unification => not_yet("sslQuorum"),
        c if c.quorum.auth.enabled => not_yet("quorum.auth.enableSasl"),
        _ => None,
    }
}

/// Runs a member until a signal ends it; the exit code.
pub(super) fn run(config: &Arc<Config>) -> ExitCode {
    match start(config) {
        Ok(code) | Err(code) => code,
    }
}

fn start(config: &Arc<Config>) -> Result<ExitCode, ExitCode> {
    start::raise_descriptor_limit();
    start::introduce(config);
    if let Err(e) = facade::install() {
        tracing::debug!("metrics facade: {e}");
    }
    let clock = Arc::new(SystemClock::default());
    let unexpected =
        |what: &'static str| move |e: std::io::Error| failed(what, &e, ExitCode::UnexpectedError);
    let threads = io_threads::start(io_threads::counts()).map_err(unexpected("I/O threads"))?;
    let quorum_io = io_threads::start((1, 1)).map_err(unexpected("quorum I/O thread"))?;
    let main = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(unexpected("runtime"))?;
    let socket = match &config.listeners.client {
        Some(addr) => Some(start::listen(config, addr)?),
        None => None,
    };
    let (disk, data, last, epochs) = QuorumDisk::open(config, &clock).map_err(|e| {
        failed(
            "Unable to load database on disk",
            &e,
            ExitCode::UnexpectedError,
        )
    })?;
    let history = History {
        last,
        accepted: epochs.accepted,
        current: epochs.current,
    };
    let now = clock.now();
    let seed = (now.wall_ms as u64) ^ (u64::from(std::process::id()) << 32);
    let authorizer = options::authorizer(config);
    let server = options::server(config, authorizer.clone(), seed);
    let doors = Doors::new(config, &clock, &authorizer, &disk.dirs, seed);
    let sessions = Arc::new(SessionTracker::new(i64::from(config.sessions.tick_time_ms)));
    let edge = doors.edge(
        &data.tree,
        &sessions,
        unbounded().0,
        mode(PeerState::Looking),
    );
    let current = CurrentEdge::new(edge);
    let (inputs, input_queue) = unbounded();
    let net = match quorum_io.first() {
        Some(thread) => QuorumNet::open(config, &thread.runtime, inputs.clone())
            .map_err(|e| failed("Election", &e, e.exit_code()))?,
        None => return Err(ExitCode::UnexpectedError),
    };
    let waiting = Waiting::default();
    if let Err(e) = control::start(&config.storage.data_dir, inputs.clone(), waiting.clone()) {
        tracing::warn!(target: "o.a.z.s.q.QuorumPeer", "no commands can be given: {e}");
    }
    let (snapshots, jobs) = bounded(1);
    let (snap_done, snap_inputs) = unbounded();
    let snap = SnapThread {
        jobs,
        dirs: disk.dirs.clone(),
        inputs: snap_done,
        compression: options::compression(config),
        with_last_zxid: config.storage.serialize_last_processed_zxid,
        clock: clock.clone(),
        last: LastSnapshot::default(),
    };
    fatal::critical_thread("Snapshot Thread", move || snap.run());
    start::start_purge(config, &disk.dirs);
    start::start_metrics(config, &doors.view, main.handle())?;
    let mut door = ClientDoor {
        handle: main.handle().clone(),
        edge: current.clone(),
        threads,
        backlog: config.listeners.backlog,
        at: config.listeners.client.as_ref().map(|a| (a.ip, a.port)),
        accepting: None,
    };
    let port = socket.as_ref().map(|s| s.local_addr());
    if let Some(socket) = socket {
        door.open(socket);
    }
    let (stop, stop_queue) = bounded(1);
    let (closed_tx, closed) = bounded(1);
    let member = Member {
        peer: Peer::new(peer_options(config, server, !disk.is_new()), history, data),
        disk,
        net,
        doors,
        door,
        edge: current.clone(),
        inputs: input_queue,
        own: inputs,
        clients: never(),
        instance: 0,
        snap_inputs,
        snapshots,
        waiting,
        clock: clock.clone(),
        stop: stop_queue,
    };
    fatal::critical_thread("QuorumPeer", move || {
        member.run();
        let _ = closed_tx.send(());
    });
    main.spawn(start::rotate_metrics(clock));
    if let Some(port) = port {
        let port = port.map_or_else(|_| String::new(), |a| a.to_string());
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeerMain",
            "Zabra {} (as ZooKeeper {VERSION}) is member {} of its ensemble, clients on {port}, data in {}, zxid {last}",
            env!("CARGO_PKG_VERSION"), config.server_id.unwrap_or_default(),
            config.storage.data_dir.display()
        );
    }
    let code = main
        .block_on(signals::wait())
        .map_err(unexpected("signals"))?;
    let _ = stop.send(());
    if closed.recv_timeout(STOP_MAX).is_err() {
        tracing::warn!(target: "o.a.z.s.q.QuorumPeerMain", "the log was not closed in time");
    }
    tracing::info!(target: "o.a.z.u.ServiceUtils", "Exiting JVM with code {}", code as i32);
    crate::telemetry::log::flush();
    Ok(code)
}

fn peer_options(
    config: &Config,
    mut server: pipeline::ServerOptions,
    doubts_empty: bool,
) -> PeerOptions {
    server.local_sessions = config.sessions.local_enabled;
    server.local_upgrading = config.sessions.local_upgrading_enabled;
    let q = &config.quorum;
    let tick_ms = i64::from(config.sessions.tick_time_ms);
    let connect = match q.connect_limit_ticks {
        0 => q.init_limit_ticks,
        ticks => ticks,
    };
    PeerOptions {
        me: ServerId(config.server_id.unwrap_or_default()),
        members: Members::new(config.ensemble.clone(), config.last_seen_ensemble.clone()),
        election: ElectionOptions {
            min_interval_ms: i64::from(q.min_notification_ms),
            max_interval_ms: i64::from(q.max_notification_ms),
            adopt_configs: config.features.reconfig,
            ..ElectionOptions::default()
        },
        server,
        tick_ms,
        init_limit: i64::from(q.init_limit_ticks),
        sync_limit: i64::from(q.sync_limit_ticks),
        connect_limit_ms: i64::from(connect) * tick_ms,
        leader_serves: q.leader_serves,
        read_only_after_ms: config
            .features
            .read_only_mode
            .then_some(tick_ms.max(READ_ONLY_AFTER_MIN_MS)),
        standalone_enabled: q.standalone_enabled,
        force_snapshot: q.force_snapshot_sync,
        doubts_empty,
        observer_master_port: q.observer_master_port,
        observer_delay_ms: q.observer_reconnect_delay_ms,
    }
}

/// What commands call a state.
fn mode(state: PeerState) -> Mode {
    match state {
        PeerState::Leading(_) => Mode::Leader,
        PeerState::Observing(_) => Mode::Observer,
        PeerState::Following(_) | PeerState::Looking => Mode::Follower,
    }
}

/// The peer's hands.
struct Member {
    peer: Peer,
    disk: QuorumDisk,
    net: QuorumNet,
    doors: Doors,
    door: ClientDoor,
    edge: CurrentEdge,
    inputs: Receiver<Queued>,
    own: Sender<Queued>,
    /// From the clients of the role that serves; a new one with each role, so that nothing of an
    /// earlier role is ever heard.
    clients: Receiver<pipeline::Input>,
    /// The number of that role.
    instance: u64,
    snap_inputs: Receiver<pipeline::Input>,
    snapshots: Sender<SnapshotJob>,
    waiting: Waiting,
    clock: Arc<SystemClock>,
    stop: Receiver<()>,
}

impl Member {
    fn run(mut self) {
        let mut effects = Effects::default();
        self.peer.start(self.clock.now(), &mut effects);
        self.carry_out(&mut effects);
        while self.stop.try_recv().is_err() {
            let first = self.wait();
            let now = self.clock.now();
            if let Some(input) = first {
                self.peer.step(now, input, &mut effects);
            }
            for _ in 0..INPUTS_MAX {
                let Some(input) = self.try_next() else { break };
                self.peer.step(now, input, &mut effects);
                // A role that ended must be closed before anything else happens.
                if self.ends_role(&effects) {
                    break;
                }
            }
            if self.peer.next_tick().is_some_and(|due| due <= now.mono_ms) {
                self.peer.step(now, Input::Tick, &mut effects);
                self.doors.learners.set(self.peer.learners(now));
            }
            self.carry_out(&mut effects);
        }
        if let Err(e) = self.disk.sync().and_then(|_| self.disk.close_log()) {
            tracing::error!(target: "o.a.z.s.SyncRequestProcessor", "closing the log: {e}");
        }
    }

    fn ends_role(&self, effects: &Effects) -> bool {
        let ends =
            |e: &Effect| matches!(e, Effect::StopServing | Effect::Serve(_) | Effect::Exit(..));
        effects.net.iter().any(ends)
    }

    /// The next input, or none when it is time for a tick.
    fn wait(&self) -> Option<Input> {
        let due = match self.peer.next_tick() {
            Some(ms) => self.clock.instant(ms),
            None => Instant::now() + STOP_MAX,
        };
        // A stop is noticed soon, whatever else happens.
        let due = due.min(Instant::now() + Duration::from_millis(100));
        let timeout = due.saturating_duration_since(Instant::now());
        select! {
            recv(self.inputs) -> queued => queued.ok().map(|q| q.input),
            recv(self.clients) -> input => input.ok().map(|i| Input::Client(self.instance, i)),
            recv(self.snap_inputs) -> input => input.ok().map(|_| Input::SnapshotDone),
            default(timeout) => None,
        }
    }

    fn try_next(&self) -> Option<Input> {
        let client = || {
            self.clients
                .try_recv()
                .ok()
                .map(|i| Input::Client(self.instance, i))
        };
        let queued = self.inputs.try_recv().ok();
        queued.map(|q| q.input).or_else(client)
    }

    /// Carries effects out until it is quiet: what is sent waits for nothing, the disk follows, and
    /// what it finishes is told.
    fn carry_out(&mut self, effects: &mut Effects) {
        loop {
            self.communicate(effects);
            let disk = std::mem::take(&mut effects.disk);
            if disk.is_empty() {
                return;
            }
            for op in disk {
                self.disk_op(op, effects);
            }
            self.sync(effects);
        }
    }

    fn communicate(&mut self, effects: &mut Effects) {
        for effect in std::mem::take(&mut effects.net) {
            match effect {
                Effect::Serve(serving) => self.serve(&serving),
                Effect::Turn(_) => self.turn(),
                Effect::HandoverDone(ask, done) => self.waiting.done(ask, done),
                Effect::StopServing => self.stop_serving(),
                Effect::Exit(code, why) => {
                    let code = match code {
                        12 => ExitCode::UnmatchedTxnCommit,
                        _ => ExitCode::QuorumPacketError,
                    };
                    fatal::unrecoverable("QuorumPeer", &why, code);
                }
                Effect::Members(views) => {
                    let me = self.doors.config.server_id.unwrap_or_default();
                    let own = views.committed.members.get(&me);
                    if let Some(client) = own.and_then(|s| s.client.as_ref()) {
                        self.door.move_to(client);
                    }
                    self.doors
                        .learners
                        .set(self.peer.learners(self.clock.now()));
                    let _ = self.net.carry_out(Effect::Members(views));
                }
                other => {
                    if let Err(e) = self.net.carry_out(other) {
                        fatal::unrecoverable("QuorumPeer", &e, ExitCode::UnexpectedError);
                    }
                }
            }
        }
        effects.wakes.drain(..).for_each(|inbox| inbox.wake());
        if let Some(job) = effects.snapshot.take() {
            let _ = self.snapshots.send(job);
        }
    }

    fn disk_op(&mut self, op: DiskOp, effects: &mut Effects) {
        if let DiskOp::ReadLog { link, from, upto } = op {
            let (dirs, floor) = (self.disk.dirs.clone(), self.disk.floor());
            let length_max = options::length_max(&self.doors.config);
            let to = self.own.clone();
            std::thread::spawn(move || {
                let found = quorum_disk::read_back(&dirs, length_max, floor, from, upto);
                let _ = to.send(Input::LogRead(link, found).into());
            });
            return;
        }
        if !matches!(op, DiskOp::Log(_)) {
            self.sync(effects);
        }
        match self.disk.carry_out(op) {
            Ok(None) => {}
            Ok(Some(done)) => self.peer.step(self.clock.now(), done, effects),
            Err(e) => fatal::unrecoverable("SyncThread", &e, ExitCode::UnexpectedError),
        }
    }

    fn sync(&mut self, effects: &mut Effects) {
        match self.disk.sync() {
            Ok(None) => {}
            Ok(Some(zxid)) => self
                .peer
                .step(self.clock.now(), Input::Logged(zxid), effects),
            Err(e) => fatal::unrecoverable("SyncThread", &e, ExitCode::UnexpectedError),
        }
    }

    fn serve(&mut self, serving: &Serving) {
        let (to, clients) = unbounded();
        let mode = match serving.read_only {
            true => Mode::ReadOnly,
            false => mode(self.peer.state()),
        };
        self.doors
            .learners
            .set(self.peer.learners(self.clock.now()));
        let edge = self.doors.edge(&serving.tree, &serving.sessions, to, mode);
        self.clients = clients;
        self.instance = serving.instance;
        edge.serving.store(serving.clients, Ordering::Release);
        self.edge.set(edge);
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeer",
            "Peer state changed: {}, zxid {}", mode.name(), serving.tree.applied()
        );
    }

    /// The role under the clients is another one.
    fn turn(&mut self) {
        let (edge, mode) = (self.edge.get(), mode(self.peer.state()));
        let leads = self.peer.state() == PeerState::Leading(true);
        edge.serving
            .store(!leads || self.leader_serves(), Ordering::Release);
        self.doors.turn(&edge, mode);
        tracing::info!(
            target: "o.a.z.s.q.QuorumPeer",
            "Peer state changed: {}, zxid {}", mode.name(), edge.tree.applied()
        );
    }

    fn leader_serves(&self) -> bool {
        self.doors.config.quorum.leader_serves
    }

    /// Nobody sees the tree from now on: connections look at the flag behind each read.
    fn stop_serving(&mut self) {
        let edge = self.edge.get();
        edge.serving.store(false, Ordering::Release);
        self.clients = never();
        for (info, inbox) in edge.registry.all() {
            info.close_wanted.store(true, Ordering::Relaxed);
            inbox.wake();
        }
    }
}
