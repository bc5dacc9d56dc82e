"""Faults in ensembles of real processes, under a load whose promises are checked at the end.

Numbers in the names of cases are those of the list of fault scenarios that the design of the
replication keeps: what happens to a write in each stage of its way when the leader dies.
"""

import contextlib
import os
import random
import socket
import time

import wire
from ensemble import linear
from ensemble.load import Load, checked
from ensemble.members import OBSERVER, SILENCE, Ensemble, until
from ensemble.reigns import Reigns
from ensemble.session import Error, NotSent, Session, Unknown, set_body

MARK = b"the-write-in-question"


class Drills(Reigns):
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
            for _ in range(50 if self.long else 1):
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

    # --- one write ----------------------------------------------------------------------

    @contextlib.contextmanager
    def quiet(self):
        """An ensemble without a load, led by 3; 1 and 2 follow. `/one` is there."""
        with self.ensemble() as ensemble:
            ensemble.start(3)
            with contextlib.closing(Session([ensemble[3].port])) as session:
                session.ensure("/one")
                yield ensemble, session

    def _one_write(self, traps, held, acknowledged):
        """The leader 3 gets a write. Behind its PROPOSAL the links of `traps` stay shut, those
        of `held` from before. When everything is as wanted it is killed, and comes back."""
        with self.ensemble() as ensemble:
            ensemble.start(3)
            setup = Session([ensemble[3].port])
            setup.ensure("/one")
            setup.close()
            session = Session([ensemble[3].port])
            session.sync("/")
            net = ensemble.net
            for pair in traps:
                net.trap(pair, MARK, whole=True)
            net.hold(held)
            slot = session.send(wire.SET_DATA, set_body("/one", MARK))
            for pair in traps:
                until("the proposal on its way to %d" % pair[1], lambda: net.trapped(pair), 10)
                member = ensemble[pair[1]]
                until("it is in the log of %d" % pair[1], lambda: member.logged(MARK), 10)
            until("it is in the leader's log", lambda: ensemble[3].logged(MARK), 10)
            if acknowledged:
                session.result(slot)
            ensemble[3].kill()
            net.reset(ensemble.both([3], [1, 2]))
            net.heal()
            session.abandon()
            leader = ensemble.settle()
            ensemble[3].start()
            ensemble.settle()
            value = ensemble.same_trees()["/one"][0]
            for member in ensemble:
                member.kill()
            for member in ensemble:
                member.start()
            ensemble.settle()
            assert ensemble.same_trees()["/one"][0] == value, "it changed with a restart"
            return value == MARK, leader.sid

    def proposed_to_one(self):
        """Scenario 2: PROPOSAL reached 1 only, no acknowledgement came back. 1 has more than 2,
        leads, and the write takes effect."""
        there, leader = self._one_write([(3, 1)], [(3, 2), (1, 3)], False)
        assert leader == 1, "%d leads, and 1 has the newest" % leader
        assert there, "the write was in the log of the only one that could lead"

    def committed_unsaid(self):
        """Scenario 3: a quorum has it in its logs, the client was told so, no COMMIT left."""
        there, _ = self._one_write([(3, 1), (3, 2)], [], True)
        assert there, "an acknowledged write is lost"

    def committed_at_one(self):
        """Scenario 4: COMMIT reached 1 but not 2, which has not even the PROPOSAL."""
        with self.quiet() as (ensemble, session):
            net = ensemble.net
            net.hold([(3, 2)])
            reader = Session([ensemble[1].port])
            session.set("/one", MARK)
            reader.sync("/one")
            assert reader.get("/one")[0] == MARK
            reader.abandon()
            ensemble[3].kill()
            net.reset(ensemble.both([3], [1, 2]))
            net.heal()
            assert ensemble.settle().sid == 1
            session.abandon()
            assert ensemble.same_trees()["/one"][0] == MARK
            ensemble[3].start()
            ensemble.settle()
            assert ensemble.same_trees()["/one"][0] == MARK

    def moved_session(self):
        """Scenario 24: a session moves while a request of it is under way at the old member."""
        with self.quiet() as (ensemble, _):
            one, two = ensemble[1], ensemble[2]
            session = Session([one.port, two.port])
            session.wait_connected()
            if session.port != one.port:
                session.move(one.port)
            session.create("/mine", b"", 1)
            ensemble.net.hold([(1, 3)])
            late = session.send(wire.SET_DATA, set_body("/one", b"through the old member"))
            session.move(two.port)
            session.set("/one", b"through the new member")
            with contextlib.suppress(Unknown, NotSent):
                session.result(late)
                raise AssertionError("an answer from a member that was left")
            ensemble.net.heal()
            ensemble.settle()
            nodes = ensemble.same_trees()
            assert nodes["/one"][0] == b"through the new member", nodes["/one"]
            assert nodes["/mine"][1]["ephemeralOwner"] == session.session
            ensemble[3].kill()
            ensemble.settle()

            def lives():
                # Its connection may break only now: that the leader is gone shows at once, that the
                # member gave up its clients a moment later.
                with contextlib.suppress(Unknown, NotSent):
                    return session.exists("/mine")

            until("an answer to the session that outlives its leader", lives, 30)
            session.close()
            ensemble[3].start()
            ensemble.settle()
            assert "/mine" not in ensemble.same_trees()

    def _snapshot_cut(self, victim):
        """A SNAP to 1 is held before NEWLEADER, and one side of it dies."""
        with self.ensemble(config={"snapshotSizeFactor": "-1"}) as ensemble:
            ensemble.start(3)
            session = Session(ensemble.client_ports((2, 3)))
            session.ensure("/one")
            ensemble[1].kill()
            slots = [
                session.send(wire.CREATE, wire.create_body("/one/n", b"x" * 100, 2))
                for _ in range(700)
            ]
            for slot in slots:
                session.result(slot)
            # the signature behind the snapshot on the wire
            ensemble.net.trap((3, 1), b"BenWasHere")
            ensemble[1].start()
            until("the end of the snapshot", lambda: ensemble.net.trapped((3, 1)), 60)
            ensemble[victim].kill()
            ensemble.net.reset(ensemble.both([1], [2, 3]))
            ensemble.net.heal()
            ensemble.settle()
            session.set("/one", MARK)
            ensemble[victim].start()
            ensemble.settle()
            nodes = ensemble.same_trees()
            assert nodes["/one"][0] == MARK and len(nodes) >= 702
            for member in ensemble:
                member.kill()
            for member in ensemble:
                member.start()
            ensemble.settle()
            ensemble.same_trees()
            session.close()

    def learner_dies_in_snapshot(self):
        """Scenario 19."""
        self._snapshot_cut(1)

    def leader_dies_in_snapshot(self):
        """Scenario 19, the other side."""
        self._snapshot_cut(3)

    def newest_comes_late(self):
        """Scenario 17: two restart without the third, which had what nobody else has."""
        with self.quiet() as (ensemble, session):
            net = ensemble.net
            net.hold(ensemble.both([3], [1, 2]))
            session.send(wire.SET_DATA, set_body("/one", MARK))
            until("it is in the leader's log", lambda: ensemble[3].logged(MARK), 10)
            for member in ensemble:
                member.kill()
            net.reset(ensemble.both([3], [1, 2]))
            net.heal()
            for sid in (1, 2):
                ensemble[sid].start()
            ensemble.settle([1, 2])
            with contextlib.closing(Session([ensemble[1].port])) as other:
                other.set("/one", b"another")
            ensemble[3].start()
            ensemble.settle()
            assert ensemble.same_trees()["/one"][0] == b"another"
            session.abandon()

    def large_request(self):
        """Scenario 30: a multi above jute.maxbuffer through a follower."""
        with self.loaded() as (ensemble, load):
            follower = ensemble.followers()[0]
            for size in (900_000, 1_900_000):
                session = Session([follower.port])
                session.ensure("/large")
                ops = [
                    (wire.CREATE, wire.create_body("/large/%d-%d" % (size, i), b"x" * (size // 4), 0))
                    for i in range(4)
                ]
                with contextlib.suppress(Unknown):
                    session.call(wire.MULTI, wire.multi_body(ops))
                    assert size < 1_000_000, "too large and taken"
                session.abandon()
                load.goes_on()
                ensemble.settle()
            follower.kill()
            load.goes_on()
            follower.start()
            ensemble.settle()
        return self.note

    def counter_ends(self):
        """Scenario 22: the counter of the zxid ends under load, again and again."""
        start = 0xFFFFFFFF - 1500
        options = {"properties": ["zookeeper.testingonly.initialZxid=%d" % start]}
        with self.loaded(options=options) as (ensemble, load):
            epoch = _epoch(ensemble)
            until("another epoch", lambda: _epoch(ensemble) > epoch + 1 or load.wrong, 120, 0.2)
            load.fail_early()
        for path, (_, stat, _) in load.nodes.items():
            for name in ("czxid", "mzxid", "pzxid"):
                low = stat[name] & 0xFFFFFFFF
                assert stat[name] <= 0 or low not in (0, 0xFFFFFFFF), (path, stat)
        return self.note

    def amnesia(self):
        """Scenario 26: an emptied voter and one that has missed something make no quorum."""
        import shutil

        with self.ensemble(config={"db.autocreate": "false"}) as ensemble:
            for member in ensemble:
                open(os.path.join(member.data, "initialize"), "w").close()
            ensemble.start(3)
            ensemble[1].kill()
            with contextlib.closing(Session([ensemble[3].port])) as session:
                session.create("/acknowledged")
            ensemble[2].stop()
            ensemble[3].stop()
            shutil.rmtree(os.path.join(ensemble[2].data, "version-2"))
            for sid in (1, 2):
                ensemble[sid].start()
            end = time.monotonic() + 2 * SILENCE

            def led():
                modes = [ensemble[s].mode for s in (1, 2)]
                assert modes == [None, None], "they serve: %s" % modes
                return time.monotonic() > end

            until("a while without a leader", led, step=0.2)
            ensemble[3].start()
            ensemble.settle()
            assert "/acknowledged" in ensemble.same_trees()


def _epoch(ensemble):
    return max((m.zxid or 0) >> 32 for m in ensemble)


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
    "checkers notice", "kill leader", "kill all", "stop leader", "leader cut off", "leader does not hear follower",
    "proposed to one", "committed unsaid", "moved session", "learner dies in snapshot", "strangers",
]
ALL = SHORT + [
    "kill follower", "rolling restart", "stop follower", "killed while starting", "leader reset",
    "leader hears nobody", "nobody hears leader", "follower does not hear leader",
    "no election ports", "slow links", "resets", "few bytes", "committed at one",
    "leader dies in snapshot", "newest comes late", "large request", "counter ends", "amnesia",
]

# What Apache cannot do.
OURS = [
    "handed over", "handover refused", "epochs pass", "heir dies", "handover gap",
    "linear syncs", "epoch ends beside apache", "handover beside apache",
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
