//! The ensemble: peers, disks, links, clients and faults in virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use zabra::base::{Epoch, ServerId, Zxid};
use zabra::config::Ensemble;
use zabra::pipeline::{self, LogOp, Now, ServerOptions, SnapshotJob};
use zabra::proto::quorum::{PacketType, QuorumPacket};
use zabra::quorum::{DiskOp, Effect, Effects, Input, Peer, PeerOptions, PeerState, Serving};
use zabra::zab::LinkId;
use zabra::zab::election::{ElectionOptions, Members, Notification};

use crate::Mutation;
use crate::client::Client;
use crate::disk::{Disk, load, stream};
use crate::rng::Rng;

pub const WALL: i64 = 1_700_000_000_000;

pub type Fail = Result<(), String>;

pub struct Process {
    pub peer: Peer,
    pub boot: u64,
    queue: VecDeque<DiskOp>,
    /// What the disk is at, and the log entries' end when it began.
    busy: Option<Vec<DiskOp>>,
    listening: bool,
    pub serving: Option<Serving>,
    tick_at: Option<i64>,
    /// Up to here its committed history was looked at, in this role.
    pub looked: Option<Zxid>,
}

pub struct Node {
    pub disk: Disk,
    pub up: Option<Process>,
    pub slow_until: i64,
}

pub enum Msg {
    Packet(QuorumPacket),
    Snapshot(Zxid, Box<SnapshotJob>),
}

struct Link {
    learner: i64,
    leader: i64,
    at_learner: LinkId,
    at_leader: LinkId,
    up: VecDeque<Msg>,
    down: VecDeque<Msg>,
    /// No message overtakes another.
    last: [i64; 2],
    snap: Zxid,
    open: bool,
}

pub enum Event {
    Start(i64),
    Notify(i64, i64),
    Lost(i64, i64, u64),
    Dial(i64, u64, LinkId, i64, u32),
    Deliver(usize, bool),
    Gone(i64, u64, LinkId, bool),
    Disk(i64, u64),
    Read(i64, u64, LinkId, Zxid, Zxid),
    Snapshot(i64, u64, SnapshotJob),
    Tick(i64, u64, i64),
    Client(usize),
    Crash(i64, u64),
    Fault,
}

pub struct World {
    pub rng: Rng,
    pub now: i64,
    seq: u64,
    boots: u64,
    links_made: u64,
    pub conns: u64,
    pub voters: i64,
    pub nodes: BTreeMap<i64, Node>,
    events: BTreeMap<(i64, u64), Event>,
    links: Vec<Link>,
    /// Newest notification on its way, and the last one sent, by sender and receiver.
    notes: BTreeMap<(i64, i64), (Option<Notification>, Option<Notification>)>,
    meshed: BTreeSet<(i64, i64)>,
    pub cut: BTreeSet<(i64, i64)>,
    pub faults: bool,
    pub writing: bool,
    pub clients: Vec<Client>,
    pub trace: bool,
    pub mutation: Option<Mutation>,
    /// Counter at which epochs open.
    pub opening: u32,
    /// Roles that leaders took over without an election.
    pub turns: u64,
    // What must hold.
    pub bytes: BTreeMap<Zxid, Arc<[u8]>>,
    pub committed: BTreeMap<Zxid, Arc<[u8]>>,
    pub leaders: BTreeMap<Epoch, i64>,
    pub acked: BTreeSet<Zxid>,
}

fn pair(a: i64, b: i64) -> (i64, i64) {
    (a.min(b), a.max(b))
}

impl World {
    pub fn new(seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let voters = *rng.pick(&[3, 3, 5]);
        let mut world = Self {
            rng,
            now: 0,
            seq: 0,
            boots: 0,
            links_made: 1 << 32,
            conns: 0,
            voters,
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
            links: Vec::new(),
            notes: BTreeMap::new(),
            meshed: BTreeSet::new(),
            cut: BTreeSet::new(),
            faults: true,
            writing: true,
            clients: Vec::new(),
            trace,
            mutation,
            opening: Self::opening_counter(seed),
            turns: 0,
            bytes: BTreeMap::new(),
            committed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            acked: BTreeSet::new(),
        };
        for sid in 1..=voters + 1 {
            let node = Node {
                disk: Disk::default(),
                up: None,
                slow_until: 0,
            };
            world.nodes.insert(sid, node);
            let at = world.rng.below(300) as i64;
            world.later(at, Event::Start(sid));
        }
        for id in 0..4 {
            world.clients.push(Client {
                id,
                ..Client::default()
            });
            world.later(500, Event::Client(id));
        }
        world.later(2000, Event::Fault);
        world
    }

    pub fn later(&mut self, ms: i64, event: Event) {
        self.seq += 1;
        self.events.insert((self.now + ms, self.seq), event);
    }

    pub fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} {}", self.now, text());
        }
    }

    /// Runs until `until`.
    pub fn run(&mut self, until: i64) -> Fail {
        while let Some(due) = self.events.first_entry().filter(|e| e.key().0 <= until) {
            let ((at, _), event) = due.remove_entry();
            self.now = at;
            self.event(event)?;
        }
        self.now = until;
        Ok(())
    }

    fn boot(&self, sid: i64) -> Option<u64> {
        self.nodes[&sid].up.as_ref().map(|p| p.boot)
    }

    fn event(&mut self, event: Event) -> Fail {
        match event {
            Event::Start(sid) => self.start(sid),
            Event::Notify(from, to) => {
                let note = self.notes.get_mut(&(from, to)).and_then(|n| n.0.take());
                match note {
                    Some(n) if self.passes(from, to) => {
                        self.step(to, Input::Notification(ServerId(from), n))
                    }
                    _ => Ok(()),
                }
            }
            Event::Lost(sid, other, boot) if self.boot(sid) == Some(boot) => {
                self.step(sid, Input::ElectionLinkLost(ServerId(other)))
            }
            Event::Dial(sid, boot, link, to, n) if self.boot(sid) == Some(boot) => {
                self.dial(sid, link, to, n)
            }
            Event::Deliver(link, down) => self.deliver(link, down),
            Event::Gone(sid, boot, link, learner) if self.boot(sid) == Some(boot) => {
                let gone = match learner {
                    true => Input::LeaderGone(link),
                    false => Input::LearnerGone(link),
                };
                self.step(sid, gone)
            }
            Event::Disk(sid, boot) if self.boot(sid) == Some(boot) => self.disk_done(sid),
            Event::Read(sid, boot, link, from, upto) if self.boot(sid) == Some(boot) => {
                let found = self.nodes[&sid].disk.read(from, upto);
                self.step(sid, Input::LogRead(link, found))
            }
            Event::Snapshot(sid, boot, job) if self.boot(sid) == Some(boot) => {
                if !job.cancelled.load(std::sync::atomic::Ordering::Acquire) {
                    let zxid = job.start.zxid;
                    let node = self.nodes.get_mut(&sid).expect("a node");
                    // Half of them die with the server before they are whole.
                    let bytes = stream(job);
                    node.disk.snaps.push((zxid, bytes));
                    node.disk.snaps.sort_by_key(|s| s.0);
                }
                self.step(sid, Input::SnapshotDone)
            }
            Event::Tick(sid, boot, at) if self.boot(sid) == Some(boot) => {
                let p = self.process(sid);
                if p.tick_at != Some(at) {
                    return Ok(());
                }
                p.tick_at = None;
                self.step(sid, Input::Tick)
            }
            Event::Crash(sid, boot) if self.faults && self.boot(sid) == Some(boot) => {
                self.crash(sid)
            }
            Event::Client(id) => self.client(id),
            Event::Fault => self.fault(),
            _ => Ok(()),
        }
    }

    pub fn process(&mut self, sid: i64) -> &mut Process {
        let node = self.nodes.get_mut(&sid).expect("a node");
        node.up.as_mut().expect("it runs")
    }

    fn passes(&self, from: i64, to: i64) -> bool {
        !self.cut.contains(&(from, to)) && self.nodes[&to].up.is_some()
    }

    fn options(&self, me: i64) -> PeerOptions {
        let text: String = (1..=self.voters + 1)
            .map(|n| {
                let role = if n > self.voters {
                    "observer"
                } else {
                    "participant"
                };
                format!("server.{n}=h{n}:1:2:{role}\n")
            })
            .collect();
        let ensemble = Ensemble::parse(&text, false).expect("a configuration");
        PeerOptions {
            me: ServerId(me),
            members: Members::new(ensemble, None),
            election: ElectionOptions {
                max_interval_ms: 1600,
                ..ElectionOptions::default()
            },
            server: ServerOptions {
                server_id: ServerId(me),
                tick_ms: 500,
                session_timeout_ms: (1000, 10_000),
                snap_count: 40,
                seed: me as u64,
                initial_counter: self.opening,
                ..ServerOptions::default()
            },
            tick_ms: 500,
            init_limit: 10,
            sync_limit: 5,
            connect_limit_ms: 2000,
            leader_serves: true,
            force_snapshot: false,
        }
    }

    pub fn clock(&self) -> Now {
        Now {
            mono_ms: self.now,
            wall_ms: WALL + self.now,
        }
    }

    fn start(&mut self, sid: i64) -> Fail {
        if self.nodes[&sid].up.is_some() {
            return Ok(());
        }
        let (history, data) = self.nodes[&sid]
            .disk
            .recover()
            .map_err(|e| format!("{sid}: {e}"))?;
        self.say(|| format!("{sid} starts: {history:?}"));
        self.boots += 1;
        let process = Process {
            peer: Peer::new(self.options(sid), history, data),
            boot: self.boots,
            queue: VecDeque::new(),
            busy: None,
            listening: false,
            serving: None,
            tick_at: None,
            looked: None,
        };
        self.nodes.get_mut(&sid).expect("a node").up = Some(process);
        let (now, mut out) = (self.clock(), Effects::default());
        self.process(sid).peer.start(now, &mut out);
        self.carry_out(sid, out)
    }

    /// Gives a peer an input and does what it wants.
    pub fn step(&mut self, sid: i64, input: Input) -> Fail {
        let now = self.clock();
        let Some(p) = self.nodes.get_mut(&sid).and_then(|n| n.up.as_mut()) else {
            return Ok(());
        };
        let mut out = Effects::default();
        p.peer.step(now, input, &mut out);
        self.carry_out(sid, out)
    }

    fn carry_out(&mut self, sid: i64, out: Effects) -> Fail {
        // Power may fail between any two of the effects.
        let all = out.net.len() + out.disk.len();
        let dies = (self.faults && self.rng.below(4000) == 0).then(|| self.rng.below(all + 1));
        let mut left = dies.unwrap_or(usize::MAX);
        for effect in out.net {
            if left == 0 {
                return self.crash(sid);
            }
            left -= 1;
            self.effect(sid, effect)?;
        }
        for op in out.disk {
            if left == 0 {
                return self.crash(sid);
            }
            left -= 1;
            self.disk_op(sid, op);
        }
        if dies.is_some() {
            return self.crash(sid);
        }
        if let Some(job) = out.snapshot {
            let (boot, ms) = (self.process(sid).boot, self.rng.below(800) as i64);
            self.later(ms, Event::Snapshot(sid, boot, job));
        }
        self.schedule_tick(sid);
        self.check(sid)
    }

    fn schedule_tick(&mut self, sid: i64) {
        let now = self.now;
        let p = self.process(sid);
        let Some(at) = p.peer.next_tick() else {
            return;
        };
        let at = at.max(now + 1);
        if p.tick_at.is_none_or(|t| t > at || t <= now) {
            p.tick_at = Some(at);
            let boot = p.boot;
            self.later(at - now, Event::Tick(sid, boot, at));
        }
    }

    // The disk.

    fn disk_op(&mut self, sid: i64, op: DiskOp) {
        if let DiskOp::ReadLog { link, from, upto } = op {
            let (boot, ms) = (self.process(sid).boot, self.rng.below(60) as i64);
            return self.later(ms, Event::Read(sid, boot, link, from, upto));
        }
        self.process(sid).queue.push_back(op);
        self.disk_begin(sid);
    }

    fn disk_begin(&mut self, sid: i64) {
        let slow = self.nodes[&sid].slow_until > self.now;
        let ms = self.rng.below(if slow { 1500 } else { 8 }) as i64 + 1;
        let node = self.nodes.get_mut(&sid).expect("a node");
        let p = node.up.as_mut().expect("it runs");
        if p.busy.is_some() || p.queue.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        while let Some(op) = p.queue.pop_front_if(|op| matches!(op, DiskOp::Log(_))) {
            batch.push(op);
        }
        if batch.is_empty() {
            batch.extend(p.queue.pop_front());
        }
        p.busy = Some(batch);
        let boot = p.boot;
        self.later(ms, Event::Disk(sid, boot));
    }

    /// Appends a batch; the last zxid of it.
    fn append(&mut self, sid: i64, batch: &[DiskOp]) -> Result<Option<Zxid>, String> {
        let mut last = None;
        for op in batch {
            let DiskOp::Log(LogOp::Append(zxid, bytes)) = op else {
                continue;
            };
            let known = self.bytes.entry(*zxid).or_insert_with(|| bytes.clone());
            if known != bytes {
                return Err(format!("{sid} logs {zxid} with other bytes"));
            }
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            disk.append(*zxid, bytes.clone())
                .map_err(|e| format!("{sid}: {e}"))?;
            last = Some(*zxid);
        }
        Ok(last)
    }

    fn disk_done(&mut self, sid: i64) -> Fail {
        let Some(batch) = self.process(sid).busy.take() else {
            return Ok(());
        };
        let mut done = None;
        let last = self.append(sid, &batch)?;
        if let Some(zxid) = last {
            let early = self.mutation == Some(Mutation::AckBeforeDurable);
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            if !early || disk.log.len() - disk.durable > 20 {
                disk.durable = disk.log.len();
            }
            done = Some(Input::Logged(zxid));
        }
        for op in batch {
            done = self.finish(sid, op)?.or(done);
        }
        self.disk_begin(sid);
        match done {
            Some(input) => self.step(sid, input),
            None => Ok(()),
        }
    }

    fn finish(&mut self, sid: i64, op: DiskOp) -> Result<Option<Input>, String> {
        self.say(|| match &op {
            DiskOp::Log(_) => format!("{sid} logged"),
            DiskOp::SaveSnapshot(zxid, _) => format!("{sid} saves the leader's snapshot, {zxid}"),
            op => format!("{sid} disk {op:?}"),
        });
        let cuts = self.mutation != Some(Mutation::MissedTrunc);
        let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
        Ok(Some(match op {
            DiskOp::Log(_) => return Ok(None),
            DiskOp::AcceptEpoch(e) => {
                if e <= disk.accepted {
                    return Err(format!("{sid}: acceptedEpoch {:?} -> {e:?}", disk.accepted));
                }
                disk.accepted = e;
                Input::EpochAccepted(e)
            }
            DiskOp::EnterEpoch(e) => {
                let back = e < disk.current || e > disk.accepted;
                if back {
                    return Err(format!("{sid}: currentEpoch {:?} -> {e:?}", disk.current));
                }
                disk.current = e;
                Input::EpochEntered(e)
            }
            DiskOp::Flush => {
                disk.durable = disk.log.len();
                Input::Flushed
            }
            DiskOp::Truncate(z) => Input::Truncated(
                z,
                Box::new(disk.truncate(z, cuts).map_err(|e| format!("{sid}: {e}"))?),
            ),
            DiskOp::Reload => Input::Reloaded(Box::new(disk.recover()?.1)),
            DiskOp::SaveSnapshot(zxid, job) => {
                disk.replace(zxid, stream(job));
                Input::SnapshotSaved
            }
            DiskOp::ReadLog { .. } => return Ok(None),
        }))
    }

    // The network.

    fn effect(&mut self, sid: i64, effect: Effect) -> Fail {
        match effect {
            Effect::Notify(to, n) => self.notify(sid, to.0, n),
            Effect::ConnectAll => {
                let others: Vec<i64> = self.nodes.keys().copied().filter(|o| *o != sid).collect();
                for other in others {
                    self.mesh(sid, other);
                }
            }
            Effect::Listen => self.process(sid).listening = true,
            Effect::StopListening => {
                self.process(sid).listening = false;
                for i in 0..self.links.len() {
                    if self.links[i].leader == sid {
                        self.break_link(i);
                    }
                }
            }
            Effect::ConnectLeader(link, to) => {
                self.say(|| format!("{sid} dials {}", to.0));
                let boot = self.process(sid).boot;
                self.later(1, Event::Dial(sid, boot, link, to.0, 0));
            }
            Effect::DropLeader(link) => {
                if let Some(i) = self.find(sid, link, true) {
                    self.break_link(i);
                }
            }
            Effect::Close(link, why) => {
                self.say(|| format!("{sid} closes: {why}"));
                if let Some(i) = self.find(sid, link, false) {
                    self.break_link(i);
                }
            }
            Effect::Send(link, packet) => self.send(sid, link, packet),
            Effect::SendSnapshot(link, job) => {
                if let Some(i) = self.find(sid, link, false) {
                    let zxid = self.links[i].snap;
                    self.push(i, true, Msg::Snapshot(zxid, Box::new(job)), 1500);
                }
            }
            Effect::Retire => self.process(sid).listening = false,
            Effect::Turn(learner) => self.turned(sid, learner)?,
            Effect::HandoverDone(..) => {}
            Effect::Serve(serving) => self.serve(sid, serving)?,
            Effect::StopServing => {
                let p = self.process(sid);
                p.serving = None;
                p.looked = None;
                self.cut_clients(sid);
            }
            Effect::Exit(code, why) => return Err(format!("{sid} exits with {code}: {why}")),
        }
        Ok(())
    }

    pub fn cut_clients(&mut self, sid: i64) {
        for c in &mut self.clients {
            if c.at.as_ref().is_some_and(|(s, _, _)| *s == sid) {
                c.disconnect();
            }
        }
    }

    fn serve(&mut self, sid: i64, serving: Serving) -> Fail {
        let state = self.process(sid).peer.state();
        self.say(|| format!("{sid} serves: {state:?} at {}", serving.tree.applied()));
        if !serving.learner {
            let epoch = serving.tree.applied().epoch();
            let first = *self.leaders.entry(epoch).or_insert(sid);
            if first != sid || serving.tree.applied().counter() != self.opening {
                return Err(format!("{sid} leads {epoch:?}, as {first} did"));
            }
        }
        self.process(sid).serving = Some(serving);
        Ok(())
    }

    fn notify(&mut self, from: i64, to: i64, n: Notification) {
        let slot = self.notes.entry((from, to)).or_default();
        slot.1 = Some(n.clone());
        if !self.meshed.contains(&pair(from, to)) {
            return self.mesh(from, to);
        }
        let slot = self.notes.entry((from, to)).or_default();
        slot.0 = Some(n);
        let ms = 1 + self.rng.below(15) as i64;
        self.later(ms, Event::Notify(from, to));
    }

    /// Connects two election ports, and says again what was said last.
    fn mesh(&mut self, a: i64, b: i64) {
        let free = self.passes(a, b) && self.passes(b, a);
        if !free || !self.meshed.insert(pair(a, b)) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let slot = self.notes.entry((from, to)).or_default();
            if slot.1.is_some() {
                slot.0 = slot.1.clone();
                let ms = 1 + self.rng.below(15) as i64;
                self.later(ms, Event::Notify(from, to));
            }
        }
    }

    fn unmesh(&mut self, a: i64, b: i64) {
        if !self.meshed.remove(&pair(a, b)) {
            return;
        }
        for (me, other) in [(a, b), (b, a)] {
            self.notes.entry((me, other)).or_default().0 = None;
            if let Some(boot) = self.boot(me) {
                let ms = self.rng.below(100) as i64;
                self.later(ms, Event::Lost(me, other, boot));
            }
        }
    }

    fn find(&self, sid: i64, link: LinkId, learner: bool) -> Option<usize> {
        self.links.iter().rposition(|l| {
            l.open
                && match learner {
                    true => l.learner == sid && l.at_learner == link,
                    false => l.leader == sid && l.at_leader == link,
                }
        })
    }

    fn dial(&mut self, sid: i64, link: LinkId, to: i64, n: u32) -> Fail {
        let open = self.passes(sid, to)
            && self.passes(to, sid)
            && self.nodes[&to].up.as_ref().is_some_and(|p| p.listening);
        let boot = self.process(sid).boot;
        if !open {
            match n {
                0..15 => self.later(100, Event::Dial(sid, boot, link, to, n + 1)),
                _ => self.later(1, Event::Gone(sid, boot, link, true)),
            }
            return Ok(());
        }
        self.links_made += 1;
        let at_leader = LinkId(self.links_made);
        self.links.push(Link {
            learner: sid,
            leader: to,
            at_learner: link,
            at_leader,
            up: VecDeque::new(),
            down: VecDeque::new(),
            last: [0; 2],
            snap: Zxid::ZERO,
            open: true,
        });
        self.step(to, Input::LearnerConnected(at_leader))?;
        self.step(sid, Input::LeaderConnected(link))
    }

    fn send(&mut self, sid: i64, link: LinkId, packet: QuorumPacket) {
        let learner = link.0 < 1 << 32;
        let Some(i) = self.find(sid, link, learner) else {
            return;
        };
        let kind = PacketType::from_i32(packet.kind);
        self.say(|| {
            let to = if learner {
                self.links[i].leader
            } else {
                self.links[i].learner
            };
            format!(
                "{sid} -> {to} {} {}",
                kind.map_or("?", PacketType::name),
                packet.zxid
            )
        });
        if !learner && kind == Some(PacketType::Snap) {
            self.links[i].snap = packet.zxid;
            return;
        }
        let forged = !learner
            && kind == Some(PacketType::Proposal)
            && self.mutation == Some(Mutation::CommitWithoutQuorum);
        let zxid = packet.zxid;
        self.push(i, !learner, Msg::Packet(packet), 10);
        if forged {
            let ack = QuorumPacket::new(PacketType::Ack, zxid);
            self.push(i, false, Msg::Packet(ack), 2);
        }
    }

    fn push(&mut self, i: usize, down: bool, msg: Msg, delay: usize) {
        let ms = 1 + self.rng.below(delay) as i64;
        let link = &mut self.links[i];
        let at = (self.now + ms).max(link.last[usize::from(down)]);
        link.last[usize::from(down)] = at;
        match down {
            true => link.down.push_back(msg),
            false => link.up.push_back(msg),
        }
        self.later(at - self.now, Event::Deliver(i, down));
    }

    fn deliver(&mut self, i: usize, down: bool) -> Fail {
        let link = &self.links[i];
        if !link.open {
            return Ok(());
        }
        let (from, to) = match down {
            true => (link.leader, link.learner),
            false => (link.learner, link.leader),
        };
        if self.cut.contains(&(from, to)) {
            self.later(20, Event::Deliver(i, down));
            return Ok(());
        }
        let link = &mut self.links[i];
        let msg = if down {
            link.down.pop_front()
        } else {
            link.up.pop_front()
        };
        let (at_learner, at_leader) = (link.at_learner, link.at_leader);
        match (msg, down) {
            (Some(Msg::Packet(p)), down) => {
                // Several may have come by the time they are looked at.
                let mut packets = vec![p];
                let more = if self.rng.chance(30) {
                    self.rng.below(5)
                } else {
                    0
                };
                let link = &mut self.links[i];
                let queue = if down { &mut link.down } else { &mut link.up };
                for _ in 0..more {
                    match queue.pop_front_if(|m| matches!(m, Msg::Packet(_))) {
                        Some(Msg::Packet(p)) => packets.push(p),
                        _ => break,
                    }
                }
                if !down {
                    return self.step(to, Input::LearnerPackets(at_leader, packets));
                }
                for p in &packets {
                    self.mutate(to, p);
                }
                self.step(to, Input::LeaderPackets(at_learner, packets))
            }
            (Some(Msg::Snapshot(zxid, job)), _) => {
                // Written as late as possible: as fuzzy as can be.
                let data = load(zxid, &stream(*job));
                self.step(to, Input::LeaderSnapshot(at_learner, zxid, Box::new(data)))
            }
            (None, _) => Ok(()),
        }
    }

    /// A disk that writes the epoch when NEWLEADER comes in, before the history.
    fn mutate(&mut self, sid: i64, packet: &QuorumPacket) {
        if packet.kind != PacketType::NewLeader as i32 {
            return;
        }
        // Taking over a history is where most can go wrong: die there often.
        let percent = if self.mutation == Some(Mutation::EpochBeforeHistory) {
            50
        } else {
            8
        };
        if self.rng.chance(percent) {
            let (ms, boot) = (self.rng.below(12) as i64, self.process(sid).boot);
            self.later(ms, Event::Crash(sid, boot));
        }
        if self.mutation == Some(Mutation::EpochBeforeHistory) {
            let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
            disk.current = disk.current.max(packet.zxid.epoch());
        }
    }

    fn break_link(&mut self, i: usize) {
        if !std::mem::replace(&mut self.links[i].open, false) {
            return;
        }
        let link = &mut self.links[i];
        link.up.clear();
        link.down.clear();
        let ends = [
            (link.learner, link.at_learner, true),
            (link.leader, link.at_leader, false),
        ];
        for (sid, id, learner) in ends {
            if let Some(boot) = self.boot(sid) {
                let ms = self.rng.below(60) as i64;
                self.later(ms, Event::Gone(sid, boot, id, learner));
            }
        }
    }

    // Faults.

    pub fn crash(&mut self, sid: i64) -> Fail {
        let Some(mut p) = self.nodes.get_mut(&sid).and_then(|n| n.up.take()) else {
            return Ok(());
        };
        self.say(|| format!("{sid} dies"));
        // What the disk was at may have happened or not.
        if let Some(batch) = p.busy.take()
            && self.rng.chance(50)
        {
            self.append(sid, &batch)?;
            for op in batch {
                self.finish(sid, op)?;
            }
        }
        let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
        let keep = disk.durable + self.rng.below(disk.log.len() - disk.durable + 1);
        disk.crash(keep);
        for i in 0..self.links.len() {
            if self.links[i].learner == sid || self.links[i].leader == sid {
                self.break_link(i);
            }
        }
        let others: Vec<i64> = self.nodes.keys().copied().filter(|o| *o != sid).collect();
        for other in others {
            self.unmesh(sid, other);
            self.notes.remove(&(sid, other));
        }
        self.cut_clients(sid);
        let ms = 20 + self.rng.below(2500) as i64;
        self.later(ms, Event::Start(sid));
        Ok(())
    }

    fn fault(&mut self) -> Fail {
        if !self.faults {
            return Ok(());
        }
        let ms = 50 + self.rng.below(1200) as i64;
        self.later(ms, Event::Fault);
        let all: Vec<i64> = self.nodes.keys().copied().collect();
        let (a, b) = (*self.rng.pick(&all), *self.rng.pick(&all));
        if self.rng.chance(20) {
            self.hand_over()?;
        }
        match self.rng.below(16) {
            0..=3 => self.crash(a),
            4 => all.into_iter().try_for_each(|s| self.crash(s)),
            5 => {
                let leading = |n: &Node| {
                    let state = n.up.as_ref().map(|p| p.peer.state());
                    matches!(state, Some(PeerState::Leading(_)))
                };
                let leaders = self
                    .nodes
                    .iter()
                    .filter(|(_, n)| leading(n))
                    .map(|(s, _)| *s);
                leaders
                    .collect::<Vec<_>>()
                    .into_iter()
                    .try_for_each(|s| self.crash(s))
            }
            6..=7 => {
                let open: Vec<usize> = (0..self.links.len())
                    .filter(|i| self.links[*i].open)
                    .collect();
                if !open.is_empty() {
                    let i = *self.rng.pick(&open);
                    self.break_link(i);
                }
                self.unmesh(a, b);
                Ok(())
            }
            8 if a != b => {
                self.say(|| format!("{a} -/-> {b}"));
                self.cut.insert((a, b));
                Ok(())
            }
            9..=10 => {
                // Two sides.
                let side: BTreeSet<i64> = all
                    .iter()
                    .copied()
                    .filter(|_| self.rng.chance(50))
                    .collect();
                self.say(|| format!("partition {side:?}"));
                let one_way = self.rng.chance(20);
                for (x, y) in all.iter().flat_map(|x| all.iter().map(move |y| (*x, *y))) {
                    if side.contains(&x) && !side.contains(&y) {
                        self.cut.insert((x, y));
                        if !one_way {
                            self.cut.insert((y, x));
                        }
                    }
                }
                Ok(())
            }
            11 => {
                self.nodes.get_mut(&a).expect("a node").slow_until = self.now + 3000;
                Ok(())
            }
            _ => {
                self.cut.clear();
                Ok(())
            }
        }
    }

    /// No more faults; everybody starts.
    pub fn heal(&mut self) -> Fail {
        self.say(|| "healed".into());
        self.faults = false;
        self.cut.clear();
        for node in self.nodes.values_mut() {
            node.slow_until = 0;
        }
        Ok(())
    }

    fn client(&mut self, id: usize) -> Fail {
        let ms = 5 + self.rng.below(40) as i64;
        self.later(ms, Event::Client(id));
        let replies = self.clients[id].drain()?;
        for r in replies {
            self.replied(r.zxid)?;
        }
        if self.now < self.clients[id].sleeps_until {
            return Ok(());
        }
        if self.faults && self.rng.below(400) == 0 {
            self.clients[id].sleeps_until = self.now + self.rng.below(9000) as i64;
        }
        match self.clients[id].at.clone() {
            None => {
                let all: Vec<i64> = self.nodes.keys().copied().collect();
                let sid = *self.rng.pick(&all);
                let serving = self.nodes[&sid].up.as_ref().and_then(|p| p.serving.clone());
                let Some(s) = serving.filter(|s| s.tree.applied() >= self.clients[id].seen) else {
                    return Ok(());
                };
                self.conns += 1;
                let input = self.clients[id].connect(sid, s.instance, self.conns);
                self.step(sid, Input::Client(s.instance, input))
            }
            Some((sid, instance, inbox)) => {
                let serving = self.nodes[&sid].up.as_ref().and_then(|p| p.serving.clone());
                let Some(s) = serving.filter(|s| s.instance == instance) else {
                    self.clients[id].disconnect();
                    return Ok(());
                };
                if let Some(session) = s.sessions.get(self.clients[id].session) {
                    session.touch(self.now);
                }
                if !self.clients[id].connected {
                    return Ok(());
                }
                if self.writing && self.rng.below(60) == 0 {
                    let session = self.clients[id].session;
                    self.clients[id].disconnect();
                    inbox.close();
                    let gone = pipeline::Input::Gone(inbox, session);
                    return self.step(sid, Input::Client(instance, gone));
                }
                if !self.writing || self.clients[id].sent.len() > 4 {
                    return Ok(());
                }
                let now = self.now;
                let Some(input) = self.clients[id].request(&mut self.rng, now, s.learner) else {
                    return Ok(());
                };
                self.step(sid, Input::Client(instance, input))
            }
        }
    }
}
