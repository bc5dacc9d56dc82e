//! multi: several operations as one transaction (Apache: `PrepRequestProcessor`, case multi).

use crate::jute::{Input, Jute, Output};
use crate::proto::request::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, MultiHeader,
    SetDataRequest,
};
use crate::proto::txn::{ErrorTxn, SubTxn};
use crate::proto::{Code, OpCode};

use super::prep::{Context, Place, Prep, Refused};

/// One operation of the request: its type and its record.
type Part<'a> = (OpCode, Input<'a>);

impl Prep {
    /// Each operation sees the ones before it. The first that fails takes them all back; the
    /// transaction then records which one it was, and applying it changes nothing.
    pub(super) fn multi(
        &mut self,
        input: &mut Input<'_>,
        ctx: &Context<'_>,
        body: &mut Vec<u8>,
    ) -> Result<OpCode, Refused> {
        // Unlike other writes an undecodable multi takes a zxid.
        let whole = Refused::Error(Code::MarshallingError);
        let parts = split(input).map_err(|_| whole)?;
        let mut done: Vec<(OpCode, Vec<u8>)> = Vec::new();
        let mut failed = None;
        for (op, record) in &parts {
            let mut part = Vec::new();
            match self.operation(*op, &mut record.clone(), ctx, &mut part, Place::Multi) {
                Ok(op) => done.push((op, part)),
                Err(Refused::Error(code)) => {
                    failed = Some(code);
                    break;
                }
                Err(Refused::Undecodable) => return Err(whole),
            }
        }
        if let Some(code) = failed {
            self.outstanding.roll_back(ctx.zxid);
            done.push((OpCode::Error, error(code)));
            let behind = Code::RuntimeInconsistency;
            done.resize_with(parts.len(), || (OpCode::Error, error(behind)));
        }
        body.count(done.len());
        for (op, part) in &done {
            SubTxn {
                op: *op as i32,
                data: Some(part),
            }
            .encode(body);
        }
        Ok(OpCode::Multi)
    }
}

fn error(code: Code) -> Vec<u8> {
    ErrorTxn { err: code as i32 }.to_bytes()
}

/// Cuts the request into its operations. Everything is looked at before anything is prepared: a
/// request that cannot be read is refused whole.
fn split<'a>(input: &mut Input<'a>) -> Result<Vec<Part<'a>>, Refused> {
    let mut parts = Vec::new();
    loop {
        let header = MultiHeader::decode(input)?;
        if header.done {
            return Ok(parts);
        }
        let op = OpCode::of(header.op).ok_or(Refused::Undecodable)?;
        let start = input.clone();
        skip(op, input)?;
        parts.push((op, start));
    }
}

/// Reads past one operation's record, refusing what makes the whole request undecodable: types that
/// no multi may hold, unknown flags, TTL flags without a TTL, a null ACL or path.
fn skip(op: OpCode, input: &mut Input<'_>) -> Result<(), Refused> {
    let (path, flags, acl) = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let r = CreateRequest::decode(input)?;
            if r.flags >= 5 {
                return Err(Refused::Undecodable);
            }
            (r.path, r.flags, r.acl.map(|_| ()))
        }
        OpCode::CreateTtl => {
            let r = CreateTtlRequest::decode(input)?;
            (r.path, r.flags, r.acl.map(|_| ()))
        }
        OpCode::Delete => (DeleteRequest::decode(input)?.path, 0, Some(())),
        OpCode::SetData => (SetDataRequest::decode(input)?.path, 0, Some(())),
        OpCode::Check => (CheckVersionRequest::decode(input)?.path, 0, Some(())),
        _ => return Err(Refused::Undecodable),
    };
    if path.is_none() || acl.is_none() || !(0..=6).contains(&flags) {
        return Err(Refused::Undecodable);
    }
    Ok(())
}
