//! Decides whether two outcomes of a step are the same.

use crate::deviations::Tally;
use crate::view::{Seen, Val};
use crate::world::{Outcome, Place};

/// The connections on which the outcomes differ; empty when they agree, deviations counted.
pub fn differences(apache: &Outcome, ours: &Outcome, tally: &mut Tally) -> Vec<Place> {
    if apache == ours {
        return Vec::new();
    }
    let mut places: Vec<Place> = apache.iter().chain(ours).map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|place| {
        let (left, right) = (at(apache, *place), at(ours, *place));
        if left == right {
            return false;
        }
        // DEV-1: compare again with Apache's surrogate pairs put together.
        let same = left.iter().map(plain_utf8).eq(right.iter().cloned());
        if same {
            tally.count("DEV-1");
        }
        !same
    });
    places
}

/// What was seen at one place; nothing when the place does not occur.
pub fn at(outcome: &Outcome, place: Place) -> &[Seen] {
    outcome
        .iter()
        .find(|(p, _)| *p == place)
        .map_or(&[], |(_, seen)| seen)
}

fn plain_utf8(seen: &Seen) -> Seen {
    match seen {
        Seen::Reply {
            xid,
            zxid,
            err,
            body,
        } => {
            let body = body.iter().map(plain_value).collect();
            Seen::Reply {
                xid: *xid,
                zxid: *zxid,
                err: *err,
                body,
            }
        }
        other => other.clone(),
    }
}

fn plain_value(value: &Val) -> Val {
    match value {
        Val::Text(what, Some(bytes)) => Val::Text(what, Some(join_surrogates(bytes))),
        Val::List(what, Some(items)) => {
            Val::List(what, Some(items.iter().map(plain_value).collect()))
        }
        other => other.clone(),
    }
}

/// Turns each surrogate pair in three-byte form into the four-byte form of its character.
fn join_surrogates(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if let [
            0xed,
            b @ 0xa0..=0xaf,
            c,
            0xed,
            e @ 0xb0..=0xbf,
            f,
            after @ ..,
        ] = rest
        {
            let half = |hi: u8, lo: u8| (u32::from(hi & 0x0f) << 6) | u32::from(lo & 0x3f);
            let code = 0x1_0000 + (half(*b, *c) << 10) + (half(*e, *f) & 0x3ff);
            if let Some(c) = char::from_u32(code) {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
        }
        out.push(*first);
        rest = tail;
    }
    out
}

/// Checks of this file, run by `selftest`.
pub fn check() {
    let grin = "a\u{1f600}b";
    assert_eq!(
        join_surrogates(b"a\xed\xa0\xbd\xed\xb8\x80b"),
        grin.as_bytes()
    );
    assert_eq!(join_surrogates(grin.as_bytes()), grin.as_bytes());
    assert_eq!(join_surrogates(b"\xed\xa0\xbdx"), b"\xed\xa0\xbdx");
}
