//! A snapshot on the wire, behind a SNAP packet (Apache: `LearnerHandler`, `Learner`).
//!
//! The records of a snapshot file without its header, seals and tail; the string "BenWasHere"
//! ends it.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)
)]

use crate::base::text::java_utf8;
use crate::base::{Acl, StatPersisted};
use crate::jute::{DecodeError, Input, Output as _};

use super::snapshot::{SnapshotError, SnapshotInfo, SnapshotVisitor};
use super::snapshot_records::{
    END_PATH, NodeRecord, decode_acl, encode_acl, encode_node, encode_session,
};

/// What ends the stream.
pub const SIGNATURE: &str = "BenWasHere";

/// Appends the parts of a stream: counts, then as many records, then nodes, then the end.
#[derive(Debug)]
pub struct SnapEncoder<'a>(pub &'a mut Vec<u8>);

impl SnapEncoder<'_> {
    /// How many sessions, or ACL lists, follow.
    pub fn count(&mut self, n: usize) {
        self.0.count(n);
    }

    /// A session and its timeout in milliseconds.
    pub fn session(&mut self, id: i64, timeout: i32) {
        encode_session(self.0, id, timeout);
    }

    /// An ACL list under its id.
    pub fn acl(&mut self, id: i64, list: &[Acl]) {
        encode_acl(self.0, id, list);
    }

    /// A node; the root's path is empty, and parents come before their children.
    pub fn node(&mut self, path: &str, data: Option<&[u8]>, acl_id: i64, stat: &StatPersisted) {
        encode_node(self.0, path, data, acl_id, stat);
    }

    /// The end of the nodes and of the stream.
    pub fn end(&mut self) {
        self.0.buffer(Some(END_PATH));
        self.0.string(Some(SIGNATURE));
    }
}

/// Whether a stream has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapProgress {
    /// All was taken; there must be more.
    More,
    /// It ended behind this many of the bytes just given; the rest belongs to the next packet.
    Done(usize),
}

/// What comes next.
#[derive(Debug)]
enum Next {
    SessionCount,
    /// Sessions still to come.
    Session(i32),
    AclCount,
    /// ACL lists still to come.
    Acl(i32),
    /// Lists behind this one, its id, entries still to come, entries so far.
    AclEntry(i32, i64, i32, Vec<Acl>),
    Node,
    Signature,
    Done,
}

/// Reads a stream that comes in pieces of any size and gives its records to a visitor. Holds the
/// bytes of one unfinished record, which is bounded as in files.
#[derive(Debug)]
pub struct SnapDecoder<V> {
    visitor: V,
    next: Next,
    /// Bytes given and not yet decoded begin at `at`.
    buf: Vec<u8>,
    at: usize,
    /// Bytes decoded since the start.
    offset: u64,
    length_max: usize,
    info: SnapshotInfo,
}

impl<V: SnapshotVisitor> SnapDecoder<V> {
    /// At the start of a stream; strings and buffers may be up to `length_max` bytes long.
    pub fn new(visitor: V, length_max: usize) -> Self {
        Self {
            visitor,
            next: Next::SessionCount,
            buf: Vec::new(),
            at: 0,
            offset: 0,
            length_max,
            info: SnapshotInfo::default(),
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// When it is no snapshot, or the visitor refuses: the visitor holds part of one then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<SnapProgress, SnapshotError> {
        if matches!(self.next, Next::Done) {
            return Ok(SnapProgress::Done(0));
        }
        // Half or more is old: the copy costs no more than what was decoded.
        if self.at >= self.buf.len().saturating_sub(self.at) {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        self.buf.extend_from_slice(bytes);
        loop {
            match self.step() {
                Ok(()) if matches!(self.next, Next::Done) => {
                    let left = self.buf.len().saturating_sub(self.at);
                    self.buf = Vec::new();
                    self.at = 0;
                    self.info.bytes = self.offset;
                    self.visitor.end(&self.info)?;
                    return Ok(SnapProgress::Done(bytes.len().saturating_sub(left)));
                }
                Ok(()) => {}
                Err(SnapshotError::Record {
                    why: DecodeError::Short,
                    ..
                }) => return Ok(SnapProgress::More),
                Err(wrong) => return Err(wrong),
            }
        }
    }

    /// The visitor and what it was given; `None` while the stream has not ended.
    pub fn finish(self) -> Option<(V, SnapshotInfo)> {
        matches!(self.next, Next::Done).then_some((self.visitor, self.info))
    }

    /// Decodes one record, or leaves everything as it is when it is not all there.
    fn step(&mut self) -> Result<(), SnapshotError> {
        let offset = self.offset;
        let wrong = |why| SnapshotError::Record { offset, why };
        let unread = self.buf.get(self.at..).unwrap_or_default();
        let mut input = Input::with_limit(unread, self.length_max);
        let visitor = &mut self.visitor;
        match &mut self.next {
            Next::SessionCount => self.next = Next::Session(input.int().map_err(wrong)?),
            Next::Session(left) if *left <= 0 => self.next = Next::AclCount,
            Next::Session(left) => {
                let id = input.long().map_err(wrong)?;
                visitor.session(id, input.int().map_err(wrong)?)?;
                *left = left.saturating_sub(1);
                self.info.sessions = self.info.sessions.saturating_add(1);
            }
            Next::AclCount => self.next = Next::Acl(input.int().map_err(wrong)?),
            Next::Acl(left) if *left <= 0 => self.next = Next::Node,
            Next::Acl(left) => {
                let left = left.saturating_sub(1);
                let id = input.long().map_err(wrong)?;
                match input.int().map_err(wrong)? {
                    -1 => {
                        visitor.acl(id, None)?;
                        self.info.acls = self.info.acls.saturating_add(1);
                        self.next = Next::Acl(left);
                    }
                    entries => self.next = Next::AclEntry(left, id, entries, Vec::new()),
                }
            }
            Next::AclEntry(left, id, entries, list) if *entries <= 0 => {
                visitor.acl(*id, Some(std::mem::take(list)))?;
                self.info.acls = self.info.acls.saturating_add(1);
                self.next = Next::Acl(*left);
            }
            Next::AclEntry(_, _, entries, list) => {
                list.push(decode_acl(&mut input).map_err(wrong)?);
                *entries = entries.saturating_sub(1);
            }
            Next::Node => match NodeRecord::decode(&mut input).map_err(wrong)? {
                None => self.next = Next::Signature,
                Some(n) => {
                    visitor.node(&java_utf8(n.path), n.data, n.acl_id, n.stat)?;
                    self.info.nodes = self.info.nodes.saturating_add(1);
                }
            },
            Next::Signature => {
                let found = input.buffer().map_err(wrong)?;
                if found != Some(SIGNATURE.as_bytes()) {
                    return Err(SnapshotError::Signature);
                }
                self.next = Next::Done;
            }
            Next::Done => {}
        }
        let used = unread.len().saturating_sub(input.rest().len());
        self.at = self.at.saturating_add(used);
        self.offset = self.offset.saturating_add(used as u64);
        Ok(())
    }
}
