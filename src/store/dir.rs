//! The seam to real files: a directory, and a file open for reading.

use std::io;
use std::path::Path;

use super::error::StoreError;

/// One file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name, without the directory. A name that is not UTF-8 is left out of listings.
    pub name: String,
    /// Its length, bytes.
    pub len: u64,
}

/// Reading at any place, without a position and without a mapping: a read error is an `Err`, never
/// a signal.
#[allow(clippy::len_without_is_empty)] // a file, not a collection
pub trait ReadAt: Send {
    /// Reads into `buf` from `offset`; 0 only at the end of the file or for an empty `buf`.
    ///
    /// # Errors
    /// What the device says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Length of the file, bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn len(&self) -> io::Result<u64>;

    /// First place at or behind `offset` that may hold anything but zeros; `None` when there is none.
    ///
    /// # Errors
    /// What the operating system says.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.len()?).then_some(offset))
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(from..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        for (to, byte) in buf.iter_mut().zip(rest) {
            *to = *byte;
        }
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }
}

/// A directory of the store. Every change is durable when the call returns.
pub trait Dir: Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Its plain files, in no particular order.
    ///
    /// # Errors
    /// What the operating system says.
    fn list(&self) -> io::Result<Vec<FileInfo>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>>;

    /// Replaces or creates a small file: `<name>.tmp`, sync, rename, sync of the directory
    /// (Apache: `AtomicFileOutputStream`, which leaves the last step out).
    ///
    /// # Errors
    /// What the operating system says.
    fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `len` bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&self, name: &str, len: u64) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Renames a file inside the directory.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// The whole of a small file; `None` when it does not exist.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] beyond 64 KiB; what the operating system says.
    fn read_small(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        const MAX: usize = 64 * 1024;
        let file = match self.open(name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = vec![0; MAX];
        let n = read_full(&*file, &mut bytes, 0)?;
        if n == MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        bytes.truncate(n);
        Ok(Some(bytes))
    }
}

/// Fills `buf` from `offset` as far as the file reaches; the bytes read.
///
/// # Errors
/// What the device says.
pub fn read_full<R: ReadAt + ?Sized>(file: &R, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|r| !r.is_empty()) {
        match file.read_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(n) => done = done.saturating_add(n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// The listing, with the directory in the message when it fails.
///
/// # Errors
/// [`StoreError::Io`].
pub fn list(dir: &dyn Dir) -> Result<Vec<FileInfo>, StoreError> {
    let mut files = dir
        .list()
        .map_err(|e| StoreError::io("list", dir.path(), e))?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Sequential reading of a file opened with [`Dir::open`].
pub struct Sequential {
    file: Box<dyn ReadAt>,
    at: u64,
}

impl Sequential {
    /// Starts at the first byte.
    pub fn new(file: Box<dyn ReadAt>) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for Sequential {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(buf, self.at)?;
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}
