"""Faults in ensembles of real processes, under a load whose promises are checked at the end.

Numbers in the names of cases are those of the list of fault scenarios that the design of the
replication keeps: what happens to a write in each stage of its way when the leader dies.
"""

import contextlib
import random
import socket
import time

import wire
from ensemble import linear
from ensemble.drills_disks import Disks
from ensemble.drills_writes import Writes
from ensemble.load import Load, checked
from ensemble.members import OBSERVER, SILENCE, Ensemble, until
from ensemble.reigns import Reigns
from ensemble.session import Error, Session


class Drills(Writes, Disks, Reigns):
    def __init__(self, ctx, names):
        """`names` are the implementations of the three voters."""
        self.ctx, self.names, self.long = ctx, names, ctx.options.long

    def ensemble(self, observer=False, **options):
        members = dict(enumerate(self.names, 1))
        if observer:
            members[4] = (self.names[0], OBSERVER)
        return Ensemble(self.ctx, members, **options)

    @contextlib.contextmanager
    def loaded(self, observer=False, options=None, **more):
        """An ensemble under load; the checkers run when the body has ended and all is healed."""
        with self.ensemble(observer, **(options or {})) as ensemble:
            ensemble.start()
            with checked(ensemble, seed=self.ctx.options.rounds, **more) as load:
                load.clear_gap()
                yield ensemble, load
                ensemble.net.heal()
                ensemble.settle()
            self.note = load.summary

    def checkers_notice(self):
        """Broken promises, made by a stranger who changes what is the load's."""
        linear.selftest()
        with self.ensemble() as ensemble:
            ensemble.start()
            load = Load(ensemble)
            with load, contextlib.closing(Session(ensemble.client_ports())) as stranger:
                load.goes_on(100)
                for name in stranger.children("/load/eph"):
                    with contextlib.suppress(Error):
                        stranger.delete("/load/eph/" + name)
                stranger.delete("/load/seq/" + sorted(stranger.children("/load/seq"))[0])

                def noticed():
                    # the worker's next write may come before its next read
                    stranger.set("/load/registers0", b"-7")
                    return len(load.wrong) >= 3

                until("the workers' objection", noticed, 30, 0.001)
            nodes, objections = ensemble.same_trees(), 0
            for worker in load.workers:
                try:
                    worker.check(nodes)
                except AssertionError:
                    objections += 1
            load.abandon()
            text = " ".join(load.wrong)
            assert "registers0" in text and "while its session lives" in text, text
            assert objections >= 2, "only %d at the end" % objections
            return "%d while it ran, %d at the end" % (len(load.wrong), objections)

    # --- processes ----------------------------------------------------------------------

    def kill_leader(self):
        """Epochs grow, and nothing acknowledged is lost."""
        gaps, epochs = [], []
        with self.loaded(observer=True) as (ensemble, load):
            for _ in range(10 if self.long else 2):
                leader = ensemble.settle()
                load.goes_on()
                load.clear_gap()
                leader.kill()
                load.goes_on()
                gaps.append(round(load.clear_gap() * 1000))
                epochs.append(ensemble.leader().zxid >> 32)
                leader.start()
                ensemble.settle()
        assert epochs == sorted(set(epochs)), "epochs %s" % epochs
        return "without a write for %s ms; %s" % (gaps, self.note)

    def clients_are_told(self):
        """Members whose leader is gone end the connections of their clients at once, also of those
        that say nothing. (A ping, or the end of the session, would come much later.)"""
        with self.ensemble() as ensemble:
            leader = ensemble.start().leader()
            clients = [wire.Connection(m.port, 60000) for m in ensemble.followers()]
            leader.kill()
            for client in clients:
                client.socket.settimeout(15)
                with contextlib.suppress(ConnectionResetError):
                    assert client.socket.recv(1) == b"", "more than the end"
                client.drop()

    def kill_follower(self):
        with self.loaded() as (ensemble, load):
            for _ in range(5 if self.long else 1):
                for follower in ensemble.followers():
                    follower.kill()
                    load.goes_on()
                    follower.start()
                    ensemble.settle()
        return self.note

    def kill_all(self):
        """Scenario 16."""
        with self.loaded() as (ensemble, load):
            for _ in range(5 if self.long else 1):
                load.goes_on(100)
                for member in ensemble:
                    member.kill()
                for member in ensemble:
                    member.start()
                ensemble.settle()
                load.goes_on()
        return self.note

    def rolling_restart(self):
        with self.loaded() as (ensemble, load):
            for _ in range(50 if self.long else 5):
                for member in list(ensemble):
                    member.stop()
                    load.goes_on(10)
                    member.start()
                    ensemble.settle()
                    load.goes_on(10)
        return self.note

    def stop_leader(self):
        """Scenario 14: the leader is stopped, another one leads, and it wakes up."""
        with self.loaded() as (ensemble, load):
            for _ in range(5 if self.long else 1):
                leader = ensemble.settle()
                others = [m.sid for m in ensemble if m is not leader]
                token = load.suspect(leader)
                leader.pause()
                ensemble.settle(others)
                load.goes_on()
                leader.resume()
                ensemble.settle()
                load.trust(token)
                load.goes_on()
        return self.note

    def stop_follower(self):
        """For longer than the leader waits."""
        with self.loaded() as (ensemble, load):
            leader, follower = ensemble.settle(), ensemble.followers()[0]
            follower.pause()
            until(
                "the leader without it",
                lambda: leader.count("zk_synced_followers") == 1 and load.fail_early() is None,
                SILENCE * 4,
            )
            load.goes_on()
            follower.resume()
            ensemble.settle()
            load.goes_on()
        return self.note

    def killed_while_starting(self):
        """Scenario 20, at moments as they come: a member is killed while it catches up."""
        rng = random.Random(self.ctx.options.rounds)
        with self.loaded() as (ensemble, load):
            member = ensemble.followers()[0]
            member.kill()
            for _ in range(30 if self.long else 2):
                load.goes_on(50)
                member.start()
                end = time.monotonic() + rng.uniform(0.2, 3.0)
                until("a moment", lambda: time.monotonic() > end)
                member.kill()
            member.start()
            ensemble.settle()
            load.goes_on()
        return self.note

    def kills_among_snapshots(self):
        """Scenario 21: leaders die, and all at once, while snapshots are written all the time."""
        with self.loaded(options={"config": {"snapCount": "20"}}) as (ensemble, load):
            for round_ in range(10 if self.long else 2):
                load.goes_on(150)
                some = list(ensemble) if round_ % 2 else [ensemble.settle()]
                for member in some:
                    member.kill()
                if len(some) == 1:
                    load.goes_on(100)
                for member in some:
                    member.start()
                ensemble.settle()
        return self.note

    # --- links --------------------------------------------------------------------------

    def _cut(self, cut):
        """`cut(ensemble, leader, others)` makes the fault; the rest go on without the leader."""
        with self.loaded() as (ensemble, load):
            for _ in range(3 if self.long else 1):
                leader = ensemble.settle()
                others = [m.sid for m in ensemble if m is not leader]
                token = load.suspect(leader)
                cut(ensemble, leader, others)
                ensemble.settle(others)
                load.goes_on()
                until("the old leader has stepped down", lambda: leader.mode is None, SILENCE * 4)
                ensemble.net.heal()
                ensemble.settle()
                load.trust(token)
                load.goes_on()
        return self.note

    def leader_cut_off(self):
        """Scenario 5, with clients on both sides."""
        return self._cut(lambda e, leader, others: e.net.hold(e.both([leader.sid], others)))

    def leader_reset(self):
        """The same with connections that are reset."""
        return self._cut(lambda e, leader, others: e.net.refuse(e.both([leader.sid], others)))

    def leader_hears_nobody(self):
        """One way: everybody hears the leader."""
        return self._cut(lambda e, leader, others: e.net.hold(e.pairs(others, [leader.sid])))

    def nobody_hears_leader(self):
        """The other way."""
        return self._cut(lambda e, leader, others: e.net.hold(e.pairs([leader.sid], others)))

    def _follower_apart(self, cut, leaves):
        with self.loaded() as (ensemble, load):
            leader, follower = ensemble.settle(), ensemble.followers()[0]
            cut(ensemble.net, leader.sid, follower.sid)
            if leaves:
                until("the follower has left", lambda: follower.mode is None, SILENCE * 4)
            load.goes_on(100)
            assert leader.mode == "leader", "the leader has stepped down"
            ensemble.net.heal()
            ensemble.settle()
            assert leader.mode == "leader", "one follower's trouble made another leader"
            load.goes_on()
        return self.note

    def leader_does_not_hear_follower(self):
        """Scenario 6."""
        return self._follower_apart(lambda net, a, b: net.hold([(b, a)]), True)

    def follower_does_not_hear_leader(self):
        return self._follower_apart(lambda net, a, b: net.hold([(a, b)]), True)

    def no_election_ports(self):
        """Scenario 7: it follows on."""

        def cut(net, a, b):
            others = [s for s in (1, 2, 3) if s != b]
            net.hold([(b, s) for s in others] + [(s, b) for s in others], "election")

        return self._follower_apart(cut, False)

    def slow_links(self):
        with self.loaded() as (ensemble, load):
            ensemble.net.slow(ensemble.pairs((1, 2, 3), (1, 2, 3)), 0.02)
            load.goes_on(200)
            slow = ensemble.followers()[0].sid
            ensemble.net.slow(ensemble.both([slow], [s for s in (1, 2, 3) if s != slow]), 0.3)
            load.goes_on(100)
            ensemble.leader().kill()
            load.goes_on(20)
            for member in ensemble:
                if not member.running:
                    member.stop()
                    member.start()
            ensemble.settle()
        return self.note

    def resets(self):
        """Every connection between members ends, again and again."""
        rng = random.Random(self.ctx.options.rounds)
        with self.loaded(observer=True) as (ensemble, load):
            for _ in range(30 if self.long else 3):
                a, b = rng.sample((1, 2, 3, 4), 2)
                ensemble.net.reset([(a, b)])
                load.goes_on()
        return self.note

    def few_bytes(self):
        """Scenario 27: what goes to quorum ports arrives in pieces of a few bytes."""
        with self.loaded() as (ensemble, load):
            ensemble.net.chop()
            load.goes_on(100)
            follower = ensemble.followers()[0]
            follower.kill()
            load.goes_on(20)
            follower.start()
            ensemble.settle()
            load.goes_on(100)
        return self.note

    def two_with_one_id(self):
        """Scenario 28: another process says that it is a follower that is there, on other ports
        and over an empty directory."""
        with self.loaded() as (ensemble, load):
            twin = ensemble.twin(ensemble.followers()[0])
            try:
                twin.start()
                load.goes_on(200 if self.long else 50)
                twin.kill()
                ensemble.settle()
                load.goes_on()
            finally:
                twin.kill()
        return self.note

    def strangers(self):
        """Scenario 29: bytes of no meaning on the ports of the ensemble."""
        rng = random.Random(self.ctx.options.rounds)
        with self.loaded() as (ensemble, load):
            for _ in range(100 if self.long else 10):
                for member in ensemble:
                    for port in (member.quorum, member.election):
                        _bother(port, rng)
                load.goes_on(5)
            for member in ensemble:
                member.check()
            ensemble.leader().kill()
            load.goes_on()
            for member in ensemble:
                if not member.running:
                    member.stop()
                    member.start()
        return self.note

def _bother(port, rng):
    """A connection that talks nonsense, half of it well-formed."""
    election = b"\xff\xff\xff\xff\xff\xff\x00\x00" + (99).to_bytes(8, "big")
    address = b"127.0.0.1:1"
    said = rng.choice((
        rng.randbytes(rng.randrange(1, 200)),
        b"\x7f\xff\xff\xff" * 8,
        b"\xff" * 64,
        b"\0" * 64,
        b"GET / HTTP/1.0\r\n\r\n",
        election + len(address).to_bytes(4, "big") + address + b"\0\x10\0\0" + rng.randbytes(100),
        election + b"\x7f\xff\xff\xff",
        # FOLLOWERINFO with a length of data that never comes
        b"\0\0\0\x0b" + bytes(8) + b"\x7f\xff\xff\xff",
        b"",
    ))
    with contextlib.suppress(OSError):
        with socket.create_connection(("127.0.0.1", port), 2) as s:
            s.sendall(said)


SHORT = [
    "checkers notice", "clients are told", "kill leader", "kill all", "rolling restart",
    "stop leader", "leader cut off", "leader does not hear follower", "proposed to one",
    "committed unsaid", "moved session", "learner dies in snapshot", "strangers",
    "slow disk of follower", "failing sync", "full disk of follower", "clock jumps",
]
ALL = SHORT + [
    "kill follower", "stop follower", "killed while starting", "kills among snapshots",
    "leader reset", "leader hears nobody", "nobody hears leader", "follower does not hear leader",
    "no election ports", "slow links", "resets", "few bytes", "two with one id",
    "proposed to nobody", "committed at one", "leader dies in snapshot", "newest comes late",
    "large request", "counter ends", "amnesia", "slow disk of leader", "full disk at truncation",
]

# What Apache cannot do.
OURS = [
    "handed over", "handover refused", "epochs pass", "heir dies", "handover gap",
    "linear syncs", "emptied unsaid", "grown from one", "epoch ends beside apache", "handover beside apache",
]
SLOW = ["heir dies", "handover gap", "epoch ends beside apache"]


def cases(ctx):
    """Those of CI; all of them with `--long`, or when one is asked for by `--only`. With other
    members than those under test (`--from`) all also run in mixed ensembles."""
    under, other = ctx.options.server, ctx.options.other
    kinds = [("", [under] * 3)]
    if ctx.options.long and other != under:
        kinds += [(" (two of three)", [under, other, under]), (" (one of three)", [other, under, other])]
    for suffix, names in kinds:
        drills = Drills(ctx, names)
        for name in ALL if ctx.options.long or ctx.only else SHORT:
            yield name + suffix, getattr(drills, name.replace(" ", "_"))
        for name in OURS if not suffix and under != "apache" else []:
            if ctx.options.long or ctx.only or name not in SLOW:
                yield name, getattr(drills, name.replace(" ", "_"))
