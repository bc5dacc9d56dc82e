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
}

/// Nodes by path. Holds only nodes any operation may touch: quota nodes are kept out, because a
/// careless write to one of them ends Apache for good (see `deviations`).
#[derive(Debug, Clone, Default)]
pub struct Model {
    nodes: BTreeMap<String, Node>,
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

fn text(path: &Bytes) -> Option<&str> {
    std::str::from_utf8(path.as_deref()?).ok()
}

/// Whether the server takes the ACL, as far as one can tell without looking at ids.
fn acl_is_fine(acl: &Option<Vec<Acl>>) -> bool {
    acl.as_deref().is_some_and(|list| {
        !list.is_empty() && list.iter().all(|a| a.scheme.as_deref() == Some(b"world"))
    })
}

impl Model {
    pub fn with_root(root: &str) -> Self {
        Self { nodes: [(root.to_owned(), Node::default())].into() }
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The path at a place in the order of paths.
    pub fn nth(&self, n: usize) -> &str {
        self.nodes.keys().nth(n % self.nodes.len()).map_or("/", String::as_str)
    }

    fn has_children(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.nodes.range(prefix.clone()..).next().is_some_and(|(p, _)| p.starts_with(&prefix))
    }

    /// A session ended: its ephemerals go.
    pub fn session_gone(&mut self, slot: Slot) {
        self.nodes.retain(|_, node| node.ephemeral != Some(slot));
    }

    /// Notes the probable effect of an operation. False when it probably fails.
    pub fn apply(&mut self, slot: Slot, op: &Op) -> bool {
        match op {
            Op::Create { path, flags, acl, .. } => self.create(slot, text(path), *flags, acl),
            Op::CreateTtl { path, flags, ttl, acl, .. } => {
                matches!(flags, 5 | 6)
                    && (1..1 << 40).contains(ttl)
                    && self.create(slot, text(path), if *flags == 6 { 2 } else { 0 }, acl)
            }
            Op::PathVersion { code: 2, path, version } => self.delete(text(path), *version),
            Op::PathVersion { path, version, .. } => text(path)
                .and_then(|p| self.nodes.get(p))
                .is_some_and(|node| *version == -1 || *version == node.version),
            Op::SetData { path, version, .. } => {
                self.bump(text(path), *version, |node| &mut node.version)
            }
            Op::SetAcl { path, version, acl } => {
                let fine = acl_is_fine(acl)
                    && self.bump(text(path), *version, |node| &mut node.aversion);
                if let Some(node) = text(path).and_then(|p| self.nodes.get_mut(p))
                    && fine
                {
                    node.closed = *acl != open_acl();
                }
                fine
            }
            Op::Multi { code: 14, ops } => {
                let mut copy = self.clone();
                let fine = ops.iter().all(|op| copy.apply(slot, op));
                if fine {
                    *self = copy;
                }
                fine
            }
            _ => true,
        }
    }

    fn delete(&mut self, path: Option<&str>, version: i32) -> bool {
        let Some(path) = path else { return false };
        let above = parent(path).and_then(|above| self.nodes.get(above));
        let fine = above.is_some_and(|node| !node.closed)
            && !self.has_children(path)
            && self.nodes.get(path).is_some_and(|n| version == -1 || version == n.version);
        if fine {
            self.nodes.remove(path);
        }
        fine
    }

    fn create(
        &mut self,
        slot: Slot,
        path: Option<&str>,
        flags: i32,
        acl: &Option<Vec<Acl>>,
    ) -> bool {
        if !acl_is_fine(acl) {
            return false;
        }
        let Some((path, above)) = path.and_then(|p| Some((p, parent(p)?))) else { return false };
        let Some(next) = self.nodes.get(above).filter(|n| n.ephemeral.is_none() && !n.closed)
        else {
            return false;
        };
        let full = match flags {
            2 | 3 => format!("{path}{:010}", next.created),
            _ => path.to_owned(),
        };
        if full.ends_with('/') || !(0..=4).contains(&flags) || self.nodes.contains_key(&full) {
            return false;
        }
        let ephemeral = matches!(flags, 1 | 3).then_some(slot);
        if let Some(above) = self.nodes.get_mut(above) {
            above.created += 1;
        }
        self.nodes.insert(full, Node { ephemeral, closed: *acl != open_acl(), ..Node::default() });
        true
    }

    fn bump(
        &mut self,
        path: Option<&str>,
        expected: i32,
        field: impl Fn(&mut Node) -> &mut i32,
    ) -> bool {
        let Some(node) = path.and_then(|p| self.nodes.get_mut(p)) else { return false };
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
