//! Which sets of servers decide (Apache: `server/quorum/flexible`).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ServerId;
use crate::config::Ensemble;

/// Decides whether a set of voters is a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumVerifier {
    /// More than half of these voters.
    Majority(BTreeSet<ServerId>),
    /// More than half of the groups, each won by more than half of its weight.
    Hierarchical(Hierarchy),
}

/// Voters in groups, with weights (Apache: `QuorumHierarchical`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// Group and weight of each voter. A voter without weight decides nothing.
    voters: BTreeMap<ServerId, (i64, u64)>,
}

impl Hierarchy {
    /// Voters with their group and weight.
    pub fn new(voters: impl IntoIterator<Item = (ServerId, i64, u64)>) -> Self {
        let voters = voters.into_iter().map(|(s, group, w)| (s, (group, w)));
        Self {
            voters: voters.collect(),
        }
    }

    fn is_quorum(&self, acked: impl Fn(ServerId) -> bool) -> bool {
        // Of each group: the weight that acked, and all of it. Groups without weight do not count.
        let mut groups = BTreeMap::<i64, (u128, u128)>::new();
        for (server, (group, weight)) in self.voters.iter().filter(|(_, (_, w))| *w > 0) {
            let (won, all) = groups.entry(*group).or_default();
            *all += u128::from(*weight);
            *won += if acked(*server) {
                u128::from(*weight)
            } else {
                0
            };
        }
        let won = groups.values().filter(|(won, all)| *won > all / 2).count();
        won > groups.len() / 2
    }
}

impl QuorumVerifier {
    /// A standalone server: it alone decides.
    pub fn alone(me: ServerId) -> Self {
        Self::Majority(BTreeSet::from([me]))
    }

    /// The rule of a configuration. Only its participants vote.
    pub fn of(ensemble: &Ensemble) -> Self {
        let voters = ensemble.voters().map(|s| s.id);
        if !ensemble.hierarchical {
            return Self::Majority(voters.map(ServerId).collect());
        }
        let in_groups = voters.filter_map(|id| {
            let weight = u64::try_from(ensemble.weight(id)).unwrap_or(0);
            Some((ServerId(id), *ensemble.groups.get(&id)?, weight))
        });
        Self::Hierarchical(Hierarchy::new(in_groups))
    }

    /// True when the voters for which `acked` holds decide.
    pub fn is_quorum(&self, acked: impl Fn(ServerId) -> bool) -> bool {
        match self {
            Self::Majority(voters) => {
                voters.iter().filter(|s| acked(**s)).count() > voters.len() / 2
            }
            Self::Hierarchical(hierarchy) => hierarchy.is_quorum(acked),
        }
    }

    /// All voters, ascending.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        match self {
            Self::Majority(voters) => voters.clone(),
            Self::Hierarchical(h) => h.voters.keys().copied().collect(),
        }
    }

    /// Whether a server votes here.
    pub fn is_voter(&self, server: ServerId) -> bool {
        match self {
            Self::Majority(voters) => voters.contains(&server),
            Self::Hierarchical(h) => h.voters.contains_key(&server),
        }
    }

    /// A voter's weight: 1 in a majority, 0 for one that can never lead and for strangers.
    pub fn weight(&self, server: ServerId) -> u64 {
        match self {
            Self::Majority(voters) => u64::from(voters.contains(&server)),
            Self::Hierarchical(h) => h.voters.get(&server).map_or(0, |(_, w)| *w),
        }
    }
}

/// The committed rule and, while a reconfiguration is on its way, the proposed one beside it: what
/// decides must decide in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JointQuorum {
    /// The committed configuration's.
    pub committed: QuorumVerifier,
    /// The last seen configuration's, when it is newer.
    pub last_seen: Option<QuorumVerifier>,
}

impl JointQuorum {
    /// One rule alone.
    pub fn single(committed: QuorumVerifier) -> Self {
        Self {
            committed,
            last_seen: None,
        }
    }

    /// The rules of a committed configuration and of the last one seen, which counts when its
    /// version is higher.
    pub fn of(committed: &Ensemble, last_seen: Option<&Ensemble>) -> Self {
        let newer = last_seen.filter(|l| l.version > committed.version);
        Self {
            committed: QuorumVerifier::of(committed),
            last_seen: newer.map(QuorumVerifier::of),
        }
    }

    fn rules(&self) -> impl Iterator<Item = &QuorumVerifier> {
        std::iter::once(&self.committed).chain(&self.last_seen)
    }

    /// True when the voters for which `acked` holds decide in every rule.
    pub fn is_quorum(&self, acked: impl Fn(ServerId) -> bool) -> bool {
        self.rules().all(|r| r.is_quorum(&acked))
    }

    /// The voters of any rule, ascending.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        self.rules().flat_map(QuorumVerifier::voters).collect()
    }

    /// Whether a server votes in any rule.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.rules().any(|r| r.is_voter(server))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> QuorumVerifier {
        QuorumVerifier::of(&Ensemble::parse(text, false).unwrap())
    }

    fn decides(rule: &QuorumVerifier, servers: &[i64]) -> bool {
        rule.is_quorum(|s| servers.contains(&s.0))
    }

    /// Three groups of three, all of weight 1 but server 9, which has none.
    fn nine() -> String {
        let mut text: String = (1..=9).map(|n| format!("server.{n}=h{n}:1:2\n")).collect();
        text.push_str("server.10=o:1:2:observer\n");
        text.push_str("group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\nweight.9=0");
        text
    }

    #[test]
    fn more_than_half_decides() {
        let three = QuorumVerifier::Majority((1..=3).map(ServerId).collect());
        assert!(three.is_quorum(|s| s.0 != 2));
        assert!(!three.is_quorum(|s| s.0 == 2));
        assert!(QuorumVerifier::alone(ServerId(1)).is_quorum(|_| true));
    }

    #[test]
    fn observers_have_no_voice() {
        let rule = of("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer");
        assert!(!decides(&rule, &[1, 3]));
        assert!(decides(&rule, &[1, 2]));
        assert!(!rule.is_voter(ServerId(3)));
        assert_eq!((rule.weight(ServerId(1)), rule.weight(ServerId(3))), (1, 0));
    }

    #[test]
    fn groups_win_by_weight() {
        let rule = of(&nine());
        assert!(decides(&rule, &[1, 2, 4, 5]));
        assert!(!decides(&rule, &[1, 2, 3, 4, 7]), "one group of three");
        assert!(
            !decides(&rule, &[1, 2, 7, 9]),
            "9 has no weight, 7 is half of the rest"
        );
        assert!(decides(&rule, &[1, 2, 7, 8]));
        assert_eq!(rule.voters().len(), 9);
        assert!(rule.is_voter(ServerId(9)) && !rule.is_voter(ServerId(10)));
        assert_eq!(rule.weight(ServerId(9)), 0);
    }

    #[test]
    fn groups_without_weight_do_not_count() {
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
        let rule = of(&format!(
            "{members}group.1=1\ngroup.2=2:3\nweight.2=0\nweight.3=0"
        ));
        assert!(decides(&rule, &[1]));
        assert!(!decides(&rule, &[2, 3]));
    }

    #[test]
    fn nobody_is_no_quorum() {
        assert!(!QuorumVerifier::of(&Ensemble::empty()).is_quorum(|_| true));
        assert!(!QuorumVerifier::Hierarchical(Hierarchy::default()).is_quorum(|_| true));
    }

    #[test]
    fn joint_means_both() {
        let old = Ensemble::parse("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2", false).unwrap();
        let text = "server.3=c:1:2\nserver.4=d:1:2\nserver.5=e:1:2\nversion=5";
        let new = Ensemble::parse(text, false).unwrap();
        let both = JointQuorum::of(&old, Some(&new));
        assert!(!both.is_quorum(|s| s.0 <= 3));
        assert!(both.is_quorum(|s| [2, 3, 4].contains(&s.0)));
        assert_eq!(both.voters().len(), 5);
        assert!(both.is_voter(ServerId(5)) && !both.is_voter(ServerId(6)));
        let stale = JointQuorum::of(&new, Some(&old));
        assert_eq!(stale, JointQuorum::single(QuorumVerifier::of(&new)));
    }

    fn rules() -> impl Strategy<Value = QuorumVerifier> {
        let majority = prop::collection::btree_set((1_i64..12).prop_map(ServerId), 0..9);
        let groups = prop::collection::vec((0_i64..4, 0_u64..5), 0..11);
        prop_oneof![
            majority.prop_map(QuorumVerifier::Majority),
            groups.prop_map(|g| {
                let voters = (1..)
                    .zip(g)
                    .map(|(id, (group, w))| (ServerId(id), group, w));
                QuorumVerifier::Hierarchical(Hierarchy::new(voters))
            }),
        ]
    }

    proptest! {
        /// Also when some of those that acked do not vote; and more acks never undo a quorum.
        #[test]
        fn two_quorums_share_a_voter(rule in rules(), a in any::<u16>(), b in any::<u16>(), more in any::<u16>()) {
            let has = |set: u16| move |s: ServerId| set >> s.0 & 1 == 1;
            if rule.is_quorum(has(a)) {
                prop_assert!(rule.is_quorum(has(a | more)));
                if rule.is_quorum(has(b)) {
                    prop_assert!(rule.voters().into_iter().any(has(a & b)));
                }
            }
            prop_assert!(!(rule.is_quorum(has(a)) && rule.is_quorum(has(!a))));
        }
    }
}
