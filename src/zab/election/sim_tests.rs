//! Whole elections over a network that delays, loses and splits, from seeds that replay exactly.
//!
//! What comes after an election is reduced to what it means for the next one: a follower leaves a
//! leader it cannot reach, a leader without a quorum of followers steps down, and a leader that has
//! one starts a new epoch.

use std::collections::BTreeMap;

use super::rules_tests::ensemble;
use super::*;
use crate::base::Epoch;

/// Time between two looks at whether a role still holds, ms.
const CHECK_MS: i64 = 100;
/// How long a new role may take to get its leader or its quorum, ms.
const GRACE_MS: i64 = 1500;
/// After healing, everybody must agree within this, ms.
const QUIET_MS: i64 = 10_000;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: i64) -> i64 {
        (self.next() >> 11) as i64 % n.max(1)
    }
}

/// One direction between two servers.
#[derive(Default)]
struct Link {
    cut: bool,
    /// On the way: arrival time and message, in order.
    flying: Vec<(i64, Notification)>,
    /// The last message, sent again on a new connection.
    last: Option<Notification>,
    connected: bool,
}

struct Node {
    election: Election,
    /// What its disk says.
    own: InitialVote,
    /// When its role began.
    since: i64,
    /// The epoch it has established as a leader, and where its history ends.
    reign: Option<InitialVote>,
    up: bool,
}

struct World {
    rng: Rng,
    now: i64,
    voters: i64,
    nodes: BTreeMap<i64, Node>,
    links: BTreeMap<(i64, i64), Link>,
    /// Who was elected with a quorum's votes, by (round, epoch of the vote).
    reigns: BTreeMap<(i64, i64), i64>,
    restarts: bool,
}

impl World {
    fn new(seed: u64, voters: i64, observers: i64) -> Self {
        let mut world = Self {
            rng: Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            now: 0,
            voters,
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            reigns: BTreeMap::new(),
            restarts: false,
        };
        for id in 1..=voters + observers {
            let own = InitialVote {
                zxid: Zxid(world.rng.below(4)),
                epoch: world.rng.below(2),
                empty: false,
            };
            let election = world.fresh(id);
            world.nodes.insert(
                id,
                Node {
                    election,
                    own,
                    since: 0,
                    reign: None,
                    up: false,
                },
            );
            for other in (1..=voters + observers).filter(|o| *o != id) {
                world.links.insert((id, other), Link::default());
            }
        }
        world
    }

    fn fresh(&self, id: i64) -> Election {
        let all = self.nodes.len().max(self.voters as usize) as i64;
        let observers = (all - self.voters).max(1);
        let members = Members::new(ensemble(self.voters, observers), None);
        Election::new(ServerId(id), members, ElectionOptions::default())
    }

    fn start(&mut self, id: i64) {
        let election = self.fresh(id);
        let node = self.nodes.get_mut(&id).unwrap();
        (node.election, node.up) = (election, true);
        self.look(id);
    }

    fn stop(&mut self, id: i64) {
        self.nodes.get_mut(&id).unwrap().up = false;
        for (ends, link) in &mut self.links {
            if ends.0 == id {
                *link = Link {
                    cut: link.cut,
                    ..Link::default()
                };
            } else if ends.1 == id {
                link.flying.clear();
                link.connected = false;
            }
        }
    }

    fn look(&mut self, id: i64) {
        let (now, mut out) = (self.now, Vec::new());
        let node = self.nodes.get_mut(&id).unwrap();
        node.reign = None;
        node.election.look_for_leader(now, node.own, &mut out);
        self.perform(id, out);
    }

    /// Can messages go from one to the other? Both directions must: it is one connection.
    fn open(&self, a: i64, b: i64) -> bool {
        let cut = |x, y| self.links[&(x, y)].cut;
        self.nodes[&a].up && self.nodes[&b].up && !cut(a, b) && !cut(b, a)
    }

    fn perform(&mut self, id: i64, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, n) => {
                    let to = to.0;
                    self.links.get_mut(&(id, to)).unwrap().last = Some(n);
                    if !self.connect(id, to) {
                        self.fly(id, to);
                    }
                }
                Effect::ConnectAll => {
                    for to in (1..=self.voters).filter(|t| *t != id) {
                        self.connect(id, to);
                    }
                }
                Effect::Elected(vote, state) => self.elected(id, vote, state),
                Effect::AdoptConfig(_) | Effect::VoterLooking(_) => {}
            }
        }
    }

    /// Makes the connection if it is missing and can be made; both ends send their last message.
    fn connect(&mut self, a: i64, b: i64) -> bool {
        if self.links[&(a, b)].connected || !self.open(a, b) {
            return false;
        }
        for (x, y) in [(a, b), (b, a)] {
            self.links.get_mut(&(x, y)).unwrap().connected = true;
            self.fly(x, y);
        }
        true
    }

    fn fly(&mut self, from: i64, to: i64) {
        let delay = match self.rng.below(10) {
            0 => self.rng.below(400),
            _ => self.rng.below(20),
        };
        let now = self.now;
        let link = self.links.get_mut(&(from, to)).unwrap();
        if let (true, Some(n)) = (link.connected, &link.last) {
            let after = link.flying.last().map_or(now, |f| f.0);
            link.flying.push(((now + delay).max(after), n.clone()));
        }
    }

    fn elected(&mut self, id: i64, vote: Vote, state: ServerState) {
        let mine = self.nodes.get_mut(&id).unwrap();
        mine.since = self.now;
        assert_eq!(state == ServerState::Leading, vote.leader.0 == id);
        // The votes of this round that name the same leader: with a quorum of them it reigns.
        let supports = |v: &Vote| {
            (v.leader, v.election_epoch, v.peer_epoch)
                == (vote.leader, vote.election_epoch, vote.peer_epoch)
        };
        let voters = self.nodes.range(1..=self.voters);
        let support = voters.filter(|(_, n)| {
            n.up && !n.election.is_looking()
                && n.election.current_vote().as_ref().is_some_and(supports)
        });
        if support.count() as i64 > self.voters / 2 {
            let key = (vote.election_epoch, vote.peer_epoch);
            let reign = *self.reigns.entry(key).or_insert(vote.leader.0);
            // A server that restarts forgets which rounds it voted in; epochs are for that.
            assert!(
                self.restarts || reign == vote.leader.0,
                "two leaders in {key:?}"
            );
        }
    }

    /// When something can happen next.
    fn next(&self) -> i64 {
        let deadlines = self.nodes.values().filter(|n| n.up);
        let deadlines = deadlines.filter_map(|n| n.election.next_deadline());
        let arrivals = self.links.values().filter_map(|l| l.flying.first());
        let check = (self.now / CHECK_MS + 1) * CHECK_MS;
        let next = deadlines.chain(arrivals.map(|f| f.0)).min();
        next.unwrap_or(check).clamp(self.now + 1, check)
    }

    /// Goes on to what happens next.
    fn step(&mut self) {
        self.now = self.next();
        let ids: Vec<i64> = self.nodes.keys().copied().collect();
        let pairs: Vec<(i64, i64)> = self.links.keys().copied().collect();
        for (from, to) in pairs {
            self.deliver(from, to);
        }
        for id in ids {
            let node = self.nodes.get_mut(&id).unwrap();
            let mut out = Vec::new();
            if node.up
                && node
                    .election
                    .next_deadline()
                    .is_some_and(|at| at <= self.now)
            {
                node.election.tick(self.now, &mut out);
            }
            self.perform(id, out);
            if self.now % CHECK_MS == 0 {
                self.check_role(id);
            }
        }
    }

    fn deliver(&mut self, from: i64, to: i64) {
        if self.links[&(from, to)].connected && !self.open(from, to) {
            for (a, b) in [(from, to), (to, from)] {
                let link = self.links.get_mut(&(a, b)).unwrap();
                link.flying.clear();
                link.connected = false;
                let (node, mut out) = (self.nodes.get_mut(&b).unwrap(), Vec::new());
                if node.up {
                    node.election.peer_lost(self.now, ServerId(a), &mut out);
                }
                self.perform(b, out);
            }
        }
        loop {
            let link = self.links.get_mut(&(from, to)).unwrap();
            if link.flying.first().is_none_or(|f| f.0 > self.now) {
                return;
            }
            let (_, n) = link.flying.remove(0);
            let (node, mut out) = (self.nodes.get_mut(&to).unwrap(), Vec::new());
            node.election
                .receive(self.now, ServerId(from), &n, &mut out);
            self.perform(to, out);
        }
    }

    fn check_role(&mut self, id: i64) {
        let node = &self.nodes[&id];
        if !node.up || node.election.is_looking() {
            return;
        }
        let vote = node.election.current_vote().unwrap();
        let new = self.now - node.since < GRACE_MS;
        let holds = match node.election.state() {
            ServerState::Leading => self.followers(id) > self.voters / 2,
            _ => {
                let leader = &self.nodes[&vote.leader.0];
                leader.election.state() == ServerState::Leading && self.open(id, vote.leader.0)
            }
        };
        if !holds && !new {
            self.look(id);
        } else if holds && node.election.state() == ServerState::Leading {
            self.establish(id);
        }
    }

    /// Voters that follow `id`, itself included.
    fn followers(&self, id: i64) -> i64 {
        1 + (1..=self.voters)
            .filter(|o| *o != id && self.follows(*o, id))
            .count() as i64
    }

    /// The first time, a new epoch; each time, whoever follows takes over its history and epoch.
    fn establish(&mut self, id: i64) {
        if self.nodes[&id].reign.is_none() {
            let followers = (1..=self.voters).map(|o| self.nodes[&o].own.epoch);
            let epoch = followers.max().unwrap_or(0) + 1;
            let zxid = Zxid::of(Epoch(epoch as i32), self.rng.below(9) as u32);
            self.nodes.get_mut(&id).unwrap().reign = Some(InitialVote {
                zxid,
                epoch,
                empty: false,
            });
        }
        let reign = self.nodes[&id].reign.unwrap();
        for other in self.nodes.keys().copied().collect::<Vec<_>>() {
            let follows = other == id || self.follows(other, id);
            let node = self.nodes.get_mut(&other).unwrap();
            if follows {
                node.own = reign;
                node.election.set_peer_epoch(reign.epoch);
            }
        }
    }

    fn follows(&self, id: i64, leader: i64) -> bool {
        let n = &self.nodes[&id];
        let names = n
            .election
            .current_vote()
            .is_some_and(|v| v.leader.0 == leader);
        names && !n.election.is_looking() && self.open(id, leader)
    }

    fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            self.step();
        }
    }

    /// Everybody up agrees on one leader, and it leads.
    fn agreed(&self) -> Option<i64> {
        let mut leaders = self.nodes.values().filter(|n| n.up).map(|n| {
            let vote = n
                .election
                .current_vote()
                .filter(|_| !n.election.is_looking());
            vote.map(|v| v.leader.0)
        });
        let first = leaders.next()??;
        let leads =
            self.nodes[&first].up && self.nodes[&first].election.state() == ServerState::Leading;
        (leads && leaders.all(|l| l == Some(first))).then_some(first)
    }

    fn heal(&mut self) {
        self.links.values_mut().for_each(|l| l.cut = false);
    }

    /// One random misfortune.
    fn disturb(&mut self) {
        let all = self.nodes.len() as i64;
        let one = 1 + self.rng.below(all);
        match self.rng.below(6) {
            0 if self.restarts => self.stop(one),
            1 | 2 if self.restarts => {
                if !self.nodes[&one].up {
                    self.start(one);
                }
            }
            3 => {
                let side: Vec<bool> = (0..=all).map(|_| self.rng.below(2) == 0).collect();
                for (ends, link) in &mut self.links {
                    link.cut = side[ends.0 as usize] != side[ends.1 as usize];
                }
            }
            4 => self.heal(),
            _ => {
                let other = 1 + self.rng.below(all);
                let cut = self.rng.below(2) == 0;
                if let Some(link) = self.links.get_mut(&(one, other)) {
                    link.cut = cut;
                }
            }
        }
    }
}

fn troubled(seed: u64, voters: i64, observers: i64, restarts: bool) {
    let mut world = World::new(seed, voters, observers);
    world.restarts = restarts;
    for id in 1..=voters + observers {
        world.start(id);
        let pause = world.rng.below(50);
        world.run(pause);
    }
    for _ in 0..6 {
        world.disturb();
        let pause = world.rng.below(2500);
        world.run(pause);
    }
    world.heal();
    for id in 1..=voters + observers {
        if !world.nodes[&id].up {
            world.start(id);
        }
    }
    world.run(QUIET_MS);
    let leader = world.agreed();
    assert!(
        leader.is_some(),
        "seed {seed}, {voters} voters: no agreement"
    );
    world.run(5000);
    assert_eq!(
        world.agreed(),
        leader,
        "seed {seed}, {voters} voters: it does not last"
    );
}

#[test]
fn a_healed_network_agrees_on_one_leader() {
    for seed in 0..100 {
        troubled(seed, 3, 1, true);
        troubled(seed, 5, 1, true);
    }
}

#[test]
fn no_round_has_two_leaders() {
    for seed in 1000..1100 {
        troubled(seed, 3, 1, false);
        troubled(seed, 5, 0, false);
    }
}

#[test]
fn without_trouble_the_best_history_wins_in_one_round() {
    for seed in 0..60 {
        let mut world = World::new(seed, 5, 1);
        let key = |id: i64, n: &Node| (n.own.epoch, n.own.zxid, id);
        let voters = world.nodes.range(1..=5);
        let best = voters.map(|(id, n)| key(*id, n)).max().unwrap().2;
        for id in 1..=6 {
            world.start(id);
        }
        world.run(1500);
        assert_eq!(world.agreed(), Some(best), "seed {seed}");
    }
}
