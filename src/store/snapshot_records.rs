//! The records that snapshot files and snapshots on the wire have in common.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

use crate::base::text::java_utf8;
use crate::base::{Acl, Id, Perms, StatPersisted};
use crate::jute::{DecodeError, Input, Jute as _, Output};

/// Path of the record that ends the nodes; the root's own is empty.
pub(super) const END_PATH: &[u8] = b"/";

/// A node, not yet copied.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeRecord<'a> {
    /// As stored, not yet text.
    pub(super) path: &'a [u8],
    pub(super) data: Option<&'a [u8]>,
    pub(super) acl_id: i64,
    pub(super) stat: StatPersisted,
}

impl<'a> NodeRecord<'a> {
    /// Reads a node; `None` is the end of the nodes.
    pub(super) fn decode(input: &mut Input<'a>) -> Result<Option<Self>, DecodeError> {
        let path = input.buffer()?.ok_or(DecodeError::Null)?;
        if path == END_PATH {
            return Ok(None);
        }
        Ok(Some(Self {
            path,
            data: input.buffer()?,
            acl_id: input.long()?,
            stat: StatPersisted::decode(input)?,
        }))
    }
}

/// Reads an entry of an ACL; nothing is copied before all of it is there.
pub(super) fn decode_acl(input: &mut Input<'_>) -> Result<Acl, DecodeError> {
    let perms = Perms(input.int()?);
    let scheme = input.buffer()?.ok_or(DecodeError::Null)?;
    let id = input.buffer()?.ok_or(DecodeError::Null)?;
    Ok(Acl {
        perms,
        id: Id::new(java_utf8(scheme), java_utf8(id)),
    })
}

/// Appends a session and its timeout in milliseconds.
pub(super) fn encode_session(out: &mut Vec<u8>, id: i64, timeout: i32) {
    out.long(id);
    out.int(timeout);
}

/// Appends an ACL list under its id.
pub(super) fn encode_acl(out: &mut Vec<u8>, id: i64, list: &[Acl]) {
    out.long(id);
    out.count(list.len());
    list.iter().for_each(|a| a.encode(out));
}

/// Appends a node.
pub(super) fn encode_node(
    out: &mut Vec<u8>,
    path: &str,
    data: Option<&[u8]>,
    acl_id: i64,
    stat: &StatPersisted,
) {
    out.string(Some(path));
    out.buffer(data);
    out.long(acl_id);
    stat.encode(out);
}
