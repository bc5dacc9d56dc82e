//! A voter without any data among voters that have some.

use std::collections::BTreeSet;

use super::{Members, Notification, ServerState};
use crate::base::ServerId;

/// What a voter on an empty disk has heard. Nobody knows whether it is new, or has lost what it
/// acknowledged. Among voters that are all empty it makes no difference. Once another one has data,
/// this one's vote could make a quorum with a voter that missed what both of them are taken to hold:
/// it counts only when every other voter has been heard, so that the best history is known.
///
/// Differs: Apache's counts, unless `db.autocreate` is false (there and here its zxid is -1 then).
#[derive(Clone, Debug, Default)]
pub(super) struct EmptyVoter {
    others_have_data: bool,
    /// The voters that look for a leader, as far as heard in this search.
    heard: BTreeSet<ServerId>,
}

impl EmptyVoter {
    /// Another search begins.
    pub(super) fn search(&mut self) {
        self.heard.clear();
    }

    /// A voter said something. Who has a leader is no candidate, however good its history is: if that
    /// leader has no quorum any more, both will look again.
    pub(super) fn hear(&mut self, from: ServerId, n: &Notification, me: ServerId) {
        let has_data = n.zxid.0 > 0 || n.peer_epoch > 0;
        self.others_have_data |= has_data;
        match n.state == ServerState::Looking && !(has_data && n.leader == me) {
            true => self.heard.insert(from),
            false => self.heard.remove(&from),
        };
    }

    /// True while this voter's vote must not count.
    pub(super) fn holds_back(&self, me: ServerId, members: &Members) -> bool {
        let known = |s: ServerId| s == me || self.heard.contains(&s);
        self.others_have_data && !members.voters().all(known)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules_tests::{elected, election, members, note, receive, sent, tick};
    use super::super::{Effect, Election, InitialVote};
    use super::*;
    use crate::base::Zxid;
    use ServerState::{Following, Leading, Looking};

    /// Server 2 of 3, with an empty disk.
    fn emptied(empty: bool) -> Election {
        let mut e = election(2, members(3));
        look(&mut e, empty);
        e
    }

    fn look(e: &mut Election, empty: bool) {
        let own = InitialVote {
            zxid: Zxid(0),
            epoch: 0,
            empty,
        };
        e.look_for_leader(0, own, &mut Vec::new());
    }

    fn zxids(effects: &[Effect]) -> Vec<i64> {
        let one = |e: &Effect| match e {
            Effect::Send(_, n) => Some(n.zxid.0),
            _ => None,
        };
        effects.iter().filter_map(one).collect()
    }

    /// Server 3 may have missed what 1 and 2 acknowledged.
    #[test]
    fn it_makes_no_quorum_with_one_that_may_have_missed_something() {
        let mut e = emptied(true);
        let out = receive(&mut e, 3, &note(Looking, 3, 1));
        assert!(e.holds_back());
        assert_eq!(zxids(&out), [-1, -1, -1, -1], "nobody counts it");
        assert_eq!(elected(&tick(&mut e, 10_000)), None);
        // Everybody is there: the better history is known.
        let mut best = note(Looking, 1, 1);
        best.zxid = Zxid(99);
        let out = receive(&mut e, 1, &best);
        assert!(!e.holds_back());
        assert!(sent(&out).contains(&(3, 1, 1)), "{out:?}");
        assert_eq!(elected(&tick(&mut e, 10_000)), Some((1, Following)));
    }

    #[test]
    fn it_joins_a_leader_that_others_have_made() {
        let mut e = emptied(true);
        receive(&mut e, 3, &note(Following, 1, 1));
        assert!(e.holds_back());
        let out = receive(&mut e, 1, &note(Leading, 1, 1));
        assert_eq!(elected(&out), Some((1, Following)));
        assert!(e.holds_back(), "it counts once it was given everything");
        let mut five = election(2, members(5));
        look(&mut five, true);
        receive(&mut five, 3, &note(Following, 1, 1));
        receive(&mut five, 4, &note(Following, 1, 1));
        let out = receive(&mut five, 1, &note(Leading, 1, 1));
        assert_eq!(elected(&out), Some((1, Following)));
        assert!(five.holds_back());
    }

    /// Found by the simulator (seed 425): what it had before its disk was lost.
    #[test]
    fn nobody_can_tell_it_that_it_has_data() {
        let mut e = emptied(true);
        for from in [1, 3] {
            receive(&mut e, from, &note(Looking, 2, 1));
            receive(&mut e, from, &note(Following, 2, 1));
        }
        assert!(e.holds_back());
        assert_eq!(elected(&tick(&mut e, 10_000)), None);
    }

    /// Found by the simulator (seed 78): 5 leads and 3 follows without the others, who lag.
    #[test]
    fn who_has_a_leader_is_not_taken_for_a_candidate() {
        let mut e = election(2, members(5));
        look(&mut e, true);
        receive(&mut e, 5, &note(Leading, 5, 1));
        receive(&mut e, 3, &note(Following, 5, 1));
        receive(&mut e, 1, &note(Looking, 1, 1));
        receive(&mut e, 4, &note(Looking, 1, 1));
        assert_eq!(elected(&tick(&mut e, 10_000)), None);
        assert!(e.holds_back());
    }

    #[test]
    fn the_last_outcome_says_nothing_about_who_is_there_now() {
        let mut e = emptied(true);
        receive(&mut e, 3, &note(Looking, 3, 1));
        receive(&mut e, 1, &note(Looking, 1, 1));
        assert!(!e.holds_back());
        look(&mut e, true);
        assert!(e.holds_back());
    }

    #[test]
    fn among_empty_ones_and_by_the_operators_word_it_counts_at_once() {
        let mut e = emptied(true);
        let mut other = note(Looking, 3, 1);
        (other.zxid, other.peer_epoch) = (Zxid(0), 0);
        receive(&mut e, 3, &other);
        assert_eq!(elected(&tick(&mut e, 10_000)), Some((3, Following)));
        let mut e = emptied(false);
        receive(&mut e, 3, &note(Looking, 3, 1));
        assert_eq!(elected(&tick(&mut e, 10_000)), Some((3, Following)));
    }
}
