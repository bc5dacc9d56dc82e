"""Drills with slow, failing and full disks, and with clocks that jump."""

import contextlib
import os

import disk
import wire
from ensemble.load import checked
from ensemble.members import SILENCE, until
from ensemble.session import NotSent, Session, Unknown, set_body

MARK = b"the-write-in-question"


class Disks:
    """Cases of `Drills`."""

    @contextlib.contextmanager
    def spoiled(self):
        """An ensemble under load whose members' disks and clocks can be spoiled."""
        with self.ensemble() as ensemble:
            for member in ensemble:
                member.can_fail()
            ensemble.start()
            with checked(ensemble, seed=self.ctx.options.rounds) as load:
                yield ensemble, load
                for member in ensemble:
                    member.faults.set()
                ensemble.settle()
            self.note = load.summary

    def slow_disk_of_follower(self):
        """Scenario 8: every sync takes longer than the leader waits for an acknowledgement."""
        with self.spoiled() as (ensemble, load):
            for _ in range(3 if self.long else 1):
                leader, follower = ensemble.settle(), ensemble.followers()[0]
                load.clear_gap()
                follower.faults.set(slow=SILENCE * 2)
                load.goes_on(300)
                until(
                    "the leader without it",
                    lambda: leader.count("zk_synced_followers") == 1 or load.wrong,
                    SILENCE * 8,
                )
                load.goes_on(100)
                assert leader.mode == "leader", "a follower's disk made another leader"
                gap = load.clear_gap()
                follower.faults.set()
                ensemble.settle()
        return "without a write for %d ms; %s" % (gap * 1000, self.note)

    def slow_disk_of_leader(self):
        """Scenario 9."""
        with self.spoiled() as (ensemble, load):
            for _ in range(3 if self.long else 1):
                leader = ensemble.settle()
                load.clear_gap()
                token = load.suspect(leader)
                leader.faults.set(slow=SILENCE * 2)
                load.goes_on(200)
                gap, other = load.clear_gap(), leader.mode != "leader"
                leader.faults.set()
                ensemble.settle()
                load.trust(token)
        return "without a write for %d ms%s; %s" % (
            gap * 1000, ", another leader" if other else "", self.note
        )

    def failing_sync(self):
        """Scenario 12: one sync fails. The member is gone for good, and is honest when it is
        started again."""
        with self.spoiled() as (ensemble, load):
            for number in range(6 if self.long else 2):
                leader = ensemble.settle()
                member = ensemble.followers()[0] if number % 2 else leader
                member.faults.set(failures=1)
                until("its end", lambda: not member.running, 30)
                assert member.faults.failures_left() == 0
                load.goes_on(100)
                member.stop()
                member.start()
                ensemble.settle()
        return self.note

    def clock_jumps(self):
        """Scenario 13: an hour on, and back again, at each member."""
        with self.spoiled() as (ensemble, load):
            leader = ensemble.settle()
            for member in ensemble:
                for clock in (3600, -3600, 0):
                    member.faults.set(clock=clock)
                    load.goes_on(100)
            assert leader.mode == "leader", "a clock made another leader"
        return self.note

    @contextlib.contextmanager
    def small_disk_at(self, sid):
        """An ensemble that is not started, with this member on a small disk; the ballast there."""
        with disk.small_disk(self.ctx, "tmpfs") as small:
            assert small is not None, "a small file system needs root, unshare, nsenter and mount"
            with self.ensemble() as ensemble:
                ensemble[sid].move_to(*small)
                yield ensemble, os.path.join(small[2], "ballast")

    def full_disk_of_follower(self):
        """Scenario 10: it ends or stays away, and comes back when there is room."""
        with self.small_disk_at(1) as (ensemble, ballast):
            ensemble.start(3)
            with checked(ensemble, seed=self.ctx.options.rounds) as load:
                for leave in (0, 200_000):
                    disk.fill_up(ballast, leave)
                    with contextlib.closing(Session(ensemble.client_ports((2, 3)))) as session:
                        session.ensure("/large")

                        def away():
                            with contextlib.suppress(NotSent, Unknown):
                                session.set("/large", b"x" * 100_000)
                            return not ensemble[1].running or ensemble[1].mode is None

                        until("it has left", away, 60)
                    load.goes_on(100)
                    assert ensemble[3].mode == "leader"
                    os.remove(ballast)
                    if not ensemble[1].running:
                        ensemble[1].stop()
                        ensemble[1].start()
                    ensemble.settle()
            return load.summary

    def full_disk_at_truncation(self):
        """Scenario 11: a write that nobody else has must go from a log on a full disk. With or
        without success, nobody sees it, then and later."""
        with self.small_disk_at(3) as (ensemble, ballast):
            ensemble.start(3)
            with contextlib.closing(Session([ensemble[3].port])) as session:
                session.ensure("/one")
            session = Session([ensemble[3].port])
            session.wait_connected()
            net = ensemble.net
            net.hold(ensemble.both([3], [1, 2]))
            session.send(wire.SET_DATA, set_body("/one", MARK))
            until("it is in the leader's log", lambda: ensemble[3].logged(MARK), 10)
            ensemble[3].kill()
            session.abandon()
            net.reset(ensemble.both([3], [1, 2]))
            net.heal()
            ensemble.settle([1, 2])
            disk.fill_up(ballast, 0)
            ensemble[3].start()
            until("it serves or has ended", lambda: ensemble[3].mode or not ensemble[3].running, 60)
            served = ensemble[3].mode is not None
            if served:
                with contextlib.closing(Session([ensemble[3].port])) as reader:
                    assert reader.get("/one")[0] != MARK, "the tail has come to life"
            os.remove(ballast)
            ensemble[3].kill()
            ensemble[3].start()
            ensemble.settle()
            assert ensemble.same_trees()["/one"][0] != MARK, "the tail has come to life"
            return "it %s on the full disk" % ("served" if served else "ended")
