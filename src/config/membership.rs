//! Who is in the ensemble, who this server is in it, and whether there is one at all.

use super::ensemble::{Ensemble, version_from_file_name};
use super::error::ConfigError;
use super::load::{Basis, resolve, warn};
use super::properties::Properties;
use super::server_line::{HostPort, QuorumServer, parse_role, role_name};
use super::settings::{ListenAddr, PeerType};
use super::{Level, Message, Mode, ReadFile};
use std::io::ErrorKind;
use std::path::Path;

/// The outcome.
pub(super) struct Membership {
    pub mode: Mode,
    pub server_id: Option<i64>,
    pub ensemble: Ensemble,
    pub last_seen: Option<Ensemble>,
    pub peer_type: PeerType,
}

impl Membership {
    /// No members at all.
    pub fn standalone() -> Membership {
        Membership {
            mode: Mode::Standalone,
            server_id: None,
            ensemble: Ensemble::empty(),
            last_seen: None,
            peer_type: PeerType::Participant,
        }
    }
}

/// Reads the members from zoo.cfg or from its dynamic file, then `myid`, and checks them against each
/// other (class QuorumPeerConfig, `setupQuorumPeerConfig`).
pub(super) fn load(
    path: &str,
    basis: &mut Basis,
    multi_address: bool,
    files: &dyn ReadFile,
    messages: &mut Vec<Message>,
) -> Result<Membership, ConfigError> {
    let Some(dynamic) = basis.file.text("dynamicConfigFile").map(str::to_string) else {
        let ensemble = Ensemble::from_properties(&basis.file.text, false, multi_address)?;
        return settle(basis, ensemble, files, messages);
    };
    let ensemble = dynamic_file(&dynamic, multi_address, files)?;
    let mut membership =
        settle(basis, ensemble, files, messages).map_err(|error| error.in_file(&dynamic))?;
    // With reconfigEnabled=false "last seen" is ignored (ZOOKEEPER-3829).
    if basis.file.bool("reconfigEnabled") {
        membership.last_seen = next_file(path, multi_address, files, messages)?;
    }
    Ok(membership)
}

fn dynamic_file(
    name: &str,
    multi_address: bool,
    files: &dyn ReadFile,
) -> Result<Ensemble, ConfigError> {
    let read = || -> Result<Ensemble, ConfigError> {
        let bytes = files
            .read(name.as_ref())
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => ConfigError::wrapped(
                    "java.io.FileNotFoundException",
                    format!("{name} (No such file or directory)"),
                ),
                _ => ConfigError::wrapped("java.io.IOException", format!("{name} ({error})")),
            })?;
        let text = Properties::parse_bytes(&bytes)?;
        if let Some(entry) = text.get("version") {
            let error = ConfigError::direct("dynamic file shouldn't have version inside");
            return Err(error.at_key("version", entry.line));
        }
        Ensemble::from_properties(&text, true, multi_address)
    };
    let mut ensemble = read().map_err(|error| error.in_file(name))?;
    ensemble.version = version_from_file_name(name).unwrap_or(0);
    Ok(ensemble)
}

fn next_file(
    path: &str,
    multi_address: bool,
    files: &dyn ReadFile,
    messages: &mut Vec<Message>,
) -> Result<Option<Ensemble>, ConfigError> {
    let name = format!("{path}.dynamic.next");
    match files.read(name.as_ref()) {
        Ok(bytes) => {
            let read = || {
                Ensemble::from_properties(&Properties::parse_bytes(&bytes)?, false, multi_address)
            };
            read().map(Some).map_err(|error| error.in_file(&name))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(_) => {
            warn(messages, "NextQuorumVerifier is initiated to null".into());
            Ok(None)
        }
    }
}

fn settle(
    basis: &mut Basis,
    mut ensemble: Ensemble,
    files: &dyn ReadFile,
    messages: &mut Vec<Message>,
) -> Result<Membership, ConfigError> {
    let standalone_enabled = basis.file.bool("standaloneEnabled");
    let voters = ensemble.voters().count();
    check_members(
        voters,
        ensemble.observers().count(),
        standalone_enabled,
        messages,
    )?;
    let server_id = read_my_id(&basis.data_dir, files)?;
    if let Some(own) = server_id.and_then(|id| ensemble.members.get_mut(&id)) {
        client_addresses(basis, own, files)?;
    }
    let peer_type = peer_type(basis, &ensemble, server_id, messages)?;
    let mode = if !standalone_enabled || voters > 1 {
        Mode::Distributed
    } else {
        Mode::Standalone
    };
    if mode == Mode::Distributed {
        for key in ["initLimit", "syncLimit"] {
            if basis.file.int(key) == 0 {
                let error = ConfigError::illegal(format!("{key} is not set"));
                return Err(basis.file.at(key, error));
            }
        }
        let id = server_id.ok_or_else(|| ConfigError::illegal("myid file is missing"))?;
        if !ensemble.members.contains_key(&id) {
            let cause = format!("My id {id} not in the peer list");
            return Err(ConfigError::unexpected("java.lang.RuntimeException", cause));
        }
    }
    Ok(Membership {
        mode,
        server_id,
        ensemble,
        last_seen: None,
        peer_type,
    })
}

fn check_members(
    voters: usize,
    observers: usize,
    standalone_enabled: bool,
    messages: &mut Vec<Message>,
) -> Result<(), ConfigError> {
    if voters == 0 {
        if !standalone_enabled {
            return Err(ConfigError::illegal(
                "standaloneEnabled = false then number of participants should be >0",
            ));
        }
        if observers > 0 {
            let cause = "Observers w/o participants is an invalid configuration";
            return Err(ConfigError::illegal(cause));
        }
    } else if voters == 1 && standalone_enabled {
        messages.push(Message {
            level: Level::Error,
            text: "Invalid configuration, only one server specified (ignoring)".into(),
        });
        if observers > 0 {
            return Err(ConfigError::illegal(
                "Observers w/o quorum is an invalid configuration",
            ));
        }
    } else if voters <= 2 {
        let text = "No server failure will be tolerated. You need at least 3 servers.";
        warn(messages, text.into());
    } else if voters.is_multiple_of(2) {
        let text = "Non-optimal configuration, consider an odd number of servers.";
        warn(messages, text.into());
    }
    Ok(())
}

/// First line of `<dataDir>/myid`. A standalone server needs none.
fn read_my_id(data_dir: &Path, files: &dyn ReadFile) -> Result<Option<i64>, ConfigError> {
    let path = data_dir.join("myid");
    let bytes = match files.read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory) => {
            return Ok(None);
        }
        // A path through something that is no directory holds no file either.
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(None),
        Err(error) => {
            let cause = format!("{} ({error})", path.display());
            return Err(ConfigError::wrapped("java.io.IOException", cause));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    // An empty file has no first line: Java then speaks of null.
    let line = if text.is_empty() {
        "null"
    } else {
        text.split(['\n', '\r']).next().unwrap_or("")
    };
    match line.parse() {
        Ok(id) => Ok(Some(id)),
        Err(_) => Err(ConfigError::illegal(format!(
            "serverid {line} is not a number"
        ))),
    }
}

/// The client address of the own line against the one of zoo.cfg.
fn client_addresses(
    basis: &mut Basis,
    own: &mut QuorumServer,
    files: &dyn ReadFile,
) -> Result<(), ConfigError> {
    let Some(line) = own.client.clone() else {
        if let Some(client) = &basis.client {
            own.client = Some(HostPort {
                host: host_text(client),
                port: client.port,
            });
            own.client_from_static = true;
        }
        return secure_address(basis, own, files);
    };
    let found = line_address(&line, files)?;
    if let Some(client) = &basis.client {
        let any = client.ip.is_unspecified();
        let same = client.port == found.port && (any || client.ip == found.ip);
        if !same {
            return Err(ConfigError::direct(format!(
                "client address for this server (id = {}) in static config file is {} is different \
                 from client address found in dynamic file: {}",
                own.id,
                client.java_text(),
                found.java_text()
            )));
        }
    }
    basis.client = Some(found);
    secure_address(basis, own, files)
}

/// 3.10: a secure client port in the own line.
fn secure_address(
    basis: &mut Basis,
    own: &QuorumServer,
    files: &dyn ReadFile,
) -> Result<(), ConfigError> {
    if let Some(secure) = &own.secure_client {
        basis.secure_client = Some(line_address(secure, files)?);
    }
    Ok(())
}

fn line_address(line: &HostPort, files: &dyn ReadFile) -> Result<ListenAddr, ConfigError> {
    // Java keeps the name unresolved and fails to bind later, with this exception and exit code 1.
    resolve(&line.host, line.port, files)
        .map_err(|_| ConfigError::unexpected("java.net.SocketException", "Unresolved address"))
}

fn host_text(address: &ListenAddr) -> String {
    address.host.clone().unwrap_or_else(|| match address.ip {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => super::settings::java_ipv6(ip),
    })
}

fn peer_type(
    basis: &Basis,
    ensemble: &Ensemble,
    server_id: Option<i64>,
    messages: &mut Vec<Message>,
) -> Result<PeerType, ConfigError> {
    let told = parse_role(basis.file.text_or_default("peerType"))?;
    let own = server_id.and_then(|id| ensemble.members.get(&id));
    let listed = own.map_or(PeerType::Participant, |own| own.role);
    if listed != told {
        warn(
            messages,
            format!(
                "Peer type from servers list ({}) doesn't match peerType ({}). Defaulting to servers list.",
                role_name(listed),
                role_name(told)
            ),
        );
    }
    Ok(listed)
}
