//! Reads, answered on the connection's own task (Apache: `FinalRequestProcessor`).

use std::sync::Arc;

use crate::base::{Acl, Id, Perms, SessionId, Stat, Thin, Zxid};
use crate::jute::{Input, Jute, Output, Str};
use crate::pipeline::{FRAME_HEAD, finish_frame, frame, read_reply};
use crate::proto::request::{
    CheckVersionRequest, ClientInfo, CreateRequest, CreateTtlRequest, DeleteRequest, MultiHeader,
    PathRequest, ReadRequest, SetDataRequest,
};
use crate::proto::{Code, OpCode};
use crate::session::Authorizer;
use crate::tree::query::{Access, ReadKind, ReadResult};
use crate::tree::{AclList, Inbox};

use super::edge::Edge;
use super::local_watch;

/// Who asks, and where the answer goes.
pub(super) struct Reader<'a> {
    pub(super) edge: &'a Edge,
    pub(super) inbox: &'a Arc<Inbox>,
    pub(super) session: SessionId,
    pub(super) ids: Arc<[Id]>,
    pub(super) xid: i32,
}

impl Access for Reader<'_> {
    fn allows(&self, acl: &AclList, wanted: Perms) -> bool {
        self.edge.authorizer.allows(&self.ids, acl, wanted)
    }
}

/// An answer waits for the items its zxid lets pass; `first` writes them out.
pub(super) type Merge<'m> = &'m mut dyn FnMut(Zxid, &mut Vec<u8>);

/// What stands from `start` to `end` goes behind what stands from there on.
fn put_behind(out: &mut [u8], start: usize, end: usize) {
    if end < out.len()
        && let Some(both) = out.get_mut(start..)
    {
        both.rotate_left(end - start);
    }
}

fn text<'a>(p: &'a Str<'_>) -> Result<&'a str, Code> {
    p.as_deref().ok_or(Code::MarshallingError)
}

impl Reader<'_> {
    /// Answers one read: `merge` first writes every inbox item the answer must not overtake.
    pub(super) fn answer(&self, op: OpCode, body: &[u8], out: &mut Vec<u8>, merge: Merge<'_>) {
        let mut input = Input::with_limit(body, self.edge.limits.value_max);
        let input = &mut input;
        match op {
            OpCode::Exists => self.exists(input, out, merge),
            OpCode::GetData => self.get_data(input, out, merge),
            OpCode::GetChildren | OpCode::GetChildren2 => {
                self.get_children(op, input, out, merge);
            }
            OpCode::GetAcl => self.get_acl(input, out, merge),
            OpCode::Sync => self.sync(input, out, merge),
            OpCode::MultiRead => self.multi_read(input, out, merge),
            OpCode::GetEphemerals => self.get_ephemerals(input, out, merge),
            OpCode::GetAllChildrenNumber => self.count_descendants(input, out, merge),
            OpCode::WhoAmI => self.who_am_i(out, merge),
            _ => local_watch::answer(self, op, input, out, merge),
        }
    }

    /// Writes an answer tagged `zxid`.
    pub(super) fn reply<T>(
        &self,
        (result, zxid): (Result<T, Code>, Zxid),
        out: &mut Vec<u8>,
        merge: Merge<'_>,
        body: impl FnOnce(&mut Vec<u8>, T),
    ) {
        merge(zxid, out);
        read_reply(out, self.xid, zxid, result, body);
    }

    /// An answer that no node was looked at for.
    pub(super) fn fail(&self, code: Code, out: &mut Vec<u8>, merge: Merge<'_>) {
        self.reply(
            (Err::<(), _>(code), self.edge.tree.applied()),
            out,
            merge,
            |_, ()| {},
        );
    }

    fn exists(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let Ok(r) = ReadRequest::decode(input) else {
            return self.fail(Code::MarshallingError, out, merge);
        };
        let p = match text(&r.path) {
            Ok(p) if p.contains('\0') => return self.fail(Code::BadArguments, out, merge),
            Ok(p) => p,
            Err(code) => return self.fail(code, out, merge),
        };
        let found = self
            .edge
            .tree
            .exists(p, self, r.watch.then_some(self.inbox));
        self.reply(found, out, merge, |out, stat| stat.encode(out));
    }

    fn get_data(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let r = ReadRequest::decode(input);
        let p = match r.as_ref().map(|r| text(&r.path)) {
            Ok(Ok(p)) => p,
            _ => return self.fail(Code::MarshallingError, out, merge),
        };
        let watch = r.as_ref().is_ok_and(|r| r.watch).then_some(self.inbox);
        let found = self.edge.tree.get_data(p, self, watch);
        self.reply(found, out, merge, |out, (data, stat)| {
            write_data(out, data, &stat)
        });
    }

    fn get_children(&self, op: OpCode, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let r = ReadRequest::decode(input);
        let p = match r.as_ref().map(|r| text(&r.path)) {
            Ok(Ok(p)) => p,
            _ => return self.fail(Code::MarshallingError, out, merge),
        };
        let watch = r.as_ref().is_ok_and(|r| r.watch).then_some(self.inbox);
        // The names may be megabytes: they are written once, to where they belong.
        let start = out.len();
        out.raw(&[0; FRAME_HEAD]);
        let (found, zxid) = self.edge.tree.get_children(p, self, watch, out);
        let stat = match found {
            Ok(stat) => stat,
            Err(code) => {
                out.truncate(start);
                return self.reply((Err::<(), _>(code), zxid), out, merge, |_, ()| {});
            }
        };
        if op == OpCode::GetChildren2 {
            stat.encode(out);
        }
        finish_frame(out, start, self.xid, zxid, 0);
        // What must come first was not known before the answer was.
        let end = out.len();
        merge(zxid, out);
        put_behind(out, start, end);
    }

    fn get_acl(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let r = PathRequest::decode(input);
        let p = match r.as_ref().map(|r| text(&r.path)) {
            Ok(Ok(p)) => p,
            _ => return self.fail(Code::MarshallingError, out, merge),
        };
        let found = self.edge.tree.get_acl(p, self);
        self.reply(found, out, merge, |out, (acl, stat): (Vec<Acl>, Stat)| {
            Some(acl).encode(out);
            stat.encode(out);
        });
    }

    /// The session's earlier writes are answered by now; standalone, that is all there is to wait for.
    fn sync(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let Ok(r) = PathRequest::decode(input) else {
            return self.fail(Code::MarshallingError, out, merge);
        };
        let zxid = self.edge.tree.applied();
        self.reply((Ok(()), zxid), out, merge, |out, ()| r.encode(out));
    }

    fn get_ephemerals(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let Ok(r) = PathRequest::decode(input) else {
            return self.fail(Code::MarshallingError, out, merge);
        };
        let prefix = match r.path.as_deref() {
            None => "",
            Some(p) if p.trim().is_empty() || p == "/" => "",
            Some(p) => p,
        };
        let (paths, zxid) = self.edge.tree.ephemerals_below(self.session, prefix);
        self.reply((Ok(paths), zxid), out, merge, |out, paths: Vec<Thin>| {
            out.count(paths.len());
            paths.iter().for_each(|p| out.string(Some(p.text())));
        });
    }

    fn count_descendants(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let r = PathRequest::decode(input);
        let p = match r.as_ref().map(|r| text(&r.path)) {
            Ok(Ok(p)) => p,
            _ => return self.fail(Code::MarshallingError, out, merge),
        };
        let found = self.edge.tree.count_descendants(p, self);
        self.reply(found, out, merge, |out, n| out.int(n));
    }

    fn who_am_i(&self, out: &mut Vec<u8>, merge: Merge<'_>) {
        let zxid = self.edge.tree.applied();
        self.reply((Ok(()), zxid), out, merge, |out, ()| {
            out.count(self.ids.len());
            for id in self.ids.iter() {
                let user = Authorizer::user_name(id);
                ClientInfo {
                    scheme: Some((&*id.scheme).into()),
                    user: Some(user.into()),
                }
                .encode(out);
            }
        });
    }

    /// Operations fail one by one; a kind that may not be here fails the whole request behind the
    /// results so far.
    fn multi_read(&self, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
        let Some((ops, whole)) = read_ops(input) else {
            return self.fail(Code::MarshallingError, out, merge);
        };
        let asked: Vec<(ReadKind, &str)> = ops.iter().map(|(k, p)| (*k, p.as_str())).collect();
        let (results, zxid) = self.edge.tree.multi_read(&asked, self);
        merge(zxid, out);
        let err = if whole {
            Code::Ok
        } else {
            Code::MarshallingError
        };
        frame(out, self.xid, zxid, err as i32, |out| {
            for ((kind, _), result) in ops.iter().zip(results) {
                write_result(out, *kind, result);
            }
            MultiHeader::END.encode(out);
        });
    }
}

/// The operations up to the first that cannot be answered here (a write, a null path), and whether
/// that was all of them. `None` when the bytes cannot be read, or mix reads and writes.
fn read_ops(input: &mut Input<'_>) -> Option<(Vec<(ReadKind, String)>, bool)> {
    let mut ops = Vec::new();
    let mut whole = true;
    let mut reads = None;
    loop {
        let header = MultiHeader::decode(input).ok()?;
        if header.done {
            return Some((ops, whole));
        }
        let op = OpCode::of(header.op)?;
        let kind = match op {
            OpCode::GetData => Some(ReadKind::Data),
            OpCode::GetChildren => Some(ReadKind::Children),
            _ => None,
        };
        if *reads.get_or_insert(kind.is_some()) != kind.is_some() {
            return None;
        }
        let path = match kind {
            Some(_) => ReadRequest::decode(input).ok()?.path,
            None => {
                skip_write(op, input)?;
                None
            }
        };
        whole &= path.is_some();
        if let (true, Some(kind), Some(p)) = (whole, kind, path) {
            ops.push((kind, p.into_owned()));
        }
    }
}

/// Reads past the record of a write; `None` when it is none that a multi could hold.
fn skip_write(op: OpCode, input: &mut Input<'_>) -> Option<()> {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            let r = CreateRequest::decode(input).ok()?;
            r.acl.filter(|_| (0..5).contains(&r.flags)).map(drop)
        }
        OpCode::CreateTtl => CreateTtlRequest::decode(input).ok()?.acl.map(drop),
        OpCode::Delete => DeleteRequest::decode(input).ok().map(drop),
        OpCode::SetData => SetDataRequest::decode(input).ok().map(drop),
        OpCode::Check => CheckVersionRequest::decode(input).ok().map(drop),
        _ => None,
    }
}

fn write_result(out: &mut Vec<u8>, kind: ReadKind, result: Result<ReadResult, Code>) {
    let op = match kind {
        ReadKind::Data => OpCode::GetData,
        ReadKind::Children => OpCode::GetChildren,
    };
    match result {
        Err(code) => {
            let err = code as i32;
            MultiHeader {
                op: OpCode::Error as i32,
                done: false,
                err,
            }
            .encode(out);
            out.int(err);
        }
        Ok(found) => {
            MultiHeader {
                op: op as i32,
                done: false,
                err: 0,
            }
            .encode(out);
            match found {
                ReadResult::Data(data, stat) => write_data(out, data, &stat),
                ReadResult::Children(names) => out.raw(&names),
            }
        }
    }
}

fn write_data(out: &mut Vec<u8>, data: Option<Thin>, stat: &Stat) {
    out.buffer(data.as_deref());
    stat.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_behind_what_it_must_not_overtake() {
        let mut out = b"before|answer|event|".to_vec();
        put_behind(&mut out, 7, 14);
        assert_eq!(out, b"before|event|answer|");
        let mut alone = b"before|answer|".to_vec();
        put_behind(&mut alone, 7, 14);
        assert_eq!(alone, b"before|answer|");
    }
}
