"""What members can be set to, in mixed ensembles: leaders that serve no clients, and several
addresses for one member."""

import contextlib
import functools

import wire
from ensemble.members import Ensemble, until
from ensemble.session import Session

# Nobody listens there. Apache's servers would go there all the same: they take any address whose
# host is there, at random (`MultipleAddresses.getReachableAddress`), and this whole network is ours.
NOBODY = "127.0.0.200"
# No host has it, and no packet leaves for it.
NO_HOST = "255.255.255.255"


def cases(ctx):
    under, other = ctx.options.server, ctx.options.other
    for name, members in (
        ("leader", {1: other, 2: other, 3: under}), ("followers", {1: under, 2: under, 3: other}),
    ):
        yield "leaderServes=no: our " + name, functools.partial(leader_serves, ctx, members)
    for name, members in (
        ("between others", {1: other, 2: under, 3: other}), ("around others", {1: under, 2: other, 3: under}),
    ):
        yield "multi-address: ours " + name, functools.partial(addresses, ctx, members)


def leader_serves(ctx, members):
    """Clients find the leader closed, and are served by the others."""
    ensemble = Ensemble(ctx, members, properties=["zookeeper.leaderServes=no"], relayed=False)
    with ensemble:
        for sid in (3, 1):
            ensemble[sid].start()
        # the largest of two that are equal leads, and shows no mode
        until("a follower", lambda: ensemble[1].mode == "follower")
        ensemble[2].start()
        until("the other one", lambda: ensemble[2].mode == "follower")
        assert ensemble[3].mode is None, "the leader shows a mode"
        assert "not currently serving" in ensemble[3].word("srvr"), ensemble[3].word("srvr")
        try:
            wire.Connection(ensemble[3].port, 20000)
        except (wire.Refused, wire.Gone, OSError):
            pass
        else:
            raise AssertionError("the leader takes clients")
        with contextlib.closing(Session([ensemble[1].port])) as one:
            with contextlib.closing(Session([ensemble[2].port])) as two:
                for i in range(20):
                    one.create("/n%d" % i, b"%d" % i)
                    two.sync("/")
                    assert two.get("/n%d" % i)[0] == b"%d" % i
        # who leads next closes its clients, too
        wanderer = Session([ensemble[1].port, ensemble[2].port])
        wanderer.wait_connected()
        ensemble[3].kill()
        until("one follower", lambda: [ensemble[s].mode for s in (1, 2)].count("follower") == 1)
        until("a write", lambda: _written(wanderer))
        wanderer.close()


def _written(session):
    with contextlib.suppress(Exception):
        session.ensure("/after")
        return True
    return False


def known_as(one, other):
    """Each member has two addresses, and others know two more of it, which are dead."""
    live = [other.host, "127.0.0.%d" % (100 + other.sid)]
    if one is other:
        return live
    return [NO_HOST] + ([] if one.implementation.apache else [NOBODY]) + live


def addresses(ctx, members):
    """Members of several addresses, all of which they announce, find each other by those that live."""
    properties = [
        "zookeeper.multiAddress.enabled=true",
        "zookeeper.multiAddress.reachabilityCheckTimeoutMs=200",
    ]
    with Ensemble(ctx, members, None, properties, relayed=False, addresses=known_as) as ensemble:
        for member in ensemble:
            member.start()
        leader = ensemble.settle()
        with contextlib.closing(Session(ensemble.client_ports())) as session:
            session.create("/one", b"1")
        leader.kill()
        ensemble.settle()
        leader.start()
        ensemble.settle()
        with contextlib.closing(Session([leader.port])) as session:
            session.set("/one", b"2")
        ensemble.same_trees()
