//! One `server.N` line: grammar and canonical text (class QuorumPeer.QuorumServer).

use super::error::ConfigError;
use super::settings::{PeerType, java_ipv6};
use std::net::{IpAddr, Ipv6Addr};

const WRONG_FORMAT: &str = " does not have the form server_config or server_config;client_config \
     where server_config is the pipe separated list of host:port:port or host:port:port:type \
     and client_config is port or host:port";

/// A host, not yet resolved, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Name or IP literal; IPv6 without brackets, spelled out as Java prints it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// One of the addresses peers reach a server at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAddr {
    /// Name or IP literal; IPv6 without brackets, spelled out as Java prints it.
    pub host: String,
    /// Port the leader listens on for learners.
    pub quorum_port: u16,
    /// Port for leader election.
    pub election_port: u16,
}

/// A member of the ensemble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumServer {
    /// Server id, N of `server.N`.
    pub id: i64,
    /// Addresses for peers, sorted by host, at least one.
    pub addresses: Vec<PeerAddr>,
    /// Host named last in the line: the name that SASL and TLS check.
    pub hostname: String,
    /// Participant or observer.
    pub role: PeerType,
    /// Address for clients, when the line has one or the static file gives it.
    pub client: Option<HostPort>,
    /// The client address came from `clientPort` of the static file, so the text leaves it out.
    pub client_from_static: bool,
    /// Address for TLS clients (3.10).
    pub secure_client: Option<HostPort>,
}

impl QuorumServer {
    /// Parses the value of `server.<id>`. Several addresses need `multi_address`.
    ///
    /// # Errors
    /// A [`ConfigError`] with Apache's words for each way a line can be wrong.
    pub fn parse(id: i64, text: &str, multi_address: bool) -> Result<QuorumServer, ConfigError> {
        // Differs: blanks around the parts are dropped, where Java fails on `3888 `.
        let text = text.trim();
        let parts = java_split(text, ';');
        if parts.len() > 3 {
            return Err(wrong_format(text));
        }
        let peers = parts.first().copied().unwrap_or("");
        let client = match parts.get(1) {
            // `;;host:port` names a secure address alone.
            Some(part) if part.trim().is_empty() && parts.len() == 3 => None,
            Some(part) => Some(client_address(text, part)?),
            None => None,
        };
        let secure_client = parts
            .get(2)
            .map(|part| client_address(text, part))
            .transpose()?;
        let alternatives = java_split(peers, '|');
        if alternatives.len() > 1 && !multi_address {
            return Err(ConfigError::direct(format!(
                "Multiple address feature is disabled, but multiple addresses were specified for \
                 sid {id}"
            )));
        }
        let mut server = QuorumServer {
            id,
            addresses: Vec::new(),
            hostname: String::new(),
            role: PeerType::Participant,
            client,
            client_from_static: false,
            secure_client,
        };
        let mut role = None;
        for alternative in alternatives {
            server.add_alternative(text, alternative, &mut role)?;
        }
        if server.addresses.is_empty() {
            return Err(wrong_format(text));
        }
        server.role = role.unwrap_or(PeerType::Participant);
        server.addresses.sort();
        server.addresses.dedup();
        Ok(server)
    }

    fn add_alternative(
        &mut self,
        line: &str,
        text: &str,
        role: &mut Option<PeerType>,
    ) -> Result<(), ConfigError> {
        let parts = host_and_ports(text.trim(), line)?;
        let (host, quorum, election, role_text) = match parts.as_slice() {
            [host, quorum, election] => (host, quorum, election, None),
            [host, quorum, election, role] => (host, quorum, election, Some(role)),
            _ => return Err(wrong_format(line)),
        };
        let quorum_port = port(host, quorum)?;
        let election_port = port(host, election)?;
        if quorum_port == election_port {
            return Err(ConfigError::direct(format!(
                "Client and election port must be different! Please update the configuration file \
                 on server.{}",
                self.id
            )));
        }
        if let Some(text) = role_text {
            let found = parse_role(text)?;
            let first = *role.get_or_insert(found);
            if first != found {
                return Err(ConfigError::direct(format!(
                    "Multiple addresses should have similar roles: {} vs {}",
                    role_name(first),
                    role_name(found)
                )));
            }
        }
        let host = canonical_host(host).ok_or_else(|| wrong_format(line))?;
        self.hostname.clone_from(&host);
        self.addresses.push(PeerAddr {
            host,
            quorum_port,
            election_port,
        });
        Ok(())
    }

    /// The canonical value: what Apache writes into files, znodes and packets.
    pub fn text(&self) -> String {
        let peers: Vec<String> = self
            .addresses
            .iter()
            .map(|a| {
                format!(
                    "{}:{}:{}",
                    delimited(&a.host),
                    a.quorum_port,
                    a.election_port
                )
            })
            .collect();
        let mut text = peers.join("|");
        text.push_str(match self.role {
            PeerType::Participant => ":participant",
            PeerType::Observer => ":observer",
        });
        let client = self.client.as_ref().filter(|_| !self.client_from_static);
        if let Some(client) = client {
            text.push_str(&format!(";{}:{}", delimited(&client.host), client.port));
        }
        if let Some(secure) = &self.secure_client {
            let gap = if client.is_none() { ";" } else { "" };
            text.push_str(&format!(
                "{gap};{}:{}",
                delimited(&secure.host),
                secure.port
            ));
        }
        text
    }

    /// Same member: id, role, peer addresses and client addresses (class QuorumServer, `equals`).
    pub fn same_as(&self, other: &QuorumServer) -> bool {
        self.id == other.id
            && self.role == other.role
            && self.addresses == other.addresses
            && self.client == other.client
            && self.secure_client == other.secure_client
    }
}

/// Parses a role word, any case, blanks dropped.
///
/// # Errors
/// `Unrecognised peertype: <text>`.
pub fn parse_role(text: &str) -> Result<PeerType, ConfigError> {
    match text.trim().to_lowercase().as_str() {
        "observer" => Ok(PeerType::Observer),
        "participant" => Ok(PeerType::Participant),
        _ => Err(ConfigError::direct(format!(
            "Unrecognised peertype: {text}"
        ))),
    }
}

/// Name of a role as Java's enum prints it.
pub fn role_name(role: PeerType) -> &'static str {
    match role {
        PeerType::Participant => "PARTICIPANT",
        PeerType::Observer => "OBSERVER",
    }
}

fn wrong_format(text: &str) -> ConfigError {
    ConfigError::direct(format!("{text}{WRONG_FORMAT}"))
}

fn client_address(line: &str, text: &str) -> Result<HostPort, ConfigError> {
    let parts = host_and_ports(text.trim(), line)?;
    // Java has no host yet when it complains about a lone port.
    let (host, named, port_text) = match parts.as_slice() {
        [port] => ("0.0.0.0", "null", port),
        [host, port] => (host.as_str(), host.as_str(), port),
        _ => return Err(wrong_format(line)),
    };
    let port = port(named, port_text)?;
    let host = canonical_host(host).ok_or_else(|| wrong_format(line))?;
    Ok(HostPort { host, port })
}

/// Splits `host:a:b`, where an IPv6 host stands in brackets (class ConfigUtils).
fn host_and_ports(text: &str, line: &str) -> Result<Vec<String>, ConfigError> {
    let Some(rest) = text.strip_prefix('[') else {
        return Ok(java_split(text, ':')
            .into_iter()
            .map(str::to_string)
            .collect());
    };
    let Some((host, rest)) = rest.split_once(']') else {
        let cause = format!("{text} starts with '[' but has no matching ']:'");
        return Err(ConfigError::direct(cause));
    };
    let mut parts = vec![host.to_string()];
    if rest == ":" {
        return Err(ConfigError::direct(format!(
            "{text} doesn't have a port after colon"
        )));
    }
    match rest.strip_prefix(':') {
        Some(ports) => parts.extend(java_split(ports, ':').into_iter().map(str::to_string)),
        None if rest.is_empty() => {}
        // Differs: Java skips whatever character follows the bracket.
        None => return Err(wrong_format(line)),
    }
    Ok(parts)
}

fn port(host: &str, text: &str) -> Result<u16, ConfigError> {
    let text = text.trim();
    let number: i32 = text
        .parse()
        .map_err(|_| ConfigError::direct(format!("Address unresolved: {host}:{text}")))?;
    u16::try_from(number).map_err(|_| ConfigError::illegal(format!("port out of range:{number}")))
}

/// IP literals in Java's spelling; names as they are; nothing is the loopback.
///
/// Differs: a host that could not be written back (blanks, brackets, backslashes) is refused, where
/// Java takes it and fails to resolve it for ever.
fn canonical_host(host: &str) -> Option<String> {
    let host = host.trim();
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '\\');
    if host.contains(odd) {
        return None;
    }
    if host.is_empty() {
        return Some("localhost".to_string());
    }
    let (address, zone) = match host.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (host, None),
    };
    Some(match address.parse::<Ipv6Addr>() {
        Ok(v6) => match (IpAddr::V6(v6).to_canonical(), zone) {
            (IpAddr::V4(v4), None) => v4.to_string(),
            (_, None) => java_ipv6(v6),
            (_, Some(zone)) => format!("{}%{zone}", java_ipv6(v6)),
        },
        Err(_) => host.to_string(),
    })
}

fn delimited(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_string()
    }
}

/// `String.split` with one character: trailing empty parts are dropped.
pub(super) fn java_split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(separator).collect();
    if parts.len() > 1 {
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        QuorumServer::parse(1, text, true)
            .map(|s| s.text())
            .unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn canonical_texts() {
        let cases = [
            ("h:2888:3888", "h:2888:3888:participant"),
            ("h:2888:3888;2181", "h:2888:3888:participant;0.0.0.0:2181"),
            ("h:2888:3888:OBSERVER;c:2181", "h:2888:3888:observer;c:2181"),
            ("h:2888:3888: observer ", "h:2888:3888:observer"),
            ("h:2888:3888;", "h:2888:3888:participant"),
            (
                "[::1]:1:2;[::]:3",
                "[0:0:0:0:0:0:0:1]:1:2:participant;[0:0:0:0:0:0:0:0]:3",
            ),
            ("[::ffff:1.2.3.4]:1:2", "1.2.3.4:1:2:participant"),
            ("b:1:2|a:3:4", "a:3:4|b:1:2:participant"),
            ("a:1:2:observer|b:1:2:observer", "a:1:2|b:1:2:observer"),
            ("a:1:2;3;4", "a:1:2:participant;0.0.0.0:3;0.0.0.0:4"),
            (":1:2", "localhost:1:2:participant"),
            ("a:1:2;;s:4", "a:1:2:participant;;s:4"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
            assert_eq!(
                canonical(expected),
                expected,
                "canonical text is a fixed point"
            );
        }
    }

    #[test]
    fn wrong_lines() {
        for text in [
            "",
            ";",
            "h",
            "h:1",
            "h:1:2:participant:x",
            "a:1:2;b:3:4",
            "a:1:2;1;2;3",
        ] {
            let cause = canonical(text);
            assert!(cause.ends_with(WRONG_FORMAT), "{text}: {cause}");
        }
        let cases = [
            (
                "h:1:1",
                "Client and election port must be different! Please update the \
                       configuration file on server.1",
            ),
            ("h:x:1", "Address unresolved: h:x"),
            ("h:1:x", "Address unresolved: h:x"),
            ("h:1:2;x", "Address unresolved: null:x"),
            ("h:1:70000", "port out of range:70000"),
            ("h:1:2:boss", "Unrecognised peertype: boss"),
            ("[::1", "[::1 starts with '[' but has no matching ']:'"),
            ("[::1]:", "[::1]: doesn't have a port after colon"),
            (
                "a:1:2:observer|b:1:2:participant",
                "Multiple addresses should have similar roles: OBSERVER vs PARTICIPANT",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn several_addresses_need_the_switch() {
        let error = QuorumServer::parse(7, "a:1:2|b:1:2", false).unwrap_err();
        assert_eq!(
            error.cause(),
            "Multiple address feature is disabled, but multiple addresses were specified for sid 7"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_text_is_a_fixed_point(text in "[a-c0-9:;|\\[\\]. %é-]{0,40}") {
            if let Ok(server) = QuorumServer::parse(1, &text, true) {
                let again = QuorumServer::parse(1, &server.text(), true).unwrap();
                prop_assert_eq!(again.text(), server.text());
            }
        }
    }
}
