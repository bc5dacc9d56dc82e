//! L1: jute, the serialisation of everything ZooKeeper sends and stores.
//!
//! Big-endian, no tags, no padding. A buffer or string is an `i32` length and its bytes, a vector an
//! `i32` count and its elements; -1 stands for null in all three, which differs from empty.

mod read;
mod record;
mod write;

pub use read::{DecodeError, Input};
pub(crate) use record::record;
pub use record::{Jute, Str};
pub use write::Output;
