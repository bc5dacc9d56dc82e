//! What can go wrong with the files, said precisely: file, offset, zxid.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Zxid;

use super::recover::OVERRIDE_PROPERTY;

/// A failure of the store. Nothing here is retried: the server stops, or does not start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {what} {path}: {source}", path = path.display())]
    Io {
        /// The verb: "read", "sync", ...
        what: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No room on the device, or a quota is used up.
    #[error("No space left on device: cannot {what} {path}", path = path.display())]
    NoSpace {
        /// The verb.
        what: &'static str,
        /// File or directory.
        path: PathBuf,
    },
    /// The log failed before; what was not acknowledged then never will be.
    #[error("the transaction log is closed after an earlier failure: {0}")]
    Poisoned(String),
    /// Bytes that were written once are not what they were.
    #[error(
        "{path} is damaged at offset {offset}, behind zxid {last}: {why}. Acknowledged \
         transactions may lie behind it, so the server does not start. Restore the file, or start \
         once with -D{OVERRIDE_PROPERTY}=true to give up everything from there on",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// First byte that is wrong.
        offset: u64,
        /// Last transaction before it.
        last: Zxid,
        /// What is wrong.
        why: String,
    },
    /// The logs do not continue.
    #[error(
        "{path}: transaction {found} at offset {offset} does not follow {last}{hint}. Transactions \
         between them are missing, so the server does not start. Restore the missing log, or start \
         once with -D{OVERRIDE_PROPERTY}=true to give up everything behind {last}",
        path = path.display()
    )]
    Gap {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// What is there.
        found: Zxid,
        /// What it should follow.
        last: Zxid,
        /// Where the log before it ended early, if it did.
        hint: String,
    },
    /// Apache's words; see `recover`.
    #[error("No snapshot found, but there are log entries. Something is broken! ({0})")]
    NoSnapshot(String),
    /// Snapshots exist and none is whole.
    #[error("Not able to find valid snapshots in {path}: {tried}", path = path.display())]
    NoValidSnapshot {
        /// The snapshot directory.
        path: PathBuf,
        /// Each file and what is wrong with it.
        tried: String,
    },
    /// A rule about the directories themselves (Apache: `DatadirException` and its kin).
    #[error("{0}")]
    DataDir(String),
    /// Another server uses the directory.
    #[error("{path} is locked by another server", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// An epoch file is unreadable or contradicts the database.
    #[error("{0}")]
    Epoch(String),
    /// A file that must not exist yet does.
    #[error("{path} exists already and is not ours to replace", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The log was asked to do what its owner must not ask.
    #[error("{0}")]
    Invalid(String),
    /// The tree would not take a transaction.
    #[error("{path}: transaction {zxid} at offset {offset} cannot be applied: {why}", path = path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// Its zxid.
        zxid: Zxid,
        /// The tree's words.
        why: String,
    },
}

impl StoreError {
    /// Wraps an error of the operating system.
    pub fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { what, path }
            }
            _ => Self::Io { what, path, source },
        }
    }

    /// The exit code Apache would leave with (`ExitCode`): 3 for the data directory, else 1.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::DataDir(_) | Self::Locked { .. } => 3,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_kind() {
        let full = io::Error::from_raw_os_error(28);
        let e = StoreError::io("extend", Path::new("/d/log.1"), full);
        assert!(matches!(e, StoreError::NoSpace { .. }), "{e:?}");
        assert_eq!(
            e.to_string(),
            "No space left on device: cannot extend /d/log.1"
        );
    }
}
