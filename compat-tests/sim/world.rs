//! The ensemble: peers, disks, links, clients and faults in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zabra::base::{Epoch, ServerId, Zxid};
use zabra::config::Ensemble;
use zabra::pipeline::{Now, ServerOptions};
use zabra::quorum::{Input, PeerOptions};
use zabra::zab::QuorumVerifier;
use zabra::zab::election::{ElectionOptions, Members, Notification};

use crate::client::Client;
use crate::disk::{Disk, stream};
use crate::event::Event;
use crate::link::Link;
use crate::model::Model;
use crate::mutation::Mutation;
use crate::node::Node;
use crate::rng::Rng;

pub const WALL: i64 = 1_700_000_000_000;

pub type Fail = Result<(), String>;

pub struct World {
    pub rng: Rng,
    pub now: i64,
    pub seq: u64,
    pub boots: u64,
    pub links_made: u64,
    pub conns: u64,
    pub nodes: BTreeMap<i64, Node>,
    pub events: BTreeMap<(i64, u64), Event>,
    pub links: Vec<Link>,
    /// Newest notification on its way, and the last one sent, by sender and receiver.
    pub notes: BTreeMap<(i64, i64), (Option<Notification>, Option<Notification>)>,
    pub meshed: BTreeSet<(i64, i64)>,
    pub cut: BTreeSet<(i64, i64)>,
    pub faults: bool,
    pub writing: bool,
    pub clients: Vec<Client>,
    pub trace: bool,
    pub mutation: Option<Mutation>,
    /// Counter at which epochs open.
    pub opening: u32,
    /// Syncs are linearizable, also past a leader that does not know that it was replaced.
    pub strict_sync: bool,
    /// Roles that leaders took over without an election.
    pub turns: u64,
    // What must hold.
    pub bytes: BTreeMap<Zxid, Arc<[u8]>>,
    pub committed: BTreeMap<Zxid, Arc<[u8]>>,
    pub leaders: BTreeMap<Epoch, i64>,
    pub acked: BTreeSet<Zxid>,
    /// When somebody was first told of which transaction; both ascend.
    pub told: Vec<(i64, Zxid)>,
    /// Which transaction each one comes behind.
    pub before: BTreeMap<Zxid, Zxid>,
    /// The highest one that a leader said was decided.
    pub decided: Zxid,
    pub model: Model,
    /// Servers whose disk was replaced by an empty one, the end of what they had held, and their
    /// `currentEpoch`. They have it again once they serve; until then no other disk may fail.
    pub wiped: BTreeMap<i64, (Zxid, Epoch)>,
    /// When something was last wrong, or a role began or ended.
    pub calm_since: i64,
    /// Who decides.
    pub rule: QuorumVerifier,
    /// The configuration.
    pub members: String,
}

/// Voters, and how they decide: by majority, in groups, by weight, and with one that cannot lead.
const RULES: [(i64, &str); 7] = [
    (3, ""),
    (3, ""),
    (3, ""),
    (5, ""),
    (5, "group.1=1\ngroup.2=2\ngroup.3=3:4:5\n"),
    (4, "group.1=1:2:3:4\nweight.1=2\n"),
    (4, "group.1=1:2:3:4\nweight.4=0\n"),
];

/// The configuration: the voters and an observer.
fn members(voters: i64, rule: &str) -> String {
    let server = |n: i64| {
        let role = if n > voters {
            "observer"
        } else {
            "participant"
        };
        format!("server.{n}=h{n}:1:2:{role}\n")
    };
    (1..=voters + 1).map(server).collect::<String>() + rule
}

fn ensemble(text: &str) -> Ensemble {
    Ensemble::parse(text, false).expect("a configuration")
}

pub fn pair(a: i64, b: i64) -> (i64, i64) {
    (a.min(b), a.max(b))
}

impl World {
    pub fn new(seed: u64, mutation: Option<Mutation>, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let (voters, rule) = *rng.pick(&RULES);
        let members = members(voters, rule);
        // Some ensembles have local sessions, and serve reads without a quorum.
        let local = seed % 8 == 5 && mutation.is_none();
        let mut world = Self {
            rng,
            now: 0,
            seq: 0,
            boots: 0,
            links_made: 1 << 32,
            conns: 0,
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
            strict_sync: seed.is_multiple_of(4),
            turns: 0,
            bytes: BTreeMap::new(),
            committed: BTreeMap::new(),
            leaders: BTreeMap::new(),
            acked: BTreeSet::new(),
            told: Vec::new(),
            before: BTreeMap::new(),
            decided: Zxid::ZERO,
            model: Model::new(Self::opening_counter(seed), local),
            wiped: BTreeMap::new(),
            calm_since: 0,
            rule: QuorumVerifier::of(&ensemble(&members)),
            members,
        };
        for sid in 1..=voters + 1 {
            let node = Node {
                disk: Disk::default(),
                up: None,
                slow_until: 0,
                full_until: 0,
                skew: 0,
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

    pub fn event(&mut self, event: Event) -> Fail {
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
            Event::Done(sid, boot, input) if self.boot(sid) == Some(boot) => self.step(sid, input),
            Event::Noticed(sid, boot, s, inbox, session) if self.boot(sid) == Some(boot) => {
                self.noticed(sid, &s, inbox, session)
            }
            Event::Client(id) => self.client(id),
            Event::Fault => self.fault(),
            Event::HandOver if self.faults => self.hand_over(),
            Event::Uncut(from, to) => {
                self.cut.remove(&(from, to));
                Ok(())
            }
            Event::Leave(id) => self.leave(id),
            _ => Ok(()),
        }
    }

    pub fn options(&self, me: i64) -> PeerOptions {
        PeerOptions {
            read_only_after_ms: self.model.local.then_some(500),
            me: ServerId(me),
            members: Members::new(ensemble(&self.members), None),
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
                linearizable_sync: self.strict_sync,
                local_sessions: self.model.local,
                local_upgrading: self.model.local,
                ..ServerOptions::default()
            },
            tick_ms: 500,
            init_limit: 10,
            sync_limit: 5,
            connect_limit_ms: 2000,
            leader_serves: true,
            standalone_enabled: true,
            force_snapshot: false,
            doubts_empty: self.mutation != Some(Mutation::WipedCounts),
            observer_master_port: None,
            observer_delay_ms: 0,
        }
    }

    /// A server's clocks. The monotonic one begins where the wall clock was when the process
    /// started, as `runtime/clock.rs` has it; the other one jumps.
    pub fn clock(&self, sid: i64) -> Now {
        let node = &self.nodes[&sid];
        let base = node.up.as_ref().map_or(0, |p| p.mono_base);
        Now {
            mono_ms: base + self.now,
            wall_ms: WALL + node.skew + self.now,
        }
    }
}
