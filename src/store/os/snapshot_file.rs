//! A snapshot on its way to its name (Apache: `FileSnap.serialize`).
//!
//! Differs: Apache writes under the final name and does not sync, so a crash leaves a torn newest
//! snapshot, and purging may then delete what it replaced. Here the name appears when the bytes are
//! durable.

use std::fs::{self, File};
use std::io::{self, Write};

use crate::base::Zxid;
use crate::store::dir::Dir;
use crate::store::error::StoreError;
use crate::store::names::snapshot_name;
use crate::store::snapshot::Compression;
use crate::store::snapshot_read::verify;

use super::files::OsDir;

/// What an unfinished snapshot begins with; no server reads it.
pub(super) const UNFINISHED: &str = "new.";
/// Bytes written between syncs: a large snapshot trickles to the device instead of flooding it at
/// the end, in front of the log's own syncs.
const PACE: usize = 1024 * 1024;

/// A file being written; dropped before [`commit`](Self::commit) it leaves nothing.
pub struct SnapshotFile {
    dir: OsDir,
    name: String,
    file: Option<File>,
    unsynced: usize,
}

impl SnapshotFile {
    /// Starts `snapshot.<zxid>` in `dir`, under another name for now. Give it to a
    /// `SnapshotWriter` of the same compression.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn create(dir: &OsDir, zxid: Zxid, compression: Compression) -> Result<Self, StoreError> {
        let name = snapshot_name(zxid, compression);
        let path = dir.join(&format!("{UNFINISHED}{name}"));
        let file = File::create(&path).map_err(|e| StoreError::io("create", &path, e))?;
        Ok(Self {
            dir: dir.clone(),
            name,
            file: Some(file),
            unsynced: 0,
        })
    }

    /// Syncs the file and gives it its name, replacing one that has it. The final name is returned.
    ///
    /// # Errors
    /// What the operating system says; the name is not given then.
    pub fn commit(mut self) -> Result<String, StoreError> {
        let unfinished = format!("{UNFINISHED}{}", self.name);
        let path = self.dir.join(&self.name);
        let Some(file) = &self.file else {
            return Err(StoreError::Invalid("the snapshot is not open".to_owned()));
        };
        file.sync_all()
            .map_err(|e| StoreError::io("sync", &path, e))?;
        self.dir
            .rename(&unfinished, &self.name)
            .map_err(|e| StoreError::io("name", &path, e))?;
        self.file = None;
        Ok(std::mem::take(&mut self.name))
    }
}

impl Write for SnapshotFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let n = file.write(buf)?;
        self.unsynced = self.unsynced.saturating_add(n);
        if self.unsynced >= PACE {
            file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let unfinished = format!("{UNFINISHED}{}", self.name);
            let _ = fs::remove_file(self.dir.join(&unfinished));
        }
    }
}

/// The file that already holds a whole snapshot named `zxid`, whatever its compression. A server
/// that starts need not write that one again.
///
/// Differs: Apache rewrites it in place at every start.
pub fn whole_snapshot(dir: &OsDir, zxid: Zxid, length_max: usize) -> Option<String> {
    [Compression::None, Compression::Gz, Compression::Snappy]
        .into_iter()
        .map(|c| (snapshot_name(zxid, c), c))
        .find(|(name, c)| verify(dir, name, *c, length_max).is_ok())
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::StatPersisted;
    use crate::store::snapshot_write::SnapshotWriter;

    fn write(dir: &OsDir, zxid: Zxid, c: Compression) -> String {
        let file = SnapshotFile::create(dir, zxid, c).unwrap();
        let mut w = SnapshotWriter::new(file, c);
        w.sessions(&[]).unwrap();
        w.acls([]).unwrap();
        w.node("", Some(b""), -1, &StatPersisted::default())
            .unwrap();
        w.node(
            "/big",
            Some(&vec![1; 2_000_000]),
            -1,
            &StatPersisted::default(),
        )
        .unwrap();
        w.finish(None, None).unwrap().0.commit().unwrap()
    }

    #[test]
    fn appears_whole_or_not_at_all() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = OsDir::open(tmp.path()).unwrap();
        let mut half = SnapshotFile::create(&dir, Zxid(7), Compression::None).unwrap();
        half.write_all(b"ZKSN").unwrap();
        assert_eq!(dir.list().unwrap()[0].name, "new.snapshot.7");
        drop(half);
        assert_eq!(dir.list().unwrap(), []);
        assert_eq!(whole_snapshot(&dir, Zxid(7), 1 << 21), None);
        for (c, name) in [
            (Compression::Snappy, "snapshot.7.snappy"),
            (Compression::Gz, "snapshot.7.gz"),
            (Compression::None, "snapshot.7"),
        ] {
            assert_eq!(write(&dir, Zxid(7), c), name);
            assert_eq!(
                whole_snapshot(&dir, Zxid(7), 1 << 21).as_deref(),
                Some(name)
            );
        }
        assert_eq!(dir.list().unwrap().len(), 3);
    }
}
