//! Watches: who is told what (Apache: `WatchManager`, `DataTree.triggerWatch`).

use std::sync::Arc;

use parking_lot::RwLock;

use super::inbox::{Inbox, Item};
use crate::base::hash::Map;
use crate::base::{ConnId, Thin, Zxid, path};
use crate::jute::{Jute, Output};
use crate::proto::event::{EventType, STATE_SYNC_CONNECTED, XID_NOTIFICATION};
use crate::proto::request::{WatcherEvent, reply_header};

/// Kinds of watch a connection has on one path, as bits. They coexist (since 3.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    /// One-shot, left by getData or exists.
    pub const DATA: Self = Self(1);
    /// One-shot, left by getChildren.
    pub const CHILD: Self = Self(2);
    /// addWatch mode 0: stands in both of Apache's tables.
    pub const PERSISTENT: Self = Self(4);
    /// addWatch mode 1.
    pub const RECURSIVE: Self = Self(8);
    /// All of them.
    pub const ALL: Self = Self(15);

    /// True when any bit is shared.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set less the other.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// No bits.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many entries Apache's two tables would hold for it.
    pub(crate) fn table_entries(self) -> i64 {
        let data = self.has(Self(1 | 4 | 8));
        let child = self.has(Self(2 | 4));
        i64::from(data) + i64::from(child)
    }
}

/// Connections watching one path; nearly always a single one.
#[derive(Debug)]
pub(crate) enum Watchers {
    One(Arc<Inbox>, Modes),
    Many(Box<Map<ConnId, (Arc<Inbox>, Modes)>>),
}

impl Watchers {
    fn add(&mut self, inbox: &Arc<Inbox>, modes: Modes) {
        match self {
            Self::One(i, m) if i.id == inbox.id => *m = m.with(modes),
            Self::One(i, m) => {
                let mut many: Map<_, _> = Map::default();
                many.insert(i.id, (i.clone(), *m));
                many.insert(inbox.id, (inbox.clone(), modes));
                *self = Self::Many(Box::new(many));
            }
            Self::Many(all) => {
                let entry = all
                    .entry(inbox.id)
                    .or_insert_with(|| (inbox.clone(), Modes(0)));
                entry.1 = entry.1.with(modes);
            }
        }
    }

    /// Removes modes of one connection; true when nobody is left.
    fn remove(&mut self, conn: ConnId, modes: Modes) -> bool {
        match self {
            Self::One(i, m) if i.id == conn => {
                *m = m.without(modes);
                m.is_empty()
            }
            Self::One(..) => false,
            Self::Many(all) => {
                if let Some((_, m)) = all.get_mut(&conn) {
                    *m = m.without(modes);
                    if m.is_empty() {
                        all.remove(&conn);
                    }
                }
                all.is_empty()
            }
        }
    }

    pub(crate) fn for_each(&self, mut f: impl FnMut(&Arc<Inbox>, Modes)) {
        match self {
            Self::One(i, m) => f(i, *m),
            Self::Many(all) => all.values().for_each(|(i, m)| f(i, *m)),
        }
    }

    /// Takes `shot` from everyone who has any of `modes`, calling `f` for each; true when nobody is left.
    fn fire(&mut self, modes: Modes, shot: Modes, mut f: impl FnMut(&Arc<Inbox>)) -> bool {
        let mut one = |i: &Arc<Inbox>, m: &mut Modes| {
            if m.has(modes) {
                *m = m.without(shot);
                f(i);
            }
            m.is_empty()
        };
        match self {
            Self::One(i, m) => one(i, m),
            Self::Many(all) => {
                all.retain(|_, (i, m)| !one(i, m));
                all.is_empty()
            }
        }
    }
}

/// Watches by path; one in each shard for the paths of that shard, one for the recursive ones.
#[derive(Debug, Default)]
pub(crate) struct WatchTable {
    by_path: Map<Thin, Watchers>,
}

impl WatchTable {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    pub(crate) fn add(&mut self, path: &Thin, inbox: &Arc<Inbox>, modes: Modes) {
        match self.by_path.get_mut(path.bytes()) {
            Some(w) => w.add(inbox, modes),
            None => {
                self.by_path
                    .insert(path.clone(), Watchers::One(inbox.clone(), modes));
            }
        }
    }

    pub(crate) fn remove(&mut self, path: &[u8], conn: ConnId, modes: Modes) {
        if self
            .by_path
            .get_mut(path)
            .is_some_and(|w| w.remove(conn, modes))
        {
            self.by_path.remove(path);
            self.shrink();
        }
    }

    pub(crate) fn fire(
        &mut self,
        path: &[u8],
        modes: Modes,
        shot: Modes,
        f: impl FnMut(&Arc<Inbox>),
    ) {
        if self
            .by_path
            .get_mut(path)
            .is_some_and(|w| w.fire(modes, shot, f))
        {
            self.by_path.remove(path);
            self.shrink();
        }
    }

    pub(crate) fn get(&self, path: &[u8]) -> Option<&Watchers> {
        self.by_path.get(path)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Thin, &Watchers)> {
        self.by_path.iter()
    }

    /// Gives memory back after a great many watches went.
    fn shrink(&mut self) {
        if self.by_path.capacity() > 1024 && self.by_path.len() < self.by_path.capacity() / 8 {
            self.by_path.shrink_to(self.by_path.len() * 2);
        }
    }
}

/// Recursive watches stand apart: a change looks at every ancestor of its path, which lie in other
/// shards. The writer holds this lock from collecting until the zxid is published, a registration
/// holds it while it loads the zxid; so no event falls between the two.
pub(crate) type RecursiveTable = RwLock<WatchTable>;

/// What the path of a request is watched under. The empty path reads the root, but a watch on it is
/// another than one on "/", and nothing ever fires it.
pub(crate) fn watch_key(p: &str) -> &str {
    if p.is_empty() { "\0" } else { path::stored(p) }
}

/// The path of a request again.
pub(crate) fn shown_key(key: &str) -> &str {
    if key == "\0" { "" } else { path::shown(key) }
}

/// The frame of a watch event about a path as clients write it.
pub fn event_frame(kind: EventType, zxid: Zxid, path: &str) -> Arc<[u8]> {
    let mut out = Vec::with_capacity(4 + 16 + 12 + path.len());
    out.int(0);
    reply_header(&mut out, XID_NOTIFICATION, zxid.0, 0);
    let path = Some(path.into());
    WatcherEvent {
        kind: kind as i32,
        state: STATE_SYNC_CONNECTED,
        path,
    }
    .encode(&mut out);
    let len = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&len.to_be_bytes());
    out.into()
}

/// Pushes an event; connections whose box was empty are added to `wakes`.
pub(crate) fn deliver(
    inbox: &Arc<Inbox>,
    zxid: Zxid,
    frame: &Arc<[u8]>,
    wakes: &mut Vec<Arc<Inbox>>,
) {
    if inbox.push(Item::Event(zxid, frame.clone())) {
        wakes.push(inbox.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(n: u64) -> Arc<Inbox> {
        Inbox::new(ConnId(n), vec![], Arc::new(|_, _| true))
    }

    #[test]
    fn one_shots_go_and_persistent_ones_stay() {
        let mut t = WatchTable::default();
        let (a, b, p) = (inbox(1), inbox(2), Thin::new(b"/p"));
        t.add(&p, &a, Modes::DATA);
        t.add(&p, &a, Modes::PERSISTENT);
        t.add(&p, &b, Modes::DATA);
        let mut told = Vec::new();
        t.fire(
            b"/p",
            Modes::DATA.with(Modes::PERSISTENT),
            Modes::DATA,
            |i| told.push(i.id),
        );
        told.sort();
        assert_eq!(told, [ConnId(1), ConnId(2)]);
        t.fire(b"/p", Modes::DATA, Modes::DATA, |i| {
            panic!("{i:?} has no one-shot left")
        });
        t.remove(b"/p", ConnId(1), Modes::ALL);
        assert!(t.is_empty());
    }

    #[test]
    fn entries_count_as_in_apaches_two_tables() {
        assert_eq!(Modes::DATA.with(Modes::CHILD).table_entries(), 2);
        assert_eq!(Modes::PERSISTENT.table_entries(), 2);
        assert_eq!(Modes::RECURSIVE.table_entries(), 1);
    }

    #[test]
    fn golden_event_frame() {
        let f = event_frame(EventType::Created, Zxid(5), "/");
        assert_eq!(f[..8], [0, 0, 0, 29, 255, 255, 255, 255]);
        assert_eq!(
            f[f.len() - 13..],
            [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, b'/']
        );
    }
}
