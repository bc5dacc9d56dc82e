//! What is due at some time.

use zabra::base::Zxid;
use zabra::pipeline::SnapshotJob;
use zabra::quorum::Input;
use zabra::zab::LinkId;

pub enum Event {
    Start(i64),
    Notify(i64, i64),
    Lost(i64, i64, u64),
    Dial(i64, u64, LinkId, i64, u32),
    Deliver(usize, bool),
    Gone(i64, u64, LinkId, bool),
    Disk(i64, u64),
    Read(i64, u64, LinkId, Zxid, Zxid),
    Snapshot(i64, u64, SnapshotJob),
    Tick(i64, u64, i64),
    Client(usize),
    Crash(i64, u64),
    Fault,
    /// The disk says something before it is true.
    Done(i64, u64, Input),
}
