//! The files that dynamic reconfiguration writes beside zoo.cfg (Apache: `QuorumPeerConfig`:
//! `backupOldConfig`, `writeDynamicConfig`, `editStaticConfig`).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::base::ServerId;
use crate::config::properties::Properties;
use crate::config::{Config, Ensemble, Source};
use crate::zab::reconfig::Views;

/// zoo.cfg and what lies beside it. Failures are logged: a server whose configuration cannot be
/// written serves on, as Apache's does.
pub(super) struct ConfigFiles {
    /// None when the server was started without a file.
    path: Option<PathBuf>,
    me: ServerId,
}

impl ConfigFiles {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            path: match &config.source {
                Source::File(path) => Some(path.clone()),
                Source::Defaults | Source::Arguments => None,
            },
            me: ServerId(config.server_id.unwrap_or_default()),
        }
    }

    fn beside(&self, suffix: &str) -> Option<PathBuf> {
        let mut name = self.path.clone()?.into_os_string();
        name.push(suffix);
        Some(name.into())
    }

    /// Keeps zoo.cfg as it is before anything rewrites it.
    pub(super) fn backup(&self) {
        let (Some(path), Some(backup)) = (&self.path, self.beside(".bak")) else {
            return;
        };
        told(
            "backing up",
            fs::read(path).and_then(|b| replace(&backup, &b)),
        );
    }

    /// A configuration that is proposed: `zoo.cfg.dynamic.next`.
    pub(super) fn save_seen(&self, config: &Ensemble) {
        if let Some(next) = self.beside(".dynamic.next") {
            let text = config.next_file_text();
            told("writing the next", replace(&next, text.as_bytes()));
        }
    }

    /// A configuration that is committed: a dynamic file of its own, named in zoo.cfg.
    pub(super) fn activate(&self, views: &Views) {
        let config = &views.committed;
        let suffix = format!(".dynamic.{:x}", config.version);
        if let Some(dynamic) = self.beside(&suffix) {
            let text = config.dynamic_file_text();
            let written = replace(&dynamic, text.as_bytes());
            told(
                "writing the",
                written.and_then(|()| self.point_to(&dynamic, config)),
            );
        }
        if !views.is_changing()
            && let Some(next) = self.beside(".dynamic.next")
        {
            match fs::remove_file(&next) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => told("deleting the next", Err(e)),
                _ => {}
            }
        }
    }

    /// Rewrites zoo.cfg.
    fn point_to(&self, dynamic: &Path, config: &Ensemble) -> io::Result<()> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        let own = config.members.get(&self.me.0);
        let erase_client = own.is_some_and(|s| s.client.is_some() && !s.client_from_static);
        let dynamic = fs::canonicalize(dynamic)?;
        let bytes = fs::read(path)?;
        let text = rewritten(&bytes, &dynamic, erase_client)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        replace(path, text.as_bytes())
    }
}

/// zoo.cfg without its members, naming the dynamic file instead.
///
/// Differs: the lines keep their order, backslashes are kept, and `clientPortListenBacklog` stays
/// when the client port goes.
fn rewritten(bytes: &[u8], dynamic: &Path, erase_client: bool) -> Option<String> {
    let properties = Properties::parse_bytes(bytes).ok()?;
    let moved = [
        "server.",
        "group",
        "weight",
        "dynamicConfigFile",
        "peerType",
    ];
    let client = ["clientPort", "clientPortAddress"];
    let mut text = String::new();
    for entry in properties.iter() {
        let (key, value) = (entry.key.trim(), entry.value.trim());
        let goes =
            moved.iter().any(|m| key.starts_with(m)) || (erase_client && client.contains(&key));
        if !goes {
            text.push_str(&format!("{key}={}\n", value.replace('\\', "\\\\")));
        }
    }
    text.push_str(&format!("dynamicConfigFile={}\n", dynamic.display()));
    Some(text)
}

/// Writes a file in the place of the one there is, whole or not at all, durably.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(e) = written.and_then(|()| fs::rename(&temporary, path)) {
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn told(what: &str, done: io::Result<()>) {
    if let Err(e) = done {
        tracing::error!(target: "o.a.z.s.q.QuorumPeer", "Error {what} dynamic config file to disk: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATIC: &str = "# a comment\ntickTime = 2000\ndataDir=/d\nclientPort=2181\n\
        clientPortAddress=127.0.0.1\nclientPortListenBacklog=9\nserver.1=h:1:2\npeerType=observer\n\
        group.1=1\nweight.1=1\nreconfigEnabled=true\n";

    #[test]
    fn zoo_cfg_loses_its_members_and_names_the_dynamic_file() {
        let dynamic = Path::new("/c/zoo.cfg.dynamic.100000000");
        let kept = "tickTime=2000\ndataDir=/d\nclientPort=2181\nclientPortAddress=127.0.0.1\n\
            clientPortListenBacklog=9\nreconfigEnabled=true\n\
            dynamicConfigFile=/c/zoo.cfg.dynamic.100000000\n";
        assert_eq!(rewritten(STATIC.as_bytes(), dynamic, false).unwrap(), kept);
        let text = rewritten(STATIC.as_bytes(), dynamic, true).unwrap();
        let without = kept
            .replace("clientPort=2181\n", "")
            .replace("clientPortAddress=127.0.0.1\n", "");
        assert_eq!(text, without);
        let again = rewritten(text.as_bytes(), Path::new("/c/zoo.cfg.dynamic.2"), true).unwrap();
        assert_eq!(again, text.replace("dynamic.100000000", "dynamic.2"));
    }

    #[test]
    fn files_of_a_reconfiguration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zoo.cfg");
        fs::write(&path, STATIC).unwrap();
        let files = ConfigFiles {
            path: Some(path.clone()),
            me: ServerId(1),
        };
        files.backup();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("zoo.cfg.bak").unwrap(), STATIC);
        let of = |text: &str| Ensemble::parse(text, true).unwrap();
        let (old, new) = (
            of("server.1=h:1:2;3\nversion=100000000"),
            of("server.1=h:1:2;3\nserver.2=i:1:2;3\nversion=100000005"),
        );
        files.save_seen(&new);
        assert_eq!(
            read("zoo.cfg.dynamic.next").unwrap(),
            "server.1=h:1:2:participant;0.0.0.0:3\nserver.2=i:1:2:participant;0.0.0.0:3\n\
             version=100000005"
        );
        let mut views = Views::new(old, Some(new.clone()));
        files.activate(&views);
        assert_eq!(
            read("zoo.cfg.dynamic.100000000").unwrap(),
            "server.1=h:1:2:participant;0.0.0.0:3"
        );
        assert!(
            read("zoo.cfg.dynamic.next").is_some(),
            "it is still to come"
        );
        views.commit(new);
        files.activate(&views);
        assert!(read("zoo.cfg.dynamic.next").is_none());
        let text = read("zoo.cfg").unwrap();
        assert!(text.ends_with("zoo.cfg.dynamic.100000005\n"), "{text}");
        assert!(!text.contains("clientPort="));
    }
}
