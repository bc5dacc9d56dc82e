//! Who is connected, who is being connected to, and what is to be sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinSet};

use super::decide::targets;
use super::guard::BoxedStream;
use super::inbox::Inbox;
use super::slot::Slot;
use super::{
    Addresses, LOG, MeshEvent, MeshOptions, OPENINGS_MAX, STRANGER_DIALS_MAX, STRANGERS_MAX, dial,
    link,
};
use crate::base::ServerId;
use crate::config::server_line::HostPort;

/// What all tasks of the mesh share.
pub(super) struct Hub {
    pub options: MeshOptions,
    pub inbox: Inbox,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    addresses: Addresses,
    slots: BTreeMap<ServerId, Arc<Slot>>,
    links: BTreeMap<ServerId, Link>,
    dialing: BTreeSet<ServerId>,
    openings: VecDeque<(u64, AbortHandle)>,
    tasks: JoinSet<()>,
    /// Of links and openings; never reused.
    last_number: u64,
    /// Given to servers without an id; counts down.
    last_anonymous: i64,
    stopped: bool,
}

struct Link {
    number: u64,
    task: AbortHandle,
}

impl State {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn is_member(&self, sid: ServerId) -> bool {
        self.addresses.0.contains_key(&sid)
    }

    fn slot(&mut self, sid: ServerId) -> Arc<Slot> {
        self.slots.entry(sid).or_default().clone()
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
        if self.stopped {
            return None;
        }
        while self.tasks.try_join_next().is_some() {}
        Some(self.tasks.spawn(task))
    }

    /// Is there room for one more server that is no member?
    fn has_room(&self, sid: ServerId) -> bool {
        let strangers = self.links.keys().filter(|s| !self.is_member(**s));
        self.is_member(sid) || self.links.contains_key(&sid) || strangers.count() < STRANGERS_MAX
    }
}

impl Hub {
    pub fn new(options: MeshOptions, addresses: Addresses) -> Arc<Self> {
        let state = State {
            addresses,
            ..State::default()
        };
        Arc::new(Self {
            options,
            inbox: Inbox::default(),
            state: Mutex::new(state),
        })
    }

    /// Runs a task until the mesh ends.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.state.lock().spawn(task);
    }

    pub fn set_addresses(&self, addresses: Addresses) {
        let mut state = self.state.lock();
        state.addresses = addresses;
        let State {
            slots,
            addresses,
            links,
            ..
        } = &mut *state;
        slots.retain(|s, _| addresses.0.contains_key(s) || links.contains_key(s));
    }

    /// Every member but this server.
    pub fn others(&self) -> Vec<ServerId> {
        let me = self.options.me;
        let state = self.state.lock();
        state
            .addresses
            .0
            .keys()
            .copied()
            .filter(|s| *s != me)
            .collect()
    }

    /// Leaves a message for `to`, in the place of one that was not sent yet.
    pub fn put(self: &Arc<Self>, to: ServerId, message: Bytes) {
        if to == self.options.me {
            return;
        }
        {
            let mut state = self.state.lock();
            if !state.is_member(to) && !state.links.contains_key(&to) {
                return;
            }
            state.slot(to).put(message);
        }
        self.connect(to, &[]);
    }

    /// Connects to `to` unless it is connected, or being connected to.
    pub fn connect(self: &Arc<Self>, to: ServerId, announced: &[HostPort]) {
        let mut state = self.state.lock();
        if to == self.options.me || state.links.contains_key(&to) || state.dialing.contains(&to) {
            return;
        }
        let strange = state
            .dialing
            .iter()
            .filter(|s| !state.is_member(**s))
            .count();
        if !state.is_member(to) && strange >= STRANGER_DIALS_MAX {
            return;
        }
        let configured = state.addresses.0.get(&to).map_or(&[][..], Vec::as_slice);
        let addresses = targets(announced, configured);
        if addresses.is_empty() {
            return;
        }
        if state
            .spawn(dial::run(self.clone(), to, addresses))
            .is_some()
        {
            state.dialing.insert(to);
        }
    }

    /// A dial ended.
    pub fn dialed(&self, to: ServerId) {
        self.state.lock().dialing.remove(&to);
    }

    /// Makes `stream` the connection with `sid`, in the place of the one there was.
    pub fn adopt(self: &Arc<Self>, sid: ServerId, stream: BoxedStream) {
        let mut state = self.state.lock();
        if !state.has_room(sid) {
            tracing::warn!(target: LOG, "Too many connections of servers that are no members; closing that of {}", sid.0);
            return;
        }
        let number = state.number();
        let slot = state.slot(sid);
        let task = link::run(self.clone(), sid, number, stream, slot);
        let Some(task) = state.spawn(task) else {
            return;
        };
        if let Some(old) = state.links.insert(sid, Link { number, task }) {
            old.task.abort();
        }
    }

    /// An id for a server that has none (Apache: `observerCounter`).
    pub fn anonymous(&self) -> ServerId {
        let mut state = self.state.lock();
        state.last_anonymous = state.last_anonymous.saturating_sub(1);
        ServerId(state.last_anonymous)
    }

    /// Closes the connection with `sid`, if there is one.
    pub fn drop_link(&self, sid: ServerId) {
        if let Some(old) = self.state.lock().links.remove(&sid) {
            old.task.abort();
        }
    }

    /// A link ended by itself.
    pub fn link_ended(&self, sid: ServerId, number: u64) {
        let mut state = self.state.lock();
        if state.links.get(&sid).is_none_or(|l| l.number != number) {
            return;
        }
        state.links.remove(&sid);
        if !state.is_member(sid) {
            state.slots.remove(&sid);
        }
        self.inbox.push(MeshEvent::Lost(sid));
    }

    /// Runs the beginning of a connection somebody made. When there are too many of them, the
    /// oldest goes: an honest server says at once who it is.
    pub fn open<F>(&self, opening: impl FnOnce(u64) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.state.lock();
        let number = state.number();
        let Some(task) = state.spawn(opening(number)) else {
            return;
        };
        state.openings.push_back((number, task));
        if state.openings.len() > OPENINGS_MAX
            && let Some((_, oldest)) = state.openings.pop_front()
        {
            tracing::warn!(target: LOG, "Too many connections that do not say who they are; closing the oldest");
            oldest.abort();
        }
    }

    /// An opening ended, one way or the other.
    pub fn opened(&self, number: u64) {
        let mut state = self.state.lock();
        state.openings.retain(|(n, _)| *n != number);
    }

    /// Ends everything. Returns the tasks, which are on their way out.
    pub fn stop(&self) -> JoinSet<()> {
        let mut state = self.state.lock();
        state.stopped = true;
        let mut tasks = std::mem::take(&mut state.tasks);
        tasks.abort_all();
        state.links.clear();
        state.dialing.clear();
        state.openings.clear();
        tasks
    }

    /// How many connections there are: in use, and not yet known.
    #[cfg(test)]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.links.len(), state.openings.len())
    }
}
