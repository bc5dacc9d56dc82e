//! The tree as a snapshot stream to a learner, and a tree from one (SNAP).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SnapshotJob;
use crate::base::{Acl, StatPersisted, Zxid};
use crate::store::{
    Refused, SnapDecoder, SnapEncoder, SnapProgress, SnapshotError, SnapshotInfo, SnapshotVisitor,
};
use crate::tree::loader::Loader;
use crate::tree::snapshot::Walk;
use crate::tree::{DataTree, TreeOptions};

/// Bytes of a chunk, more or less one node.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
enum Stage {
    /// Sessions written.
    Sessions(usize),
    /// ACL lists written.
    Acls(usize),
    Nodes(Walk),
    Done,
}

/// Writes a stream chunk by chunk, so that whoever sends it can send other things in between and
/// never holds more of it than a chunk. It is as fuzzy as a snapshot file: whole up to the job's
/// zxid, which goes into the SNAP packet, with the proposals from there on to follow.
#[derive(Debug)]
pub struct SnapStreamWriter {
    tree: Arc<DataTree>,
    job: SnapshotJob,
    stage: Stage,
}

impl SnapStreamWriter {
    /// A stream of `tree` as it was when the job was made.
    pub fn new(tree: Arc<DataTree>, job: SnapshotJob) -> Self {
        Self {
            tree,
            job,
            stage: Stage::Sessions(0),
        }
    }

    /// The zxid for the SNAP packet.
    pub fn zxid(&self) -> Zxid {
        self.job.start.zxid
    }

    /// Appends the next chunk to `out`; false when it was the last.
    pub fn next_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        let full = out.len().saturating_add(CHUNK);
        while out.len() < full && !matches!(self.stage, Stage::Done) {
            self.step(out);
        }
        !matches!(self.stage, Stage::Done)
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let (sessions, acls) = (&self.job.sessions, &self.job.start.acls);
        let mut out = SnapEncoder(out);
        match &mut self.stage {
            Stage::Sessions(done) => {
                if *done == 0 {
                    out.count(sessions.len());
                }
                match sessions.get(*done) {
                    Some((id, timeout)) => {
                        out.session(*id, *timeout);
                        *done += 1;
                    }
                    None => {
                        out.count(acls.len());
                        self.stage = Stage::Acls(0);
                    }
                }
            }
            Stage::Acls(done) => match acls.get(*done) {
                Some((id, list)) => {
                    out.acl(*id, list);
                    *done += 1;
                }
                None => self.stage = Stage::Nodes(Walk::default()),
            },
            Stage::Nodes(walk) => match walk.next(&self.tree, &self.job.start) {
                Some(n) => out.node(n.path.text(), n.data.as_deref(), n.acl, &n.stat),
                None => {
                    out.end();
                    self.stage = Stage::Done;
                }
            },
            Stage::Done => {}
        }
    }
}

struct Building {
    loader: Loader,
    sessions: BTreeMap<i64, i32>,
}

impl SnapshotVisitor for Building {
    fn session(&mut self, id: i64, timeout: i32) -> Result<(), Refused> {
        self.sessions.insert(id, timeout);
        Ok(())
    }

    fn acl(&mut self, id: i64, acl: Option<Vec<Acl>>) -> Result<(), Refused> {
        self.loader.acl(id, &acl.unwrap_or_else(Acl::open));
        Ok(())
    }

    fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_id: i64,
        stat: StatPersisted,
    ) -> Result<(), Refused> {
        self.loader.node(path, data, acl_id, &stat);
        Ok(())
    }

    fn end(&mut self, info: &SnapshotInfo) -> Result<(), Refused> {
        match info.nodes {
            0 => Err(Refused::new("a snapshot without a root")),
            _ => Ok(()),
        }
    }
}

/// Builds a tree of its own from a stream that comes in pieces of any size. Until it is finished
/// nothing else has changed; a stream that breaks off is dropped with this.
pub struct SnapStreamReader(SnapDecoder<Building>);

impl SnapStreamReader {
    /// At the start of a stream; strings and buffers may be up to `length_max` bytes long.
    pub fn new(options: TreeOptions, length_max: usize) -> Self {
        let building = Building {
            loader: Loader::new(options),
            sessions: BTreeMap::new(),
        };
        Self(SnapDecoder::new(building, length_max))
    }

    /// Takes the next bytes; says when the stream ended and how many of them were its own.
    ///
    /// # Errors
    /// When it is no snapshot of a tree.
    pub fn push(&mut self, bytes: &[u8]) -> Result<SnapProgress, SnapshotError> {
        self.0.push(bytes)
    }

    /// The tree at `zxid` (the SNAP packet's) and the sessions with their timeouts, ms; `None`
    /// before the end, and when the nodes are no tree.
    pub fn finish(self, zxid: Zxid) -> Option<(DataTree, BTreeMap<i64, i32>)> {
        let (building, _) = self.0.finish()?;
        Some((building.loader.finish(zxid).ok()?, building.sessions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::OpCode;
    use crate::proto::txn::{CreateTxn, Entry, Txn, TxnHeader, some};
    use crate::tree::apply::apply;

    fn create(tree: &DataTree, zxid: i64) {
        let name = format!("/n{zxid}");
        let entry = Entry {
            header: TxnHeader {
                zxid,
                op: OpCode::Create as i32,
                ..TxnHeader::default()
            },
            txn: Txn::Create(CreateTxn {
                path: some(&name),
                data: Some(&[7; 100]),
                acl: Some(Acl::open()),
                ephemeral: false,
                parent_cversion: -1,
            }),
            digest: None,
        };
        apply(tree, &entry, false, &mut vec![]);
    }

    /// A learner that takes nothing more of its snapshot holds up no write, and gets a whole one all
    /// the same once it goes on.
    #[test]
    fn zookeeper_3531_a_stream_that_stands_still_holds_up_nobody() {
        let tree = Arc::new(DataTree::fresh(TreeOptions::default()));
        (1..=5_000).for_each(|zxid| create(&tree, zxid));
        let job = SnapshotJob::new(tree.clone(), &BTreeMap::from([(5, 4000)]));
        let mut writer = SnapStreamWriter::new(tree.clone(), job);
        let mut bytes = Vec::new();
        assert!(writer.next_chunk(&mut bytes), "there is more");
        // On this very thread: with a lock held it would never come back.
        (5_001..=6_000).for_each(|zxid| create(&tree, zxid));
        assert_eq!(tree.applied(), Zxid(6_000));
        while writer.next_chunk(&mut bytes) {}
        let mut reader = SnapStreamReader::new(TreeOptions::default(), 1 << 20);
        let done = reader.push(&bytes).expect("a stream");
        assert!(matches!(done, SnapProgress::Done(n) if n == bytes.len()));
        let (got, sessions) = reader.finish(writer.zxid()).expect("a tree");
        assert_eq!(sessions, BTreeMap::from([(5, 4000)]));
        // What came meanwhile follows as transactions.
        (5_001..=6_000).for_each(|zxid| create(&got, zxid));
        assert_eq!(got.digest(), tree.digest());
    }
}
