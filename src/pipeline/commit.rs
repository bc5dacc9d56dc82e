//! A committed transaction is applied and answered (Apache: `FinalRequestProcessor`).

use std::sync::Arc;

use crate::base::{SessionId, Zxid};
use crate::jute::Input;
use crate::proto::txn::{Entry, Txn};
use crate::proto::{Code, OpCode};
use crate::telemetry::metrics::METRICS;
use crate::tree::apply::apply;
use crate::tree::{Inbox, Item};
use crate::zab::Proposal;

use super::event::{Effects, Now, Role};
use super::reply::{frame, write_reply};
use super::server::{Pending, Server};

impl Server {
    pub(super) fn commit(&mut self, proposal: Proposal<Pending>, now: Now, out: &mut Effects) {
        match proposal.payload {
            Pending::Txn {
                bytes,
                origin,
                xid,
                op,
                received_ms,
                prepared_ms,
            } => {
                METRICS.proposal_latency.record(now.mono_ms - prepared_ms);
                let entry = Entry::decode(&mut Input::trusted(&bytes))
                    .expect("a transaction this server wrote");
                if let Some(inbox) = &origin {
                    self.throttler.finished();
                    METRICS.updatelatency.record(now.mono_ms - received_ms);
                    let session = entry.session();
                    if self
                        .throttler
                        .is_stale(inbox, op, session, received_ms, now.mono_ms)
                    {
                        METRICS.stale_replies.inc();
                    }
                }
                self.apply_one(&entry, origin, xid, op, now, out);
            }
            Pending::Answer { origin, xid, code } => {
                if origin.is_some() {
                    self.throttler.finished();
                }
                let zxid = self.tree.applied();
                self.answer(origin.as_ref(), zxid, out, |frames| {
                    frame(frames, xid, zxid, code as i32, |_| {});
                });
            }
            Pending::CloseLocal {
                origin,
                session,
                xid,
            } => {
                if origin.is_some() {
                    self.throttler.finished();
                }
                self.close_local(origin.as_ref(), session, xid, out);
            }
        }
    }

    pub(super) fn apply_one(
        &mut self,
        entry: &Entry<'_>,
        origin: Option<Arc<Inbox>>,
        xid: i32,
        op: OpCode,
        now: Now,
        out: &mut Effects,
    ) {
        let zxid = entry.zxid();
        // The digest was computed when the transaction was prepared; debug builds compute it again.
        let own = self.options.role != Role::Learner;
        let trusted = own && self.options.digest && !cfg!(debug_assertions);
        let outcome = apply(&self.tree, entry, trusted, &mut out.wakes);
        self.check_digest(entry, own);
        self.prep.outstanding.applied(zxid);
        METRICS.commit_count.inc();
        METRICS
            .propagation_latency
            .record(now.wall_ms - entry.header.time);
        match &entry.txn {
            Txn::CreateSession(t) => {
                self.opening.remove(&entry.session());
                self.sessions.settle(entry.session());
                if let Some(inbox) = &origin {
                    METRICS.op_count_create_session.inc();
                    METRICS.op_count_total.inc();
                    self.tell_connected(inbox, entry.session(), t.timeout, out);
                }
                return;
            }
            Txn::CloseSession(_) => self.sessions.remove(entry.session()),
            _ => {}
        }
        if let Some(inbox) = &origin {
            let item = match outcome.result.err == Code::SessionMoved as i32 {
                // The client is elsewhere already; it is not told here.
                true => Item::Close(zxid),
                false => Item::Reply(zxid, write_reply(op, xid, zxid, &outcome, &entry.txn)),
            };
            self.push(inbox, item, out);
        }
        if matches!(entry.txn, Txn::CloseSession(_)) {
            self.cut_off(entry.session(), zxid, out);
        }
    }

    /// The digest this server foresaw is the one it got. A leader's may differ from ours when one of
    /// the two trees is wrong: that is counted and told, and never stops a server.
    fn check_digest(&self, entry: &Entry<'_>, own: bool) {
        if !self.options.digest || (own && !cfg!(debug_assertions)) {
            return;
        }
        let Some(expected) = entry.digest.as_ref() else {
            return;
        };
        let got = self.tree.digest().digest;
        if got == expected.digest as u64 {
            return;
        }
        let zxid = entry.zxid();
        assert!(!own, "digest after {zxid} {:?}", entry.txn);
        if METRICS.digest_mismatches_count.get() == 0 {
            tracing::error!(
                target: "o.a.z.s.DataTree",
                "Digests are not matching. Value is Zxid. {zxid}"
            );
        }
        METRICS.digest_mismatches_count.inc();
    }

    /// The connection of an ended session closes once everything before is written.
    pub(super) fn cut_off(&mut self, session: SessionId, zxid: Zxid, out: &mut Effects) {
        if let Some(inbox) = self.bound.remove(&session) {
            self.push(&inbox, Item::Close(zxid), out);
        }
    }

    pub(super) fn answer(
        &self,
        origin: Option<&Arc<Inbox>>,
        zxid: Zxid,
        out: &mut Effects,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if let Some(inbox) = origin {
            let mut frames = Vec::new();
            write(&mut frames);
            self.push(inbox, Item::Reply(zxid, frames), out);
        }
    }
}
