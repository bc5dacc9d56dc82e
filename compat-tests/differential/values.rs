//! Paths, data, ACLs and other argument values: mostly sensible, sometimes wrong on purpose.

use crate::codec::Bytes;
use crate::model::Model;
use crate::op::Acl;
use crate::rng::Rng;

/// Text as a jute string.
pub fn s(text: &str) -> Bytes {
    Some(text.as_bytes().to_vec())
}

/// `world:anyone` with every permission.
pub fn open_acl() -> Option<Vec<Acl>> {
    Some(vec![entry(31, "world", "anyone")])
}

/// One ACL entry.
pub fn entry(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl {
        perms,
        scheme: s(scheme),
        id: s(id),
    }
}

const NAMES: [&str; 12] = [
    "a", "b", "c", "d", "e", "n-", "x", "a b", "é", "日本", "...", "..a",
];

/// Endings that make a path invalid, or look as if they did.
const ODD_ENDINGS: [&str; 20] = [
    "/",
    "//",
    "//a",
    "/.",
    "/..",
    "/./a",
    "/../a",
    "/a/",
    "/a\0b",
    "/\u{1}",
    "/\u{1f}",
    "/\u{7f}",
    "/\u{9f}",
    "/\u{a0}",
    "/\u{2028}",
    "/\u{e000}",
    "/\u{f8ff}",
    "/\u{fff0}",
    "/\u{feff}",
    "/\u{1f600}",
];

/// Paths outside the program's own part of the tree. None of them can be harmed for good.
const COMMON: [&str; 8] = [
    "/",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/config",
    "/zookeeper/absent",
    "/absent",
    "",
    "noslash",
];

/// A node the model knows.
pub fn known_path(rng: &mut Rng, model: &Model) -> String {
    if rng.chance(45) {
        let recent = recent_path(rng, model);
        if model.get(recent).is_some() {
            return recent.to_owned();
        }
    }
    model.nth(rng.below(model.len())).to_owned()
}

/// A path used a short while ago, there or not.
pub fn recent_path<'a>(rng: &mut Rng, model: &'a Model) -> &'a str {
    rng.pick::<String>(model.recent())
}

/// A path that probably can be created: a name under a node that probably exists.
pub fn child_path(rng: &mut Rng, model: &Model) -> String {
    format!("{}/{}", known_path(rng, model), rng.pick(&NAMES))
}

/// A path for any purpose.
pub fn path(rng: &mut Rng, model: &Model, root: &str) -> Bytes {
    match rng.weighted(&[60, 15, 4, 4, 4, 3, 1, 8]) {
        7 => s(recent_path(rng, model)),
        0 => s(&known_path(rng, model)),
        1 => s(&child_path(rng, model)),
        2 => s(&format!(
            "{}/n-{:010}",
            known_path(rng, model),
            rng.below(4)
        )),
        3 => s(&format!("{root}/absent/{}", rng.pick(&NAMES))),
        4 => s(rng.pick::<&str>(&COMMON)),
        5 => odd_path(rng, model),
        _ => None,
    }
}

/// A path for create: more often one that is free.
pub fn create_path(rng: &mut Rng, model: &Model, root: &str) -> Bytes {
    match rng.weighted(&[70, 10, 20]) {
        0 => s(&child_path(rng, model)),
        1 => s(recent_path(rng, model)),
        _ => path(rng, model, root),
    }
}

fn odd_path(rng: &mut Rng, model: &Model) -> Bytes {
    let base = known_path(rng, model);
    match rng.below(ODD_ENDINGS.len() + 3) {
        0 => Some([base.as_bytes(), b"/\xff\xfe"].concat()),
        1 => Some([base.as_bytes(), b"/\xed\xa0\x80"].concat()),
        2 => Some([base.as_bytes(), b"/\xc3"].concat()),
        n => s(&format!("{base}{}", ODD_ENDINGS[n - 3])),
    }
}

/// Node data.
pub fn data(rng: &mut Rng) -> Bytes {
    match rng.weighted(&[10, 10, 50, 20, 8, 2]) {
        0 => None,
        1 => Some(Vec::new()),
        2 => s(rng.pick::<&str>(&["x", "hello", "some more text than before"])),
        3 => Some(
            (0..rng.below(40))
                .map(|_| rng.next().to_le_bytes()[0])
                .collect(),
        ),
        4 => Some(vec![b'd'; rng.below(600)]),
        _ => Some(vec![b'D'; 1000 * rng.below(20)]),
    }
}

/// An expected version; `current` is what the model believes.
pub fn version(rng: &mut Rng, current: i32) -> i32 {
    match rng.weighted(&[50, 34, 4, 4, 2, 2, 2, 2]) {
        0 => -1,
        1 => current,
        2 => current + 1,
        3 => current - 1,
        4 => 0,
        5 => -2,
        6 => i32::MIN,
        _ => i32::MAX,
    }
}

const DIGEST_1: &str = "user1:GMJqCvSAmNfv41XqBotWHO0HsNc=";
const DIGEST_2: &str = "user2:bpD4uPzrrsGNcJsBFLRErJIlBog=";

/// An ACL for create or setACL. Most are open, or the tree would soon be out of reach.
pub fn acl(rng: &mut Rng) -> Option<Vec<Acl>> {
    match rng.weighted(&[74, 12, 8, 4, 1, 1]) {
        0 => open_acl(),
        1 => Some(vec![good_entry(rng)]),
        2 => Some((0..=rng.below(4)).map(|_| good_entry(rng)).collect()),
        3 => {
            let mut list: Vec<_> = (0..rng.below(3)).map(|_| good_entry(rng)).collect();
            list.insert(rng.below(list.len() + 1), bad_entry(rng));
            Some(list)
        }
        4 => Some(Vec::new()),
        _ => None,
    }
}

fn perms(rng: &mut Rng) -> i32 {
    *rng.pick(&[31, 31, 31, 31, 1, 3, 5, 7, 15, 17, 9, 16, 30, 0, 32, 63, -1])
}

/// ACL ids the server takes (`auth` only from a client that has an identity).
pub const GOOD_IDS: [(&str, &str); 21] = [
    ("world", "anyone"),
    ("world", "anyone"),
    ("world", "anyone"),
    ("digest", DIGEST_1),
    ("digest", DIGEST_1),
    ("digest", DIGEST_2),
    ("digest", "user1:other"),
    ("digest", ":h"),
    ("digest", "a:b:"),
    ("auth", ""),
    ("auth", ""),
    ("auth", "ignored:really"),
    ("ip", "127.0.0.1"),
    ("ip", "127.0.0.1"),
    ("ip", "127.0.0.0/8"),
    ("ip", "127.0.0.2/31"),
    ("ip", "10.0.0.0/8"),
    ("ip", "0.0.0.0/0"),
    ("ip", "::1"),
    ("ip", "2001:db8::/32"),
    ("digest", "\u{1f600}:h\u{1f600}"),
];

fn good_entry(rng: &mut Rng) -> Acl {
    let (scheme, id) = *rng.pick(&GOOD_IDS);
    entry(perms(rng), scheme, id)
}

/// ACL ids most of which the server refuses.
pub const BAD_IDS: [(&str, &str); 32] = [
    ("world", "x"),
    ("world", ""),
    ("super", ""),
    ("super", "super:x"),
    ("sasl", "bob"),
    ("x509", "CN=a"),
    ("digest", "u"),
    ("digest", "u:"),
    ("digest", ""),
    ("digest", ":"),
    ("digest", "a:b:c"),
    ("digest", "a:b::"),
    ("ip", ""),
    ("ip", "1.2.3"),
    ("ip", "1.2.3.4.5"),
    ("ip", "256.0.0.1"),
    ("ip", "1.2.3.4/33"),
    ("ip", "1.2.3.4/-1"),
    ("ip", "1.2.3.4/"),
    ("ip", "1.2.3.4/8/8"),
    ("ip", "1.2.3.4/x"),
    ("ip", "01.2.3.4"),
    ("ip", "+1.2.3.4"),
    ("ip", "1.2.3.x"),
    ("ip", "::"),
    ("ip", ":::1"),
    ("ip", "1:2:3:4:5:6:7"),
    ("ip", "1:2:3:4:5:6:7:8/129"),
    ("ip", "::ffff:1.2.3.4"),
    ("ip", "localhost"),
    ("", ""),
    ("bogus", "x"),
];

fn bad_entry(rng: &mut Rng) -> Acl {
    match rng.below(BAD_IDS.len() + 4) {
        0 => Acl {
            perms: 31,
            scheme: None,
            id: s("x"),
        },
        1 => Acl {
            perms: 31,
            scheme: s("world"),
            id: None,
        },
        2 => Acl {
            perms: 31,
            scheme: s("digest"),
            id: Some(b"u:\xed\xa0\x80\xff".to_vec()),
        },
        3 => Acl {
            perms: 31,
            scheme: s("auth"),
            id: None,
        },
        n => entry(perms(rng), BAD_IDS[n - 4].0, BAD_IDS[n - 4].1),
    }
}
