//! A real directory. Creating, renaming, cutting and deleting are durable when they return; Apache
//! leaves the directory unsynced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, SeekFrom};
use rustix::io::Errno;

use crate::store::dir::{Dir, FileInfo, ReadAt};

/// A directory, held open to be synced.
#[derive(Clone, Debug)]
pub struct OsDir {
    path: PathBuf,
    handle: Arc<File>,
}

impl OsDir {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let handle = Arc::new(File::open(&path)?);
        if !handle.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { path, handle })
    }

    /// Makes its names durable.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// The directory itself.
    pub(super) fn handle(&self) -> &File {
        &self.handle
    }

    /// The path of a file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Renames `from` to `to`, which must not exist.
    pub(super) fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.join(from), self.join(to));
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) if !to.try_exists()? => fs::rename(&from, &to)?,
            Err(Errno::INVAL | Errno::NOSYS) => return Err(io::ErrorKind::AlreadyExists.into()),
            other => other?,
        }
        self.sync()
    }

    /// Deletes the files whose names begin with `prefix`.
    pub(super) fn remove_all(&self, prefix: &str) -> io::Result<()> {
        for file in self.list()? {
            if file.name.starts_with(prefix) {
                self.remove(&file.name)?;
            }
        }
        Ok(())
    }
}

impl Dir for OsDir {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            match fs::metadata(entry.path()) {
                Ok(meta) if meta.is_file() => files.push(FileInfo {
                    name,
                    len: meta.len(),
                }),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(OsFile(File::open(self.join(name))?)))
    }

    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // A name that Apache would take for a log or a snapshot must not appear half written.
        let tmp = match name.starts_with("log.") || name.starts_with("snapshot.") {
            true => format!("new.{name}"),
            false => format!("{name}.tmp"),
        };
        let tmp_path = self.join(&tmp);
        let written = File::create(&tmp_path)
            .and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()))
            .and_then(|()| fs::rename(&tmp_path, self.join(name)));
        if let Err(e) = written {
            let _ = fs::remove_file(&tmp_path);
            return Err(e);
        }
        self.sync()
    }

    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.join(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.join(name))?;
        self.sync()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.join(from), self.join(to))?;
        self.sync()
    }
}

/// A file read with `pread`.
struct OsFile(File);

impl ReadAt for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.0, buf, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Skips holes and reserved blocks that were never written, so that padding costs no reading.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.0, SeekFrom::Data(offset)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                Ok((offset < self.0.metadata()?.len()).then_some(offset))
            }
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_replaced_whole() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        dir.write_atomic("currentEpoch", b"1").unwrap();
        dir.write_atomic("currentEpoch", b"22").unwrap();
        assert_eq!(dir.read_small("currentEpoch").unwrap().unwrap(), b"22");
        assert_eq!(dir.read_small("acceptedEpoch").unwrap(), None);
        assert_eq!(dir.list().unwrap().len(), 1);
    }

    #[test]
    fn a_name_in_use_is_not_renamed_over() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        dir.write_atomic("a", b"1").unwrap();
        dir.write_atomic("b", b"2").unwrap();
        let e = dir.rename_new("a", "b").unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
        dir.rename_new("a", "c").unwrap();
        assert_eq!(dir.read_small("b").unwrap().unwrap(), b"2");
    }

    #[test]
    fn holes_are_skipped() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let file = File::create(dir.join("f")).unwrap();
        file.set_len(1 << 22).unwrap();
        file.write_all_at(b"x", 1 << 21).unwrap();
        let f = dir.open("f").unwrap();
        let found = f.next_data(0).unwrap().unwrap();
        assert!(found <= 1 << 21);
        assert_eq!(f.len().unwrap(), 1 << 22);
        assert_eq!(f.next_data(1 << 22).unwrap(), None);
    }
}
