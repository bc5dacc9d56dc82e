//! A connection between two servers, as the state machines know it.

/// A connection to another server; never reused in the life of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A committed or proposed transaction: its zxid and the bytes that are logged and sent.
pub type Logged = (crate::base::Zxid, std::sync::Arc<[u8]>);
