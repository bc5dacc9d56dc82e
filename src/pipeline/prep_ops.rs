//! The single write operations; the order of checks is Apache's (first failure wins).

use crate::base::stat::TTL_MAX;
use crate::base::{Acl, OwnerKind, Perms, StatPersisted, path};
use crate::jute::{Input, Jute, Str};
use crate::proto::request::{
    AclWire, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest,
    ReconfigRequest, SetAclRequest, SetDataRequest,
};
use crate::proto::txn::{
    CheckVersionTxn, CreateContainerTxn, CreateTtlTxn, CreateTxn, DeleteTxn, SetAclTxn, SetDataTxn,
    Txn, some,
};
use crate::proto::{Code, OpCode};
use crate::tree::{DataTree, content_crc, is_reapable};

use super::change::Change;
use super::local::is_ephemeral;
use super::prep::{Context, CreateKind, Place, Prep, Refused};

/// A path that must be there; a null one decodes, and then fails behind the point where the zxid is
/// taken.
fn given<'a>(p: &'a Str<'_>) -> Result<&'a str, Code> {
    p.as_deref().ok_or(Code::MarshallingError)
}

/// -1 matches any version; the next one wraps as Java's does.
fn next_version(current: i32, expected: i32) -> Result<i32, Code> {
    match expected {
        -1 => Ok(current.wrapping_add(1)),
        e if e == current => Ok(current.wrapping_add(1)),
        _ => Err(Code::BadVersion),
    }
}

impl Prep {
    /// One operation, alone or in a multi.
    pub(super) fn operation(
        &mut self,
        op: OpCode,
        input: &mut Input<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
        place: Place,
    ) -> Result<OpCode, Refused> {
        match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                let r = CreateRequest::decode(input)?;
                self.create(op, &r, None, ctx, body, place)
            }
            OpCode::CreateTtl => {
                let r = CreateTtlRequest::decode(input)?;
                let plain = CreateRequest {
                    path: r.path,
                    data: r.data,
                    acl: r.acl,
                    flags: r.flags,
                };
                self.create(op, &plain, Some(r.ttl), ctx, body, place)
            }
            OpCode::Delete => {
                let r = DeleteRequest::decode(input)?;
                self.delete(given(&r.path)?, r.version, ctx, body)
            }
            OpCode::DeleteContainer => {
                let r = PathRequest::decode(input)?;
                self.delete_container(given(&r.path)?, ctx, body)
            }
            OpCode::SetData => {
                let r = SetDataRequest::decode(input)?;
                self.set_data(&r, ctx, body)
            }
            OpCode::SetAcl => {
                let r = SetAclRequest::decode(input)?;
                self.set_acl(&r, ctx, body)
            }
            OpCode::Check => {
                let r = CheckVersionRequest::decode(input)?;
                self.check(&r, ctx, body)
            }
            OpCode::Reconfig => {
                let r = ReconfigRequest::decode(input)?;
                self.reconfig(&r, ctx, body)
            }
            _ => Err(Code::Unimplemented.into()),
        }
    }

    /// Outside a multi the opcode picks the kind and the flags only say ephemeral or sequential;
    /// inside, the flags pick it.
    fn create_kind(
        &self,
        op: OpCode,
        flags: i32,
        ttl: Option<i64>,
        ctx: &Context<'_>,
        place: Place,
    ) -> Result<CreateKind, Refused> {
        if !(0..=6).contains(&flags) {
            return Err(Code::BadArguments.into());
        }
        let wants_ttl = flags >= 5;
        if wants_ttl && !self.options.extended_types {
            return Err(Code::Unimplemented.into());
        }
        let ttl_is_valid = ttl.is_some_and(|t| (1..=TTL_MAX).contains(&t));
        // Differs: Apache dies while applying a TTL create with other flags and a negative TTL.
        let refuse_ttl = match place {
            Place::Alone => ttl.is_some() || wants_ttl,
            Place::Multi => wants_ttl,
        };
        if refuse_ttl && !(wants_ttl && ttl_is_valid) {
            return Err(Code::BadArguments.into());
        }
        let sequential = matches!(flags, 2 | 3 | 6);
        let by_flags = match flags {
            1 | 3 => OwnerKind::Ephemeral(ctx.session),
            4 => OwnerKind::Container,
            5 | 6 => OwnerKind::Ttl(ttl.unwrap_or_default()),
            _ => OwnerKind::Persistent,
        };
        let (op, owner) = match (place, op) {
            (Place::Multi, OpCode::CreateContainer) => (op, OwnerKind::Container),
            (Place::Multi, _) => (op_of_flags(op, by_flags), by_flags),
            (Place::Alone, OpCode::CreateContainer) => (op, OwnerKind::Container),
            (Place::Alone, OpCode::CreateTtl) => (op, by_flags),
            (Place::Alone, _) => match by_flags {
                OwnerKind::Ephemeral(_) => (op, by_flags),
                _ => (op, OwnerKind::Persistent),
            },
        };
        Ok(CreateKind {
            op,
            owner,
            sequential,
        })
    }

    fn create(
        &mut self,
        op: OpCode,
        r: &CreateRequest<'_>,
        ttl: Option<i64>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
        place: Place,
    ) -> Result<OpCode, Refused> {
        let kind = self.create_kind(op, r.flags, ttl, ctx, place)?;
        match is_ephemeral(r.flags) {
            true => self.check_global_session(op, ctx)?,
            false => self.check_session(ctx)?,
        }
        let wanted = given(&r.path)?;
        if !path::has_slash_and_no_nul(wanted) {
            return Err(Code::BadArguments.into());
        }
        let acl = self.fixed_acl(r.acl.as_deref(), ctx)?;
        let parent = path::parent(wanted);
        let mut q = self.node(parent)?;
        self.permitted(&q, Perms::CREATE, ctx)?;
        let sequenced;
        let p = if kind.sequential {
            sequenced = format!("{wanted}{}", path::sequence_suffix(q.stat.cversion));
            sequenced.as_str()
        } else {
            wanted
        };
        path::validate(p).map_err(|_| Code::BadArguments)?;
        if self.outstanding.get(&self.tree, p).is_some() {
            return Err(Code::NodeExists.into());
        }
        if matches!(q.owner(), OwnerKind::Ephemeral(_)) {
            return Err(Code::NoChildrenForEphemerals.into());
        }
        self.check_quota(p, 1, r.data.map_or(0, |d| d.len() as i64))?;
        let parent_cversion = q.stat.cversion.wrapping_add(1);
        if parent_cversion > q.stat.cversion {
            q.stat.cversion = parent_cversion;
            q.stat.pzxid = ctx.zxid.0;
        }
        q.children += 1;
        let acl = write_create(kind, p, r.data, acl, parent_cversion, body);
        self.outstanding.put(parent, q, ctx.zxid);
        let stat = StatPersisted::created(ctx.zxid, ctx.time, kind.owner);
        let node = Change::created(p, stat, acl.into(), r.data);
        self.outstanding.put(p, node, ctx.zxid);
        Ok(kind.op)
    }

    fn fixed_acl(
        &self,
        acl: Option<&[AclWire<'_>]>,
        ctx: &Context<'_>,
    ) -> Result<Vec<Acl>, Refused> {
        self.options
            .authorizer
            .fix_acl(ctx.ids, acl)
            .map_err(|e| e.code().into())
    }

    fn delete(
        &mut self,
        p: &str,
        version: i32,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        self.check_session(ctx)?;
        if !path::has_slash_and_no_nul(p) || DataTree::is_reserved(p) {
            return Err(Code::BadArguments.into());
        }
        let q = self.node(path::parent(p))?;
        self.permitted(&q, Perms::DELETE, ctx)?;
        let node = self.node(p)?;
        next_version(node.stat.version, version)?;
        if node.children > 0 {
            return Err(Code::NotEmpty.into());
        }
        self.note_deleted(p, ctx.zxid);
        Txn::Delete(DeleteTxn { path: some(p) }).encode(body);
        Ok(OpCode::Delete)
    }

    /// The reaper's delete: only from inside, and only while the node still qualifies.
    ///
    /// Differs: Apache looks for children alone, and deletes a persistent node that has taken the
    /// candidate's place, or a TTL node that was written to since.
    fn delete_container(
        &mut self,
        p: &str,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        let node = self.node(p)?;
        if node.children > 0 {
            return Err(Code::NotEmpty.into());
        }
        if !is_reapable(&node.stat, ctx.time, self.options.reap_never_used_ms) {
            return Err(Code::BadVersion.into());
        }
        self.note_deleted(p, ctx.zxid);
        Txn::Delete(DeleteTxn { path: some(p) }).encode(body);
        Ok(OpCode::DeleteContainer)
    }

    fn set_data(
        &mut self,
        r: &SetDataRequest<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        self.check_session(ctx)?;
        let p = r.path.as_deref().ok_or(Code::BadArguments)?;
        path::validate(p).map_err(|_| Code::BadArguments)?;
        let mut node = self.node(p)?;
        self.permitted(&node, Perms::WRITE, ctx)?;
        let old_len = node.data_len as i64;
        let new_len = r.data.map_or(0, |d| d.len()) as i64;
        self.check_quota(p, 0, new_len - old_len)?;
        let version = next_version(node.stat.version, r.version)?;
        Txn::SetData(SetDataTxn {
            path: some(p),
            data: r.data,
            version,
        })
        .encode(body);
        node.stat.version = version;
        node.stat.mzxid = ctx.zxid.0;
        node.stat.mtime = ctx.time;
        node.data_len = r.data.map_or(0, <[u8]>::len);
        node.content_crc = content_crc(path::stored(p), r.data);
        self.outstanding.put(p, node, ctx.zxid);
        Ok(OpCode::SetData)
    }

    fn set_acl(
        &mut self,
        r: &SetAclRequest<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        self.check_session(ctx)?;
        let p = r.path.as_deref().ok_or(Code::BadArguments)?;
        path::validate(p).map_err(|_| Code::BadArguments)?;
        let acl = self.fixed_acl(r.acl.as_deref(), ctx)?;
        let mut node = self.node(p)?;
        self.permitted(&node, Perms::ADMIN, ctx)?;
        let version = next_version(node.stat.aversion, r.version)?;
        Txn::SetAcl(SetAclTxn {
            path: some(p),
            acl: Some(acl.clone()),
            version,
        })
        .encode(body);
        node.stat.aversion = version;
        node.acl = super::change::ChangedAcl::New(acl.into());
        self.outstanding.put(p, node, ctx.zxid);
        Ok(OpCode::SetAcl)
    }

    fn check(
        &mut self,
        r: &CheckVersionRequest<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        self.check_session(ctx)?;
        let p = r.path.as_deref().ok_or(Code::BadArguments)?;
        path::validate(p).map_err(|_| Code::BadArguments)?;
        let node = self.node(p)?;
        self.permitted(&node, Perms::READ, ctx)?;
        let version = next_version(node.stat.version, r.version)?;
        Txn::Check(CheckVersionTxn {
            path: some(p),
            version,
        })
        .encode(body);
        Ok(OpCode::Check)
    }
}

/// The transaction type that a create in a multi becomes.
fn op_of_flags(op: OpCode, owner: OwnerKind) -> OpCode {
    match owner {
        OwnerKind::Container => OpCode::CreateContainer,
        OwnerKind::Ttl(_) => OpCode::CreateTtl,
        _ if op == OpCode::CreateTtl => OpCode::Create,
        _ => op,
    }
}

/// Writes the transaction and gives the list back.
fn write_create(
    kind: CreateKind,
    p: &str,
    data: Option<&[u8]>,
    acl: Vec<Acl>,
    parent_cversion: i32,
    body: &mut Vec<u8>,
) -> Vec<Acl> {
    let (path, acl) = (some(p), Some(acl));
    let txn = match kind.owner {
        OwnerKind::Container => Txn::CreateContainer(CreateContainerTxn {
            path,
            data,
            acl,
            parent_cversion,
        }),
        OwnerKind::Ttl(ttl) => Txn::CreateTtl(CreateTtlTxn {
            path,
            data,
            acl,
            parent_cversion,
            ttl,
        }),
        owner => {
            let ephemeral = matches!(owner, OwnerKind::Ephemeral(_));
            Txn::Create(CreateTxn {
                path,
                data,
                acl,
                ephemeral,
                parent_cversion,
            })
        }
    };
    txn.encode(body);
    match txn {
        Txn::CreateContainer(CreateContainerTxn { acl, .. })
        | Txn::CreateTtl(CreateTtlTxn { acl, .. })
        | Txn::Create(CreateTxn { acl, .. }) => acl,
        _ => None,
    }
    .unwrap_or_default()
}
