//! The region for file systems on which a mapping is unsafe or slow: copy-on-write, network.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::store::txnlog::{END, PREFIX_LEN};

use super::mmap::Mapping;
use super::region::Region;

/// Gathers a batch and writes it at once.
pub(super) struct PwriteRegion {
    file: Arc<File>,
    batch: Vec<u8>,
    batch_at: u64,
}

impl PwriteRegion {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self {
            file,
            batch: Vec::new(),
            batch_at: 0,
        }
    }
}

impl Region for PwriteRegion {
    fn put(&mut self, at: u64, prefix: &[u8; PREFIX_LEN], entry: &[u8]) -> io::Result<()> {
        if self.batch.is_empty() {
            self.batch_at = at;
        }
        self.batch.extend_from_slice(prefix);
        self.batch.extend_from_slice(entry);
        self.batch.push(END);
        Ok(())
    }

    fn sync(&mut self, _from: u64, _to: u64, durable: bool) -> io::Result<()> {
        self.file.write_all_at(&self.batch, self.batch_at)?;
        self.batch.clear();
        if durable {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn grown(&mut self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn mapping(&self) -> Option<Mapping> {
        None
    }
}
