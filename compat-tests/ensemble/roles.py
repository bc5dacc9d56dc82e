"""The server under test as follower, as observer and as leader of other members."""

import contextlib
import functools

import tree
import wire
from ensemble import load
from ensemble.members import OBSERVER, Ensemble, until
from ensemble.script import Script
from ensemble.session import CHANGED, Session, set_body

# SNAP when the cache of 500 transactions does not reach back, never the log on disk.
CONFIG = {"snapshotSizeFactor": "-1"}
LONG_ABSENCE = 700
MARK = b"the-tail-that-nobody-acknowledged"


def layouts(ctx):
    """Name, members, id of the one that leads, and ids of learners that go away and return."""
    under, other = ctx.options.server, ctx.options.other
    yield "follower", {1: other, 2: under, 3: other, 4: (other, OBSERVER)}, 3, (2,)
    yield "observer", {1: other, 2: other, 3: other, 4: (under, OBSERVER)}, 3, (4,)
    yield "leader", {1: other, 2: other, 3: under, 4: (other, OBSERVER)}, 3, (1, 4)
    if not ctx.options.long:
        older = {1: "apache-3.8.4", 2: "apache-3.5.10", 3: under, 4: ("apache-3.8.4", OBSERVER)}
        yield "leader of older", older, 3, (2, 4)
        return
    for old in ("apache-3.8.4", "apache-3.5.10"):
        yield "follower of " + old, {1: old, 2: under, 3: old, 4: (old, OBSERVER)}, 3, (2,)
        yield "observer of " + old, {1: old, 2: old, 3: old, 4: (under, OBSERVER)}, 3, (4,)
        yield "leader of " + old, {1: old, 2: old, 3: under, 4: (old, OBSERVER)}, 3, (1, 4)


class Roles:
    """The cases of one layout, on one ensemble."""

    def __init__(self, ctx, name, members, leader, away):
        self.ctx, self.name, self.leader, self.away = ctx, name, leader, away
        self.ensemble = self.make(ctx, members)
        self.old = any(m.implementation.old for m in self.ensemble)

    def make(self, ctx, members):
        return Ensemble(ctx, members, CONFIG)

    def cases(self):
        yield "start", lambda: self.ensemble.start(self.leader) and None
        for what in (
            self.operations, self.load, self.moves, self.dying, self.short_absence,
            self.long_absence, self.truncation, self.other_epoch, self.everything_again,
        ):
            yield what.__name__.replace("_", " "), what

    def session(self, sid, **options):
        return Session([self.ensemble[sid].port], **options)

    @contextlib.contextmanager
    def sessions(self, **options):
        """One for each member, in the order of their ids."""
        some = {m.sid: self.session(m.sid, **options) for m in self.ensemble}
        try:
            yield some
        except BaseException:
            for session in some.values():
                session.abandon()
            raise
        for session in some.values():
            session.close()

    def operations(self):
        """The same requests through each member, and their effects seen through the others."""
        wanted = None
        with self.sessions() as sessions:
            for sid, session in sessions.items():
                got = Script(session, "/ops%d" % sid, not self.old).run()
                if wanted is None:
                    wanted = got
                for one, other in zip(got, wanted):
                    assert one == other, "member %d: %r, not %r" % (sid, one, other)
                self.ensemble.same_trees()
            # a watch set at one member, a change made at each other one
            for sid, session in sessions.items():
                for other, changer in sessions.items():
                    path = "/ops%d" % sid
                    session.sync(path)
                    session.get(path, True)
                    changer.set(path, b"by %d" % other)
                    assert session.wait_event(CHANGED, path), "no event at %d from %d" % (sid, other)
                    session.sync(path)
                    assert session.get(path)[0] == b"by %d" % other
        return "%d requests and events each; %d digests compared" % (
            len(wanted), self.ensemble.same_digests(),
        )

    def load(self):
        """All promises under a load through every member, without a fault."""
        with load.checked(self.ensemble) as some:
            some.goes_on(2000 if self.ctx.options.long else 300)
        return some.summary

    def moves(self):
        """A session goes from member to member with its ephemerals and watches."""
        ports = self.ensemble.client_ports()
        session = Session(ports)
        with self.sessions() as others:
            session.create("/moving", b"", 1)
            session.ensure("/moved")
            for port in ports + ports[::-1]:
                session.get("/moved", True)
                session.move(port)
                others[1].set("/moved", b"%d" % port)
                assert session.wait_event(CHANGED, "/moved"), "the watch stayed behind"
                session.create("/moving-%d" % session.moves, b"", 1)
                for sid, other in others.items():
                    other.sync("/moving")
                    owner = other.exists("/moving")["ephemeralOwner"]
                    assert owner == session.session, "owner at %d: %x" % (sid, owner)
            made = session.call(103, wire.string("/")) if not self.old else None
            assert made is None or made.take(">i") == 1 + 2 * len(ports)
            for port in ports:
                self._refused(port, session)
            session.close()
            for sid, other in others.items():
                other.sync("/moving")
                left = [n for n in other.children("/") if n.startswith("moving")]
                assert not left, "left at %d: %s" % (sid, left)

    @staticmethod
    def _refused(port, session):
        try:
            wire.Connection(port, 20000, session.session, b"\1" * 16).drop()
        except (wire.Refused, wire.Gone):
            return
        raise AssertionError("a wrong password is taken at %d" % port)

    def dying(self):
        """Sessions that fall silent expire, and their ephemerals go everywhere."""
        names = []
        for member in self.ensemble:
            session = Session([member.port], 1500)
            names.append(session.create("/dying%d" % member.sid, b"", 1))
            session.abandon()
        with self.sessions() as others:
            for session in others.values():
                for name in names:
                    until("end of " + name, lambda: session.exists(name) is None, 30)

    def _absence(self, writes):
        """Members go away, others write, they come back: how often each way of sync was used."""
        before = self._syncs()
        for sid in self.away:
            self.ensemble[sid].kill()
        with contextlib.closing(self.session(self.leader)) as session:
            session.ensure("/absent")
            slots = [
                session.send(wire.CREATE, wire.create_body("/absent/n", b"x" * 50, 2))
                for _ in range(writes)
            ]
            for slot in slots:
                session.result(slot)
        # An observer master of Apache's that still applies sends a snapshot whose digests its own
        # kind then counts as wrong.
        self.ensemble.same_trees()
        for sid in self.away:
            self.ensemble[sid].start()
        self.ensemble.settle()
        self.ensemble.same_trees()
        after = self._syncs()
        return tuple(b - a for a, b in zip(before, after))

    def _syncs(self):
        counts = self.ensemble[self.leader].mntr()
        return [int(float(counts.get("zk_" + k, 0))) for k in ("diff_count", "snap_count")]

    def short_absence(self):
        done = self._absence(20)
        if not self.ensemble[self.leader].implementation.old:
            assert done == (len(self.away), 0), "DIFF and SNAP: %s" % (done,)
        return "DIFF %d, SNAP %d" % done

    def long_absence(self):
        done = self._absence(LONG_ABSENCE)
        if not self.ensemble[self.leader].implementation.old:
            assert done == (0, len(self.away)), "DIFF and SNAP: %s" % (done,)
        return "DIFF %d, SNAP %d" % done

    def _no_sessions(self):
        """None is left, so that none can expire at a moment that matters: that is a write."""
        leader = self.ensemble.leader()
        if not leader.implementation.old:
            until("the end of all sessions", lambda: leader.count("zk_global_sessions") == 0, 90, 0.1)

    @contextlib.contextmanager
    def _tail(self):
        """A leader logs a write that reaches nobody, and dies; the others go on. In the end it is
        back, and the session of that write is closed there."""
        leader = self.ensemble.settle()
        others = [m.sid for m in self.ensemble if m is not leader]
        with contextlib.closing(Session([leader.port])) as session:
            session.ensure("/tail")
        self._no_sessions()
        # it lives longer than the others need for another leader and the first one for its return
        writer = Session([leader.port], 60000)
        try:
            writer.wait_connected()
            net = self.ensemble.net
            net.hold(self.ensemble.both([leader.sid], others))
            writer.send(wire.SET_DATA, set_body("/tail", MARK))
            until("the write in the leader's log", lambda: leader.logged(MARK), 10)
            leader.kill()
            net.reset(self.ensemble.both([leader.sid], others))
            net.heal()
            self.ensemble.settle()
            yield leader
        except BaseException:
            writer.abandon()
            raise
        writer.close()

    def _no_tail(self):
        nodes = self.ensemble.same_trees()
        assert nodes["/tail"][0] != MARK, "the tail has come to life"

    def truncation(self):
        """The old leader comes back before anything else was written: TRUNC."""
        with self._tail() as leader:
            start = len(leader.log_tail(1 << 30))
            leader.start()
            now = self.ensemble.settle()
            # With a write of the next epoch it would be SNAP: a cut goes across no epoch.
            assert now.zxid & 0xFFFFFFFF == 0, "something was written: %x" % now.zxid
            text = leader.log_tail(1 << 30)[start:]
            if leader.implementation.apache and not leader.implementation.old:
                assert "Truncating log" in text, "no TRUNC: " + text[-1000:]
            self._no_tail()
        leader.kill()
        self.ensemble.settle()
        leader.start()
        self.ensemble.settle()
        self._no_tail()

    def other_epoch(self):
        """The old leader comes back when the new one has committed more."""
        with self._tail() as leader:
            with contextlib.closing(Session(self.ensemble.client_ports())) as session:
                for i in range(5):
                    session.set("/tail", b"%d" % i)
            leader.start()
            self.ensemble.settle()
            self._no_tail()
        self.ensemble.shut_down()
        for member in self.ensemble:
            member.start()
        self.ensemble.settle()
        self._no_tail()

    def everything_again(self):
        """kill -9 of all, and what was there is there."""
        with contextlib.closing(Session(self.ensemble.client_ports())) as session:
            session.ensure("/last")
        before = self.ensemble.same_trees()
        for member in self.ensemble:
            member.kill()
        for member in self.ensemble:
            member.start()
        self.ensemble.settle()
        tree.same(self.ensemble.same_trees(), before, "after the restart")


def run(ctx, run_cases, layouts=layouts, kind=Roles):
    for name, members, leader, away in layouts(ctx):
        # looks at names first, so as not to start what is not asked for
        if ctx.only and ":" in ctx.only and not ctx.only.startswith(name + ":"):
            continue
        roles = kind(ctx, name, members, leader, away)
        with roles.ensemble as ensemble:
            failed = ctx.report.failed
            for case, body in roles.cases():
                run_cases(ctx, [("%s: %s" % (name, case), functools.partial(_guarded, roles, body))])
            if ctx.report.failed != failed:
                for member in ensemble:
                    ensemble.keep_log(member)


def _guarded(roles, body):
    """A case that failed must not take the next ones with it: everything runs again first."""
    if body.__name__ != "<lambda>":
        for member in roles.ensemble:
            if not member.running:
                member.stop()
                member.start()
        if roles.ensemble.net is not None:
            roles.ensemble.net.heal()
        roles.ensemble.settle()
    return body()
