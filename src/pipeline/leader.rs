//! What a leader does for its learners' clients (Apache: `LeaderSessionTracker`, `LearnerHandler`).

use crate::base::SessionId;
use crate::jute::Input as Bytes;
use crate::proto::OpCode;

use super::event::{Now, Owner, Request};
use super::server::Server;

impl Server {
    /// A learner opens a session: it counts from now, before its transaction commits.
    pub(super) fn track_forwarded(&mut self, request: &Request, now: Now) {
        if request.op != OpCode::CreateSession || request.owner == Owner::Here {
            return;
        }
        if let Ok(timeout) = Bytes::new(&request.body).int() {
            self.sessions
                .track(request.session, timeout, now.mono_ms)
                .set_owner(request.owner.number());
            // Should it be a local one of ours: it is the ensemble's now.
            self.sessions.settle(request.session);
            self.opening.insert(request.session);
        }
    }

    /// A session showed life at a learner.
    pub fn touch(&self, session: SessionId, now: Now) {
        if let Some(s) = self.sessions.get(session).filter(|s| !s.is_closing()) {
            s.touch(now.mono_ms);
        }
    }

    /// A session wants to go on at the learner that is `owner`: it may if it lives, and is that
    /// learner's from now on. Not while requests are held: the next leader may know already who has
    /// which session, and is to be asked.
    pub fn revalidate(&mut self, owner: Owner, session: SessionId, timeout: i32, now: Now) -> bool {
        let alive = self.sessions.get(session).filter(|s| !s.is_closing());
        // A local one is ours alone (Apache: `checkIfValidGlobalSession`).
        if alive.is_none_or(|s| !s.is_global()) {
            return false;
        }
        self.sessions
            .track(session, timeout, now.mono_ms)
            .set_owner(owner.number());
        self.owners.note(session);
        true
    }
}
