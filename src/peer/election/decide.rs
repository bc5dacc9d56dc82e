//! Which connection of a pair lives, as tables (Apache: `startConnection`, `handleConnection`).

use std::net::IpAddr;

use crate::base::ServerId;
use crate::config::server_line::HostPort;

/// The id of a server that has none (Apache: `QuorumPeer.OBSERVER_ID`).
pub(super) const ANONYMOUS: ServerId = ServerId(i64::MAX);

/// What to do with a connection this server made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Use it.
    Keep,
    /// Say who this is and close it: the other server is the one that connects.
    Poke,
    /// Do not make it.
    Never,
}

/// Decides for a connection towards `to`.
pub(super) fn outgoing(me: ServerId, to: ServerId) -> Outgoing {
    match to.cmp(&me) {
        std::cmp::Ordering::Less => Outgoing::Keep,
        std::cmp::Ordering::Equal => Outgoing::Never,
        std::cmp::Ordering::Greater => Outgoing::Poke,
    }
}

/// What to do with a connection that another server made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Use it instead of the one there is.
    Keep,
    /// Give it an id of its own, and use it.
    KeepAnonymous,
    /// Close it and the one there is, and connect from here.
    ConnectBack,
    /// Close it: it says it is this server.
    Close,
}

/// Decides for a connection of a server that says it is `from`.
///
/// Differs: Apache connects back to a server without an id, which then does the same, for ever.
pub(super) fn incoming(me: ServerId, from: ServerId) -> Incoming {
    match from.cmp(&me) {
        std::cmp::Ordering::Equal => Incoming::Close,
        _ if from == ANONYMOUS => Incoming::KeepAnonymous,
        std::cmp::Ordering::Less => Incoming::ConnectBack,
        std::cmp::Ordering::Greater => Incoming::Keep,
    }
}

/// Where to connect back to: where the other side says it is, unless that is everywhere, then
/// where the configuration has it.
pub(super) fn targets(announced: &[HostPort], configured: &[HostPort]) -> Vec<HostPort> {
    let somewhere = |a: &&HostPort| {
        let wildcard = a.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
        !wildcard && a.port != 0
    };
    let mut all: Vec<HostPort> = Vec::new();
    for address in announced.iter().filter(somewhere).chain(configured) {
        if !all.contains(address) {
            all.push(address.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_id_makes_the_connection() {
        let cases = [
            (1, 2, Outgoing::Poke, Incoming::Keep),
            (2, 1, Outgoing::Keep, Incoming::ConnectBack),
            (2, 2, Outgoing::Never, Incoming::Close),
            (2, -1, Outgoing::Keep, Incoming::ConnectBack),
            (2, i64::MIN, Outgoing::Keep, Incoming::ConnectBack),
            (2, i64::MAX, Outgoing::Poke, Incoming::KeepAnonymous),
            (i64::MAX, i64::MAX, Outgoing::Never, Incoming::Close),
        ];
        for (me, other, out, inc) in cases {
            let (me, other) = (ServerId(me), ServerId(other));
            assert_eq!(outgoing(me, other), out, "{me:?} to {other:?}");
            assert_eq!(incoming(me, other), inc, "{other:?} to {me:?}");
        }
    }

    #[test]
    fn every_pair_has_exactly_one_side_that_connects() {
        for (a, b) in [(1, 2), (2, 1), (-5, 7), (0, 255)].map(|(a, b)| (ServerId(a), ServerId(b))) {
            let sides = [(a, b), (b, a)].map(|(me, to)| outgoing(me, to) == Outgoing::Keep);
            assert_eq!(sides.iter().filter(|s| **s).count(), 1);
            // What one side keeps the other keeps, and a poke is answered.
            let (small, large) = (a.min(b), a.max(b));
            assert_eq!(incoming(small, large), Incoming::Keep);
            assert_eq!(incoming(large, small), Incoming::ConnectBack);
        }
    }

    fn at(host: &str, port: u16) -> HostPort {
        HostPort {
            host: host.to_string(),
            port,
        }
    }

    #[test]
    fn announced_addresses_come_first_unless_they_are_everywhere() {
        let known = [at("h", 2)];
        assert_eq!(targets(&[at("a", 1)], &known), [at("a", 1), at("h", 2)]);
        for everywhere in ["0.0.0.0", "::", "0:0:0:0:0:0:0:0"] {
            assert_eq!(targets(&[at(everywhere, 1)], &known), known);
        }
        assert_eq!(targets(&[at("h", 2), at("a", 0)], &known), known);
        assert!(targets(&[], &[]).is_empty());
    }
}
