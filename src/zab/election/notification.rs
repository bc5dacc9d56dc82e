//! stand-in
use crate::base::{ServerId, Zxid};
/// s
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// l
    Looking,
    /// f
    Following,
    /// l
    Leading,
    /// o
    Observing,
}
/// n
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// s
    pub state: ServerState,
    /// l
    pub leader: ServerId,
    /// z
    pub zxid: Zxid,
    /// e
    pub election_epoch: i64,
    /// p
    pub peer_epoch: i64,
    /// v
    pub version: i32,
    /// c
    pub config: Option<String>,
}
