//! Configuration: zoo.cfg, system properties and arguments become one typed [`Config`].
//!
//! Pure: files and names are looked up through [`ReadFile`], the environment through a closure, and
//! what should be logged is returned as [`Message`]s. Follows classes QuorumPeerConfig, ServerConfig and
//! QuorumPeerMain of Apache ZooKeeper.

pub mod args;
pub mod ensemble;
pub mod error;
pub mod exit;
pub mod keys;
mod listen_addr;
mod load;
#[cfg(test)]
mod load_tests;
mod membership;
pub mod properties;
pub mod server_line;
pub mod settings;
mod static_file;
mod system;
mod system_auth;
pub mod value;

pub use args::{Invocation, ServerArgs};
pub use ensemble::Ensemble;
pub use error::{ConfigError, StartFailure};
pub use exit::ExitCode;
pub use settings::*;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// What loading needs from outside: the caller does the I/O.
pub trait ReadFile {
    /// The content of a file. `NotFound` (and `IsADirectory`) mean that there is no such file.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The first address of a host name (IP literals are handled before this is asked).
    ///
    /// # Errors
    /// Whatever the resolver says.
    fn resolve(&self, host: &str) -> io::Result<IpAddr>;
}

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Severity of a [`Message`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the configuration is.
    Info,
    /// Something will not be as its author expects.
    Warn,
    /// Wrong, but Apache starts all the same.
    Error,
}

/// A line to log once logging works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Severity.
    pub level: Level,
    /// Text; never a secret.
    pub text: String,
}

/// Where the configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// No file and no port: loopback, port 2181, `./data`.
    Defaults,
    /// A zoo.cfg.
    File(PathBuf),
    /// `<port> <dataDir> [tick [connections]]`.
    Arguments,
}

/// Alone or in an ensemble (class QuorumPeerConfig, `isDistributed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One server, a quorum of one.
    Standalone,
    /// The quorum stack runs.
    Distributed,
}

/// Everything the server was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it came from.
    pub source: Source,
    /// Text of zoo.cfg as it was read (admin `initial_configuration`); empty without a file.
    pub initial_text: String,
    /// Effective system properties (admin `system_properties`).
    pub system_properties: BTreeMap<String, String>,
    /// What to log, in order.
    pub messages: Vec<Message>,
    /// Alone or in an ensemble.
    pub mode: Mode,
    /// Content of `myid`, when the file is there.
    pub server_id: Option<i64>,
    /// Members of the static or the dynamic file; empty for a plain standalone server.
    pub ensemble: Ensemble,
    /// Members of `<zoo.cfg>.dynamic.next`: proposed, not known to be committed.
    pub last_seen_ensemble: Option<Ensemble>,
    /// Where clients connect.
    pub listeners: Listeners,
    /// Ticks and session time-outs.
    pub sessions: Sessions,
    /// Caps.
    pub limits: Limits,
    /// Token bucket on session creation.
    pub connection_throttle: ConnectionThrottle,
    /// Request throttler.
    pub request_throttle: RequestThrottle,
    /// What the tree and the request checks allow.
    pub features: Features,
    /// Directories, logs and snapshots.
    pub storage: Storage,
    /// Authentication.
    pub auth: Auth,
    /// AdminServer.
    pub admin: Admin,
    /// Metrics.
    pub metrics: Metrics,
    /// Four-letter words.
    pub words: FourLetterWords,
    /// Audit log.
    pub audit: Audit,
    /// Logging.
    pub logging: Logging,
    /// Peers.
    pub quorum: Quorum,
}

impl Config {
    /// Loads the configuration that `args` name.
    ///
    /// Precedence of a system property, weakest first: `SERVER_JVMFLAGS`, `JVMFLAGS`, `-D` of our command
    /// line, zoo.cfg. A zoo.cfg line that Apache's server would not see (a property without the
    /// `zookeeper.` prefix, or one spelled with it) is taken too, but yields to a `-D`.
    ///
    /// # Errors
    /// The first thing wrong, with Apache's words and exit code.
    pub fn load(
        args: &ServerArgs,
        env: Environment<'_>,
        files: &dyn ReadFile,
    ) -> Result<Config, ConfigError> {
        load::load(args, env, files)
    }

    /// An effective system property, by its full name.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.system_properties.get(name).map(String::as_str)
    }

    /// Messages of level WARN and above.
    pub fn warnings(&self) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(|message| message.level != Level::Info)
    }
}
