//! `dataDir` and `dataLogDir`: layout, creation, checks, lock (Apache: the constructor of
//! `FileTxnSnapLog`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::dir::list;
use crate::store::error::StoreError;
use crate::store::recover::Places;

use super::files::OsDir;
use super::snapshot_file::UNFINISHED;

/// The only directory below `dataDir` and `dataLogDir` that is ever looked at.
pub const VERSION_DIR: &str = "version-2";
/// The file that is locked. Apache has none: two of its servers on one directory go unnoticed.
pub const LOCK_FILE: &str = "zabra.lock";

/// How the directories are treated.
#[derive(Clone, Copy, Debug)]
pub struct DirOptions {
    /// `zookeeper.datadir.autocreate`.
    pub autocreate: bool,
}

impl Default for DirOptions {
    fn default() -> Self {
        Self { autocreate: true }
    }
}

/// Both directories, checked and locked until this is dropped.
#[derive(Debug)]
pub struct DataDirs {
    data_root: OsDir,
    log_root: OsDir,
    snap: OsDir,
    log: OsDir,
    /// Held for their locks.
    _locks: Vec<File>,
}

impl DataDirs {
    /// Creates what is missing, checks the rules, takes the lock, and removes unfinished snapshots
    /// of an earlier process. `log_dir` may be the same as `data_dir`.
    ///
    /// # Errors
    /// [`StoreError::DataDir`] in Apache's words, [`StoreError::Locked`], what the operating system
    /// says.
    pub fn open(data_dir: &Path, log_dir: &Path, options: DirOptions) -> Result<Self, StoreError> {
        let (log_path, snap_path) = (log_dir.join(VERSION_DIR), data_dir.join(VERSION_DIR));
        let log = ready(&log_path, "data", options)?;
        let snap = ready(&snap_path, "snap", options)?;
        let split = !same_dir(&snap_path, &log_path)?;
        let mut locks = vec![lock(&snap)?];
        if split {
            locks.push(lock(&log)?);
            refuse(&log, "snapshot.", "log", "snapshots")?;
            refuse(&snap, "log.", "snapshot", "log files")?;
        }
        let open = |p: &Path| OsDir::open(p).map_err(|e| StoreError::io("open", p, e));
        snap.remove_all(UNFINISHED)
            .map_err(|e| StoreError::io("clean up", &snap_path, e))?;
        Ok(Self {
            data_root: open(data_dir)?,
            log_root: open(log_dir)?,
            snap,
            log,
            _locks: locks,
        })
    }

    /// `dataDir`.
    pub fn data_root(&self) -> &OsDir {
        &self.data_root
    }

    /// `dataLogDir`.
    pub fn log_root(&self) -> &OsDir {
        &self.log_root
    }

    /// `dataDir/version-2`: snapshots, epoch files.
    pub fn snap(&self) -> &OsDir {
        &self.snap
    }

    /// `dataLogDir/version-2`: logs.
    pub fn log(&self) -> &OsDir {
        &self.log
    }

    /// For `recover`.
    pub fn places(&self) -> Places<'_> {
        Places {
            snap: &self.snap,
            log: &self.log,
            roots: [&self.data_root, &self.log_root],
        }
    }

    /// Bytes of the files on the snapshot and on the log side, as the `dirs` command shows them: real
    /// lengths, padding included; equal when the sides are one.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sizes(&self) -> Result<(u64, u64), StoreError> {
        Ok((size_of(&self.snap)?, size_of(&self.log)?))
    }
}

fn size_of(dir: &OsDir) -> Result<u64, StoreError> {
    Ok(list(dir)?
        .iter()
        .fold(0, |sum: u64, f| sum.saturating_add(f.len)))
}

/// Creates the directory if that is allowed and makes sure that files can be created in it.
fn ready(path: &Path, side: &str, options: DirOptions) -> Result<OsDir, StoreError> {
    if !path.is_dir() {
        if !options.autocreate {
            return Err(StoreError::DataDir(format!(
                "Missing {side} directory {}, automatic data directory creation is disabled \
                 (zookeeper.datadir.autocreate is false). Please create this directory manually.",
                path.display()
            )));
        }
        create(path).map_err(|e| {
            StoreError::DataDir(format!(
                "Unable to create {side} directory {}: {e}",
                path.display()
            ))
        })?;
    }
    let writable = rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if !writable {
        return Err(StoreError::DataDir(format!(
            "Cannot write to {side} directory {}",
            path.display()
        )));
    }
    OsDir::open(path).map_err(|e| StoreError::io("open", path, e))
}

/// Creates the directory and every missing one above it, durably.
fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
        .map(Path::to_path_buf)
        .collect();
    fs::create_dir_all(path)?;
    for made in missing.iter().rev() {
        let above = made.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn same_dir(a: &Path, b: &Path) -> Result<bool, StoreError> {
    let real = |p: &Path| fs::canonicalize(p).map_err(|e| StoreError::io("resolve", p, e));
    Ok(real(a)? == real(b)?)
}

/// The two sides must not hold each other's files (Apache: `LogDirContentCheckException`,
/// `SnapDirContentCheckException`).
fn refuse(dir: &OsDir, prefix: &str, side: &str, what: &str) -> Result<(), StoreError> {
    match list(dir)?.iter().find(|f| f.name.starts_with(prefix)) {
        None => Ok(()),
        Some(f) => Err(StoreError::DataDir(format!(
            "The {side} directory has {what}: {}. Check if dataLogDir and dataDir configuration is \
             correct.",
            dir.join(&f.name).display()
        ))),
    }
}

/// The lock ends with the process, however it ends; the file stays.
fn lock(dir: &OsDir) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let io = |e| StoreError::io("lock", &path, e);
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
        Err(fs::TryLockError::Error(e)) => Err(io(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(data: &Path, log: &Path) -> Result<DataDirs, StoreError> {
        DataDirs::open(data, log, DirOptions::default())
    }

    #[test]
    fn missing_directories_are_created_or_named() {
        let tmp = tempfile::tempdir().unwrap();
        let data = tmp.path().join("a/b");
        let off = DirOptions { autocreate: false };
        let e = DataDirs::open(&data, &data, off).unwrap_err();
        assert!(e.to_string().starts_with("Missing data directory "), "{e}");
        assert_eq!(e.exit_code(), 3);
        open(&data, &data).unwrap();
        assert!(data.join("version-2").is_dir());
        DataDirs::open(&data, &data, off).unwrap();
    }

    #[test]
    fn one_server_at_a_time() {
        let tmp = tempfile::tempdir().unwrap();
        let first = open(tmp.path(), tmp.path()).unwrap();
        let e = open(tmp.path(), tmp.path()).unwrap_err();
        assert!(matches!(e, StoreError::Locked { .. }), "{e}");
        drop(first);
        open(tmp.path(), tmp.path()).unwrap();
    }

    #[test]
    fn split_sides_must_not_hold_each_others_files() {
        let tmp = tempfile::tempdir().unwrap();
        let (data, log) = (tmp.path().join("data"), tmp.path().join("log"));
        open(&data, &log).unwrap();
        let stray = data.join("version-2/log.1");
        fs::write(&stray, b"").unwrap();
        let e = open(&data, &log).unwrap_err().to_string();
        assert!(e.starts_with("The snapshot directory has log files"), "{e}");
        open(&data, &data).unwrap();
        fs::remove_file(stray).unwrap();
        fs::write(log.join("version-2/snapshot.0"), b"").unwrap();
        let e = open(&data, &log).unwrap_err().to_string();
        assert!(e.starts_with("The log directory has snapshots"), "{e}");
    }

    #[test]
    fn unfinished_snapshots_go_and_sizes_are_file_lengths() {
        let tmp = tempfile::tempdir().unwrap();
        drop(open(tmp.path(), tmp.path()).unwrap());
        let dir = tmp.path().join(VERSION_DIR);
        fs::write(dir.join("new.snapshot.5"), b"half").unwrap();
        fs::write(dir.join("snapshot.4"), b"12345").unwrap();
        let dirs = open(tmp.path(), tmp.path()).unwrap();
        assert_eq!(dirs.sizes().unwrap(), (5, 5));
    }
}
