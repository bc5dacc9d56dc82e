//! Results become reply frames (Apache: `FinalRequestProcessor`).

use crate::base::Zxid;
use crate::jute::{Jute, Output};
use crate::proto::request::{MultiHeader, reply_header_bytes};
use crate::proto::txn::Txn;
use crate::proto::{Code, OpCode};
use crate::tree::{Outcome, SubOutcome};

/// Appends a frame: its length, a reply header, and what `body` writes.
pub fn frame(out: &mut Vec<u8>, xid: i32, zxid: Zxid, err: i32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.raw(&[0; FRAME_HEAD]);
    body(out);
    finish_frame(out, start, xid, zxid, err);
}

/// Length prefix and reply header, bytes.
pub const FRAME_HEAD: usize = 20;

/// Makes a frame of what stands from `start` on: room for the head, then the body.
pub fn finish_frame(out: &mut [u8], start: usize, xid: i32, zxid: Zxid, err: i32) {
    let Some(frame) = out.get_mut(start..) else {
        return;
    };
    let len = frame.len().saturating_sub(size_of::<i32>()) as u32;
    if let Some(head) = frame.first_chunk_mut::<FRAME_HEAD>() {
        head[..4].copy_from_slice(&len.to_be_bytes());
        head[4..].copy_from_slice(&reply_header_bytes(xid, zxid.0, err));
    }
}

/// Appends a reply with a body, or without one when there is an error.
pub fn read_reply<T>(
    out: &mut Vec<u8>,
    xid: i32,
    zxid: Zxid,
    result: Result<T, Code>,
    body: impl FnOnce(&mut Vec<u8>, T),
) {
    match result {
        Ok(value) => frame(out, xid, zxid, 0, |out| body(out, value)),
        Err(code) => frame(out, xid, zxid, code as i32, |_| {}),
    }
}

/// The frame that answers a write.
pub(super) fn write_reply(
    op: OpCode,
    xid: i32,
    zxid: Zxid,
    outcome: &Outcome,
    txn: &Txn<'_>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    let result = &outcome.result;
    let err = result.err;
    frame(&mut out, xid, zxid, err, |out| match op {
        _ if err != 0 => {}
        OpCode::Multi => multi_body(out, &outcome.multi),
        OpCode::Create => path(out, result),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            path(out, result);
            stat(out, result);
        }
        OpCode::SetData | OpCode::SetAcl => stat(out, result),
        OpCode::Reconfig => {
            if let Txn::SetData(t) = txn {
                out.buffer(t.data);
                stat(out, result);
            }
        }
        _ => {}
    });
    out
}

fn path(out: &mut Vec<u8>, result: &SubOutcome) {
    out.string(result.path.as_ref().map(|p| p.text()));
}

fn stat(out: &mut Vec<u8>, result: &SubOutcome) {
    result.stat.unwrap_or_default().encode(out);
}

fn multi_body(out: &mut Vec<u8>, results: &[SubOutcome]) {
    for r in results {
        let kind = match OpCode::of(r.op) {
            _ if r.err != 0 => OpCode::Error,
            Some(OpCode::CreateContainer | OpCode::CreateTtl) => OpCode::Create2,
            Some(op) => op,
            None => OpCode::Error,
        };
        MultiHeader {
            op: kind as i32,
            done: false,
            err: r.err,
        }
        .encode(out);
        match kind {
            OpCode::Create => path(out, r),
            OpCode::Create2 => {
                path(out, r);
                stat(out, r);
            }
            OpCode::SetData => stat(out, r),
            OpCode::Error => out.int(r.err),
            _ => {}
        }
    }
    MultiHeader::END.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::txn::ErrorTxn;

    #[test]
    fn golden_failed_multi() {
        let part = |err: Code| SubOutcome {
            op: -1,
            err: err as i32,
            path: None,
            stat: None,
        };
        let outcome = Outcome {
            result: SubOutcome {
                op: 14,
                err: 0,
                path: None,
                stat: None,
            },
            multi: vec![
                part(Code::Ok),
                part(Code::NoNode),
                part(Code::RuntimeInconsistency),
            ],
        };
        let reply = write_reply(
            OpCode::Multi,
            3,
            Zxid(9),
            &outcome,
            &Txn::Error(ErrorTxn { err: 0 }),
        );
        let body: String = reply[20..].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            body,
            "ffffffff000000000000000000ffffffff00ffffff9bffffff9b\
             ffffffff00fffffffefffffffeffffffff01ffffffff"
        );
    }

    #[test]
    fn an_error_has_no_body() {
        let result = SubOutcome {
            op: -1,
            err: Code::NoNode as i32,
            path: None,
            stat: None,
        };
        let reply = write_reply(
            OpCode::Create,
            1,
            Zxid(2),
            &Outcome {
                result,
                multi: vec![],
            },
            &Txn::Error(ErrorTxn { err: -101 }),
        );
        assert_eq!(reply.len(), 20);
        assert_eq!(reply[16..], [255, 255, 255, 0x9b]);
    }
}
