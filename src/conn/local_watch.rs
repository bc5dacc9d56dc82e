//! Requests about watches.

use crate::base::{Zxid, path};
use crate::jute::{Input, Jute, Output, Str};
use crate::proto::request::{AddWatchRequest, SetWatches, SetWatches2, WatchesRequest};
use crate::proto::{Code, OpCode};
use crate::tree::query::WatchLists;
use crate::tree::watch::{Modes, event_frame};

use super::local_read::{Merge, Reader};

pub(super) fn answer(
    reader: &Reader<'_>,
    op: OpCode,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    merge: Merge<'_>,
) {
    match op {
        OpCode::SetWatches => match SetWatches::decode(input) {
            Ok(r) => {
                let none = || Some(Vec::new());
                let r = SetWatches2 {
                    relative_zxid: r.relative_zxid,
                    data: r.data,
                    exist: r.exist,
                    child: r.child,
                    persistent: none(),
                    recursive: none(),
                };
                set_watches(reader, &r, out, merge);
            }
            Err(_) => reader.fail(Code::MarshallingError, out, merge),
        },
        OpCode::SetWatches2 => match SetWatches2::decode(input) {
            Ok(r) => set_watches(reader, &r, out, merge),
            Err(_) => reader.fail(Code::MarshallingError, out, merge),
        },
        OpCode::AddWatch => add_watch(reader, input, out, merge),
        OpCode::CheckWatches | OpCode::RemoveWatches => {
            check_or_remove(reader, op, input, out, merge);
        }
        _ => reader.fail(Code::Unimplemented, out, merge),
    }
}

fn paths<'p>(list: &'p Option<Vec<Str<'_>>>) -> Option<Vec<&'p str>> {
    list.as_ref()?.iter().map(|p| p.as_deref()).collect()
}

fn lists<'p>(r: &'p SetWatches2<'_>) -> Option<WatchLists<'p>> {
    Some(WatchLists {
        data: paths(&r.data)?,
        exist: paths(&r.exist)?,
        child: paths(&r.child)?,
        persistent: paths(&r.persistent)?,
        recursive: paths(&r.recursive)?,
    })
}

/// Catch-up events carry zxid -1 and come before the reply.
fn set_watches(reader: &Reader<'_>, r: &SetWatches2<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
    let Some(lists) = lists(r) else {
        return reader.fail(Code::MarshallingError, out, merge);
    };
    let tree = &reader.edge.tree;
    let (events, zxid) = tree.set_watches(Zxid(r.relative_zxid), &lists, reader.inbox);
    merge(zxid, out);
    for (kind, p) in events {
        out.raw(&event_frame(kind, Zxid(-1), path::stored(p)));
    }
    reader.reply((Ok(()), zxid), out, merge, |_, ()| {});
}

fn add_watch(reader: &Reader<'_>, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
    let (path, recursive) = match AddWatchRequest::decode(input) {
        Ok(AddWatchRequest {
            path,
            mode: mode @ (0 | 1),
        }) => (path, mode == 1),
        _ => return reader.fail(Code::MarshallingError, out, merge),
    };
    // A null path names nothing that could change; Apache says yes to it all the same.
    let zxid = match &path {
        Some(p) => reader.edge.tree.add_watch(p, reader.inbox, recursive),
        None => reader.edge.tree.applied(),
    };
    reader.reply((Ok(()), zxid), out, merge, |out, ()| out.int(0));
}

fn check_or_remove(
    reader: &Reader<'_>,
    op: OpCode,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    merge: Merge<'_>,
) {
    let Ok(r) = WatchesRequest::decode(input) else {
        return reader.fail(Code::MarshallingError, out, merge);
    };
    let modes = match r.kind {
        1 => Modes::CHILD,
        2 => Modes::DATA,
        3 => Modes::ALL,
        4 => Modes::PERSISTENT,
        5 => Modes::RECURSIVE,
        _ => return reader.fail(Code::MarshallingError, out, merge),
    };
    let p = r.path.as_deref().unwrap_or_default();
    let tree = &reader.edge.tree;
    let found = match op {
        OpCode::CheckWatches => tree.has_watch(p, reader.inbox, modes),
        _ => tree.remove_watch(p, reader.inbox, modes),
    };
    let result = if found { Ok(()) } else { Err(Code::NoWatcher) };
    reader.reply((result, tree.applied()), out, merge, |_, ()| {});
}
