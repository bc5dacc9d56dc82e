//! L0: the words of the field. No I/O, no clock, imports nothing of ours.

pub mod acl;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod path;
pub mod stat;
pub mod text;
pub mod thin;

pub use acl::{Acl, Id, Perms};
pub use ids::{ConnId, Epoch, ServerId, SessionId, Zxid};
pub use stat::{OwnerKind, Stat, StatPersisted};
pub use thin::Thin;
