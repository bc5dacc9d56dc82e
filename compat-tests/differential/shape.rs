//! Reduces the text of a four-letter word to what must be the same on both servers.

use std::collections::{BTreeMap, BTreeSet};

use crate::deviations::Tally;

/// The comparable part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape {
    /// Lines in order.
    Lines(Vec<String>),
    /// Lines in any order.
    Bag(Vec<String>),
    /// Keys with the values that must agree; `None` where only the key counts.
    Map(BTreeMap<String, Option<String>>),
}

/// What differs, a line each; empty when nothing does. Keys of 3.10 that 3.9 lacks are counted.
pub fn differences(apache: &Shape, ours: &Shape, tally: &mut Tally) -> Vec<String> {
    match (apache, ours) {
        (Shape::Map(left), Shape::Map(right)) => map_differences(left, right, tally),
        (Shape::Lines(left) | Shape::Bag(left), Shape::Lines(right) | Shape::Bag(right)) => {
            if left == right {
                return Vec::new();
            }
            let (a, b): (BTreeSet<_>, BTreeSet<_>) =
                (left.iter().collect(), right.iter().collect());
            let mut out: Vec<String> = a
                .difference(&b)
                .map(|l| format!("only apache: {l:?}"))
                .collect();
            out.extend(b.difference(&a).map(|l| format!("only zabra:  {l:?}")));
            if out.is_empty() {
                out.push(format!("order or repetition: {left:?} {right:?}"));
            }
            out
        }
        _ => vec![format!("{apache:?} {ours:?}")],
    }
}

fn map_differences(
    left: &BTreeMap<String, Option<String>>,
    right: &BTreeMap<String, Option<String>>,
    tally: &mut Tally,
) -> Vec<String> {
    let mut out = Vec::new();
    for key in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
        match (left.get(key), right.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => out.push(format!("{key}: apache {a:?}, zabra {b:?}")),
            (Some(_), None) => out.push(format!("{key}: missing")),
            (None, _) if is_of_3_10(key) => tally.count("MNTR-3.10"),
            (None, _) => out.push(format!("{key}: only zabra has it")),
        }
    }
    out
}

fn is_of_3_10(key: &str) -> bool {
    ["op_count_", "ttl_node_"]
        .iter()
        .any(|part| key.contains(part))
}

/// The text as it is, split into lines; a missing final newline shows as a missing last line.
pub fn exact(text: &str) -> Shape {
    Shape::Lines(text.split('\n').map(str::to_owned).collect())
}

/// Every number replaced.
pub fn digits(text: &str) -> Shape {
    Shape::Lines(text.split('\n').map(blur).collect())
}

/// `key=value` or `key: value` lines; only keys and their order count.
pub fn keys(text: &str) -> Shape {
    let key = |line: &str| line.split(['=', ':']).next().unwrap_or_default().to_owned();
    Shape::Lines(text.split('\n').map(key).collect())
}

/// conf: keys in order, values where they are not the server's own.
pub fn conf(text: &str) -> Shape {
    let line = |line: &str| match line.split_once('=') {
        Some((key, value)) if key.starts_with("data") && key.ends_with("Dir") => {
            format!("{key}=...{}", &value[value.len().saturating_sub(10)..])
        }
        Some((key, value)) if key == "clientPort" || key.ends_with("Size") => {
            format!("{key}={}", blur(value))
        }
        _ => line.to_owned(),
    };
    Shape::Lines(text.split('\n').map(line).collect())
}

/// srvr and stat: figures that depend on time replaced, clients sorted.
pub fn stat(text: &str) -> Shape {
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| match line.split_once(": ") {
            Some(("Zookeeper version", version)) => version_shape(version),
            Some((key @ ("Latency min/avg/max" | "Received" | "Sent"), value)) => {
                format!("{key}: {}", blur(value).replace("#.#", "#"))
            }
            _ if line.starts_with(" /") => client(line, &["recved", "sent"]),
            _ => line.to_owned(),
        })
        .collect();
    sort_clients(&mut lines);
    Shape::Lines(lines)
}

/// `3.9.5-<40 hex>, built on <date>` whatever the commit and the date.
fn version_shape(version: &str) -> String {
    let number = version.split(['-', ',']).next().unwrap_or_default();
    let built = version
        .split_once(", built on ")
        .map(|(_, date)| blur(date));
    format!("version {number} built {built:?}")
}

/// cons: one line for each connection, in any order.
pub fn cons(text: &str) -> Shape {
    let time = [
        "recved", "sent", "est", "lresp", "llat", "minlat", "avglat", "maxlat", "sid",
    ];
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            if line.starts_with(" /") {
                client(line, &time)
            } else {
                line.to_owned()
            }
        })
        .collect();
    sort_clients(&mut lines);
    Shape::Lines(lines)
}

/// A connection line without its port and without the values of some fields.
fn client(line: &str, without: &[&str]) -> String {
    let Some((address, fields)) = line.split_once('[') else {
        return line.to_owned();
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let fields: Vec<String> = fields
        .split(',')
        .map(|field| match field.rsplit_once('=') {
            Some((key, value)) if without.iter().any(|w| key.ends_with(w)) => {
                format!("{key}=#{}", if value.ends_with(')') { ")" } else { "" })
            }
            _ => field.to_owned(),
        })
        .collect();
    format!("{host}:#[{}", fields.join(","))
}

fn sort_clients(lines: &mut [String]) {
    let first = lines.iter().position(|l| l.starts_with(" /")).unwrap_or(0);
    let count = lines[first..]
        .iter()
        .take_while(|l| l.starts_with(" /"))
        .count();
    lines[first..first + count].sort();
}

/// dump: buckets depend on when each session was touched, so only the sessions count.
pub fn dump(text: &str) -> Shape {
    let ranks = session_ranks(text);
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            let line = rank_sessions(line, &ranks);
            match line.split_once(" expire at ") {
                Some(_) => "bucket".to_owned(),
                None if line.contains(" Sets (") => blur_first_set(&line),
                None => without_port(&line),
            }
        })
        .collect();
    lines.sort();
    lines.dedup();
    Shape::Bag(lines)
}

/// `Session Sets (4)/(3):` without the number of buckets.
fn blur_first_set(line: &str) -> String {
    match line.split_once(")/(") {
        Some((head, tail)) => {
            let name = head.split('(').next().unwrap_or_default();
            format!("{name}(#)/({tail}")
        }
        None => line.to_owned(),
    }
}

/// `ip: /127.0.0.1:34782 sessionId: ..` without the port.
fn without_port(line: &str) -> String {
    match line.split_once("ip: /127.0.0.1:") {
        Some((head, tail)) => {
            let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}ip: /127.0.0.1:#{rest}")
        }
        None => line.to_owned(),
    }
}

/// wchc and wchp: groups in any order, members in any order, session ids ranked.
pub fn watches(text: &str) -> Shape {
    let ranks = session_ranks(text);
    let mut group = String::new();
    let mut lines: Vec<String> = text
        .split('\n')
        .map(|line| {
            let line = rank_sessions(line, &ranks);
            if line.starts_with('\t') {
                return format!("{group}{line}");
            }
            group.clone_from(&line);
            line
        })
        .collect();
    lines.sort();
    Shape::Bag(lines)
}

/// mntr: every key must be there; values count unless they depend on time, on the process, or on
/// how a server is built inside.
pub fn mntr(text: &str) -> Shape {
    const OWN: [&str; 18] = [
        "version",
        "latency",
        "time",
        "_ms",
        "file_descriptor",
        "jvm",
        "packets",
        "bytes_received",
        "queue_size",
        "processor_request_queued",
        "commit_count",
        "proposal_count",
        "startup_",
        "snap_count",
        "outstanding_changes",
        "response_packet",
        "connection_token",
        "fsync",
    ];
    let entry = |line: &str| {
        let (key, value) = line.split_once('\t')?;
        let own = OWN.iter().any(|part| key.contains(part));
        Some((key.to_owned(), (!own).then(|| value.to_owned())))
    };
    let lines: Vec<&str> = text.lines().collect();
    let map: BTreeMap<_, _> = lines.iter().filter_map(|line| entry(line)).collect();
    if map.len() == lines.len() {
        Shape::Map(map)
    } else {
        exact(text)
    }
}

fn blur(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            _ => out.push(c),
        }
    }
    out
}

/// Session ids found in a text, in ascending order.
fn session_ranks(text: &str) -> Vec<String> {
    let ids = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut ids: Vec<String> = ids.filter(|w| is_session(w)).map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn is_session(word: &str) -> bool {
    word.len() >= 14 && word.starts_with("0x")
}

fn rank_sessions(line: &str, ranks: &[String]) -> String {
    let mut line = line.to_owned();
    for (rank, id) in ranks.iter().enumerate() {
        line = line.replace(id, &format!("S{rank}"));
    }
    line
}

/// Checks of this file, run by `selftest`.
pub fn check() {
    assert_eq!(blur("a 12/3.45 b"), "a #/#.# b");
    let line = " /127.0.0.1:34782[1](queued=0,recved=446,sent=448)";
    assert_eq!(
        client(line, &["recved", "sent"]),
        " /127.0.0.1:#[1](queued=0,recved=#,sent=#)"
    );
    let text = "0x1000000000000aa\n\t/a\n0x100000000000009\n\t/b\n";
    assert_eq!(session_ranks(text).len(), 2);
    assert_eq!(
        blur_first_set("Session Sets (4)/(3):"),
        "Session Sets (#)/(3):"
    );
    assert_eq!(
        without_port("\tip: /127.0.0.1:99 sessionId: S1"),
        "\tip: /127.0.0.1:# sessionId: S1"
    );
}
