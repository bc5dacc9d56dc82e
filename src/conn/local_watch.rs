//! Requests about watches.

use crate::base::Zxid;
use crate::jute::{Input, Jute, Output};
use crate::proto::request::{AddWatchRequest, SetWatches, SetWatches2, WatchesRequest};
use crate::proto::{Code, OpCode};
use crate::tree::query::WatchLists;
use crate::tree::watch::{Modes, event_frame};

use super::local_read::{Merge, Reader};

/// What a null path is watched under: no node can have it, so nothing ever happens there; but it can be
/// checked and removed, as in Apache.
const NULL_PATH: &str = "\0null";

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

/// The lists up to the first null, and whether that was all of them.
fn lists<'p>(r: &'p SetWatches2<'_>) -> (WatchLists<'p>, bool) {
    let mut lists = WatchLists::default();
    let mut whole = true;
    // A null path is looked up in the first three, which fails, and only kept in the other two.
    for (from, to, looked_up) in [
        (&r.data, &mut lists.data, true),
        (&r.exist, &mut lists.exist, true),
        (&r.child, &mut lists.child, true),
        (&r.persistent, &mut lists.persistent, false),
        (&r.recursive, &mut lists.recursive, false),
    ] {
        whole &= from.is_some();
        for p in from.iter().flatten() {
            whole &= p.is_some() || !looked_up;
            if whole {
                to.push(p.as_deref().unwrap_or(NULL_PATH));
            }
        }
    }
    (lists, whole)
}

/// Catch-up events carry zxid -1 and come before the reply. A null list fails the request, but only
/// after what stands before it is dealt with.
fn set_watches(reader: &Reader<'_>, r: &SetWatches2<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
    let (lists, whole) = lists(r);
    let tree = &reader.edge.tree;
    let (events, zxid) = tree.set_watches(Zxid(r.relative_zxid), &lists, reader.inbox);
    merge(zxid, out);
    for (kind, p) in events {
        out.raw(&event_frame(kind, Zxid(-1), p));
    }
    let result = if whole {
        Ok(())
    } else {
        Err(Code::MarshallingError)
    };
    reader.reply((result, zxid), out, merge, |_, ()| {});
}

fn add_watch(reader: &Reader<'_>, input: &mut Input<'_>, out: &mut Vec<u8>, merge: Merge<'_>) {
    let (path, recursive) = match AddWatchRequest::decode(input) {
        Ok(AddWatchRequest {
            path,
            mode: mode @ (0 | 1),
        }) => (path, mode == 1),
        _ => return reader.fail(Code::MarshallingError, out, merge),
    };
    let p = path.as_deref().unwrap_or(NULL_PATH);
    let zxid = reader.edge.tree.add_watch(p, reader.inbox, recursive);
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
    let p = r.path.as_deref().unwrap_or(NULL_PATH);
    let tree = &reader.edge.tree;
    let found = match op {
        OpCode::CheckWatches => tree.has_watch(p, reader.inbox, modes),
        _ => tree.remove_watch(p, reader.inbox, modes),
    };
    let result = if found { Ok(()) } else { Err(Code::NoWatcher) };
    reader.reply((result, tree.applied()), out, merge, |_, ()| {});
}
