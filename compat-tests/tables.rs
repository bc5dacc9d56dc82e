//! The tables against Apache 3.9.5: every name it knows is ours too, with the same number or kind,
//! or is listed with a reason in `compat_md/absent.rs` (and so in COMPAT.md).
//!
//! `golden/tables/` was taken from the 3.9.5 jar by reflection (operations, codes, words) and from
//! the string constants of its classes (properties, keys of `QuorumPeerConfig`); metrics are those of
//! the captured scrapes in `golden/ops/`.

#[path = "compat_md/absent.rs"]
mod absent;

use std::collections::{BTreeMap, BTreeSet};

use zabra::admin::words;
use zabra::config::keys;
use zabra::proto::{Code, OpCode};
use zabra::telemetry::metrics::{self, Kind};

/// `number name` lines.
fn numbered(text: &str) -> BTreeMap<i32, String> {
    let line = |l: &str| {
        let (number, name) = l.split_once(' ').expect("number and name");
        (number.parse().expect("a number"), name.to_owned())
    };
    text.lines().map(line).collect()
}

/// Names of Apache's that are neither ours nor listed, and listed ones that need not be.
fn check<'a>(list: &str, apache: impl IntoIterator<Item = &'a str>, ours: impl Fn(&str) -> bool) {
    let absent: BTreeSet<&str> = absent::TABLE
        .iter()
        .filter(|(of, _, _)| *of == list)
        .map(|(_, name, _)| *name)
        .collect();
    let apache: BTreeSet<&str> = apache.into_iter().collect();
    let missing: BTreeSet<&str> = apache.iter().copied().filter(|n| !ours(n)).collect();
    assert_eq!(
        missing, absent,
        "{list}: missing here, and listed as absent"
    );
}

#[test]
fn operations() {
    let apache = numbered(include_str!("golden/tables/opcodes.txt"));
    let ours: BTreeMap<i32, &str> = OpCode::ALL.iter().map(|o| (*o as i32, o.name())).collect();
    for (number, name) in &ours {
        assert_eq!(
            apache.get(number).map(String::as_str),
            Some(*name),
            "{number}"
        );
    }
    check("operation", apache.values().map(String::as_str), |n| {
        ours.values().any(|o| *o == n)
    });
}

#[test]
fn error_codes() {
    let apache = numbered(include_str!("golden/tables/codes.txt"));
    let ours: BTreeMap<i32, &str> = Code::ALL.iter().map(|c| (*c as i32, c.name())).collect();
    for (number, name) in &ours {
        assert_eq!(
            apache.get(number).map(String::as_str),
            Some(*name),
            "{number}"
        );
    }
    check("error code", apache.values().map(String::as_str), |n| {
        ours.values().any(|o| *o == n)
    });
}

#[test]
fn four_letter_words() {
    let apache = numbered(include_str!("golden/tables/words.txt"));
    let ours = words::TABLE.iter().map(|w| (w.code, w.name.to_owned()));
    assert_eq!(ours.collect::<BTreeMap<_, _>>(), apache);
}

#[test]
fn configuration_keys() {
    let keys = include_str!("golden/tables/zoo-cfg.txt").lines();
    check("zoo.cfg key", keys, |n| keys::by_cfg(n).is_some());
}

#[test]
fn system_properties() {
    let properties = include_str!("golden/tables/properties.txt").lines();
    check("property", properties, |n| keys::by_property(n).is_some());
}

/// `# TYPE name type` lines of a scrape, without the process's and the JVM's own.
fn scraped(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(n, _)| !n.starts_with("jvm_") && !n.starts_with("process_"))
        .collect()
}

#[test]
fn metrics_of_scrapes() {
    for scrape in [
        include_str!("golden/ops/3.9.4-standalone-prometheus-metrics.txt"),
        include_str!("golden/ops/3.9.4-leader-prometheus-metrics.txt"),
    ] {
        let apache = scraped(scrape);
        let ours: BTreeMap<&str, Kind> = metrics::TABLE.iter().map(|m| (m.name, m.kind)).collect();
        check("metric", apache.keys().copied(), |n| ours.contains_key(n));
        for (name, kind) in &apache {
            let as_ours = match ours.get(name) {
                Some(Kind::Gauge | Kind::GaugeSet) => "gauge",
                Some(Kind::Counter | Kind::CounterSet) => "counter",
                Some(_) => "summary",
                None => continue,
            };
            assert_eq!(as_ours, *kind, "{name}");
        }
    }
}

#[test]
fn names_of_mntr() {
    let replies = concat!(
        include_str!("golden/ops/3.9.4-standalone-mntr.txt"),
        include_str!("golden/ops/3.9.4-leader-mntr.txt"),
        include_str!("golden/ops/3.9.4-observer-mntr.txt"),
    );
    let names = replies
        .lines()
        .filter_map(|l| l.split('\t').next()?.strip_prefix("zk_"));
    check("mntr name", names, |n| {
        metrics::TABLE.iter().any(|m| belongs(n, m.name))
    });
}

/// Summaries and sets print several lines, with a prefix or a suffix.
fn belongs(line: &str, metric: &str) -> bool {
    let parts = [
        "_avg", "_min", "_max", "_cnt", "_sum", "_p50", "_p95", "_p99", "_p999",
    ];
    let plain = parts
        .iter()
        .chain(&["_min", "_max"])
        .fold(line, |l, part| l.strip_suffix(part).unwrap_or(l));
    let prefixed = parts
        .iter()
        .find_map(|p| line.strip_prefix(&format!("{}_", &p[1..])));
    line == metric
        || plain == metric
        || plain.ends_with(&format!("_{metric}"))
        || prefixed == Some(metric)
}
