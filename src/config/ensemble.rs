//! The member list with its rule for quorums: the text of class QuorumVerifier, both ways.

use super::error::ConfigError;
use super::properties::Properties;
use super::server_line::{QuorumServer, java_split};
use super::settings::PeerType;
use super::value::parse_long;
use std::collections::BTreeMap;

/// Members, groups, weights and version of one ensemble configuration
/// (classes QuorumMaj and QuorumHierarchical).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// All members by id.
    pub members: BTreeMap<i64, QuorumServer>,
    /// Group of each server id; empty = plain majority.
    pub groups: BTreeMap<i64, i64>,
    /// Weight of each server id; filled with 1 for the voters that have no line.
    pub weights: BTreeMap<i64, i64>,
    /// Groups or weights were given: the hierarchical rule applies.
    pub hierarchical: bool,
    /// Version: zxid of the reconfiguration that made it, 0 at first.
    pub version: i64,
}

impl Ensemble {
    /// No member, version 0.
    pub fn empty() -> Ensemble {
        Ensemble {
            members: BTreeMap::new(),
            groups: BTreeMap::new(),
            weights: BTreeMap::new(),
            hierarchical: false,
            version: 0,
        }
    }

    /// Reads members, groups, weights and version from `properties`. With `strict` (dynamic file,
    /// wire) any other key is an error; without (static file) other keys are passed over.
    ///
    /// # Errors
    /// Apache's words for a wrong line, a server in two groups or in none.
    pub fn from_properties(
        properties: &Properties,
        strict: bool,
        multi_address: bool,
    ) -> Result<Ensemble, ConfigError> {
        let mut ensemble = Ensemble::empty();
        for entry in properties.iter() {
            let (key, value) = (entry.key.trim(), entry.value.trim());
            ensemble
                .take(key, value, strict, multi_address)
                .map_err(|error| error.at_key(key, entry.line))?;
        }
        ensemble.check_groups()?;
        Ok(ensemble)
    }

    /// Parses configuration text as it stands in `/zookeeper/config` and in packets.
    ///
    /// # Errors
    /// As [`Ensemble::from_properties`], and for text that is no properties text.
    pub fn parse(text: &str, multi_address: bool) -> Result<Ensemble, ConfigError> {
        Ensemble::from_properties(&Properties::parse_text(text)?, true, multi_address)
    }

    fn take(
        &mut self,
        key: &str,
        value: &str,
        strict: bool,
        multi_address: bool,
    ) -> Result<(), ConfigError> {
        if key.starts_with("server.") {
            let id = id_of(key)?;
            self.members
                .insert(id, QuorumServer::parse(id, value, multi_address)?);
        } else if key.starts_with("group") {
            self.hierarchical = true;
            let group = id_of(key)?;
            for part in java_split(value, ':') {
                let id = parse_long(part.trim())?;
                if self.groups.insert(id, group).is_some() {
                    let cause = format!("Server {id}is in multiple groups");
                    return Err(ConfigError::direct(cause));
                }
            }
        } else if key.starts_with("weight") {
            self.hierarchical = true;
            let weight = parse_long(value)?;
            // Differs: Java takes a negative weight, and then no sum means anything.
            if weight < 0 {
                return Err(ConfigError::illegal(format!(
                    "{key} must not be negative: {value}"
                )));
            }
            self.weights.insert(id_of(key)?, weight);
        } else if key == "version" {
            self.version = i64::from_str_radix(value, 16).map_err(|_| {
                let class = "java.lang.NumberFormatException";
                ConfigError::wrapped(
                    class,
                    format!("For input string: \"{value}\" under radix 16"),
                )
            })?;
        } else if strict {
            return Err(ConfigError::direct(format!(
                "Unrecognised parameter: {key}"
            )));
        }
        Ok(())
    }

    fn check_groups(&mut self) -> Result<(), ConfigError> {
        if !self.hierarchical {
            return Ok(());
        }
        for (id, server) in &self.members {
            if server.role == PeerType::Participant {
                if !self.groups.contains_key(id) {
                    return Err(ConfigError::direct(format!("Server {id}is not in a group")));
                }
                self.weights.entry(*id).or_insert(1);
            }
        }
        for id in self.groups.keys() {
            // Java meets a null pointer here, which is no ConfigException.
            if !self.weights.contains_key(id) {
                let cause =
                    format!("Server {id} is in a group but has neither a line nor a weight");
                let class = "java.lang.NullPointerException";
                return Err(ConfigError::unexpected(class, cause));
            }
        }
        Ok(())
    }

    /// Members that vote.
    pub fn voters(&self) -> impl Iterator<Item = &QuorumServer> {
        self.members
            .values()
            .filter(|s| s.role == PeerType::Participant)
    }

    /// Members that only watch.
    pub fn observers(&self) -> impl Iterator<Item = &QuorumServer> {
        self.members
            .values()
            .filter(|s| s.role == PeerType::Observer)
    }

    /// Weight of a server: 1 unless a line says otherwise, 0 for one the groups do not know.
    pub fn weight(&self, id: i64) -> i64 {
        if self.hierarchical {
            self.weights.get(&id).copied().unwrap_or(0)
        } else {
            1
        }
    }

    /// The text of `/zookeeper/config`: one line for each member, groups and weights, then
    /// `version=<hex>` without a newline. Members ascend by id.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&format!("version={:x}", self.version));
        text
    }

    /// The text of a dynamic configuration file: the lines sorted as text, joined by newlines,
    /// without the version (the file's name carries it).
    pub fn dynamic_file_text(&self) -> String {
        let mut lines = self.lines();
        lines.sort();
        lines.join("\n")
    }

    /// The text of `zoo.cfg.dynamic.next`: sorted lines with the version among them.
    pub fn next_file_text(&self) -> String {
        let mut lines = self.lines();
        lines.push(format!("version={:x}", self.version));
        lines.sort();
        lines.join("\n")
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .members
            .values()
            .map(|s| format!("server.{}={}", s.id, s.text()))
            .collect();
        let mut groups: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (id, group) in &self.groups {
            groups.entry(*group).or_default().push(id.to_string());
        }
        lines.extend(
            groups
                .iter()
                .map(|(group, ids)| format!("group.{group}={}", ids.join(":"))),
        );
        if self.hierarchical {
            lines.extend(
                self.weights
                    .iter()
                    .map(|(id, w)| format!("weight.{id}={w}")),
            );
        }
        lines
    }

    /// Equal configurations: same version, or the same members (and groups and weights).
    pub fn same_as(&self, other: &Ensemble) -> bool {
        if self.hierarchical != other.hierarchical {
            return false;
        }
        self.version == other.version
            || (self.groups == other.groups
                && self.weights == other.weights
                && self.members.len() == other.members.len()
                && self
                    .members
                    .iter()
                    .all(|(id, server)| other.members.get(id).is_some_and(|o| server.same_as(o))))
    }
}

fn id_of(key: &str) -> Result<i64, ConfigError> {
    let (_, id) = key.split_once('.').unwrap_or(("", key));
    parse_long(id.trim())
}

/// Version in the name of a dynamic file: the hex number after its last dot (class QuorumPeerConfig).
pub fn version_from_file_name(name: &str) -> Option<i64> {
    let (_, suffix) = name.rsplit_once('.')?;
    i64::from_str_radix(suffix, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cause(text: &str) -> String {
        Ensemble::parse(text, false).map_or_else(|e| e.cause().to_string(), |e| e.text())
    }

    #[test]
    fn majority_text_both_ways() {
        let text = "server.1=h:1:2:participant;0.0.0.0:2181\nserver.2=i:1:2:observer\nversion=1f";
        let ensemble = Ensemble::parse(text, false).unwrap();
        assert_eq!(ensemble.text(), text);
        assert_eq!(ensemble.version, 0x1f);
        assert_eq!(ensemble.voters().count(), 1);
        assert_eq!(ensemble.observers().count(), 1);
        assert_eq!(
            ensemble.dynamic_file_text(),
            "server.1=h:1:2:participant;0.0.0.0:2181\nserver.2=i:1:2:observer"
        );
        assert!(ensemble.next_file_text().ends_with("\nversion=1f"));
    }

    #[test]
    fn groups_and_weights() {
        let text = "server.1=h:1:2\nserver.2=i:1:2\nserver.3=j:1:2:observer\n\
                    group.1=1:2\nweight.1=3";
        let ensemble = Ensemble::parse(text, false).unwrap();
        assert!(ensemble.hierarchical);
        assert_eq!(
            (ensemble.weight(1), ensemble.weight(2), ensemble.weight(3)),
            (3, 1, 0)
        );
        assert_eq!(
            ensemble.text(),
            "server.1=h:1:2:participant\nserver.2=i:1:2:participant\nserver.3=j:1:2:observer\n\
             group.1=1:2\nweight.1=3\nweight.2=1\nversion=0"
        );
    }

    #[test]
    fn wrong_texts() {
        assert_eq!(cause("tickTime=1"), "Unrecognised parameter: tickTime");
        assert_eq!(cause("server.x=h:1:2"), "For input string: \"x\"");
        assert_eq!(
            cause("server.1=h:1:2\ngroup.1=1\ngroup.2=1"),
            "Server 1is in multiple groups"
        );
        assert_eq!(
            cause("server.1=h:1:2\nweight.1=1"),
            "Server 1is not in a group"
        );
        assert!(cause("group.1=9").starts_with("Server 9 is in a group"));
        assert!(cause("version=xyz").starts_with("For input string: \"xyz\""));
    }

    #[test]
    fn equality_looks_at_the_version_first() {
        let a = Ensemble::parse("server.1=h:1:2\nversion=5", false).unwrap();
        let b = Ensemble::parse("server.1=i:1:2\nversion=5", false).unwrap();
        let c = Ensemble::parse("server.1=h:1:2\nversion=6", false).unwrap();
        let d = Ensemble::parse("server.1=i:1:2\nversion=6", false).unwrap();
        assert!(a.same_as(&b));
        assert!(a.same_as(&c));
        assert!(!a.same_as(&d));
    }

    #[test]
    fn members_ascend_and_the_version_ends_without_a_newline() {
        let ids = [200, 17, 12, 5, 3, 1];
        let text: String = ids.iter().map(|n| format!("server.{n}=h:1:2\n")).collect();
        let ensemble = Ensemble::parse(&format!("{text}version=1c8000000AF"), false).unwrap();
        let found: Vec<_> = ensemble.members.keys().copied().collect();
        assert_eq!(found, [1, 3, 5, 12, 17, 200]);
        let lines: Vec<_> = found
            .iter()
            .map(|n| format!("server.{n}=h:1:2:participant\n"))
            .collect();
        assert_eq!(
            ensemble.text(),
            format!("{}version=1c8000000af", lines.concat())
        );
    }

    #[test]
    fn order_and_spelling_make_no_difference() {
        let a = Ensemble::parse("server.1=h:1:2\nserver.2=i:1:2\nversion=1", false).unwrap();
        let b = "version = 2\nserver.2=i:1:2:PARTICIPANT\nserver.1=h:1:2:participant\n";
        let b = Ensemble::parse(b, false).unwrap();
        assert!(a.same_as(&b) && b.same_as(&a));
        for other in [
            "server.1=h:1:2",
            "server.1=h:1:2\nserver.2=i:1:3",
            "server.1=h:1:2\nserver.2=i:1:2:observer",
            "server.1=h:1:2;4\nserver.2=i:1:2",
            "server.1=h:1:2\nserver.3=i:1:2",
        ] {
            let c = Ensemble::parse(&format!("{other}\nversion=2"), false).unwrap();
            assert!(!a.same_as(&c), "{other}");
        }
    }

    #[test]
    fn versions_from_names() {
        assert_eq!(
            version_from_file_name("/c/zoo.cfg.dynamic.100000000"),
            Some(0x1_0000_0000)
        );
        assert_eq!(version_from_file_name("zoo.cfg.dynamic"), None);
        assert_eq!(version_from_file_name("zoo"), None);
        assert_eq!(version_from_file_name("zoo."), None);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_sends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = crate::base::text::java_utf8(&bytes);
            let _ = Ensemble::parse(&text, false);
        }

        #[test]
        fn no_text_panics(text in "(server|group|weight|version)?[.=0-9a-f:;|\n ]{0,60}") {
            if let Ok(ensemble) = Ensemble::parse(&text, true) {
                let again = Ensemble::parse(&ensemble.text(), true).unwrap();
                prop_assert_eq!(again.text(), ensemble.text());
            }
        }
    }
}
