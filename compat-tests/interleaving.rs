//! The five rules of `tree/mod.rs` as a small model, run over thousands of random and PCT schedules.
//!
//! `ordering.rs` runs the real tree under the schedules a machine happens to give; here the scheduler
//! looks for the bad ones. Five plausible shortcuts must each be caught, so that the model is known to
//! be able to fail.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::sync::{Arc, Mutex, RwLock};
use shuttle::thread;

const SHARDS: usize = 2;
const TXNS: u64 = 6;
const READS: usize = 4;

/// The mechanism, or it with one shortcut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Right,
    AnswerBeforeDraining,
    DrainEverythingFirst,
    PublishAfterUnlocking,
    PushAfterUnlocking,
    OneShardAtATime,
}

#[derive(Default, Clone, Copy)]
struct Node {
    /// Transaction that last changed it.
    changed: u64,
    /// Last transaction that changed both nodes.
    both: u64,
}

struct World {
    how: How,
    nodes: [RwLock<Node>; SHARDS],
    /// Connections with a one-shot watch on the node.
    watches: [Mutex<Vec<usize>>; SHARDS],
    inboxes: [Mutex<VecDeque<u64>>; SHARDS],
    applied: AtomicU64,
}

impl World {
    fn new(how: How) -> Self {
        Self {
            how,
            nodes: std::array::from_fn(|_| RwLock::new(Node::default())),
            watches: std::array::from_fn(|_| Mutex::new(Vec::new())),
            inboxes: std::array::from_fn(|_| Mutex::new(VecDeque::new())),
            applied: AtomicU64::new(0),
        }
    }

    fn push(&self, zxid: u64, shard: usize) {
        for conn in self.watches[shard].lock().unwrap().drain(..) {
            self.inboxes[conn].lock().unwrap().push_back(zxid);
        }
    }

    /// Rule R2.
    fn apply(&self, zxid: u64, shards: &[usize]) {
        let change = |node: &mut Node| {
            node.changed = zxid;
            if shards.len() > 1 {
                node.both = zxid;
            }
        };
        if self.how == How::OneShardAtATime {
            for &s in shards {
                let mut node = self.nodes[s].write().unwrap();
                change(&mut node);
                self.push(zxid, s);
            }
            self.applied.store(zxid, Ordering::SeqCst);
            return;
        }
        let mut held: Vec<_> = shards
            .iter()
            .map(|&s| self.nodes[s].write().unwrap())
            .collect();
        held.iter_mut().for_each(|node| change(node));
        if self.how != How::PushAfterUnlocking {
            shards.iter().for_each(|&s| self.push(zxid, s));
        }
        if self.how != How::PublishAfterUnlocking {
            self.applied.store(zxid, Ordering::SeqCst);
        }
        drop(held);
        self.applied.store(zxid, Ordering::SeqCst);
        if self.how == How::PushAfterUnlocking {
            shards.iter().for_each(|&s| self.push(zxid, s));
        }
    }

    fn drain(&self, conn: usize, upto: u64, client: &mut Client) {
        let mut inbox = self.inboxes[conn].lock().unwrap();
        while inbox.front().is_some_and(|z| *z <= upto) {
            client.event(inbox.pop_front().unwrap());
        }
    }

    /// Rules R1 and R3; connection `conn` looks at the node of that number.
    fn read(&self, conn: usize, client: &mut Client) {
        let watch = client.watched.is_none();
        let (data, tag) = {
            let node = self.nodes[conn].read().unwrap();
            if watch {
                self.watches[conn].lock().unwrap().push(conn);
            }
            (node.changed, self.applied.load(Ordering::SeqCst))
        };
        match self.how {
            How::AnswerBeforeDraining => {
                client.answer(data, tag, watch);
                self.drain(conn, tag, client);
            }
            How::DrainEverythingFirst => {
                self.drain(conn, u64::MAX, client);
                client.answer(data, tag, watch);
            }
            _ => {
                self.drain(conn, tag, client);
                client.answer(data, tag, watch);
            }
        }
    }

    /// Rule R5.
    fn read_both(&self) {
        let held: Vec<_> = self.nodes.iter().map(|n| n.read().unwrap()).collect();
        assert_eq!(held[0].both, held[1].both, "a multi seen half");
    }
}

/// What one client has seen, checked as it comes.
#[derive(Default)]
struct Client {
    watched: Option<u64>,
    tag: u64,
}

impl Client {
    fn event(&mut self, zxid: u64) {
        let data = self.watched.take().expect("an event without a watch");
        assert!(
            zxid > data,
            "P3: an event for what the answer showed already"
        );
    }

    fn answer(&mut self, data: u64, tag: u64, watch: bool) {
        assert!(
            tag >= self.tag && data <= tag,
            "tags go forward and cover their answers"
        );
        self.tag = tag;
        if let Some(old) = self.watched {
            assert_eq!(data, old, "P2: new data before the event that tells of it");
        }
        if watch {
            self.watched = Some(data);
        }
    }
}

fn run(how: How) {
    let world = Arc::new(World::new(how));
    let readers: Vec<_> = (0..SHARDS)
        .map(|conn| {
            let world = world.clone();
            thread::spawn(move || {
                let mut client = Client::default();
                for _ in 0..READS {
                    world.read(conn, &mut client);
                    world.read_both();
                }
                // Whatever was pushed by the end arrives, or the watch is still out.
                world.drain(conn, u64::MAX, &mut client);
            })
        })
        .collect();
    for zxid in 1..=TXNS {
        match zxid % 3 {
            0 => world.apply(zxid, &[0, 1]),
            n => world.apply(zxid, &[n as usize - 1]),
        }
    }
    for reader in readers {
        reader.join().unwrap();
    }
    // P3, nothing lost: a watch that is still out saw no change after it was set.
    for (shard, watches) in world.watches.iter().enumerate() {
        let left = watches.lock().unwrap().len();
        assert!(
            left <= 1,
            "a connection watches its node once, not {left} times ({shard})"
        );
    }
}

#[test]
fn the_rules_hold_in_every_schedule_tried() {
    shuttle::check_random(|| run(How::Right), 10_000);
    shuttle::check_pct(|| run(How::Right), 10_000, 3);
}

#[test]
fn every_shortcut_is_caught() {
    for how in [
        How::AnswerBeforeDraining,
        How::DrainEverythingFirst,
        How::PublishAfterUnlocking,
        How::PushAfterUnlocking,
        How::OneShardAtATime,
    ] {
        let tried = catch_unwind(AssertUnwindSafe(|| {
            shuttle::check_random(move || run(how), 5_000)
        }));
        assert!(tried.is_err(), "{how:?} went unnoticed");
    }
}
