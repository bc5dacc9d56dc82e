//! Filling a tree from a snapshot.
//!
//! Nobody sees the tree before it is whole, so nothing is locked and nothing grows: nodes are
//! gathered shard by shard, and each table is made once, of the size it needs.

use super::acl_table::AclId;
use super::node::Znode;
use super::quota_apply;
use super::tree::{DataTree, DigestAt, TreeOptions};
use crate::base::{Acl, StatPersisted, Thin, Zxid, path};

/// Why a snapshot's nodes are no tree.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Apache: "Invalid Datatree, unable to find parent".
    #[error("Invalid Datatree, unable to find parent of path {0}")]
    NoParent(String),
    /// The same path twice.
    #[error("node {0} occurs twice")]
    Twice(String),
}

/// Children that stand behind one another in the snapshot.
struct Run {
    parent: Thin,
    /// Where in `links` its first child is; the next run's is the end.
    first: usize,
}

/// Enters a snapshot's ACLs and nodes into a tree of its own.
pub struct Loader {
    tree: DataTree,
    /// The nodes of each shard with the hashes of their paths.
    shards: Vec<Vec<(u64, Box<Znode>)>>,
    links: Vec<(u64, Thin)>,
    runs: Vec<Run>,
    bytes: i64,
    digest: u64,
    unresolved: usize,
}

impl Loader {
    /// An empty tree to fill.
    pub fn new(options: TreeOptions) -> Self {
        let tree = DataTree::empty(options);
        Self {
            shards: tree.shards.iter().map(|_| Vec::new()).collect(),
            tree,
            links: Vec::new(),
            runs: Vec::new(),
            bytes: 0,
            digest: 0,
            unresolved: 0,
        }
    }

    /// Enters an ACL list under its stored id.
    pub fn acl(&mut self, stored: i64, list: &[Acl]) {
        self.tree.acls.load(stored, list);
    }

    /// Enters a node; what is wrong with it as part of a tree shows at the end.
    pub fn node(&mut self, p: &str, data: Option<&[u8]>, stored_acl: i64, stat: &StatPersisted) {
        let acl = self.tree.acls.resolve(stored_acl);
        self.unresolved += usize::from(acl == AclId::UNRESOLVED);
        let hash = self.tree.hash(p);
        let thin = Thin::new(p.as_bytes());
        if !p.is_empty() {
            self.link(hash, &thin, path::parent(p));
        }
        let node = Znode::new(thin, data.map(Thin::new), acl, stat);
        if self.tree.options.digest {
            self.digest = self.digest.wrapping_add(node.digest());
        }
        self.bytes += (p.len() + node.data_len()) as i64;
        self.tree.owned.add(node.owner(), &node.path);
        self.shards[DataTree::shard_of(hash)].push((hash, Box::new(node)));
    }

    fn link(&mut self, hash: u64, p: &Thin, parent: &str) {
        let same = |r: &Run| r.parent.bytes() == parent.as_bytes();
        if !self.runs.last().is_some_and(same) {
            self.runs.push(Run {
                parent: Thin::new(parent.as_bytes()),
                first: self.links.len(),
            });
        }
        self.links.push((hash, p.clone()));
    }

    /// The tree at `zxid`, with its quotas counted. A snapshot written before 3.5 has no
    /// `/zookeeper/config`; it is left absent, as Apache standalone does.
    ///
    /// # Errors
    /// When a node is there twice or its parent is not.
    pub fn finish(mut self, zxid: Zxid) -> Result<DataTree, LoadError> {
        if self.unresolved > 0 {
            tracing::warn!(
                "{} nodes refer to an ACL the snapshot does not hold; the log must repair them",
                self.unresolved
            );
        }
        self.fill_shards()?;
        self.link_children()?;
        let tree = self.tree;
        tree.acls.purge_unused();
        quota_apply::rebuild(&tree);
        tree.set_loaded(zxid);
        tree.set_digest(DigestAt {
            zxid: Zxid::ZERO,
            digest: self.digest,
        });
        Ok(tree)
    }

    fn fill_shards(&mut self) -> Result<(), LoadError> {
        let mut count = 0;
        for (shard, nodes) in self.tree.shards.iter_mut().zip(&mut self.shards) {
            let nodes = std::mem::take(nodes);
            count += nodes.len();
            let table = shard.nodes.get_mut();
            table.reserve(nodes.len(), &self.tree.state);
            for (hash, node) in nodes {
                if table.get(hash, node.path.bytes()).is_some() {
                    return Err(LoadError::Twice(node.path.text().to_owned()));
                }
                table.insert(hash, node, &self.tree.state);
            }
        }
        *self.tree.nodes.get_mut() += count;
        *self.tree.data_size.get_mut() += self.bytes;
        Ok(())
    }

    fn link_children(&mut self) -> Result<(), LoadError> {
        let mut links = std::mem::take(&mut self.links).into_iter();
        let total = links.len();
        let runs = std::mem::take(&mut self.runs);
        let ends = runs.iter().skip(1).map(|r| r.first).chain([total]);
        for (run, end) in runs.iter().zip(ends) {
            let hash = self.tree.hash(run.parent.text());
            let shard = &mut self.tree.shards[DataTree::shard_of(hash)];
            let Some(parent) = shard.nodes.get_mut().get_mut(hash, &run.parent) else {
                let child = links.next().map(|(_, p)| p.text().to_owned());
                return Err(LoadError::NoParent(child.unwrap_or_default()));
            };
            let children = parent.children_mut();
            children.reserve(end - run.first, &self.tree.state);
            for (hash, p) in links.by_ref().take(end - run.first) {
                children.insert(hash, p, &self.tree.state);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::OwnerKind;

    fn load(paths: &[&str]) -> Result<DataTree, LoadError> {
        let mut loader = Loader::new(TreeOptions::default());
        for p in paths {
            let stat = StatPersisted::created(Zxid(1), 1, OwnerKind::Persistent);
            loader.node(p, Some(p.as_bytes()), -1, &stat);
        }
        loader.finish(Zxid(7))
    }

    fn children(tree: &DataTree, p: &str) -> Vec<String> {
        let names = |n: &Znode| {
            let all = n.children().into_iter().flat_map(|c| c.iter());
            let mut all: Vec<_> = all.map(|c| path::name(c.text()).to_owned()).collect();
            all.sort();
            all
        };
        tree.with_node(p, names).unwrap()
    }

    #[test]
    fn children_are_linked_however_the_nodes_are_mixed() {
        let tree = load(&["", "/a", "/b", "/a/x", "/b/y", "/a/z", "/c", "/a/x/deep"]).unwrap();
        assert_eq!(children(&tree, "/"), ["a", "b", "c"]);
        assert_eq!(children(&tree, "/a"), ["x", "z"]);
        assert_eq!(children(&tree, "/a/x"), ["deep"]);
        // The root has two names.
        assert_eq!(tree.node_count(), 9);
        assert_eq!(tree.applied(), Zxid(7));
        let facts = tree.facts("/a/z").unwrap();
        assert_eq!((facts.data_len, facts.stat.czxid), (4, 1));
    }

    #[test]
    fn a_large_parent_is_split_as_if_it_had_grown() {
        let mut paths = vec![String::new(), "/p".to_owned()];
        paths.extend((0..20_000).map(|n| format!("/p/n{n}")));
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let tree = load(&paths).unwrap();
        let parts = tree.with_node("/p", |n| n.children().map(|c| (c.len(), c.parts())));
        assert_eq!(parts.unwrap(), Some((20_000, 256)));
        assert!(tree.facts("/p/n19999").is_some());
    }

    #[test]
    fn what_is_no_tree_is_refused() {
        let error = |paths: &[&str]| load(paths).unwrap_err().to_string();
        assert_eq!(error(&["", "/a", "/b", "/a"]), "node /a occurs twice");
        assert_eq!(
            error(&["", "/a", "/b/c"]),
            "Invalid Datatree, unable to find parent of path /b/c"
        );
    }
}
