//! A rough picture of the tree the generator keeps, so that most operations make sense. It ignores
//! ACLs; being wrong only makes a request fail, and failures are compared too.

use std::collections::BTreeMap;

use crate::codec::Bytes;
use crate::op::{Acl, Op};
use crate::program::Slot;
use crate::values::open_acl;

/// What the generator believes about one node.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub version: i32,
    pub aversion: i32,
    /// Children ever created: the next sequence number.
    created: i32,
    pub ephemeral: Option<Slot>,
    /// The ACL is not the open one, so requests on the node may well be refused.
    closed: bool,
    /// A create below may or may not have worked, so `created` may be wrong.
    uncertain: bool,
}

/// Nodes by path. Holds only nodes any operation may touch: quota nodes are kept out, because a
/// careless write to one of them ends Apache for good (see `deviations`).
#[derive(Debug, Clone, Default)]
pub struct Model {
    nodes: BTreeMap<String, Node>,
    /// Paths used last, newest at the end: programs come back to them, or watches and changes
    /// would seldom meet.
    recent: Vec<String>,
    /// Watches set last, by slot, newest at the end.
    watched: Vec<(Slot, String)>,
}

/// How many recent paths are kept.
const RECENT: usize = 8;

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

fn text(path: &Bytes) -> Option<&str> {
    std::str::from_utf8(path.as_deref()?).ok()
}

/// Whether the last component of a path is one the server takes.
fn valid_name(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    !matches!(name, "" | "." | "..")
        && !name
            .chars()
            .any(|c| matches!(u32::from(c), 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..))
}

/// Whether the server takes the ACL, as far as one can tell without looking at ids.
fn acl_is_fine(acl: &Option<Vec<Acl>>) -> bool {
    acl.as_deref().is_some_and(|list| {
        !list.is_empty() && list.iter().all(|a| a.scheme.as_deref() == Some(b"world"))
    })
}

impl Model {
    pub fn with_root(root: &str) -> Self {
        let nodes = [(root.to_owned(), Node::default())].into();
        Self {
            nodes,
            recent: vec![root.to_owned()],
            watched: Vec::new(),
        }
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The paths used last.
    pub fn recent(&self) -> &[String] {
        &self.recent
    }

    /// A path the slot probably watches.
    pub fn watched(&self, slot: Slot, n: usize) -> Option<&str> {
        let mine: Vec<_> = self.watched.iter().filter(|(s, _)| *s == slot).collect();
        Some(&mine.get(n % mine.len().max(1))?.1)
    }

    /// Notes the use of a path.
    pub fn touch(&mut self, path: &Bytes) {
        if let Some(path) = text(path).filter(|p| p.starts_with("/s")) {
            self.recent.retain(|p| p != path);
            self.recent.push(path.to_owned());
            let over = self.recent.len().saturating_sub(RECENT);
            self.recent.drain(..over);
        }
    }

    /// The path at a place in the order of paths.
    pub fn nth(&self, n: usize) -> &str {
        self.nodes
            .keys()
            .nth(n % self.nodes.len())
            .map_or("/", String::as_str)
    }

    fn has_children(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.nodes
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(p, _)| p.starts_with(&prefix))
    }

    /// A session ended: its ephemerals go.
    pub fn session_gone(&mut self, slot: Slot) {
        self.nodes.retain(|_, node| node.ephemeral != Some(slot));
    }

    /// Notes the probable effect of an operation. False when it probably fails.
    pub fn apply(&mut self, slot: Slot, op: &Op) -> bool {
        match op {
            Op::PathWatch {
                path, watch: true, ..
            }
            | Op::PathKind {
                code: 106, path, ..
            } => {
                self.touch(path);
                if let Some(path) = text(path) {
                    self.watched.push((slot, path.to_owned()));
                    let over = self.watched.len().saturating_sub(4 * RECENT);
                    self.watched.drain(..over);
                }
                true
            }
            Op::Create {
                path, flags, acl, ..
            } => self.create(slot, text(path), *flags, acl),
            Op::CreateTtl {
                path,
                flags,
                ttl,
                acl,
                ..
            } => {
                matches!(flags, 5 | 6)
                    && (1..1 << 40).contains(ttl)
                    && self.create(slot, text(path), if *flags == 6 { 2 } else { 0 }, acl)
            }
            Op::PathVersion {
                code: 2,
                path,
                version,
            } => self.delete(text(path), *version),
            Op::PathVersion { path, version, .. } => text(path)
                .and_then(|p| self.nodes.get(p))
                .is_some_and(|node| *version == -1 || *version == node.version),
            Op::SetData { path, version, .. } => {
                self.bump(text(path), *version, |node| &mut node.version)
            }
            Op::SetAcl { path, version, acl } => {
                let fine =
                    acl_is_fine(acl) && self.bump(text(path), *version, |node| &mut node.aversion);
                if let Some(node) = text(path).and_then(|p| self.nodes.get_mut(p))
                    && fine
                {
                    node.closed = *acl != open_acl();
                }
                fine
            }
            Op::Multi { code: 14, ops } => {
                let mut copy = self.clone();
                let fine = ops.iter().all(|op| {
                    matches!(op.code(), 1 | 2 | 5 | 13 | 15 | 19 | 21) && copy.apply(slot, op)
                });
                if fine {
                    *self = copy;
                } else {
                    ops.iter().for_each(|op| self.doubt(op));
                }
                fine
            }
            _ => true,
        }
    }

    fn delete(&mut self, path: Option<&str>, version: i32) -> bool {
        let Some(path) = path else { return false };
        let fine = !self.has_children(path)
            && self
                .nodes
                .get(path)
                .is_some_and(|n| version == -1 || version == n.version);
        // The root stays: without it no request of the program could succeed.
        if fine && self.nodes.len() > 1 {
            // Below a closed node this may be refused; a node too few here does no harm, one too
            // many draws requests that cannot succeed.
            self.nodes.remove(path);
        }
        let above = parent(path).and_then(|above| self.nodes.get(above));
        fine && above.is_some_and(|node| !node.closed)
    }

    fn create(
        &mut self,
        slot: Slot,
        path: Option<&str>,
        flags: i32,
        acl: &Option<Vec<Acl>>,
    ) -> bool {
        let Some((path, above)) = path.and_then(|p| Some((p, parent(p)?))) else {
            return false;
        };
        let Some(next) = self
            .nodes
            .get(above)
            .filter(|n| n.ephemeral.is_none() && !n.closed)
        else {
            return false;
        };
        if !acl_is_fine(acl) || (next.uncertain && matches!(flags, 2 | 3)) {
            self.doubt_children_of(above);
            return false;
        }
        let full = match flags {
            2 | 3 => format!("{path}{:010}", next.created),
            _ => path.to_owned(),
        };
        if !valid_name(&full) || !(0..=4).contains(&flags) || self.nodes.contains_key(&full) {
            return false;
        }
        let ephemeral = matches!(flags, 1 | 3).then_some(slot);
        if let Some(above) = self.nodes.get_mut(above) {
            above.created += 1;
        }
        self.touch(&Some(full.clone().into_bytes()));
        self.nodes.insert(
            full,
            Node {
                ephemeral,
                closed: *acl != open_acl(),
                ..Node::default()
            },
        );
        true
    }

    /// Forgets the sequence number below the parent of a node that may have been made.
    fn doubt(&mut self, op: &Op) {
        if let Op::Create { path, .. } | Op::CreateTtl { path, .. } = op
            && let Some(above) = text(path).and_then(parent)
        {
            self.doubt_children_of(above);
        }
    }

    fn doubt_children_of(&mut self, path: &str) {
        if let Some(node) = self.nodes.get_mut(path) {
            node.uncertain = true;
        }
    }

    fn bump(
        &mut self,
        path: Option<&str>,
        expected: i32,
        field: impl Fn(&mut Node) -> &mut i32,
    ) -> bool {
        let Some(node) = path.and_then(|p| self.nodes.get_mut(p)) else {
            return false;
        };
        if node.closed {
            return false;
        }
        let version = field(node);
        if expected != -1 && expected != *version {
            return false;
        }
        *version += 1;
        true
    }
}
