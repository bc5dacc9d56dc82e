"""Drills around one write, or one snapshot, that is caught on its way."""

import contextlib
import os
import shutil
import time

import wire
from ensemble.members import SILENCE, until
from ensemble.session import NotSent, Session, Unknown, set_body

MARK = b"the-write-in-question"


class Writes:
    """Cases of `Drills`."""

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

    def proposed_to_nobody(self):
        """Scenario 1: only the leader has it, and dies. Nobody ever sees it."""
        there, _ = self._one_write([], [(3, 1), (3, 2)], False)
        assert not there, "it is there, though the only member that had it came back last"

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
        self._emptied({"db.autocreate": "false"})

    def emptied_unsaid(self):
        """The same when the emptied one looks like a new one."""
        self._emptied({})

    def _emptied(self, config):
        with self.ensemble(config=config) as ensemble:
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

    def grown_from_one(self):
        """A server alone becomes one of three: the empty ones count as soon as all are there, and
        what the first one has is there."""
        with self.ensemble() as ensemble:
            ensemble.start(3)
            with contextlib.closing(Session([ensemble[3].port])) as session:
                session.create("/before")
            ensemble.shut_down()
            for sid in (2, 3):
                shutil.rmtree(os.path.join(ensemble[sid].data, "version-2"))
            ensemble[2].start()
            ensemble[3].start()
            ensemble[1].start()
            ensemble.settle()
            assert "/before" in ensemble.same_trees()


def _epoch(ensemble):
    return max((m.zxid or 0) >> 32 for m in ensemble)
