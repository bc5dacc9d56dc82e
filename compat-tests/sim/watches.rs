//! A client's watches: which events must come, and when (P2 and P3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zabra::base::{Zxid, path};
use zabra::proto::event::EventType;

use crate::model::Model;

/// What is watched at one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// By getData, or by exists when the node was there.
    pub data: bool,
    /// By exists when it was not.
    pub exist: bool,
    pub child: bool,
    pub persistent: bool,
    pub recursive: bool,
}

impl Modes {
    fn any(self) -> bool {
        self != Self::default()
    }
}

/// An event, and the transaction it tells of.
pub type Told = (Zxid, EventType, String);

/// See the module.
#[derive(Default)]
pub struct Watches {
    set: BTreeMap<String, Modes>,
    /// Everything up to here was held against the watches.
    upto: Zxid,
    /// Events that must come, in order.
    due: VecDeque<Told>,
}

impl Watches {
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// As they are after setWatches at `at`, which said `told`: no event is under way.
    pub fn rearmed(mut self, at: Zxid, told: &BTreeSet<(i32, String)>) -> Self {
        self.due.clear();
        self.upto = at;
        for (kind, p) in told {
            let Some(m) = self.set.get_mut(p) else {
                continue;
            };
            match *kind {
                2 => (m.data, m.child) = (false, false),
                3 => m.data = false,
                4 => m.child = false,
                _ => m.exist = false,
            }
        }
        self.set.retain(|_, m| m.any());
        self
    }

    pub fn all(&self) -> impl Iterator<Item = (&String, &Modes)> {
        self.set.iter()
    }

    /// `path` is watched by what an answer tagged `at` found.
    pub fn arm(&mut self, model: &Model, path: &str, at: Zxid, arm: impl FnOnce(&mut Modes)) {
        self.advance(model, at);
        arm(self.set.entry(path.to_owned()).or_default());
    }

    /// Works out which events the transactions up to `to` cause.
    fn advance(&mut self, model: &Model, to: Zxid) {
        if to <= self.upto {
            return;
        }
        let from = Zxid(self.upto.0 + 1);
        self.upto = to;
        if self.set.is_empty() {
            return;
        }
        for (zxid, events) in model.triggers.range(from..=to) {
            for (kind, path) in events {
                if self.fires(*kind, path) {
                    self.due.push_back((*zxid, *kind, path.clone()));
                }
            }
        }
    }

    fn fires(&mut self, kind: EventType, p: &str) -> bool {
        let recursive = kind != EventType::ChildrenChanged
            && path::ancestors_from(p).any(|a| {
                let a = path::shown(a);
                self.set.get(a).is_some_and(|m| m.recursive)
            });
        let Some(m) = self.set.get_mut(p) else {
            return recursive;
        };
        let own = match kind {
            EventType::ChildrenChanged => m.persistent | std::mem::take(&mut m.child),
            EventType::Deleted => {
                m.persistent
                    | std::mem::take(&mut m.data)
                    | std::mem::take(&mut m.exist)
                    | std::mem::take(&mut m.child)
            }
            EventType::Created | EventType::DataChanged => {
                m.persistent | std::mem::take(&mut m.data) | std::mem::take(&mut m.exist)
            }
        };
        if !m.any() {
            self.set.remove(p);
        }
        own | recursive
    }

    /// An event came.
    pub fn told(&mut self, model: &Model, told: &Told) -> Result<(), String> {
        self.advance(model, told.0);
        let same = self.due.iter().take_while(|d| d.0 <= told.0);
        match same.into_iter().position(|d| d == told) {
            // Those of one transaction may come in any order.
            Some(i) if self.due[0].0 == told.0 => {
                self.due.remove(i);
                Ok(())
            }
            _ => Err(format!("event {told:?}, due is {:?}", self.due.front())),
        }
    }

    /// Something tagged `at` came: all events up to there have come before.
    pub fn seen(&mut self, model: &Model, at: Zxid) -> Result<(), String> {
        self.advance(model, at);
        match self.due.front() {
            Some(due) if due.0 <= at => Err(format!("{at} came before event {due:?}")),
            _ => Ok(()),
        }
    }

    /// What setWatches must say at `at` to a client that had seen `since`, by kind: of the data,
    /// the exists and the child watches.
    pub fn catch_up(&self, model: &Model, since: Zxid, at: Zxid) -> BTreeSet<(i32, String)> {
        let mut due = BTreeSet::new();
        for (p, m) in &self.set {
            let gone = model.node(p, at).is_none();
            let mut add = |kind: EventType| due.insert((kind as i32, p.clone()));
            if m.data && gone {
                add(EventType::Deleted);
            } else if m.data && model.changed(p, since, at, false) {
                add(EventType::DataChanged);
            }
            if m.exist && !gone {
                add(EventType::Created);
            }
            if m.child && gone {
                add(EventType::Deleted);
            } else if m.child && model.changed(p, since, at, true) {
                add(EventType::ChildrenChanged);
            }
        }
        due
    }
}
