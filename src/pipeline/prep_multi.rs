//! multi: several operations as one transaction (Apache: `PrepRequestProcessor`, case multi).

use crate::jute::{DecodeError, Input, Jute, Output};
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
        let parts = split(input)?;
        body.count(parts.len());
        let mut failed = None;
        for (at, (op, record)) in parts.iter().enumerate() {
            let start = body.len();
            body.raw(&[0; PART_HEAD]);
            match self.operation(*op, &mut record.clone(), ctx, body, Place::Multi) {
                Ok(op) => finish_part(body, start, op),
                // What Apache meets as an exception of another kind fails the request as a whole.
                Err(Refused::Error(Code::MarshallingError)) | Err(Refused::Undecodable) => {
                    return Err(UNREADABLE);
                }
                Err(Refused::Error(code)) => {
                    body.truncate(start);
                    failed = Some((at, code));
                    break;
                }
            }
        }
        if let Some((at, code)) = failed {
            self.outstanding.roll_back(ctx.zxid);
            error(code, body);
            (at + 1..parts.len()).for_each(|_| error(Code::RuntimeInconsistency, body));
        }
        Ok(OpCode::Multi)
    }
}

/// Type and length of a part, as [`SubTxn`] has them.
const PART_HEAD: usize = 8;

/// Makes a part of what stands from `start` on: room for the head, then the record.
fn finish_part(body: &mut [u8], start: usize, op: OpCode) {
    let Some(part) = body.get_mut(start..) else {
        return;
    };
    let len = part.len().saturating_sub(PART_HEAD) as u32;
    if let Some(head) = part.first_chunk_mut::<PART_HEAD>() {
        head[..4].copy_from_slice(&(op as i32).to_be_bytes());
        head[4..].copy_from_slice(&len.to_be_bytes());
    }
}

fn error(code: Code, body: &mut Vec<u8>) {
    let record = ErrorTxn { err: code as i32 }.to_bytes();
    SubTxn {
        op: OpCode::Error as i32,
        data: Some(&record),
    }
    .encode(body);
}

/// Unlike other writes a multi that cannot be read takes a zxid.
const UNREADABLE: Refused = Refused::Error(Code::MarshallingError);

/// Cuts the request into its operations. Everything is looked at before anything is prepared: a
/// request that cannot be read is refused whole.
fn split<'a>(input: &mut Input<'a>) -> Result<Vec<Part<'a>>, Refused> {
    let mut parts = Vec::new();
    loop {
        let header = MultiHeader::decode(input).map_err(|_| UNREADABLE)?;
        if header.done {
            return Ok(parts);
        }
        let op = OpCode::of(header.op).ok_or(UNREADABLE)?;
        let start = input.clone();
        let Ok(read) = skip(op, input) else {
            return Err(UNREADABLE);
        };
        match read {
            Record::Fine => parts.push((op, start)),
            Record::Bad => return Err(UNREADABLE),
            // A null ACL vector is met before the zxid is taken.
            Record::NullAcl => return Err(Refused::Undecodable),
        }
    }
}

/// What a record in a multi is like.
enum Record {
    Fine,
    /// It makes the whole request unreadable.
    Bad,
    NullAcl,
}

/// Reads past one operation's record, looking for what makes the whole request unreadable: types
/// that no multi may hold, unknown flags, TTL flags without a TTL, a null path.
fn skip(op: OpCode, input: &mut Input<'_>) -> Result<Record, DecodeError> {
    let (path, flags, has_acl) = match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let r = CreateRequest::decode(input)?;
            (r.path, r.flags, r.acl.is_some())
        }
        OpCode::CreateTtl => {
            let r = CreateTtlRequest::decode(input)?;
            (r.path, 0, true)
        }
        OpCode::Delete => (DeleteRequest::decode(input)?.path, 0, true),
        OpCode::SetData => (SetDataRequest::decode(input)?.path, 0, true),
        OpCode::Check => (CheckVersionRequest::decode(input)?.path, 0, true),
        _ => return Ok(Record::Bad),
    };
    Ok(match path {
        // Apache makes a mode of the flags first; what the mode asks for comes behind the ACL.
        _ if !(0..=6).contains(&flags) => Record::Bad,
        _ if !has_acl => Record::NullAcl,
        Some(_) if flags < 5 => Record::Fine,
        _ => Record::Bad,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_written_in_place_is_the_record_of_one() {
        let mut body = vec![7];
        body.raw(&[0; PART_HEAD]);
        body.raw(b"record");
        finish_part(&mut body, 1, OpCode::Delete);
        let mut same = vec![7];
        SubTxn {
            op: OpCode::Delete as i32,
            data: Some(b"record"),
        }
        .encode(&mut same);
        assert_eq!(body, same);
    }
}
