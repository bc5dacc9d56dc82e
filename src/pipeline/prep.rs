//! A request becomes a transaction, or an error (Apache: `PrepRequestProcessor`).

use std::sync::Arc;

use crate::base::limits::MAX_BUFFER_DEFAULT;
use crate::base::{Id, OwnerKind, Perms, SessionId, Zxid, path};
use crate::jute::{DecodeError, Input as Bytes, Jute, Output};
use crate::proto::txn::{ErrorTxn, Txn, TxnDigest, TxnHeader};
use crate::proto::{Code, OpCode};
use crate::session::{Authorizer, SessionTracker};
use crate::tree::DataTree;
use crate::tree::query::Access;

use super::change::{Change, ChangedAcl, Outstanding};
use super::event::{Now, Owner, Request, ServerOptions};

/// Why a request becomes no transaction of its own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It takes a zxid and is logged as an error, as Apache does.
    Error(Code),
    /// Its body cannot be decoded: answered -5 in its turn, not logged.
    ///
    /// Differs: Apache logs it under the zxid of the transaction before.
    Undecodable,
}

impl From<DecodeError> for Refused {
    fn from(_: DecodeError) -> Self {
        Self::Undecodable
    }
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self::Error(code)
    }
}

/// What header, digest and lengths add to a transaction's body in the log, at most, bytes.
const AROUND_BODY: usize = 64;

/// Most bytes of paths that a closeSession lists. Applying deletes what is listed and then whatever
/// the session still owns, so that a longer list may be cut.
const CLOSE_LIST_BYTES_MAX: usize = MAX_BUFFER_DEFAULT / 2;

/// Builds transactions against the tree as it will be.
pub(super) struct Prep {
    pub(super) tree: Arc<DataTree>,
    pub(super) sessions: Arc<SessionTracker>,
    pub(super) outstanding: Outstanding,
    pub(super) options: ServerOptions,
    /// Of a leader, as fresh as its last reconfig request.
    pub(super) membership: Option<super::reconfig::Membership>,
    scratch: Vec<u8>,
}

/// Identities as [`Access`].
pub(super) struct Caller<'a> {
    pub(super) authorizer: &'a Authorizer,
    pub(super) ids: &'a [Id],
}

impl Access for Caller<'_> {
    fn allows(&self, acl: &crate::tree::AclList, wanted: Perms) -> bool {
        self.authorizer.allows(self.ids, acl, wanted)
    }
}

/// One request being prepared: who asks, under which zxid, when.
pub(super) struct Context<'a> {
    pub(super) owner: Owner,
    pub(super) session: SessionId,
    pub(super) ids: &'a [Id],
    pub(super) zxid: Zxid,
    pub(super) time: i64,
}

impl Prep {
    pub(super) fn new(
        tree: Arc<DataTree>,
        sessions: Arc<SessionTracker>,
        options: ServerOptions,
    ) -> Self {
        let outstanding = Outstanding::new(&tree, options.digest);
        Self {
            tree,
            sessions,
            outstanding,
            options,
            membership: None,
            scratch: Vec::new(),
        }
    }

    /// Prepares `request` as transaction `zxid`.
    ///
    /// # Errors
    /// [`Refused::Undecodable`]; every other failure is a transaction too.
    pub(super) fn prepare(
        &mut self,
        request: &Request,
        zxid: Zxid,
        now: Now,
    ) -> Result<Arc<[u8]>, Refused> {
        let ctx = Context {
            owner: request.owner,
            session: request.session,
            ids: &request.ids,
            zxid,
            time: now.wall_ms,
        };
        let mut body = std::mem::take(&mut self.scratch);
        body.clear();
        body.resize(TxnHeader::LEN, 0);
        self.outstanding.begin();
        let made = match self.transaction(request, &ctx, &mut body) {
            // What could not be read back is never logged (Apache: ZOOKEEPER-4306 and kin).
            Ok(_) if body.len() + AROUND_BODY > self.options.value_max => {
                Err(Code::MarshallingError.into())
            }
            // A learner waits for a transaction, whatever it says.
            Err(Refused::Undecodable) if request.owner != Owner::Here => {
                Err(Code::MarshallingError.into())
            }
            made => made,
        };
        let prepared = match made {
            Ok(op) => {
                self.outstanding.keep();
                Ok(self.seal(request, op, &ctx, &mut body, true))
            }
            Err(Refused::Error(code)) => {
                self.outstanding.roll_back(zxid);
                body.truncate(TxnHeader::LEN);
                Txn::Error(ErrorTxn { err: code as i32 }).encode(&mut body);
                Ok(self.seal(request, OpCode::Error, &ctx, &mut body, false))
            }
            Err(Refused::Undecodable) => {
                self.outstanding.roll_back(zxid);
                Err(Refused::Undecodable)
            }
        };
        self.scratch = body;
        prepared
    }

    /// Header, body and digest in one block: the very bytes that are logged, proposed and applied.
    /// `bytes` has the body behind room for the header.
    fn seal(
        &self,
        request: &Request,
        op: OpCode,
        ctx: &Context<'_>,
        bytes: &mut Vec<u8>,
        digest: bool,
    ) -> Arc<[u8]> {
        let header = TxnHeader {
            client_id: request.session.0,
            cxid: request.xid,
            zxid: ctx.zxid.0,
            time: ctx.time,
            op: op as i32,
        };
        if let Some(digest) = self.outstanding.digest().filter(|_| digest) {
            let d = TxnDigest {
                version: crate::proto::txn::DIGEST_VERSION,
                digest: digest as i64,
            };
            d.encode(bytes);
        }
        if let Some(head) = bytes.first_chunk_mut() {
            *head = header.to_array();
        }
        Arc::from(&bytes[..])
    }

    /// Writes the transaction's body and returns its type.
    fn transaction(
        &mut self,
        request: &Request,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        let mut input = Bytes::with_limit(&request.body, self.options.value_max);
        match request.op {
            OpCode::CreateSession => {
                let timeout = input.int()?;
                Txn::CreateSession(crate::proto::txn::CreateSessionTxn { timeout }).encode(body);
                Ok(OpCode::CreateSession)
            }
            OpCode::CloseSession => {
                self.close_session(ctx, body);
                Ok(OpCode::CloseSession)
            }
            OpCode::Multi => self.multi(&mut input, ctx, body),
            op => self.operation(op, &mut input, ctx, body, Place::Alone),
        }
    }

    /// The session's ephemerals go with it; a closing session is closed again without harm.
    fn close_session(&mut self, ctx: &Context<'_>, body: &mut Vec<u8>) {
        if let Some(s) = self.sessions.get(ctx.session) {
            s.set_closing();
        }
        let paths = self.outstanding.ephemerals_of(&self.tree, ctx.session);
        for p in &paths {
            self.note_deleted(p.text(), ctx.zxid);
        }
        // Always with a list, also where Apache's `closeSessionTxn.enabled=false` would leave it out:
        // a body-less one with a digest behind it can be misread (3.6 and later).
        let mut bytes = 0;
        let listed: Vec<_> = paths
            .iter()
            .take_while(|p| {
                bytes += p.len() + 4;
                bytes <= CLOSE_LIST_BYTES_MAX
            })
            .collect();
        body.count(listed.len());
        listed.iter().for_each(|p| body.string(Some(p.text())));
    }

    /// The node and its parent as a deletion leaves them.
    pub(super) fn note_deleted(&mut self, p: &str, zxid: Zxid) {
        let parent = path::parent(p);
        if let Some(mut q) = self.outstanding.get(&self.tree, parent) {
            q.children -= 1;
            q.stat.pzxid = q.stat.pzxid.max(zxid.0);
            self.outstanding.put(parent, q, zxid);
        }
        if let Some(mut node) = self.outstanding.get(&self.tree, p) {
            node.exists = false;
            self.outstanding.put(p, node, zxid);
        }
    }

    /// The session lives, and asks through the server its client is connected to
    /// (Apache: `SessionTrackerImpl.checkSession`).
    pub(super) fn check_session(&self, ctx: &Context<'_>) -> Result<(), Code> {
        if ctx.session == SessionId::NONE {
            return Ok(());
        }
        let Some(session) = self.sessions.get(ctx.session) else {
            return match self.may_be_elsewhere(ctx.session) {
                true => Ok(()),
                false => Err(Code::SessionExpired),
            };
        };
        if session.is_closing() {
            return Err(Code::SessionExpired);
        }
        match session.owner() {
            None => session.set_owner(ctx.owner.number()),
            // Before it led, this server was told of the other's id only.
            Some(owner) if ctx.owner.has(owner) => session.set_owner(ctx.owner.number()),
            Some(_) => return Err(Code::SessionMoved),
        }
        Ok(())
    }

    pub(super) fn permitted(
        &self,
        node: &Change,
        wanted: Perms,
        ctx: &Context<'_>,
    ) -> Result<(), Code> {
        let who = Caller {
            authorizer: &self.options.authorizer,
            ids: ctx.ids,
        };
        let allowed = ctx.session == SessionId::NONE
            || match &node.acl {
                ChangedAcl::Known(id) => self.tree.permits(*id, wanted, &who),
                ChangedAcl::New(list) => who.allows(list, wanted),
            };
        if allowed { Ok(()) } else { Err(Code::NoAuth) }
    }

    pub(super) fn node(&self, p: &str) -> Result<Change, Code> {
        self.outstanding.get(&self.tree, p).ok_or(Code::NoNode)
    }

    /// Hard quotas, when they are enforced (Apache: `ZooKeeperServer.checkQuota`). Usage is what
    /// has been applied, so several creates in flight may exceed a limit together.
    pub(super) fn check_quota(&self, p: &str, count: i64, bytes: i64) -> Result<(), Code> {
        if !self.options.enforce_quota {
            return Ok(());
        }
        let Some((root, limits, usage)) = self.tree.quota_for(p) else {
            return Ok(());
        };
        let exceeded = |delta: i64, used: i64, hard: i64, soft: i64, what: &str| {
            if delta == 0 || (hard < 0 && soft < 0) {
                return false;
            }
            let new = used.saturating_add(delta);
            let (limit, kind) = if hard > -1 {
                (hard, "hard")
            } else {
                (soft, "soft")
            };
            if new > limit {
                tracing::warn!(
                    "Quota exceeded: {root} [current {what}={new}, {kind}{what}Limit={limit}]"
                );
            }
            new > limit && hard > -1
        };
        if exceeded(count, usage.count, limits.count_hard, limits.count, "count")
            || exceeded(bytes, usage.bytes, limits.bytes_hard, limits.bytes, "bytes")
        {
            let namespace = path::top_name(p).unwrap_or_default();
            crate::telemetry::metrics::METRICS
                .quota_exceeded_error_per_namespace
                .with(namespace)
                .inc();
            return Err(Code::QuotaExceeded);
        }
        Ok(())
    }
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A request of its own: the opcode decides the kind of node.
    Alone,
    /// In a multi: the flags decide.
    Multi,
}

/// What a create request makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CreateKind {
    pub(super) op: OpCode,
    pub(super) owner: OwnerKind,
    pub(super) sequential: bool,
}
