"""Observers that learn from followers (`observerMasterPort`): ours under Apache's, Apache's under
ours, and what happens when the one they learn from, or its leader, is gone."""

import contextlib

import wire
from ensemble import load
from ensemble.members import OBSERVER, Ensemble, until
from ensemble.roles import CONFIG, Roles
from ensemble.session import CHANGED, SYNC, Unknown

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
        yield "start", lambda: self.begin()
        some = [
            self.operations, self.short_absence, self.long_absence, self.load, self.moves,
            self.dying, self.sync_in_failover, self.leaderless, self.everything_again,
        ]
        if self.name == "one of each" and not self.ctx.options.long:
            # what the masters of two kinds do at the same time
            some = [self.operations, self.short_absence, self.load, self.leaderless]
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
            some = [m for m in self.ensemble if m.running and m.sid not in OBSERVERS]
            counts = {m.sid: m.mntr().get("zk_synced_observers") for m in some}
            self.seen = found, counts
            if None in found.values() or not {int(s) for s in found.values()} <= followers:
                return None
            for sid, count in counts.items():
                if count != str(sum(int(s) == sid for s in found.values())):
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

    def load(self):
        """All promises under a load, while the master dies and its observers go to the other one.
        It comes back behind the load: a fuzzy SNAP is no matter of this suite."""
        kept = self._keep()
        seen = [self.masters()]
        with load.checked(self.ensemble, timeout=60000) as some:
            some.goes_on(100)
            gone = self.ensemble[seen[0][OBSERVERS[0]]]
            gone.kill()
            self.ensemble.settle()
            seen.append(self.masters())
            assert gone.sid not in seen[-1].values()
            some.goes_on(200)
        gone.start()
        self.ensemble.settle()
        seen.append(self.masters())
        self._kept(kept)
        return "%s; %s" % (some.summary, seen)

    def leaderless(self):
        """The leader dies: masters close their observers' links, and take them again under the
        next leader."""
        kept = self._keep()
        leader = self.ensemble.leader()
        leader.kill()
        self.ensemble.settle()
        seen = [self.masters()]
        leader.start()
        self.ensemble.settle()
        seen.append(self.masters())
        self.leader = self.ensemble.leader().sid
        self._kept(kept)
        return str(seen)

    def _keep(self):
        """Sessions at the observers, with an ephemeral and a watch each."""
        kept = {sid: self.session(sid) for sid in OBSERVERS}
        for sid, session in kept.items():
            session.create("/kept%d" % sid, b"", 1)
            session.ensure("/failover")
            session.get("/failover", True)
        return kept

    def _kept(self, kept):
        """They live, and what they watch changes."""
        with contextlib.closing(self.session(self.leader)) as changer:
            changer.set("/failover", b"after")
        for sid, session in kept.items():
            assert session.wait_event(CHANGED, "/failover"), "no event at %d" % sid
            assert session.exists("/kept%d" % sid)["ephemeralOwner"] == session.session
            session.close()
        self.quiet()
        self.ensemble.same_trees()

    def quiet(self):
        """Sessions that the load could not close for sure come to their end."""
        with contextlib.closing(self.session(self.leader)) as session:
            until("no ephemeral of the load", lambda: not session.exists("/load/eph")
                  or not session.children("/load/eph"), 90, 0.1)

    def sync_in_failover(self):
        """A sync that is under way when the master dies never counts as done."""
        master = self.ensemble[self.masters()[OBSERVERS[0]]]
        session = self.session(OBSERVERS[0])
        session.wait_connected()
        leader = self.ensemble.leader()
        leader.pause()
        slot = session.send(SYNC, wire.string("/"))
        master.kill()
        try:
            session.result(slot)
        except Unknown:
            pass
        else:
            raise AssertionError("the sync is answered")
        leader.resume()
        self.ensemble.settle([m.sid for m in self.ensemble if m is not master])
        master.start()
        self.ensemble.settle()
        self.masters()
        session.sync()
        session.close()
