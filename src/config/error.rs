//! Why a start fails: the words people search for, the place in the file, and the exit code.

use super::exit::ExitCode;
use std::fmt;

/// Usage line of ZooKeeperServerMain, printed for wrong arguments.
pub const USAGE: &str =
    "Usage: ZooKeeperServerMain configfile | port datadir [ticktime] [maxcnxns]";

/// How Apache reports the failure; decides head line, exception lines and exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// A ConfigException with the text itself.
    Direct,
    /// A ConfigException `Error processing <file>` caused by an exception of this class.
    Wrapped(&'static str),
    /// An IllegalArgumentException about the arguments, or found while the server is built.
    Arguments,
    /// Any other exception of this class, with the exit code 1.
    Unexpected(&'static str),
}

/// A configuration the server does not start with.
///
/// `Display` gives one line with file, line and key; [`ConfigError::headline`] and
/// [`ConfigError::exception_lines`] give what Apache prints (class QuorumPeerMain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    shape: Shape,
    text: String,
    file: Option<String>,
    line: Option<usize>,
    key: Option<String>,
}

impl ConfigError {
    /// `ConfigException: <text>`.
    pub fn direct(text: impl Into<String>) -> ConfigError {
        ConfigError::new(Shape::Direct, text.into())
    }

    /// `IllegalArgumentException: <text>` wrapped as `Error processing <file>`.
    pub fn illegal(text: impl Into<String>) -> ConfigError {
        ConfigError::wrapped("java.lang.IllegalArgumentException", text)
    }

    /// `NumberFormatException: For input string: "<value>"`, wrapped.
    pub fn not_a_number(value: &str) -> ConfigError {
        let text = format!("For input string: \"{value}\"");
        ConfigError::wrapped("java.lang.NumberFormatException", text)
    }

    /// Any exception class, wrapped as `Error processing <file>`.
    pub fn wrapped(class: &'static str, text: impl Into<String>) -> ConfigError {
        ConfigError::new(Shape::Wrapped(class), text.into())
    }

    /// Wrong arguments, or settings refused while the server is built; exit 2 with the usage.
    pub fn arguments(text: impl Into<String>) -> ConfigError {
        ConfigError::new(Shape::Arguments, text.into())
    }

    /// A failure that ends with exit code 1.
    pub fn unexpected(class: &'static str, text: impl Into<String>) -> ConfigError {
        ConfigError::new(Shape::Unexpected(class), text.into())
    }

    fn new(shape: Shape, text: String) -> ConfigError {
        ConfigError {
            shape,
            text,
            file: None,
            line: None,
            key: None,
        }
    }

    /// Names the file, unless one is named already.
    #[must_use]
    pub fn in_file(mut self, file: &str) -> ConfigError {
        self.file.get_or_insert_with(|| file.to_string());
        self
    }

    /// Names key and line, unless they are named already.
    #[must_use]
    pub fn at_key(mut self, key: &str, line: usize) -> ConfigError {
        if self.key.is_none() {
            self.key = Some(key.to_string());
            self.line = (line > 0).then_some(line);
        }
        self
    }

    /// True for what Apache throws as a ConfigException itself.
    pub fn is_direct(&self) -> bool {
        self.shape == Shape::Direct
    }

    /// The cause, in Apache's words.
    pub fn cause(&self) -> &str {
        &self.text
    }

    /// File the failure is about.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// Line in that file, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// Key the failure is about.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        match self.shape {
            Shape::Unexpected(_) => ExitCode::UnexpectedError,
            Shape::Direct | Shape::Wrapped(_) | Shape::Arguments => ExitCode::InvalidInvocation,
        }
    }

    /// Message of the ERROR log line.
    pub fn headline(&self) -> &'static str {
        match self.shape {
            Shape::Direct | Shape::Wrapped(_) => "Invalid config, exiting abnormally",
            Shape::Arguments => "Invalid arguments, exiting abnormally",
            Shape::Unexpected(_) => "Unexpected exception, exiting abnormally",
        }
    }

    /// What goes to standard error besides the log; empty when Apache prints nothing there.
    pub fn stderr_line(&self) -> &'static str {
        match self.shape {
            Shape::Direct | Shape::Wrapped(_) => self.headline(),
            Shape::Arguments => USAGE,
            Shape::Unexpected(_) => "",
        }
    }

    /// The lines after the ERROR line, as a Java stack trace without its frames.
    pub fn exception_lines(&self) -> Vec<String> {
        const CONFIG: &str = "org.apache.zookeeper.server.quorum.QuorumPeerConfig$ConfigException";
        match self.shape {
            Shape::Direct => vec![format!("{CONFIG}: {}", self.text)],
            Shape::Wrapped(class) => vec![
                format!(
                    "{CONFIG}: Error processing {}",
                    self.file.as_deref().unwrap_or("")
                ),
                format!("Caused by: {class}: {}", self.text),
            ],
            Shape::Arguments => {
                vec![format!("java.lang.IllegalArgumentException: {}", self.text)]
            }
            Shape::Unexpected(class) => vec![format!("{class}: {}", self.text)],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            write!(f, " ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        write!(f, "{}", self.text)
    }
}

impl std::error::Error for ConfigError {}

/// Failures to start that are found after the configuration: their words and codes, in one place.
/// The part of the server that meets one builds it; `main` prints it and exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFailure {
    /// A data directory is missing and `datadir.autocreate` is off.
    MissingDataDirectory(String),
    /// A data directory cannot be created.
    UnableToCreateDataDirectory(String),
    /// The log directory is not writable.
    CannotWriteToDataDirectory(String),
    /// The snapshot directory is not writable.
    CannotWriteToSnapDirectory(String),
    /// `dataLogDir` holds snapshots while it differs from `dataDir`.
    LogDirectoryHasSnapshots,
    /// `dataDir` holds logs while it differs from `dataLogDir`.
    SnapDirectoryHasLogs,
    /// Logs without any snapshot.
    NoSnapshotButLogs,
    /// The AdminServer port is taken: address, port, command URL.
    AdminPortBusy(String, u16, String),
    /// The client port is taken or cannot be bound: reason of the system.
    ClientPortBusy(String),
    /// The metrics endpoint cannot be opened: class of the provider.
    MetricsPortBusy(String),
    /// The election port cannot be bound after all retries: address.
    ElectionPortBusy(String),
}

impl StartFailure {
    /// The cause, in Apache's words.
    pub fn text(&self) -> String {
        match self {
            StartFailure::MissingDataDirectory(dir) => format!(
                "Missing data directory {dir}, automatic data directory creation is disabled \
                 (zookeeper.datadir.autocreate is false). Please create this directory manually."
            ),
            StartFailure::UnableToCreateDataDirectory(dir) => {
                format!("Unable to create data directory {dir}")
            }
            StartFailure::CannotWriteToDataDirectory(dir) => {
                format!("Cannot write to data directory {dir}")
            }
            StartFailure::CannotWriteToSnapDirectory(dir) => {
                format!("Cannot write to snap directory {dir}")
            }
            StartFailure::LogDirectoryHasSnapshots => {
                "Log directory has snapshot files. Check if dataLogDir and dataDir configuration is \
                 correct."
                    .to_string()
            }
            StartFailure::SnapDirectoryHasLogs => {
                "Snapshot directory has log files. Check if dataLogDir and dataDir configuration is \
                 correct."
                    .to_string()
            }
            StartFailure::NoSnapshotButLogs => {
                "No snapshot found, but there are log entries. Something is broken!".to_string()
            }
            StartFailure::AdminPortBusy(address, port, url) => format!(
                "Problem starting AdminServer on address {address}, port {port} and command URL \
                 {url}"
            ),
            StartFailure::ClientPortBusy(reason) => reason.clone(),
            StartFailure::MetricsPortBusy(class) => format!("Cannot boot MetricsProvider {class}"),
            StartFailure::ElectionPortBusy(address) => {
                format!("Exception while listening to address {address}")
            }
        }
    }

    /// Message of the ERROR log line before the cause.
    pub fn headline(&self) -> &'static str {
        match self.exit_code() {
            ExitCode::UnableToAccessDatadir => "Unable to access datadir, exiting abnormally",
            ExitCode::ErrorStartingAdminServer => "Unable to start AdminServer, exiting abnormally",
            _ => "Unexpected exception, exiting abnormally",
        }
    }

    /// Class of the Java exception, for logs that people compare.
    pub fn class(&self) -> &'static str {
        match self {
            StartFailure::MissingDataDirectory(_)
            | StartFailure::UnableToCreateDataDirectory(_)
            | StartFailure::CannotWriteToDataDirectory(_)
            | StartFailure::CannotWriteToSnapDirectory(_) => {
                "org.apache.zookeeper.server.persistence.FileTxnSnapLog$DatadirException"
            }
            StartFailure::LogDirectoryHasSnapshots => {
                "org.apache.zookeeper.server.persistence.FileTxnSnapLog$LogDirContentCheckException"
            }
            StartFailure::SnapDirectoryHasLogs => {
                "org.apache.zookeeper.server.persistence.FileTxnSnapLog$SnapDirContentCheckException"
            }
            StartFailure::AdminPortBusy(..) => {
                "org.apache.zookeeper.server.admin.AdminServer$AdminServerException"
            }
            StartFailure::ClientPortBusy(_) | StartFailure::ElectionPortBusy(_) => {
                "java.net.BindException"
            }
            StartFailure::NoSnapshotButLogs | StartFailure::MetricsPortBusy(_) => {
                "java.io.IOException"
            }
        }
    }

    /// Exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            StartFailure::MissingDataDirectory(_)
            | StartFailure::UnableToCreateDataDirectory(_)
            | StartFailure::CannotWriteToDataDirectory(_)
            | StartFailure::CannotWriteToSnapDirectory(_) => ExitCode::UnableToAccessDatadir,
            StartFailure::AdminPortBusy(..) => ExitCode::ErrorStartingAdminServer,
            StartFailure::ElectionPortBusy(_) => ExitCode::UnableToBindQuorumPort,
            StartFailure::LogDirectoryHasSnapshots
            | StartFailure::SnapDirectoryHasLogs
            | StartFailure::NoSnapshotButLogs
            | StartFailure::ClientPortBusy(_)
            | StartFailure::MetricsPortBusy(_) => ExitCode::UnexpectedError,
        }
    }
}

impl fmt::Display for StartFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text())
    }
}

impl std::error::Error for StartFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_file_line_and_key() {
        let error = ConfigError::not_a_number("abc")
            .at_key("clientPort", 3)
            .in_file("zoo.cfg");
        assert_eq!(
            error.to_string(),
            "zoo.cfg:3: clientPort: For input string: \"abc\""
        );
        assert_eq!(error.exit_code(), ExitCode::InvalidInvocation);
        assert_eq!(error.stderr_line(), "Invalid config, exiting abnormally");
        assert_eq!(
            error.exception_lines()[1],
            "Caused by: java.lang.NumberFormatException: For input string: \"abc\""
        );
    }

    #[test]
    fn the_first_place_named_stays() {
        let error = ConfigError::direct("x")
            .at_key("a", 1)
            .at_key("b", 2)
            .in_file("f")
            .in_file("g");
        assert_eq!(
            (error.file(), error.line(), error.key()),
            (Some("f"), Some(1), Some("a"))
        );
    }
}
