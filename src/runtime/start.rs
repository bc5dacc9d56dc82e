//! Start order and stop order of a server (Apache: `ZooKeeperServerMain`, `QuorumPeerMain`).

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, unbounded};
use tokio::runtime::Handle;

use crate::admin::view::Mode;
use crate::admin::words::Whitelist;
use crate::admin::{environment, process, prom_http};
use crate::base::SessionId;
use crate::config::{self, Config, ExitCode, ListenAddr, MetricsProvider};
use crate::conn::{Clock, CurrentEdge, Edge, IoThread, Listener, bind};
use crate::pipeline::{Input, Server};
use crate::session::SessionTracker;
use crate::store::os::{DataDirs, LogWriter};
use crate::telemetry::facade;
use crate::telemetry::metrics::METRICS;
use crate::telemetry::prometheus::{Compat, Scrape};

use super::clock::SystemClock;
use super::doors::{Doors, ViewCell};
use super::load::{self, Loaded};
use super::sequencer::Sequencer;
use super::snap_thread::{LastSnapshot, SnapThread, purge_regularly};
use super::view::VERSION;
use super::{ensemble, fatal, io_threads, options, signals};

/// How long a stop may take before it is enforced: scripts wait a second.
const STOP_MAX: Duration = Duration::from_millis(800);

/// Runs a standalone server until a signal ends it; the exit code.
pub fn run(config: Config) -> ExitCode {
    if let Some(why) = unsupported(&config) {
        return failed(
            "Invalid config, exiting abnormally",
            &why,
            ExitCode::InvalidInvocation,
        );
    }
    let config = Arc::new(config);
    if config.mode == config::Mode::Distributed {
        return ensemble::run(&config);
    }
    match Running::start(config) {
        Ok(running) => running.wait(),
        Err(code) => code,
    }
}

/// What this version must not pretend to do.
fn unsupported(config: &Config) -> Option<String> {
    let distributed = config.mode == config::Mode::Distributed;
    if let Some(why) = ensemble::unsupported(config).filter(|_| distributed) {
        return Some(why);
    }
    if config.listeners.secure_client.is_some() {
        return Some(
            "secureClientPort is set, and TLS is not supported yet; remove it, or keep Apache for now"
                .to_owned(),
        );
    }
    let unknown = options::authorizer(config).unknown_enforced();
    (!unknown.is_empty())
        .then(|| format!("enforce.auth.schemes names schemes that are not there: {unknown:?}"))
}

struct Running {
    stop: Sender<()>,
    inputs: Sender<Input>,
    closed: crossbeam_channel::Receiver<()>,
    main: tokio::runtime::Runtime,
    edge: Arc<Edge>,
}

pub(super) fn failed(what: &str, why: &dyn std::fmt::Display, code: ExitCode) -> ExitCode {
    tracing::error!(target: "o.a.z.s.ZooKeeperServerMain", "{what}: {why}");
    crate::telemetry::log::flush();
    // One write, so that it stays one line beside the log's.
    let _ = std::io::stderr().write_all(format!("{what}: {why}\n").as_bytes());
    code
}

impl Running {
    fn start(config: Arc<Config>) -> Result<Self, ExitCode> {
        raise_descriptor_limit();
        introduce(&config);
        // What a library counts with the macros of the `metrics` crate shows up beside our table. A
        // process with a recorder already keeps it; the table does not depend on this.
        if let Err(e) = facade::install() {
            tracing::debug!("metrics facade: {e}");
        }
        let clock = Arc::new(SystemClock::default());
        let unexpected = |what: &'static str| {
            move |e: std::io::Error| failed(what, &e, ExitCode::UnexpectedError)
        };
        let threads = io_threads::start(io_threads::counts()).map_err(unexpected("I/O threads"))?;
        let main = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(unexpected("runtime"))?;
        // A taken port is found out before the data is touched; clients that come while it loads
        // wait in the backlog.
        let socket = match &config.listeners.client {
            Some(addr) => Some(listen(&config, addr)?),
            None => None,
        };
        let loaded = load::load(&config, &clock)
            .map_err(|(e, code)| failed("Unable to load the database", &e, code))?;
        let mut running = Self::assemble(&config, &clock, loaded, main)?;
        running.main.spawn(rotate_metrics(clock.clone()));
        running.serve(&config, socket, threads)?;
        Ok(running)
    }

    /// The core and its threads.
    fn assemble(
        config: &Arc<Config>,
        clock: &Arc<SystemClock>,
        loaded: Loaded,
        main: tokio::runtime::Runtime,
    ) -> Result<Self, ExitCode> {
        let now = clock.now();
        let sessions = Arc::new(SessionTracker::new(i64::from(config.sessions.tick_time_ms)));
        for (id, timeout) in &loaded.sessions {
            sessions.track(SessionId(*id), *timeout, now.mono_ms);
        }
        let authorizer = options::authorizer(config);
        let seed = (now.wall_ms as u64) ^ (u64::from(std::process::id()) << 32);
        let server_options = options::server(config, authorizer.clone(), seed);
        let mut server = Server::new(loaded.tree.clone(), sessions.clone(), server_options, now);
        server.note_replayed(loaded.replayed);
        let log = LogWriter::open(loaded.dirs.log(), options::log(config))
            .map_err(|e| failed("Unable to open the log", &e, ExitCode::UnexpectedError))?;
        if let Some((name, end)) = &loaded.newest_log {
            log.trim(name, *end);
        }

        let (inputs, input_queue) = unbounded();
        let (snapshots, jobs) = bounded(1);
        let (closed_tx, closed) = bounded(1);
        let (stop, stop_queue) = bounded(1);
        let doors = Doors::new(config, clock, &authorizer, &loaded.dirs, seed);
        let edge = doors.edge(&loaded.tree, &sessions, inputs.clone(), Mode::Standalone);
        let sequencer = Sequencer {
            server,
            inputs: input_queue,
            log,
            snapshots,
            clock: clock.clone(),
            fsync_warning_ms: config.storage.fsync_warning_ms,
            closed: closed_tx,
            stop: stop_queue,
        };
        fatal::critical_thread("SyncThread:0", move || sequencer.run());
        let snap = SnapThread {
            jobs,
            dirs: loaded.dirs.clone(),
            inputs: inputs.clone(),
            compression: options::compression(config),
            with_last_zxid: config.storage.serialize_last_processed_zxid,
            clock: clock.clone(),
            last: LastSnapshot::default(),
        };
        fatal::critical_thread("Snapshot Thread", move || snap.run());
        start_purge(config, &loaded.dirs);
        start_metrics(config, &doors.view, main.handle())?;
        Ok(Self {
            stop,
            inputs,
            closed,
            main,
            edge,
        })
    }

    /// Opens the doors.
    fn serve(
        &mut self,
        config: &Config,
        socket: Option<std::net::TcpListener>,
        threads: Vec<IoThread>,
    ) -> Result<(), ExitCode> {
        self.edge.serving.store(true, Ordering::Relaxed);
        let bound = socket.as_ref().and_then(|s| s.local_addr().ok());
        if let Some(socket) = socket {
            let listener = Listener {
                socket,
                edge: CurrentEdge::new(self.edge.clone()),
                threads,
                secure: false,
            };
            self.main.spawn(async move {
                if let Err(e) = listener.run().await {
                    fatal::unrecoverable(
                        "NIOServerCxnFactory.AcceptThread",
                        &e,
                        ExitCode::UnexpectedError,
                    );
                }
            });
        }
        let port = bound.map_or_else(|| "no port".to_owned(), |a| a.to_string());
        let line = format!(
            "Zabra {} (as ZooKeeper {VERSION}) serves on {port}, data in {}, zxid {}",
            env!("CARGO_PKG_VERSION"),
            config.storage.data_dir.display(),
            self.edge.tree.applied()
        );
        tracing::info!(target: "o.a.z.s.ZooKeeperServerMain", "{line}");
        Ok(())
    }

    /// Waits for the signal; then stops quickly, without ending a session.
    fn wait(self) -> ExitCode {
        let code = match self.main.block_on(signals::wait()) {
            Ok(code) => code,
            Err(e) => return failed("signals", &e, ExitCode::UnexpectedError),
        };
        self.edge.serving.store(false, Ordering::Relaxed);
        let _ = self.stop.send(());
        let _ = self.inputs.send(Input::Tick);
        if self.closed.recv_timeout(STOP_MAX).is_err() {
            tracing::warn!(target: "o.a.z.s.ZooKeeperServerMain", "the log was not closed in time");
        }
        tracing::info!(target: "o.a.z.u.ServiceUtils", "Exiting JVM with code {}", code as i32);
        crate::telemetry::log::flush();
        code
    }
}

/// What operators look for in the first lines of a log (Apache: `Environment.logEnv`,
/// `ZooKeeperServer`).
pub(super) fn introduce(config: &Config) {
    for (key, value) in environment::collect(VERSION) {
        tracing::info!(target: "o.a.z.s.ZooKeeperServer", "Server environment:{key}={value}");
    }
    let (s, dirs) = (&config.sessions, &config.storage);
    tracing::info!(
        target: "o.a.z.s.ZooKeeperServer",
        "Created server with tickTime {} ms minSessionTimeout {} ms maxSessionTimeout {} ms clientPortListenBacklog {} dataLogdir {} snapdir {}",
        s.tick_time_ms,
        s.min_timeout_ms,
        s.max_timeout_ms,
        config.listeners.backlog,
        dirs.data_log_dir.join("version-2").display(),
        dirs.data_dir.join("version-2").display()
    );
}

pub(super) fn listen(
    config: &Config,
    addr: &ListenAddr,
) -> Result<std::net::TcpListener, ExitCode> {
    tracing::info!(
        target: "o.a.z.s.NIOServerCnxnFactory",
        "binding to port {}/{}:{}", addr.host.as_deref().unwrap_or_default(), addr.ip, addr.port
    );
    bind(addr.ip, addr.port, config.listeners.backlog).map_err(|e| {
        let what = format!("java.net.BindException: {}:{}", addr.ip, addr.port);
        failed(&what, &e, ExitCode::UnexpectedError)
    })
}

/// Quantiles cover the last minutes only.
pub(super) async fn rotate_metrics(clock: Arc<SystemClock>) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        METRICS.rotate(clock.mono_ms());
    }
}

pub(super) fn whitelist(config: &Config) -> Whitelist {
    let words = match config.words.all {
        true => "*".to_owned(),
        false => config.words.words.join(","),
    };
    Whitelist::parse(Some(&words), config.features.read_only_mode)
}

pub(super) fn start_purge(config: &Config, dirs: &Arc<DataDirs>) {
    let Some(every) = config.storage.purge_interval_ms else {
        tracing::info!(target: "o.a.z.s.DatadirCleanupManager", "Purge task is not scheduled.");
        return;
    };
    let dirs = dirs.clone();
    let retain = config.storage.purge_retain_count as usize;
    let length_max = options::length_max(config);
    fatal::critical_thread("PurgeTask", move || {
        purge_regularly(&dirs, retain, every, length_max)
    });
}

/// The Prometheus endpoint, when its provider is configured.
pub(super) fn start_metrics(config: &Config, view: &ViewCell, on: &Handle) -> Result<(), ExitCode> {
    if config.metrics.provider != MetricsProvider::Prometheus {
        return Ok(());
    }
    let addr = format!("{}:{}", config.metrics.http_host, config.metrics.http_port);
    let socket = std::net::TcpListener::bind(&addr).and_then(|s| {
        s.set_nonblocking(true)?;
        Ok(s)
    });
    let socket = socket.map_err(|e| {
        let what = format!("Cannot boot MetricsProvider PrometheusMetricsProvider on {addr}");
        failed(&what, &e, ExitCode::UnexpectedError)
    })?;
    let (view, with_process) = (view.clone(), config.metrics.export_process_info);
    let render: prom_http::Render = Arc::new(move |names: &[String]| {
        let Some(view) = view.read().clone() else {
            return String::new();
        };
        METRICS.rotate(view.clock.mono_ms());
        let process = with_process.then(|| process::read(VERSION));
        Scrape {
            metrics: &METRICS,
            gauges: &*view,
            process,
            compat: Compat::V3_9,
        }
        .render(names)
    });
    on.spawn(async move {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => prom_http::serve(listener, render, std::future::pending()).await,
            Err(e) => tracing::error!("metrics endpoint: {e}"),
        }
    });
    Ok(())
}

/// As the JVM does: descriptors are what connections are made of.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("cannot raise the limit of open files: {e}");
    }
}
