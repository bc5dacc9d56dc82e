//! Which sets of servers decide (Apache: `server/quorum/flexible`).

use std::collections::BTreeSet;

use crate::base::ServerId;

/// Decides whether a set of voters is a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumVerifier {
    /// More than half of these voters.
    Majority(BTreeSet<ServerId>),
}

impl QuorumVerifier {
    /// A standalone server: it alone decides.
    pub fn alone(me: ServerId) -> Self {
        Self::Majority(BTreeSet::from([me]))
    }

    /// True when the voters for which `acked` holds decide.
    pub fn is_quorum(&self, acked: impl Fn(ServerId) -> bool) -> bool {
        match self {
            Self::Majority(voters) => {
                voters.iter().filter(|s| acked(**s)).count() > voters.len() / 2
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_decides() {
        let three = QuorumVerifier::Majority((1..=3).map(ServerId).collect());
        assert!(three.is_quorum(|s| s.0 != 2));
        assert!(!three.is_quorum(|s| s.0 == 2));
        assert!(QuorumVerifier::alone(ServerId(1)).is_quorum(|_| true));
    }
}
