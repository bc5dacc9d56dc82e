//! The directory of a server that may be killed at any moment.

use zabra::base::Zxid;
use zabra::runtime::Database;
use zabra::store::mem::MemDir;
use zabra::store::{
    Compression, Places, RecoverOptions, Recovered, SnapshotWriter, StoreError, recover,
    snapshot_name,
};
use zabra::tree::{DataTree, TreeOptions};

use super::rng::Rng;

/// Files, and where each record of this life's logs ends.
#[derive(Default)]
pub struct Disk {
    dir: MemDir,
    current: Option<String>,
    /// zxid, file, where its record begins and ends.
    records: Vec<(i64, String, usize, usize)>,
}

impl Disk {
    /// What a server writes into an empty directory before anything else.
    pub fn first_snapshot(&self) {
        let tree = DataTree::fresh(TreeOptions::default());
        let start = tree.walk_start();
        let mut out = SnapshotWriter::new(Vec::new(), Compression::None);
        out.sessions(&[]).expect("memory");
        out.acls(start.acls.iter().map(|(id, list)| (*id, &list[..])))
            .expect("memory");
        tree.walk(&start, |n| {
            out.node(n.path.text(), n.data.as_deref(), n.acl, &n.stat)
        })
        .expect("memory");
        let (bytes, _) = out.finish(None, None).expect("memory");
        self.put(&snapshot_name(Zxid(0), Compression::None), bytes);
    }

    /// The log that takes `zxid`.
    pub fn log_for(
        &mut self,
        zxid: i64,
        roll: bool,
        name: fn(Zxid) -> String,
        header: &[u8],
    ) -> String {
        match &self.current {
            Some(current) if !roll => current.clone(),
            _ => {
                let name = name(Zxid(zxid));
                assert!(self.dir.get(&name).is_none(), "{name} is there already");
                self.dir.put(&name, header.to_vec());
                self.current = Some(name.clone());
                name
            }
        }
    }

    pub fn append(&mut self, name: &str, zxid: i64, record: &[u8]) {
        let mut bytes = self.dir.get(name).expect("the current log");
        let start = bytes.len();
        bytes.extend_from_slice(record);
        self.records
            .push((zxid, name.to_owned(), start, bytes.len()));
        self.dir.put(name, bytes);
    }

    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.dir.put(name, bytes);
    }

    /// Everything behind `kept` is lost, but perhaps for a part of the next record; zeros may follow.
    pub fn cut(&mut self, kept: i64, rng: &mut Rng) {
        let mut torn = false;
        for (zxid, name, start, end) in std::mem::take(&mut self.records) {
            if zxid <= kept {
                continue;
            }
            let Some(mut bytes) = self.dir.get(&name) else {
                continue;
            };
            if torn {
                // Of later records nothing came; of later files nothing but perhaps their header.
                bytes.truncate(bytes.len().min(start));
            } else {
                bytes.truncate(start + rng.below(end - start));
            }
            torn = true;
            if rng.chance(50) {
                bytes.resize(bytes.len() + rng.below(600), 0);
            }
            self.dir.put(&name, bytes);
        }
        self.current = None;
    }

    /// Starts as a server does.
    pub fn recover(&self) -> Result<Recovered<Database>, StoreError> {
        let places = Places {
            snap: &self.dir,
            log: &self.dir,
            roots: [&self.dir, &self.dir],
        };
        let fresh = &mut || Database::new(TreeOptions::default());
        recover(&places, &RecoverOptions::default(), fresh)
    }

    /// Names of the files, for messages.
    pub fn names(&self) -> Vec<String> {
        self.dir.names()
    }
}
