//! `/zookeeper/config`, which servers of an ensemble write themselves (Apache:
//! `ZKDatabase.initConfigInZKDatabase`).

use std::sync::atomic::Ordering;

use super::acl_table::AclId;
use super::locked::{LockSet, Locked};
use super::tree::DataTree;
use crate::base::{Acl, StatPersisted, Thin};

/// The path of the configuration, as clients know it.
pub const CONFIG_PATH: &str = "/zookeeper/config";
const PARENT: &str = "/zookeeper";

impl DataTree {
    /// Writes the text of a configuration into its node, without any transaction, as it stands
    /// for one that is known by other ways than the log. `version` is the configuration's, `time`
    /// wall ms. Not while clients are served: nobody is told.
    pub fn set_config(&self, text: &[u8], version: i64, time: i64) {
        let mut set = LockSet::default();
        set.add(self, CONFIG_PATH);
        set.add(self, PARENT);
        set.add(self, "");
        let mut locked = Locked::new(self, set, true);
        let data = Some(Thin::new(text));
        let changed = locked.update(CONFIG_PATH, |n| {
            let before = n.data_len();
            n.set_data(data.clone(), -1, version, time);
            text.len() as i64 - before as i64
        });
        match changed {
            Some(delta) => {
                self.data_size.fetch_add(delta, Ordering::Relaxed);
            }
            // A snapshot from before 3.5 has no such node.
            None => {
                let read_only = self.acls.add(&Acl::read_only());
                let empty = StatPersisted::default();
                if locked.get(PARENT).is_none() {
                    locked.put(Thin::new(PARENT.as_bytes()), None, AclId::OPEN, &empty);
                }
                let stat = StatPersisted {
                    version: -1,
                    aversion: -1,
                    mzxid: version,
                    mtime: time,
                    ..empty
                };
                locked.put(Thin::new(CONFIG_PATH.as_bytes()), data, read_only, &stat);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreeOptions;

    #[test]
    fn the_node_is_written_and_nothing_else_changes() {
        let tree = DataTree::fresh(TreeOptions::default());
        let (digest, size) = (tree.digest().digest, tree.approximate_data_size());
        tree.set_config(b"version=5", 5, 77);
        let facts = tree.facts(CONFIG_PATH).unwrap();
        let expected = StatPersisted {
            version: -1,
            aversion: -1,
            mzxid: 5,
            mtime: 77,
            ..StatPersisted::default()
        };
        assert_eq!(facts.stat, expected);
        assert_eq!(facts.data_len, 9);
        assert_eq!(tree.digest().digest, digest, "it is outside the digest");
        assert_eq!(tree.approximate_data_size(), size + 9);
        assert_eq!(tree.applied().0, 0);
        tree.set_config(b"", 6, 78);
        assert_eq!(tree.approximate_data_size(), size);
    }

    #[test]
    fn a_tree_of_3_4_gets_the_node() {
        let tree = DataTree::empty(TreeOptions::default());
        let zero = StatPersisted::default();
        Locked::all(&tree).put(Thin::new(b""), None, AclId::OPEN, &zero);
        tree.set_config(b"version=0", 0, 1);
        assert_eq!(tree.facts(CONFIG_PATH).unwrap().data_len, 9);
        assert_eq!(tree.facts(PARENT).unwrap().children, 1);
    }
}
