//! A server: its disk, and its process while it runs.

use std::collections::VecDeque;

use zabra::base::{Epoch, Zxid};
use zabra::quorum::{DiskOp, Effect, Effects, Input, Peer, Serving};

use crate::disk::Disk;
use crate::event::Event;
use crate::link::Msg;
use crate::mutation::Mutation;
use crate::world::{Fail, WALL, World};

pub struct Process {
    pub peer: Peer,
    pub boot: u64,
    pub queue: VecDeque<DiskOp>,
    /// What the disk is at, and the log entries' end when it began.
    pub busy: Option<Vec<DiskOp>>,
    pub listening: bool,
    pub serving: Option<Serving>,
    /// The epoch of that role.
    pub reign: Epoch,
    /// A role that ended, and that a bad server still reads from.
    pub stale: Option<Serving>,
    /// What its monotonic clock shows at the beginning of time.
    pub mono_base: i64,
    pub tick_at: Option<i64>,
    /// Up to here its committed history was looked at, in this role.
    pub looked: Option<Zxid>,
}

pub struct Node {
    pub disk: Disk,
    pub up: Option<Process>,
    pub slow_until: i64,
    /// Until then nothing more can be written.
    pub full_until: i64,
    /// Its wall clock is wrong by this, ms.
    pub skew: i64,
}

impl World {
    pub fn boot(&self, sid: i64) -> Option<u64> {
        self.nodes[&sid].up.as_ref().map(|p| p.boot)
    }

    pub fn process(&mut self, sid: i64) -> &mut Process {
        let node = self.nodes.get_mut(&sid).expect("a node");
        node.up.as_mut().expect("it runs")
    }

    pub fn start(&mut self, sid: i64) -> Fail {
        if self.nodes[&sid].up.is_some() {
            return Ok(());
        }
        let (history, data) = self.nodes[&sid]
            .disk
            .recover()
            .map_err(|e| format!("{sid}: {e}"))?;
        self.say(|| format!("{sid} starts: {history:?}"));
        let disk = &mut self.nodes.get_mut(&sid).expect("a node").disk;
        disk.current = history.current;
        self.boots += 1;
        let process = Process {
            peer: Peer::new(self.options(sid), history, data),
            boot: self.boots,
            queue: VecDeque::new(),
            busy: None,
            listening: false,
            serving: None,
            reign: Epoch(0),
            stale: None,
            mono_base: WALL + self.nodes[&sid].skew,
            tick_at: None,
            looked: None,
        };
        self.nodes.get_mut(&sid).expect("a node").up = Some(process);
        let (now, mut out) = (self.clock(sid), Effects::default());
        self.process(sid).peer.start(now, &mut out);
        self.carry_out(sid, out)
    }

    /// Gives a peer an input and does what it wants.
    pub fn step(&mut self, sid: i64, input: Input) -> Fail {
        if self.nodes[&sid].up.is_none() || self.deaf(sid, &input) {
            return Ok(());
        }
        let now = self.clock(sid);
        let Some(p) = self.nodes.get_mut(&sid).and_then(|n| n.up.as_mut()) else {
            return Ok(());
        };
        let mut out = Effects::default();
        p.peer.step(now, input, &mut out);
        self.carry_out(sid, out)
    }

    pub fn carry_out(&mut self, sid: i64, out: Effects) -> Fail {
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

    pub fn schedule_tick(&mut self, sid: i64) {
        let now = self.now;
        let p = self.process(sid);
        let Some(at) = p.peer.next_tick().map(|at| at - p.mono_base) else {
            return;
        };
        let at = at.max(now + 1);
        if p.tick_at.is_none_or(|t| t > at || t <= now) {
            p.tick_at = Some(at);
            let boot = p.boot;
            self.later(at - now, Event::Tick(sid, boot, at));
        }
    }

    pub fn effect(&mut self, sid: i64, effect: Effect) -> Fail {
        match effect {
            Effect::Notify(to, n) => {
                self.before_vote(sid, &n)?;
                self.notify(sid, to.0, n);
            }
            Effect::ConnectAll => {
                let others: Vec<i64> = self.nodes.keys().copied().filter(|o| *o != sid).collect();
                for other in others {
                    self.mesh(sid, other);
                }
            }
            Effect::ListenObservers(_) | Effect::ConnectMaster { .. } => {
                return Err(format!("{sid} has no observer masters"));
            }
            Effect::Members(_) => {}
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
            Effect::Send(link, packet) => self.send(sid, link, packet)?,
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
                let visible = self.mutation == Some(Mutation::TailVisible);
                let p = self.process(sid);
                p.stale = p.serving.take().filter(|_| visible);
                p.looked = None;
                self.calm_since = self.now;
                if !visible {
                    self.cut_clients(sid);
                }
            }
            Effect::Exit(code, why) => return Err(format!("{sid} exits with {code}: {why}")),
        }
        Ok(())
    }

    pub fn serve(&mut self, sid: i64, serving: Serving) -> Fail {
        let state = self.process(sid).peer.state();
        self.say(|| format!("{sid} serves: {state:?} at {}", serving.tree.applied()));
        if serving.read_only {
            // Its clients are those of the suite `modes`.
            return Ok(());
        }
        if !serving.learner {
            let epoch = serving.tree.applied().epoch();
            let first = *self.leaders.entry(epoch).or_insert(sid);
            if first != sid || serving.tree.applied().counter() != self.opening {
                return Err(format!("{sid} leads {epoch:?}, as {first} did"));
            }
            let last = self.process(sid).peer.data().last();
            if last.epoch() < epoch {
                self.before.insert(Zxid::of(epoch, self.opening), last);
            }
        }
        self.calm_since = self.now;
        if self.wiped.remove(&sid).is_some() {
            self.say(|| format!("{sid} has its data again"));
            self.check_kept(sid)?;
        }
        let p = self.process(sid);
        p.reign = p.peer.history().current;
        p.serving = Some(serving);
        if p.stale.take().is_some() {
            self.cut_clients(sid);
        }
        Ok(())
    }

    pub fn crash(&mut self, sid: i64) -> Fail {
        let Some(mut p) = self.nodes.get_mut(&sid).and_then(|n| n.up.take()) else {
            return Ok(());
        };
        self.say(|| format!("{sid} dies"));
        self.calm_since = self.now;
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
        self.check_kept(sid)?;
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
}
