"""Observers that learn from followers (`observerMasterPort`): ours under Apache's, Apache's under
ours, and what happens when the one they learn from, or its leader, is gone."""

import contextlib

import wire
from ensemble import load
from ensemble.members import OBSERVER, Ensemble, until
from ensemble.roles import CONFIG, Roles
from ensemble.session import CHANGED, SYNC, Session, Unknown

OBSERVERS = (4, 5)


def layouts(ctx):
    under, other = ctx.options.server, ctx.options.other
    both = {4: (other, OBSERVER), 5: (under, OBSERVER)}
    yield "masters of ours", {1: under, 2: under, 3: other, **both}, 3, OBSERVERS
    yield "other masters", {1: other, 2: other, 3: under, **both}, 3, OBSERVERS
    yield "one of each", {1: other, 2: under, 3: under, **both}, 3, OBSERVERS


class Observers(Roles):
    """Members 4 and 5 observe."""

    def make(self, ctx, members):
        ensemble = Ensemble(ctx, members, CONFIG, hosts=True)
        ensemble.config["observerMasterPort"] = str(ensemble.ports.take())
        for member in ensemble:
            member.configure()
        return ensemble

    def cases(self):
        yield "start", self.begin
        some = [self.operations, self.load, self.short_absence, self.long_absence, self.failover]
        if self.name != "one of each" or self.ctx.options.long:
            some += [self.moves, self.dying, self.sync_in_failover]
        some += [self.leaderless, self.everything_again]
        for what in some:
            yield what.__name__.replace("_", " "), what

    def begin(self):
        self.ensemble.start(self.leader)
        return "masters: %s" % self.masters()

    def masters(self):
        """Waits until each observer learns from a follower, and what members show says so."""

        def known():
            found = {sid: self.ensemble[sid].mntr().get("zk_observer_master_id") for sid in OBSERVERS}
            followers = {m.sid for m in self.ensemble.followers()}
            counts = {m.sid: m.mntr().get("zk_synced_observers") for m in self.ensemble}
            self.seen = found, counts
            if None in found.values() or not {int(s) for s in found.values()} <= followers:
                return None
            for member in self.ensemble:
                wanted = [s for s in found.values() if int(s) == member.sid]
                if member.sid not in OBSERVERS and counts[member.sid] != str(len(wanted)):
                    return None
            return {sid: int(m) for sid, m in found.items()}

        try:
            return until("masters", known, 60, 0.1)
        except AssertionError as e:
            raise AssertionError("%s: observers' masters and counts %s" % (e, self.seen)) from None

    def _syncs(self):
        """Followers bring the observers up to date, not the leader."""
        sums = [0, 0]
        for member in self.ensemble.followers():
            counts = member.mntr()
            for i, key in enumerate(("zk_diff_count", "zk_snap_count")):
                sums[i] += int(float(counts.get(key, 0)))
        return sums

    def failover(self):
        """The master dies: its observers go to the other one, with their sessions."""
        kept = {sid: self.session(sid) for sid in OBSERVERS}
        for sid, session in kept.items():
            session.create("/kept%d" % sid, b"", 1)
            session.ensure("/failover")
            session.get("/failover", True)
        with load.checked(self.ensemble, ports=self.ensemble.client_ports([3, 4, 5])) as some:
            some.goes_on(100)
            first = self.masters()
            gone = self.ensemble[first[OBSERVERS[0]]]
            gone.kill()
            self.ensemble.settle()
            second = self.masters()
            assert gone.sid not in second.values()
            some.goes_on(100)
            gone.start()
            self.ensemble.settle()
        with contextlib.closing(self.session(self.leader)) as changer:
            changer.set("/failover", b"after")
        for sid, session in kept.items():
            assert session.wait_event(CHANGED, "/failover"), "no event at %d" % sid
            assert session.exists("/kept%d" % sid)["ephemeralOwner"] == session.session
            session.close()
        self.ensemble.same_trees()
        return "%s, then %s; %s" % (first, second, some.summary)

    def sync_in_failover(self):
        """A sync that is under way when the master dies never counts as done."""
        master = self.ensemble[self.masters()[OBSERVERS[0]]]
        session = self.session(OBSERVERS[0])
        session.wait_connected()
        self.ensemble[self.leader].pause()
        slot = session.send(SYNC, wire.string("/"))
        master.kill()
        try:
            session.result(slot)
        except Unknown:
            pass
        else:
            raise AssertionError("the sync is answered")
        self.ensemble[self.leader].resume()
        self.ensemble.settle([m.sid for m in self.ensemble if m is not master])
        master.start()
        self.ensemble.settle()
        self.masters()
        session.sync()
        session.close()

    def leaderless(self):
        """The leader dies: masters close their observers' links, and take them again under the
        next leader."""
        with load.checked(self.ensemble) as some:
            some.goes_on(100)
            leader = self.ensemble.leader()
            leader.kill()
            self.ensemble.settle()
            self.masters()
            some.goes_on(100)
            leader.start()
            self.ensemble.settle()
            self.masters()
        self.ensemble.same_trees()
        self.leader = self.ensemble.leader().sid
        return some.summary
