//! TABLE 3: every configuration key this server knows, one row each.
//!
//! The parser, the typed settings, the warnings at start and COMPAT.md all read this table, so a key is
//! described once. Rows come in areas, one file each under `keys/`.

mod limits;
mod other;
mod parser;
mod quorum;
mod security;
mod storage;

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Type of a value, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// 32-bit integer.
    Int,
    /// 64-bit integer.
    Long,
    /// Decimal fraction.
    Float,
    /// Free text.
    Text,
    /// Path of a file or directory.
    Path,
    /// Host name or IP literal.
    Host,
    /// Comma list.
    List,
    /// Name of a Java class.
    Class,
}

/// What the server does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Does what Apache's documentation says.
    Honoured,
    /// Accepted and checked; matters only in an ensemble.
    Ensemble,
    /// Accepted and checked; has no effect in this version. Named in a WARN when it is set.
    Planned,
    /// Accepted without a word: it tunes something this server does not have.
    Silent,
    /// Accepted with one WARN: it cannot have the effect its user expects.
    Warned,
    /// The server does not start: going on would weaken security or durability.
    Refused,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Name in zoo.cfg; a trailing `*` stands for any rest. Empty: cannot stand there.
    pub cfg: &'static str,
    /// Full name of the system property; empty when it has none.
    pub property: &'static str,
    /// Other property names with the same meaning.
    pub aliases: &'static [&'static str],
    /// True for keys of zoo.cfg's own parser: strict values, never taken from `-D`.
    pub parser: bool,
    /// Type.
    pub kind: Kind,
    /// Unit, empty for none.
    pub unit: &'static str,
    /// Default as text, empty for none.
    pub default: &'static str,
    /// Range or accepted words, empty for all of the type.
    pub range: &'static str,
    /// What the server does with it.
    pub verdict: Verdict,
    /// Why, for every verdict but [`Verdict::Honoured`].
    pub reason: &'static str,
    /// Values besides the default to which the verdict does not apply.
    pub fine: &'static [&'static str],
    /// One line of documentation.
    pub doc: &'static str,
    /// Clients can see its effect.
    pub client_visible: bool,
}

impl Row {
    const fn new(
        cfg: &'static str,
        property: &'static str,
        kind: Kind,
        unit: &'static str,
        default: &'static str,
        doc: &'static str,
    ) -> Row {
        Row {
            cfg,
            property,
            aliases: &[],
            parser: false,
            kind,
            unit,
            default,
            range: "",
            verdict: Verdict::Honoured,
            reason: "",
            fine: &[],
            doc,
            client_visible: false,
        }
    }

    const fn parser(mut self) -> Row {
        self.parser = true;
        self
    }

    const fn seen(mut self) -> Row {
        self.client_visible = true;
        self
    }

    const fn range(mut self, range: &'static str) -> Row {
        self.range = range;
        self
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Row {
        self.aliases = aliases;
        self
    }

    const fn fine(mut self, values: &'static [&'static str]) -> Row {
        self.fine = values;
        self
    }

    const fn ensemble(self) -> Row {
        self.verdict(Verdict::Ensemble, "matters only in an ensemble")
    }

    const fn planned(self, reason: &'static str) -> Row {
        self.verdict(Verdict::Planned, reason)
    }

    const fn silent(self, reason: &'static str) -> Row {
        self.verdict(Verdict::Silent, reason)
    }

    const fn warned(self, reason: &'static str) -> Row {
        self.verdict(Verdict::Warned, reason)
    }

    const fn refused(self, reason: &'static str) -> Row {
        self.verdict(Verdict::Refused, reason)
    }

    const fn verdict(mut self, verdict: Verdict, reason: &'static str) -> Row {
        self.verdict = verdict;
        self.reason = reason;
        self
    }

    /// True when `value` is the default or one the verdict does not apply to.
    pub fn is_harmless(&self, value: &str) -> bool {
        value.eq_ignore_ascii_case(self.default)
            || self
                .fine
                .iter()
                .any(|fine| value.eq_ignore_ascii_case(fine))
    }
}

/// `sys!("name", ...)`: the property is `zookeeper.name`, and zoo.cfg has it as `name`.
macro_rules! sys {
    ($name:literal, $($rest:expr),+ $(,)?) => {
        $crate::config::keys::Row::new($name, concat!("zookeeper.", $name), $($rest),+)
    };
}
/// `bare!("name", ...)`: the property has no prefix; zoo.cfg has it under the same name.
macro_rules! bare {
    ($name:literal, $($rest:expr),+ $(,)?) => {
        $crate::config::keys::Row::new($name, $name, $($rest),+)
    };
}
/// `cfg!("name", ...)`: a key of zoo.cfg's parser without a property.
macro_rules! key {
    ($name:literal, $($rest:expr),+ $(,)?) => {
        $crate::config::keys::Row::new($name, "", $($rest),+).parser()
    };
}
use {bare, key, sys};

/// All rows, area by area, in the order of the documentation.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    [
        parser::ROWS,
        limits::ROWS,
        storage::ROWS,
        quorum::ROWS,
        security::ROWS,
        other::ROWS,
    ]
    .into_iter()
    .flatten()
}

struct Index {
    by_cfg: BTreeMap<&'static str, &'static Row>,
    by_property: BTreeMap<&'static str, &'static Row>,
    cfg_prefixes: Vec<(&'static str, &'static Row)>,
    property_prefixes: Vec<(&'static str, &'static Row)>,
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let mut index = Index {
            by_cfg: BTreeMap::new(),
            by_property: BTreeMap::new(),
            cfg_prefixes: Vec::new(),
            property_prefixes: Vec::new(),
        };
        for row in rows() {
            match row.cfg.strip_suffix('*') {
                Some(prefix) => index.cfg_prefixes.push((prefix, row)),
                None if row.cfg.is_empty() => {}
                None => {
                    index.by_cfg.entry(row.cfg).or_insert(row);
                }
            }
            for name in row.aliases.iter().chain([&row.property]) {
                match name.strip_suffix('*') {
                    Some(prefix) => index.property_prefixes.push((prefix, row)),
                    None if name.is_empty() => {}
                    None => {
                        index.by_property.entry(name).or_insert(row);
                    }
                }
            }
        }
        // The longest prefix first, so that the most specific row answers.
        index
            .cfg_prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        index
            .property_prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        index
    })
}

fn find(
    exact: &BTreeMap<&'static str, &'static Row>,
    prefixes: &[(&'static str, &'static Row)],
    name: &str,
) -> Option<&'static Row> {
    exact.get(name).copied().or_else(|| {
        prefixes
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map(|(_, row)| *row)
    })
}

/// The row of a zoo.cfg key.
pub fn by_cfg(name: &str) -> Option<&'static Row> {
    find(&index().by_cfg, &index().cfg_prefixes, name)
}

/// The row of a system property, by its full name or an alias.
pub fn by_property(name: &str) -> Option<&'static Row> {
    find(&index().by_property, &index().property_prefixes, name)
}

/// A known zoo.cfg key that `name` may have been meant to be: the same but for case, or one or two
/// letters away.
pub fn suggestion(name: &str) -> Option<&'static str> {
    let names = || index().by_cfg.keys().copied();
    if let Some(known) = names().find(|known| known.eq_ignore_ascii_case(name)) {
        return Some(known);
    }
    if name.len() > 80 {
        return None;
    }
    let allowed = if name.len() < 8 { 1 } else { 2 };
    names().find(|known| distance(known, name) <= allowed)
}

/// Edits (insert, delete, replace a character) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = i.saturating_add(1);
        next.push(left);
        for ((diagonal, up), cb) in row.iter().zip(row.iter().skip(1)).zip(&b) {
            let replace = diagonal.saturating_add(usize::from(ca != *cb));
            left = replace
                .min(up.saturating_add(1))
                .min(left.saturating_add(1));
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_complete_and_names_are_unique() {
        let mut cfg = BTreeSet::new();
        let mut properties = BTreeSet::new();
        for row in rows() {
            assert!(
                row.cfg.is_empty() || cfg.insert(row.cfg),
                "{} twice",
                row.cfg
            );
            for name in row.aliases.iter().chain([&row.property]) {
                assert!(name.is_empty() || properties.insert(*name), "{name} twice");
            }
            assert!(!row.cfg.is_empty() || !row.property.is_empty());
            assert!(!row.doc.is_empty(), "{} has no documentation", row.cfg);
            let needs_reason = row.verdict != Verdict::Honoured;
            assert_eq!(
                needs_reason,
                !row.reason.is_empty(),
                "{} {}",
                row.cfg,
                row.property
            );
        }
        assert!(cfg.len() > 200, "{} keys", cfg.len());
    }

    #[test]
    fn defaults_fit_their_types() {
        for row in rows().filter(|row| !row.default.is_empty()) {
            let fits = match row.kind {
                Kind::Bool => matches!(row.default, "true" | "false"),
                Kind::Int => row.default.parse::<i32>().is_ok(),
                Kind::Long => row.default.parse::<i64>().is_ok(),
                Kind::Float => row.default.parse::<f64>().is_ok(),
                Kind::Text | Kind::Path | Kind::Host | Kind::List | Kind::Class => true,
            };
            assert!(fits, "{}: {}", row.cfg, row.default);
        }
    }

    #[test]
    fn lookups() {
        assert_eq!(by_cfg("snapCount").unwrap().property, "zookeeper.snapCount");
        assert_eq!(by_cfg("jute.maxbuffer").unwrap().property, "jute.maxbuffer");
        assert_eq!(by_property("zookeeper.snapCount").unwrap().cfg, "snapCount");
        assert_eq!(
            by_property("fsync.warningthresholdms").unwrap().cfg,
            "fsync.warningthresholdms"
        );
        assert_eq!(by_cfg("server.3").unwrap().cfg, "server.*");
        assert_eq!(
            by_cfg("ssl.quorum.keyStore.location").unwrap().cfg,
            "ssl.quorum.*"
        );
        assert!(by_cfg("SnapCount").is_none(), "names are case-sensitive");
        assert!(by_cfg("").is_none());
    }

    #[test]
    fn suggestions() {
        assert_eq!(suggestion("snapcount"), Some("snapCount"));
        assert_eq!(suggestion("tikTime"), Some("tickTime"));
        assert_eq!(
            suggestion("autopurge.snapRetainCuont"),
            Some("autopurge.snapRetainCount")
        );
        assert_eq!(suggestion("some.other.thing"), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
