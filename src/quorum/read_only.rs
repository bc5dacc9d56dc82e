//! Serving reads while there is no leader (Apache: `QuorumPeer.run`, case LOOKING).
//!
//! It has the database as the last role left it, and touches neither history nor disk
//! (ZOOKEEPER-3526).

use std::sync::Arc;

use super::event::{Effect, Effects, Input, Serving};
use super::peer::{Peer, take_common};
use crate::base::SessionId;
use crate::pipeline::{self, Now, Role, Server};
use crate::session::SessionTracker;

/// See the module; there while the peer looks for a leader.
pub(super) struct ReadOnly {
    /// It may be that there is no quorum only when looking takes as long as this.
    due_ms: i64,
    server: Option<Server>,
    effects: pipeline::Effects,
}

impl ReadOnly {
    pub(super) fn next_tick(&self) -> Option<i64> {
        match &self.server {
            Some(server) => server.next_tick(),
            None => Some(self.due_ms),
        }
    }
}

impl Peer {
    /// The search for a leader begins.
    pub(super) fn expect_read_only(&mut self, now: Now) {
        self.read_only = self.options.read_only_after_ms.map(|wait| ReadOnly {
            due_ms: now.mono_ms + wait,
            server: None,
            effects: pipeline::Effects::default(),
        });
    }

    /// An input while the peer looks for a leader.
    pub(super) fn read_only_step(&mut self, now: Now, input: Input, out: &mut Effects) {
        let input = match input {
            Input::Client(_, input) => input,
            Input::Tick => pipeline::Input::Tick,
            _ => return,
        };
        let Some(mode) = &self.read_only else {
            return;
        };
        if mode.server.is_none() && mode.due_ms <= now.mono_ms {
            self.serve_read_only(now, out);
        }
        if let Some(mode) = &mut self.read_only
            && let Some(server) = &mut mode.server
        {
            server.step(now, input, &mut mode.effects);
            take_common(&mut mode.effects, out);
        }
    }

    fn serve_read_only(&mut self, now: Now, out: &mut Effects) {
        self.instance += 1;
        let sessions = Arc::new(SessionTracker::of_learner(self.options.tick_ms));
        for (id, timeout) in &self.data.sessions {
            sessions.track(SessionId(*id), *timeout, now.mono_ms);
        }
        let mut options = self.options.server.clone();
        options.role = Role::ReadOnly;
        let server = Server::new(self.data.tree.clone(), sessions.clone(), options, now);
        if let Some(mode) = &mut self.read_only {
            mode.server = Some(server);
        }
        tracing::info!(target: "o.a.z.s.q.ReadOnlyZooKeeperServer", "Read-only server started");
        out.net.push(Effect::Serve(Serving {
            instance: self.instance,
            tree: self.data.tree.clone(),
            sessions,
            learner: true,
            clients: true,
            read_only: true,
        }));
    }

    /// There is a leader: whoever is connected must come again.
    pub(super) fn end_read_only(&mut self, out: &mut Effects) {
        if let Some(mut server) = self.read_only.take().and_then(|mode| mode.server) {
            server.end();
            // What clients of it still send is of a role that is over.
            self.instance += 1;
            out.net.push(Effect::StopServing);
        }
    }
}

#[cfg(test)]
#[path = "read_only_tests.rs"]
mod tests;
