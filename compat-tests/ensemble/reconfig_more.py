"""Reconfigurations of more kinds: groups and weights, addresses that move, and members that die
between the proposal of a configuration and its use."""

import contextlib
import errno
import random
import socket
import threading
import time

import tree
import wire
from ensemble.members import until
from ensemble.reconfig import (
    BAD_ARGUMENTS, MARSHALLING, NO_QUORUM, RECONFIG, Life, reconfig_body,
)
from ensemble.session import Unknown


class Groups(Life):
    """Two of three groups decide, and some servers weigh more than others."""

    RULE = ["group.1=1:2", "group.2=3:4", "group.3=5"] + [
        "weight.%d=%d" % pair for pair in ((1, 2), (2, 1), (3, 1), (4, 1), (5, 1))
    ]
    WEIGHTLESS = ["group.1=1:2:5", "group.2=3:4"] + [
        "weight.%d=%d" % pair for pair in ((1, 2), (2, 1), (3, 2), (4, 1), (5, 0))
    ]
    ALL = (1, 2, 3, 4, 5)

    def steps(self):
        return (
            self.start, self.grow, self.form_groups, self.refuse_groups, self.groups_decide,
            self.no_weight, self.majority_again,
        )

    def grow(self):
        for sid in (4, 5):
            self.add(sid)

    def lines(self, rule=()):
        return [self.line(s) for s in self.ALL] + list(rule)

    def rule(self, rule):
        """The whole list with these groups and weights, or with none."""
        version = self.ask(self[2], members=",".join(self.lines(rule)))
        shown = self.agreed(version, self.ALL)
        assert shown == sorted(self.lines(rule) + ["version=%x" % version]), shown
        self.voters(5)
        self.works()
        return version

    def form_groups(self):
        self.rule(self.RULE)

    def refuse_groups(self):
        """Errors are Apache's, whoever leads and whoever is asked."""
        strangers = ["server.%d=127.0.0.1:%d:%d;%d" % (s, s, s + 10, s + 20) for s in (8, 9)]
        members = lambda rule, more=(): ",".join(self.lines(rule) + list(more))
        for sid in self.ALL:
            for expect, request in (
                (BAD_ARGUMENTS, dict(joining=self.line(1))),
                (BAD_ARGUMENTS, dict(leaving="1")),
                (BAD_ARGUMENTS, dict(members=members(["group.1=1:2:3:4"]))),
                (BAD_ARGUMENTS, dict(members=members(["group.1=1:2:3:4:5", "group.2=5"]))),
                (BAD_ARGUMENTS, dict(members=members(["weight.1=1"]))),
                (MARSHALLING, dict(members=members(["group.1=1:2:3:4:5:7"]))),
                (MARSHALLING, dict(members=members(["group.1=1:2:3:4:5", "weight.1=x"]))),
                (MARSHALLING, dict(members=members(["group.1=1:2:3:4:x"]))),
                (NO_QUORUM, dict(members=members(["group.1=1:2:3:4:5", "group.2=8:9"], strangers))),
            ):
                got = self.ask(self[sid], None, **request)
                assert got == expect, "%r through %d: %d, not %d" % (request, sid, got, expect)

    def running(self, sids):
        """These run and no others."""
        for member in self.ensemble:
            if member.sid not in sids:
                member.stop()
        for sid in sids:
            if not self[sid].running:
                self[sid].start()

    def groups_decide(self):
        """1 and 5 are no majority of five, and decide; 2, 3 and 4 are one, and do not."""
        self.running((1, 5))
        self.ensemble.settle()
        self.works()
        self.running((2, 3, 4))
        until("nobody serves", lambda: not any(self[s].mode for s in (2, 3, 4)), 60, 0.1)
        end = time.monotonic() + 3
        until("a while", lambda: time.monotonic() > end or any(self[s].mode for s in (2, 3, 4)))
        assert not any(self[s].mode for s in (2, 3, 4)), "they serve without a quorum"
        self.running((2, 3, 4, 5))
        self.ensemble.settle()
        self.works()
        self.running(self.ALL)
        self.ensemble.settle()
        self.works()
        self.agreed(self.version(), self.ALL)

    def no_weight(self):
        """A server without weight never leads, though it has the largest id."""
        version = self.rule(self.WEIGHTLESS)
        self.ensemble.shut_down()
        self.running((1, 3, 5))
        leader = self.ensemble.settle()
        assert leader.sid == 3, "%d leads" % leader.sid
        self.works()
        self.running(self.ALL)
        self.ensemble.settle()
        self.agreed(version, self.ALL)

    def majority_again(self):
        self.rule(())
        self.running((2, 3, 4))
        self.ensemble.settle()
        self.works()


class Moves(Life):
    """Ports of the ensemble itself change."""

    def steps(self):
        return self.start, self.election_ports, self.quorum_port, self.leader_s_quorum_port

    def moved(self, sid, kind):
        """The member has another port of this kind; the version of that configuration."""
        member = self[sid]
        old = getattr(member, kind)
        setattr(member, kind, self.ensemble.ports.take())
        return self.ask(self[2], joining=self.line(sid)), old

    def closed(self, port):
        def refused():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED

        until("port %d is closed" % port, refused, 20, 0.1)

    def elects(self):
        """The leader dies, the others find another one, and it comes back to them."""
        leader = self.ensemble.settle()
        leader.kill()
        self.ensemble.settle()
        leader.start()
        self.ensemble.settle()
        self.works()
        return leader.sid

    def election_ports(self):
        """Of followers and of the leader: elections go on there."""
        for sid in (1, 2, 3):
            version, old = self.moved(sid, "election")
            self.agreed(version, (1, 2, 3))
            self.closed(old)
        gone = [self.elects() for _ in range(2)]
        self.agreed(version, (1, 2, 3))
        return "without %s" % gone

    def quorum_port(self):
        """Of a follower: it leads there later."""
        leader = self.ensemble.settle()
        for sid in [s for s in (1, 2, 3) if s != leader.sid]:
            version, _ = self.moved(sid, "quorum")
            self.agreed(version, (1, 2, 3))
        assert self.ensemble.settle() is leader, "another leader"
        self.elects()
        self.agreed(version, (1, 2, 3))

    def leader_s_quorum_port(self):
        """Of the leader: another one takes over, and it follows."""
        leader = self.ensemble.settle()
        before = self.version()
        leader.quorum = self.ensemble.ports.take()
        with contextlib.suppress(wire.Gone, Unknown):
            self.ask(leader, joining=self.line(leader.sid))
        until("another leader", lambda: self.other_leader(leader.sid), 60, 0.1)
        self.ensemble.settle()
        version = self.version()
        assert version > before, "%x" % version
        self.agreed(version, (1, 2, 3))
        self.works()
        self.elects()
        self.agreed(version, (1, 2, 3))


class Crashes(Life):
    """Members die between the proposal of a configuration, which `zoo.cfg.dynamic.next` keeps, and
    its use. What is left behind is what a crash leaves: that file is written before anything is
    logged."""

    def steps(self):
        return (
            self.start, self.proposed_to_the_leader, self.proposed_to_a_follower,
            self.half_in_use, self.killed_at_any_moment,
        )

    def proposal(self, sid):
        """A configuration in which this member has another client port, as the next one; lines and
        version."""
        version = max(m.zxid or 0 for m in self.ensemble) + 1
        self.old_port, self[sid].port = self[sid].port, self.ensemble.ports.take()
        return sorted([self.line(s) for s in (1, 2, 3)] + ["version=%x" % version]), version

    def next_file(self, member):
        return member.config + ".dynamic.next"

    def leave_next(self, member, lines):
        with open(self.next_file(member), "w") as f:
            f.write("\n".join(lines))

    def kept_next(self, member):
        """The version of what it keeps as the next one, if it does."""
        with contextlib.suppress(FileNotFoundError):
            with open(self.next_file(member)) as f:
                return [int(l.split("=")[1], 16) for l in f.read().splitlines() if "version=" in l][0]
        return None

    def kill_all(self):
        for member in self.ensemble:
            member.kill()

    def proposed_to_the_leader(self):
        """It leads again, and completes what it has proposed."""
        lines, version = self.proposal(1)
        self.kill_all()
        self.leave_next(self[3], lines)
        # by the files 1 is where it was until it knows better
        self.ensemble.start(3)
        self.agreed(version, (1, 2, 3))
        self.works()

    def proposed_to_a_follower(self):
        """Others are ahead: it is gone, as far as anybody acts on it."""
        before = self.version()
        lines, version = self.proposal(1)
        self[1].port = self.old_port
        self[1].kill()
        self.ensemble.settle()
        self.works()
        self.leave_next(self[1], lines)
        self[1].start()
        self.ensemble.settle()
        self.agreed(before, (2, 3))
        self.agreed(before, (1,), True)
        assert self.kept_next(self[1]) in (None, before), "it keeps what is gone"
        self.elects_without(3)
        self.agreed(before, (1, 2, 3), True)
        self.works()

    def elects_without(self, sid):
        self[sid].kill()
        self.ensemble.settle()
        self[sid].start()
        self.ensemble.settle()

    def half_in_use(self):
        """Its dynamic file is there, and zoo.cfg does not name it yet."""
        member = self[1]
        with open(member.config) as f:
            old = f.read()
        lines, _ = self.proposal(2)
        version = self.ask(self[3], joining=self.line(2))
        self.agreed(version, (2, 3))
        self.agreed(version, (1,), True)
        member.kill()
        lines = [l for l in lines if not l.startswith("version=")]
        with open(member.config, "w") as f:
            f.write(old)
        self.leave_next(member, sorted(lines + ["version=%x" % version]))
        member.start()
        self.ensemble.settle()
        self.agreed(version, (1, 2, 3))
        self.works()

    def killed_at_any_moment(self):
        """Whoever dies, whenever: in the end all have the same configuration."""
        rng = random.Random(self.ctx.options.rounds)
        kept = 0
        for turn in range(30 if self.ctx.options.long else 4):
            leader = self.ensemble.settle()
            before = self.version()
            moving = self[rng.choice((1, 2, 3))]
            asked_at, old = leader.port, moving.port
            new = moving.port = self.ensemble.ports.take()
            asked = threading.Thread(target=self.ask_in_vain, args=(asked_at, self.line(moving.sid)))
            asked.start()
            end = time.monotonic() + rng.uniform(0.0, 0.03)
            until("a moment", lambda: time.monotonic() > end, 1, 0.001)
            some = rng.choice(([leader], [m for m in self.ensemble if m is not leader][:1],
                               list(self.ensemble)))
            for member in some:
                member.kill()
            asked.join()
            for member in some:
                member.start()

            # It may be at either.
            def found():
                moving.port = new if moving.port == old else old
                return self.settled()

            until("all serve", found, 90, 0.1)
            version = self.version()
            self.agreed(version, (1, 2, 3), True)
            kept += version > before
        self.works()
        return "%d of %d took effect" % (kept, turn + 1)

    def settled(self):
        modes = [m.mode for m in self.ensemble]
        return modes.count("leader") == 1 and None not in modes

    @staticmethod
    def ask_in_vain(port, line):
        with contextlib.suppress(OSError, wire.Gone, wire.Refused):
            connection = wire.Connection(port)
            connection.add_auth("digest", tree.SUPER)
            connection.call(RECONFIG, reconfig_body(joining=line), None)
            connection.drop()
