//! The sockets of a member of an ensemble: the election mesh, the links to learners, the link to the
//! leader (Apache: `Leader.LearnerCnxAcceptor`, `Learner.connectToLeader`).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::base::ServerId;
use crate::base::limits::PEERS_UNKNOWN_MAX;
use crate::config::Config;
use crate::config::server_line::{HostPort, PeerAddr, QuorumServer};
use crate::conn::bind;
use crate::peer::election::{
    Addresses, ElectionMesh, Guard, MeshError, MeshEvent, MeshOptions, Plain,
};
use crate::peer::link::{self, Incoming, LinkOptions, LinkSender, Outgoing, Room};
use crate::peer::meter::QueueMeter;
use crate::peer::secured;
use crate::proto::quorum::LearnerInfo;
use crate::quorum::{Effect, Input};
use crate::tree::TreeOptions;
use crate::zab::LinkId;
use crate::zab::reconfig::Views;

use super::{options, quorum_disk};

/// Ids of links that learners open begin here, so that they differ from those to leaders.
const ACCEPTED_LINKS: u64 = 1 << 40;

/// Between two attempts to reach the leader.
const RECONNECT: Duration = Duration::from_millis(50);

/// Attempts to reach a follower that may serve observers; then the next one is tried.
const MASTER_TRIES: u32 = 5;

/// Attempts at the quorum port, and the time between two.
const BIND_TRIES: u32 = 100;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// Backlog of the quorum port.
const BACKLOG: i32 = 128;

type Links = Arc<Mutex<BTreeMap<LinkId, LinkSender>>>;

/// An input on its way to the peer, and the place it takes up there.
pub(super) struct Queued {
    pub(super) input: Input,
    _room: Option<Room>,
}

impl From<Input> for Queued {
    fn from(input: Input) -> Self {
        Self { input, _room: None }
    }
}

/// Counts a connection that has not said who it is.
struct Unknown(Arc<AtomicUsize>);

impl Unknown {
    /// None when there are too many.
    fn enter(count: &Arc<AtomicUsize>) -> Option<Self> {
        let one = Self(count.clone());
        (count.fetch_add(1, Ordering::Relaxed) < PEERS_UNKNOWN_MAX).then_some(one)
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module.
pub(super) struct QuorumNet {
    config: Arc<Config>,
    views: Views,
    /// Where others reach us: stays what it was when we are no member.
    own: Option<QuorumServer>,
    handle: Handle,
    inputs: Sender<Queued>,
    guard: Arc<dyn Guard>,
    mesh: ElectionMesh,
    learners: Links,
    leader: Links,
    accepting: Vec<AbortHandle>,
    connecting: Option<AbortHandle>,
    next_link: Arc<AtomicU64>,
    unknown: Arc<AtomicUsize>,
}

impl QuorumNet {
    /// Opens the election port. Everything runs on `handle`; what happens goes to `inputs`.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(super) fn open(
        config: &Arc<Config>,
        handle: &Handle,
        inputs: Sender<Queued>,
    ) -> Result<Self, MeshError> {
        let guard = guard(config);
        let views = Views::new(config.ensemble.clone(), config.last_seen_ensemble.clone());
        let own = views
            .committed
            .members
            .get(&config.server_id.unwrap_or_default());
        let own = own.cloned();
        let options = mesh_options(config, own.as_ref(), guard.clone());
        let mesh = start_mesh(options, &views, handle, &inputs)?;
        Ok(Self {
            config: config.clone(),
            views,
            own,
            handle: handle.clone(),
            inputs,
            guard,
            mesh,
            learners: Links::default(),
            leader: Links::default(),
            accepting: Vec::new(),
            connecting: None,
            next_link: Arc::new(AtomicU64::new(ACCEPTED_LINKS)),
            unknown: Arc::default(),
        })
    }

    /// Carries out an effect that is about connections between servers.
    ///
    /// # Errors
    /// When the quorum port cannot be opened.
    pub(super) fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        // The mesh starts its tasks on the runtime it is called on.
        let handle = self.handle.clone();
        let _on = handle.enter();
        match effect {
            Effect::Notify(to, n) => self.mesh.send(to, n.encode()),
            Effect::ConnectAll => self.mesh.connect_all(),
            Effect::Members(views) => self.members(*views),
            Effect::Listen => {
                // Those of a reign that ended by a handover.
                self.learners.lock().clear();
                self.listen(|a| a.quorum_port)?;
            }
            Effect::ListenObservers(port) => self.listen_observers(port),
            Effect::StopListening => {
                self.accepting.drain(..).for_each(|t| t.abort());
                self.learners.lock().clear();
            }
            Effect::Retire => self.accepting.drain(..).for_each(|t| t.abort()),
            Effect::ConnectLeader(link, sid) => {
                self.connect(link, self.targets(sid, None), 0, None);
            }
            Effect::ConnectMaster {
                link,
                to,
                port,
                delay_ms,
            } => self.connect(link, self.targets(to, port), delay_ms, Some(MASTER_TRIES)),
            Effect::DropLeader(_) => {
                if let Some(task) = self.connecting.take() {
                    task.abort();
                }
                self.leader.lock().clear();
            }
            Effect::Send(link, packet) => self.send(link, Outgoing::Packet(packet)),
            Effect::SendSnapshot(link, job) => self.send(link, Outgoing::Snapshot(job)),
            Effect::Close(link, why) => {
                tracing::warn!(target: "o.a.z.s.q.LearnerHandler", "closing a learner's link: {why}");
                self.learners.lock().remove(&link);
            }
            Effect::Serve(_)
            | Effect::Turn(_)
            | Effect::HandoverDone(..)
            | Effect::StopServing
            | Effect::Exit(..) => {}
        }
        Ok(())
    }

    fn send(&self, link: LinkId, out: Outgoing) {
        let links = match link.0 >= ACCEPTED_LINKS {
            true => &self.learners,
            false => &self.leader,
        };
        if let Some(sender) = links.lock().get(&link) {
            sender.send(out);
        }
    }

    /// The members changed. The election moves when its own address did; the quorum port does when
    /// this server leads again.
    fn members(&mut self, views: Views) {
        let me = self.config.server_id.unwrap_or_default();
        let election = |s: &QuorumServer| {
            let of = |a: &PeerAddr| (a.host.clone(), a.election_port);
            s.addresses.iter().map(of).collect::<Vec<_>>()
        };
        let own = views.committed.members.get(&me).cloned();
        let moved = match (&own, &self.own) {
            (Some(new), Some(old)) => election(new) != election(old),
            (new, old) => new.is_some() && old.is_none(),
        };
        self.own = own.or(self.own.take());
        self.mesh.update_members(addresses(&views));
        self.views = views;
        if !moved {
            return;
        }
        let options = mesh_options(&self.config, self.own.as_ref(), self.guard.clone());
        match start_mesh(options, &self.views, &self.handle, &self.inputs) {
            Ok(mesh) => self.mesh = mesh,
            Err(e) => {
                tracing::error!(target: "o.a.z.s.q.QuorumCnxManager", "{e}");
            }
        }
    }

    /// A follower without observers is better than none.
    ///
    /// Differs: Apache's follower goes back to the election when the port cannot be had.
    fn listen_observers(&mut self, port: u16) {
        tracing::info!(target: "o.a.z.s.q.Follower", "Starting ObserverMaster on port {port}");
        if let Err(e) = self.listen(|_| port) {
            tracing::error!(
                target: "o.a.z.s.q.ObserverMaster",
                "no observers are served, port {port} cannot be had: {e}"
            );
        }
    }

    /// Takes learners on a port at each of our addresses.
    fn listen(&mut self, port: impl Fn(&PeerAddr) -> u16) -> io::Result<()> {
        let own = self.own.as_ref();
        let addresses = own.map(|s| s.addresses.clone()).unwrap_or_default();
        let mut taken = Vec::new();
        for address in addresses {
            let ip = match self.config.quorum.listen_on_all_ips {
                true => std::net::Ipv4Addr::UNSPECIFIED.into(),
                false => resolve(&address)?.ip(),
            };
            let at = (ip, port(&address));
            if taken.contains(&at) {
                continue;
            }
            taken.push(at);
            let socket = bind_soon(at.0, at.1)?;
            let (links, inputs) = (self.learners.clone(), self.inputs.clone());
            let (ids, options) = (self.next_link.clone(), self.link_options(false));
            let (guard, limit) = (self.guard.clone(), secure_limit(&self.config));
            let unknown = self.unknown.clone();
            let begin = move |stream| {
                let Some(unknown) = Unknown::enter(&unknown) else {
                    tracing::warn!(
                        target: "o.a.z.s.q.Leader",
                        "A connection is closed: {PEERS_UNKNOWN_MAX} others have not said who they are"
                    );
                    return;
                };
                let link = LinkId(ids.fetch_add(1, Ordering::Relaxed));
                let _ = inputs.send(Input::LearnerConnected(link).into());
                let to = inputs.clone();
                let unknown = Mutex::new(Some(unknown));
                let meter = Arc::new(QueueMeter::default());
                let named = meter.clone();
                let sender = link::run(stream, options, meter, move |incoming| {
                    // Whatever it says: it is known, or it will be closed for it.
                    if unknown.lock().take().is_some() {
                        name(&named, &incoming);
                    }
                    from_learner(&to, link, incoming);
                });
                links.lock().insert(link, sender);
            };
            let task = self.handle.spawn(async move {
                if let Ok(listener) = TcpListener::from_std(socket) {
                    secured::accept(guard, listener, limit, begin).await;
                }
            });
            self.accepting.push(task.abort_handle());
        }
        Ok(())
    }

    fn link_options(&self, learner: bool) -> LinkOptions {
        LinkOptions {
            length_max: options::length_max(&self.config),
            tree: learner.then_some(TreeOptions {
                digest: self.config.features.digest,
            }),
        }
    }

    /// Where a server takes learners; on `port`, if it is one that serves observers.
    fn targets(&self, sid: ServerId, port: Option<u16>) -> Vec<HostPort> {
        let (committed, seen) = (&self.views.committed, &self.views.last_seen);
        let server = committed.members.get(&sid.0).or(seen.members.get(&sid.0));
        let addresses = server.map(|s| s.addresses.as_slice()).unwrap_or_default();
        let target = |a: &PeerAddr| HostPort {
            host: a.host.clone(),
            port: port.unwrap_or(a.quorum_port),
        };
        addresses.iter().map(target).collect()
    }

    /// Tries so often, or until the peer gives up waiting: an elected leader may need a moment
    /// until its port is open.
    fn connect(&mut self, link: LinkId, targets: Vec<HostPort>, delay_ms: u32, tries: Option<u32>) {
        let (links, inputs) = (self.leader.clone(), self.inputs.clone());
        let (options, config) = (self.link_options(true), self.config.clone());
        let limit = Duration::from_millis(u64::from(self.config.quorum.cnx_timeout_ms));
        let (guard, secure) = (self.guard.clone(), secure_limit(&self.config));
        let task = self.handle.spawn(async move {
            // Not even a timer's tick when there is no need.
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(u64::from(delay_ms))).await;
            }
            let mut tried = 0;
            while tries.is_none_or(|most| tried < most) {
                let dialed = secured::dial(guard.as_ref(), targets.clone(), limit, secure).await;
                if let Ok(stream) = dialed {
                    let (to, config) = (inputs.clone(), config.clone());
                    let sender = link::run(stream, options, Arc::default(), move |incoming| {
                        from_leader(&config, &to, link, incoming);
                    });
                    links.lock().insert(link, sender);
                    let _ = inputs.send(Input::LeaderConnected(link).into());
                    return;
                }
                tried += 1;
                tokio::time::sleep(RECONNECT).await;
            }
            let _ = inputs.send(Input::LeaderGone(link).into());
        });
        self.connecting = Some(task.abort_handle());
    }
}

/// The port of an earlier reign may take a moment to be free.
fn bind_soon(ip: std::net::IpAddr, port: u16) -> io::Result<std::net::TcpListener> {
    let mut tries = 0;
    loop {
        match bind(ip, port, BACKLOG) {
            Err(_) if tries < BIND_TRIES => std::thread::sleep(BIND_PAUSE),
            bound => return bound,
        }
        tries += 1;
    }
}

/// How long TLS and SASL may take on a link to a learner: Apache reads no longer than that.
fn secure_limit(config: &Config) -> Duration {
    let ms = i64::from(config.quorum.init_limit_ticks) * i64::from(config.sessions.tick_time_ms);
    Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1))
}

/// TLS and SASL between servers, of the election and of the links.
fn guard(_: &Config) -> Arc<dyn Guard> {
    Arc::new(Plain)
}

fn resolve(address: &PeerAddr) -> io::Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    (address.host.as_str(), address.quorum_port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Whose link it is stands in its first packet.
fn name(meter: &QueueMeter, first: &Incoming) {
    if let Incoming::Packets(packets, _) = first
        && let Some(packet) = packets.first()
        && let Some(sid) = LearnerInfo::decode(packet.data.as_deref()).server
    {
        meter.name(sid);
    }
}

fn from_learner(to: &Sender<Queued>, link: LinkId, incoming: Incoming) {
    let input = match incoming {
        Incoming::Packets(packets, room) => {
            return drop(to.send(Queued {
                input: Input::LearnerPackets(link, packets),
                _room: Some(room),
            }));
        }
        // The link does not take snapshots.
        Incoming::Snapshot(..) | Incoming::Gone => Input::LearnerGone(link),
    };
    let _ = to.send(input.into());
}

fn from_leader(config: &Config, to: &Sender<Queued>, link: LinkId, incoming: Incoming) {
    let input = match incoming {
        Incoming::Packets(packets, room) => {
            return drop(to.send(Queued {
                input: Input::LeaderPackets(link, packets),
                _room: Some(room),
            }));
        }
        Incoming::Snapshot(zxid, tree, sessions) => {
            let data = quorum_disk::received(config, zxid, *tree, sessions);
            Input::LeaderSnapshot(link, zxid, Box::new(data))
        }
        Incoming::Gone => Input::LeaderGone(link),
    };
    let _ = to.send(input.into());
}

fn addresses(views: &Views) -> Addresses {
    Addresses::of(&views.committed, Some(&views.last_seen))
}

fn start_mesh(
    options: MeshOptions,
    views: &Views,
    handle: &Handle,
    inputs: &Sender<Queued>,
) -> Result<ElectionMesh, MeshError> {
    let addresses = addresses(views);
    let to = inputs.clone();
    let events = move |event| {
        let input = match event {
            MeshEvent::Notification(from, n) => Input::Notification(from, n),
            MeshEvent::Lost(sid) => Input::ElectionLinkLost(sid),
        };
        let _ = to.send(input.into());
    };
    let (done, opened) = crossbeam_channel::bounded(1);
    handle.spawn(async move {
        let _ = done.send(ElectionMesh::start(options, addresses, events).await);
    });
    opened.recv().unwrap_or_else(|_| {
        Err(MeshError::Bind {
            address: String::new(),
            why: io::ErrorKind::Interrupted.into(),
        })
    })
}

fn mesh_options(config: &Config, own: Option<&QuorumServer>, guard: Arc<dyn Guard>) -> MeshOptions {
    let q = &config.quorum;
    let me = ServerId(config.server_id.unwrap_or_default());
    let election = |s: &QuorumServer| {
        let of = |a: &PeerAddr| HostPort {
            host: a.host.clone(),
            port: a.election_port,
        };
        s.addresses.iter().map(of).collect()
    };
    let tick = u64::try_from(config.sessions.tick_time_ms).unwrap_or(2000);
    let sync = u64::try_from(q.sync_limit_ticks).unwrap_or(5);
    let opening = q.cnxn_read_timeout_ms.map_or(tick * sync, u64::from);
    MeshOptions {
        me,
        own: own.map(election).unwrap_or_default(),
        listen_on_all_ips: q.listen_on_all_ips,
        multi_address: q.multi_address_enabled,
        connect_timeout: Duration::from_millis(u64::from(q.cnx_timeout_ms)),
        opening_timeout: Duration::from_millis(opening),
        keep_alive: q.tcp_keep_alive,
        bind_retry: q.election_bind_retry,
        guard,
    }
}
