//! What waits for one connection: watch events and replies to its writes, in zxid order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::{Mutex, RwLock};

use super::AclList;
use super::watch::Modes;
use crate::base::hash::Map;
use crate::base::limits::MAILBOX_ITEMS_MAX;
use crate::base::{ConnId, Id, Thin, Zxid};

/// One thing to tell the client.
#[derive(Clone, Debug)]
pub enum Item {
    /// A watch event: a whole frame, shared by everyone it goes to.
    Event(Zxid, Arc<[u8]>),
    /// The reply to a write: a whole frame.
    Reply(Zxid, Vec<u8>),
    /// The answer to a connect request.
    Connected(Zxid, Connected),
    /// Nothing more will come: close once everything before is written.
    Close(Zxid),
}

/// How a connect request ended.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The session, or none when it is refused.
    pub session: crate::base::SessionId,
    /// Negotiated timeout, ms; 0 when refused.
    pub timeout: i32,
    /// The session's password; zeros when refused.
    pub password: [u8; 16],
}

impl Item {
    /// The zxid that the rule of merging goes by.
    pub fn zxid(&self) -> Zxid {
        match self {
            Self::Event(z, _) | Self::Reply(z, _) | Self::Connected(z, _) | Self::Close(z) => *z,
        }
    }
}

/// Decides whether identities may read what an ACL guards; given by the session layer.
pub type ReadCheck = Arc<dyn Fn(&[Id], &AclList) -> bool + Send + Sync>;

/// Where an inbox stands; changed under the lock of its items, so that nothing is put into one that has
/// ended, and nobody is called too slow who is only gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Standing {
    /// Items come and are taken.
    Open,
    /// It was full: its connection must end.
    CutOff,
    /// Its connection is gone.
    Gone,
}

/// One connection as the tree and the sequencer see it (Apache: `ServerCnxn` as a `Watcher`).
pub struct Inbox {
    /// The connection.
    pub id: ConnId,
    items: Mutex<VecDeque<Item>>,
    len: AtomicUsize,
    standing: AtomicU8,
    /// A request of it was dropped, so that none behind it may be executed.
    invalid: AtomicBool,
    waker: Mutex<Option<Waker>>,
    identities: RwLock<Arc<[Id]>>,
    may_read: ReadCheck,
    /// Which watches it has, by path; the mirror of the shards' tables.
    pub(crate) watched: Mutex<Map<Thin, Modes>>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({})", self.id.0)
    }
}

impl Inbox {
    /// An empty inbox of a connection with these identities.
    pub fn new(id: ConnId, identities: Vec<Id>, may_read: ReadCheck) -> Arc<Self> {
        Arc::new(Self {
            id,
            items: Mutex::default(),
            len: AtomicUsize::new(0),
            standing: AtomicU8::new(Standing::Open as u8),
            invalid: AtomicBool::new(false),
            waker: Mutex::default(),
            identities: RwLock::new(identities.into()),
            may_read,
            watched: Mutex::default(),
        })
    }

    /// Adds an item; true when its connection must be woken, since the box was empty or is too full:
    /// then it is closed. Items for a closed connection are dropped.
    pub fn push(&self, item: Item) -> bool {
        if self.is_closed() {
            return false;
        }
        let mut items = self.items.lock();
        // It may have ended while we waited for the lock.
        if self.is_closed() {
            return false;
        }
        if items.len() >= MAILBOX_ITEMS_MAX {
            tracing::warn!(
                "connection {} does not read its events and is cut off",
                self.id.0
            );
            self.end(&mut items, Standing::CutOff);
            return true;
        }
        debug_assert!(
            items.back().is_none_or(|b| b.zxid() <= item.zxid()),
            "sorted by zxid"
        );
        items.push_back(item);
        self.len.store(items.len(), Ordering::Release);
        items.len() == 1
    }

    /// Takes the first item if it is tagged `upto` or less.
    pub fn pop(&self, upto: Zxid) -> Option<Item> {
        if self.is_empty() {
            return None;
        }
        let mut items = self.items.lock();
        let first = items.front()?;
        if first.zxid() > upto {
            return None;
        }
        let item = items.pop_front();
        self.len.store(items.len(), Ordering::Release);
        if items.is_empty() && items.capacity() > 64 {
            *items = VecDeque::new();
        }
        item
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Whom to wake when something comes.
    pub fn set_waker(&self, waker: &Waker) {
        let mut slot = self.waker.lock();
        match &mut *slot {
            Some(w) if w.will_wake(waker) => {}
            other => *other = Some(waker.clone()),
        }
    }

    /// Wakes the connection.
    pub fn wake(&self) {
        let waker = self.waker.lock().clone();
        if let Some(w) = waker {
            w.wake();
        }
    }

    /// The role that served the connection is over: nothing more comes, and it must go. Unlike
    /// [`Inbox::close`] this leaves the waker, by which it will be told.
    pub fn dismiss(&self) {
        self.end(&mut self.items.lock(), Standing::Gone);
    }

    /// The connection is gone: drops what waits and whatever comes later.
    pub fn close(&self) {
        self.end(&mut self.items.lock(), Standing::Gone);
        self.waker.lock().take();
    }

    fn end(&self, items: &mut VecDeque<Item>, standing: Standing) {
        *items = VecDeque::new();
        self.len.store(0, Ordering::Release);
        self.standing.store(standing as u8, Ordering::Release);
    }

    /// True once it takes nothing more: the connection is gone, or it must go.
    pub fn is_closed(&self) -> bool {
        self.standing.load(Ordering::Acquire) != Standing::Open as u8
    }

    /// True while the connection is there and must go because its inbox was full.
    pub fn is_cut_off(&self) -> bool {
        self.standing.load(Ordering::Acquire) == Standing::CutOff as u8
    }

    /// A request of this connection was dropped; those behind it must be, too (Apache:
    /// `ServerCnxn.setInvalid`).
    pub fn set_invalid(&self) {
        self.invalid.store(true, Ordering::Release);
    }

    /// True once a request of this connection was dropped.
    pub fn is_invalid(&self) -> bool {
        self.invalid.load(Ordering::Acquire)
    }

    /// The connection's identities now.
    pub fn identities(&self) -> Arc<[Id]> {
        self.identities.read().clone()
    }

    /// Adds an identity the connection does not have yet.
    pub fn add_identity(&self, id: Id) {
        let mut all = self.identities.write();
        if !all.contains(&id) {
            *all = all.iter().cloned().chain([id]).collect();
        }
    }

    /// Notes new watches on a path; the change in Apache's table entries.
    pub(crate) fn watch(&self, path: &Thin, modes: Modes) -> i64 {
        let mut watched = self.watched.lock();
        let now = watched.entry(path.clone()).or_default();
        let before = now.table_entries();
        *now = now.with(modes);
        now.table_entries() - before
    }

    /// Forgets watches on a path; the change in Apache's table entries.
    pub(crate) fn unwatch(&self, path: &[u8], modes: Modes) -> i64 {
        let mut watched = self.watched.lock();
        let Some(now) = watched.get_mut(path) else {
            return 0;
        };
        let before = now.table_entries();
        *now = now.without(modes);
        let change = now.table_entries() - before;
        if now.is_empty() {
            watched.remove(path);
            if watched.capacity() > 1024 && watched.len() < watched.capacity() / 8 {
                let keep = watched.len() * 2;
                watched.shrink_to(keep);
            }
        }
        change
    }

    /// May its client read what `acl` guards?
    pub(crate) fn may_read(&self, acl: &AclList) -> bool {
        (self.may_read)(&self.identities(), acl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_up_to_a_zxid() {
        let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
        assert!(inbox.push(Item::Event(Zxid(1), Arc::from(*b"a"))));
        assert!(!inbox.push(Item::Reply(Zxid(2), b"b".to_vec())));
        assert!(matches!(inbox.pop(Zxid(1)), Some(Item::Event(..))));
        assert!(inbox.pop(Zxid(1)).is_none());
        assert!(matches!(inbox.pop(Zxid(2)), Some(Item::Reply(..))));
        inbox.close();
        assert!(!inbox.push(Item::Close(Zxid(3))));
        assert!(inbox.is_empty());
    }

    #[test]
    fn who_is_dismissed_can_be_told() {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
        let count = Arc::new(Count(AtomicUsize::new(0)));
        inbox.set_waker(&count.clone().into());
        inbox.dismiss();
        assert!(inbox.is_closed() && !inbox.is_cut_off());
        inbox.wake();
        inbox.close();
        inbox.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_box_that_nobody_empties_is_closed() {
        let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
        let frame: Arc<[u8]> = Arc::from(*b"a");
        for n in 0..MAILBOX_ITEMS_MAX as i64 {
            inbox.push(Item::Event(Zxid(n), frame.clone()));
        }
        assert!(!inbox.is_closed());
        assert!(
            inbox.push(Item::Event(Zxid(i64::MAX), frame.clone())),
            "it must hear of it"
        );
        assert!(inbox.is_closed() && inbox.is_empty() && inbox.is_cut_off());
        assert!(!inbox.push(Item::Close(Zxid(i64::MAX))), "told once");
        inbox.close();
        assert!(
            inbox.is_closed() && !inbox.is_cut_off(),
            "gone, not too slow"
        );
    }

    #[test]
    fn nothing_stays_in_a_box_that_closes_meanwhile() {
        let frame: Arc<[u8]> = Arc::from(*b"a");
        for _ in 0..200 {
            let inbox = Inbox::new(ConnId(1), vec![], Arc::new(|_, _| true));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for n in 0..20 {
                        inbox.push(Item::Event(Zxid(n), frame.clone()));
                    }
                });
                scope.spawn(|| inbox.close());
            });
            assert!(inbox.is_empty() && !inbox.is_cut_off());
        }
    }

    #[test]
    fn identities_are_kept_once() {
        let inbox = Inbox::new(
            ConnId(1),
            vec![Id::new("ip", "127.0.0.1")],
            Arc::new(|_, _| true),
        );
        inbox.add_identity(Id::new("digest", "a:b"));
        inbox.add_identity(Id::new("digest", "a:b"));
        assert_eq!(inbox.identities().len(), 2);
    }
}
