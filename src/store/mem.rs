//! A directory in memory, for tests of this crate and of others.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use parking_lot::{Mutex, MutexGuard};

use super::dir::{Dir, FileInfo, ReadAt};

/// Files by name. Every change is durable at once.
#[derive(Debug, Default)]
pub struct MemDir {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemDir {
    /// A directory with these files.
    pub fn with(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self {
            files: Mutex::new(files.into_iter().collect()),
        }
    }

    /// Creates or replaces a file.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.locked().insert(name.to_owned(), bytes);
    }

    /// The content of a file.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.locked().get(name).cloned()
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> Vec<String> {
        self.locked().keys().cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock()
    }
}

impl Dir for MemDir {
    fn path(&self) -> &Path {
        Path::new("/mem")
    }
    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let info = |(name, bytes): (&String, &Vec<u8>)| FileInfo {
            name: name.clone(),
            len: bytes.len() as u64,
        };
        Ok(self.locked().iter().map(info).collect())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        let bytes = self.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes))
    }
    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.put(name, bytes.to_vec());
        Ok(())
    }
    fn truncate(&self, name: &str, len: u64) -> io::Result<()> {
        let mut files = self.locked();
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.truncate(len as usize);
        Ok(())
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        let gone = self.locked().remove(name);
        gone.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.locked();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }
}
