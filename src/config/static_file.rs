//! zoo.cfg: keys of its parser checked and kept, all others turned into system properties.

use super::Message;
use super::error::ConfigError;
use super::keys::{self, Kind, Row};
use super::load::{unknown, warn};
use super::properties::Properties;
use super::server_line::parse_role;
use super::value::{parse_bool, parse_int, parse_long, parse_purge_interval_ms};
use std::collections::BTreeMap;

/// What stands in zoo.cfg.
#[derive(Clone, Debug, Default)]
pub(super) struct StaticFile {
    /// The text as parsed; members are read from it when there is no dynamic file.
    pub text: Properties,
    /// Parser keys, checked: value and line.
    values: BTreeMap<&'static str, (String, usize)>,
    /// All parser keys by the names they were given under.
    given: BTreeMap<String, String>,
    /// `metricsProvider.*` without the prefix and the class.
    pub metrics: BTreeMap<String, String>,
    /// Properties as Apache sets them; they win over `-D`.
    strong: BTreeMap<String, String>,
    /// Properties that Apache would not see; `-D` wins over them.
    weak: BTreeMap<String, String>,
}

impl StaticFile {
    /// Parses and checks zoo.cfg.
    pub fn parse(bytes: &[u8], messages: &mut Vec<Message>) -> Result<StaticFile, ConfigError> {
        let text = Properties::parse_bytes(bytes)?;
        let dynamic = text
            .iter()
            .any(|entry| entry.key.trim() == "dynamicConfigFile");
        let mut file = StaticFile::default();
        for entry in text.iter() {
            let (key, value) = (entry.key.trim(), entry.value.trim());
            file.take(key, value, entry.line, dynamic, messages)
                .map_err(|error| error.at_key(key, entry.line))?;
        }
        file.text = text;
        Ok(file)
    }

    fn take(
        &mut self,
        key: &str,
        value: &str,
        line: usize,
        dynamic: bool,
        messages: &mut Vec<Message>,
    ) -> Result<(), ConfigError> {
        let member = is_member_key(key);
        if member && dynamic {
            let cause = format!("parameter: {key} must be in a separate dynamic config file");
            return Err(ConfigError::direct(cause));
        }
        let row = keys::by_cfg(key);
        if let Some(row) = row.filter(|row| row.parser && !member) {
            check(row, key, value)?;
            self.given.insert(key.to_string(), value.to_string());
            match key.strip_prefix("metricsProvider.") {
                Some(rest) if rest != "className" => {
                    self.metrics.insert(rest.to_string(), value.to_string());
                }
                _ => {
                    self.values.insert(row.cfg, (value.to_string(), line));
                }
            }
            return Ok(());
        }
        let bare = row.is_some_and(|row| !row.property.starts_with("zookeeper.") && !member);
        if bare || (key.starts_with("zookeeper.") && keys::by_property(key).is_some()) {
            self.weak.insert(key.to_string(), value.to_string());
            return Ok(());
        }
        if row.is_none() && !member && key != "version" {
            warn(messages, unknown(key, Some(line)));
        }
        self.strong
            .insert(format!("zookeeper.{key}"), value.to_string());
        Ok(())
    }

    /// Adds the properties of this file to those given with `-D`.
    pub fn add_properties(
        &self,
        properties: &mut BTreeMap<String, String>,
        messages: &mut Vec<Message>,
    ) {
        for (name, value) in &self.weak {
            // Spelled with and without the prefix in one file: Apache knows the one without.
            if self.strong.contains_key(name) {
                continue;
            }
            let kept = properties
                .entry(name.clone())
                .or_insert_with(|| value.clone());
            if kept != value {
                warn(
                    messages,
                    format!(
                        "{name} of zoo.cfg yields to -D{name}, which Apache \
                                        ZooKeeper reads alone"
                    ),
                );
            }
        }
        properties.extend(
            self.strong
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }

    /// Rules between the switches of SASL between peers.
    pub fn check_quorum_auth(&self) -> Result<(), ConfigError> {
        const ENABLE: &str = "quorum.auth.enableSasl";
        const SERVER: &str = "quorum.auth.serverRequireSasl";
        const LEARNER: &str = "quorum.auth.learnerRequireSasl";
        for (needed, wanted) in [(ENABLE, SERVER), (ENABLE, LEARNER), (LEARNER, SERVER)] {
            if self.bool(wanted) && !self.bool(needed) {
                let cause = format!("{needed} is disabled, so cannot enable {wanted}");
                return Err(self.at(wanted, ConfigError::illegal(cause)));
            }
        }
        Ok(())
    }

    /// Names the line of `key` in an error.
    pub fn at(&self, key: &str, error: ConfigError) -> ConfigError {
        match self.values.get(key) {
            Some((_, line)) => error.at_key(key, *line),
            None => error.at_key(key, 0),
        }
    }

    /// All parser keys that are set, and their values.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Text of a parser key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// Replaces the value of a parser key.
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.values
            .entry(key)
            .or_insert_with(|| (String::new(), 0))
            .0 = value.to_string();
    }

    /// An integer key, or its default.
    pub fn int(&self, key: &str) -> i32 {
        self.text_or_default(key).parse().unwrap_or(0)
    }

    /// A boolean key, or its default.
    pub fn bool(&self, key: &str) -> bool {
        self.text_or_default(key).eq_ignore_ascii_case("true")
    }

    /// A text key, or its default.
    pub fn text_or_default(&self, key: &str) -> &str {
        self.text(key)
            .unwrap_or_else(|| keys::by_cfg(key).map_or("", |row| row.default))
    }

    /// A boolean key, else its property, else its default.
    pub fn bool_or_property(&self, key: &str, properties: &BTreeMap<String, String>) -> bool {
        let property = || {
            properties
                .get(&format!("zookeeper.{key}"))
                .map(String::as_str)
        };
        let text = self.text(key).or_else(property);
        text.unwrap_or_else(|| self.text_or_default(key))
            .eq_ignore_ascii_case("true")
    }
}

/// `server.*`, `group*` and `weight*`, by the tests that class QuorumPeerConfig makes.
pub(super) fn is_member_key(key: &str) -> bool {
    key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight")
}

fn check(row: &Row, key: &str, value: &str) -> Result<(), ConfigError> {
    match key {
        "electionAlg" if parse_int(value)? != 3 => {
            return Err(ConfigError::direct(
                "Invalid electionAlg value. Only 3 is supported.",
            ));
        }
        "peerType" => return parse_role(value).map(drop),
        "autopurge.purgeInterval" => return parse_purge_interval_ms(value).map(drop),
        // Strings for the provider: it judges them.
        _ if key.starts_with("metricsProvider.") => return Ok(()),
        _ => {}
    }
    match row.kind {
        Kind::Bool => parse_bool(key, value).map(drop),
        Kind::Int => parse_int(value).map(drop),
        Kind::Long => parse_long(value).map(drop),
        _ => Ok(()),
    }
}
