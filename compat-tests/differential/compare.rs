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
        let tolerated = tolerated(left, right);
        if let Some(id) = tolerated {
            tally.count(id);
        }
        tolerated.is_none()
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

/// Maps a field to a form in which a deviation no longer shows.
type Rule = fn(Val) -> Val;

/// The deviation that explains a difference, when one does.
fn tolerated(apache: &[Seen], ours: &[Seen]) -> Option<&'static str> {
    let rules: [(&str, Rule); 2] = [("DEV-1", plain_text), ("AUTH-ORDER", sorted_acl)];
    let with = |rule: Rule| {
        let changed = |seen: &Seen| in_body(seen, rule);
        apache.iter().map(changed).eq(ours.iter().map(changed))
    };
    rules
        .into_iter()
        .find(|(_, rule)| with(*rule))
        .map(|(id, _)| id)
}

fn in_body(seen: &Seen, rule: Rule) -> Seen {
    match seen.clone() {
        Seen::Reply {
            xid,
            zxid,
            err,
            body,
        } => Seen::Reply {
            xid,
            zxid,
            err,
            body: body.into_iter().map(rule).collect(),
        },
        // A path is text like any other; no rule turns it into something else.
        Seen::Event {
            zxid,
            err,
            kind,
            state,
            path,
            extra,
        } => {
            let path = match rule(Val::Text("path", path)) {
                Val::Text(_, path) => path,
                _ => None,
            };
            Seen::Event {
                zxid,
                err,
                kind,
                state,
                path,
                extra,
            }
        }
        other => other,
    }
}

/// DEV-1: a non-BMP character may come back as a surrogate pair in three-byte form or, after the
/// detour a multi makes, as two replacement characters.
fn plain_text(value: Val) -> Val {
    match value {
        Val::Text(what, Some(bytes)) => {
            let text = String::from_utf8_lossy(&join_surrogates(&bytes)).into_owned();
            let blurred: String = text
                .chars()
                .map(|c| {
                    if c > '\u{ffff}' {
                        "\u{fffd}\u{fffd}".to_owned()
                    } else {
                        c.to_string()
                    }
                })
                .collect();
            Val::Text(what, Some(blurred.into_bytes()))
        }
        Val::List(what, Some(items)) => {
            Val::List(what, Some(items.into_iter().map(plain_text).collect()))
        }
        other => other,
    }
}

/// AUTH-ORDER: entries of an ACL in any order.
fn sorted_acl(value: Val) -> Val {
    match value {
        Val::List("acl", Some(mut items)) => {
            items.sort();
            Val::List("acl", Some(items))
        }
        other => other,
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
