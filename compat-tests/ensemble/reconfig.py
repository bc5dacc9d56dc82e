"""Reconfigurations of mixed ensembles, and what each member shows and keeps of them."""

import os
import struct

import tree
import wire
from ensemble.members import CONFIG, FOLLOWER, OBSERVER, Ensemble, Implementation, Member, until
from ensemble.session import CHANGED, Session, Unknown

RECONFIG = 16
NODE = "/zookeeper/config"
ON = {"reconfigEnabled": "true"}
FIRST = "100000000"

NO_AUTH, BAD_VERSION, BAD_ARGUMENTS, MARSHALLING = -102, -103, -8, -5
NO_QUORUM, DISABLED = -13, -123


def cases(ctx):
    from ensemble.reconfig_more import Crashes, Groups, Moves

    under, other = ctx.options.server, ctx.options.other
    yield "switched off", lambda: switched_off(ctx, {1: other, 2: under, 3: under})
    yield "from one server and back", lambda: from_one(ctx, under, other)
    layouts = [
        ("under " + other, {1: under, 2: other, 3: other}, {4: under, 5: other}),
        ("over " + other, {1: other, 2: other, 3: under}, {4: other, 5: under}),
    ]
    kinds = (("", Life), ("groups ", Groups), ("addresses ", Moves), ("crashes ", Crashes))
    for kind, made in kinds:
        for name, members, joiners in layouts:
            # looks at names first, so as not to start what is not asked for
            if ctx.only and ":" in ctx.only and not ctx.only.startswith(kind + name + ":"):
                continue
            life = made(ctx, members, joiners)
            try:
                for step in life.steps():
                    title = "%s%s: %s" % (kind, name, step.__name__.replace("_", " "))
                    yield title, life.step(step)
            finally:
                life.end()


def from_one(ctx, under, other):
    """With standaloneEnabled=false a server alone is an ensemble, which grows and shrinks."""
    life = Life(ctx, {1: under}, {2: other, 3: under}, {"standaloneEnabled": "false"})
    with life.ensemble:
        life.ensemble.start()
        life.agreed(life.version(), (1,))
        life.add(2)
        life.agreed(life.ask(life[1], joining=life.line(2)), (1, 2))
        life.add(3)
        life.agreed(life.ask(life[2], joining=life.line(3)), (1, 2, 3))
        life.works()
        life.agreed(life.ask(life[1], leaving="2,3"), (1,))
        life.voters(1)
        life[2].stop()
        life[3].stop()
        life.works()


def reconfig_body(joining=None, leaving=None, members=None, version=-1):
    text = lambda t: struct.pack(">i", -1) if t is None else wire.string(t)
    return text(joining) + text(leaving) + text(members) + struct.pack(">q", version)


def lines(text):
    return sorted(text.splitlines())


def switched_off(ctx, members):
    """Without reconfigEnabled every member shows its own configuration, and refuses to change it."""
    with Ensemble(ctx, members, relayed=False) as ensemble:
        ensemble.start()
        shown = {}
        for member in ensemble:
            connection = wire.Connection(member.port)
            connection.add_auth("digest", tree.SUPER)
            _, _, reply = connection.call(wire.GET_DATA, wire.string(NODE) + b"\0")
            text, stat = reply.buffer().decode(), reply.stat()
            assert stat.pop("mtime") > 0
            shown[member.sid] = (lines(text), stat)
            connection.call(RECONFIG, reconfig_body(leaving="1"), DISABLED)
            connection.close()
        for sid, one in shown.items():
            assert one == shown[1], "member %d shows %r, not %r" % (sid, one, shown[1])
        assert "version=0" in shown[1][0], shown[1]
        for member in ensemble:
            names = os.listdir(member.folder)
            assert not [n for n in names if "dynamic" in n or "bak" in n], names


class Life:
    """One ensemble through everything that can happen to it."""

    def __init__(self, ctx, members, joiners, config=()):
        self.ctx, self.joiners = ctx, joiners
        self.ensemble = Ensemble(ctx, members, dict(ON, **dict(config)), relayed=False)
        self.broken = None
        for member in self.ensemble:
            configure(member, self.ensemble.members)

    def step(self, body):
        def run():
            assert self.broken is None, "not run: %s failed" % self.broken
            self.broken = body.__name__
            note = body()
            self.broken = None
            return note

        return run

    def end(self):
        error = AssertionError if self.broken else None
        self.ensemble.__exit__(error, None, None)

    def __getitem__(self, sid):
        return self.ensemble[sid]

    # --- what the members show ----------------------------------------------------------

    def shown(self, member):
        connection = wire.Connection(member.port)
        _, _, reply = connection.call(wire.GET_DATA, wire.string(NODE) + b"\0")
        text, stat = reply.buffer().decode(), reply.stat()
        connection.close()
        return lines(text), stat

    def version(self):
        return self.shown(self.ensemble.leader())[1]["mzxid"]

    def agreed(self, version, sids, next_left=False):
        """All show the same, under this version, and have it on disk; the lines. With `next_left`
        a file for the next one may be there: Apache leaves it when what it has is as new."""
        first = None
        for sid in sids:
            member = self[sid]
            got = until(
                "configuration %x at %d" % (version, sid),
                lambda: self.shown(member)[1]["mzxid"] == version and self.shown(member),
                20,
            )
            stat = dict(got[1])
            del stat["mtime"]
            first = first or (got[0], stat)
            assert (got[0], stat) == first, "%d shows %r, not %r" % (sid, got, first)
            self.filed(member, version, got[0], next_left)
        assert "version=%x" % version in first[0], first
        return first[0]

    def filed(self, member, version, shown, next_left):
        """The dynamic file, and zoo.cfg that names it."""
        name = "zoo.cfg.dynamic.%x" % version
        path = os.path.join(member.folder, name)
        until("%s of %d" % (name, member.sid), lambda: os.path.exists(path), 20)
        with open(path) as f:
            text = f.read()
        kept = text.splitlines()
        assert kept == sorted(kept) and not text.endswith("\n"), "%d keeps %r" % (member.sid, text)
        wanted = [l for l in shown if not l.startswith("version=")]
        assert kept == wanted, "%d keeps %r, not %r" % (member.sid, kept, wanted)

        def named():
            with open(member.config) as f:
                return f.read().splitlines()

        last = "dynamicConfigFile=" + os.path.realpath(path)
        until("%s in zoo.cfg of %d" % (name, member.sid), lambda: named()[-1] == last, 20)
        static = named()
        assert not [l for l in static if l.startswith("server.")], static
        assert ("reconfigEnabled=true" in static) and ("tickTime=500" in static), static
        if next_left:
            return
        next_one = os.path.join(member.folder, "zoo.cfg.dynamic.next")
        until("no next at %d" % member.sid, lambda: not os.path.exists(next_one), 20)

    # --- asking -------------------------------------------------------------------------

    def ask(self, member, expect=0, auth=True, **request):
        """One reconfiguration; what the reply shows, or its error when that is expected."""
        connection = wire.Connection(member.port)
        if auth:
            connection.add_auth("digest", tree.SUPER)
        _, error, reply = connection.call(RECONFIG, reconfig_body(**request), expect)
        if error:
            connection.close()
            return error
        text, stat = reply.buffer().decode(), reply.stat()
        connection.drop()
        assert stat["version"] == -1 and stat["aversion"] == -1, stat
        assert "version=%x" % stat["mzxid"] in text.splitlines(), text
        return stat["mzxid"]

    def line(self, sid, role=FOLLOWER, port=None):
        m = self[sid]
        at = (sid, m.quorum, m.election, role, port or m.port)
        return "server.%d=127.0.0.1:%d:%d:%s;127.0.0.1:%d" % at

    def voters(self, count):
        for member in [m for m in self.ensemble if m.running and m.mode]:
            until(
                "%d voters at %d" % (count, member.sid),
                lambda: member.count("zk_quorum_size") == count,
                20,
            )

    def works(self):
        """Writes go through every member."""
        for member in [m for m in self.ensemble if m.running and m.mode]:
            connection = wire.Connection(member.port)
            path = connection.create("/works-", b"", 2)
            connection.call(wire.DELETE, wire.string(path) + struct.pack(">i", -1))
            connection.close()
        self.ensemble.same_digests()

    # --- the steps ----------------------------------------------------------------------

    def steps(self):
        return (
            self.start, self.refusals, self.join, self.observe, self.vote_again, self.move_port,
            self.remove_leader, self.leave, self.take_back, self.restart,
        )

    def start(self):
        self.ensemble.start(3)
        version = self.version()
        assert version >> 32 >= 1 and version & 0xFFFFFFFF == 0, "%x" % version
        self.agreed(version, (1, 2, 3))
        for member in self.ensemble:
            with open(member.config + ".bak") as f:
                assert "server.1=" in f.read()
        self.works()

    def refusals(self):
        """Errors are Apache's, whoever leads and whoever is asked."""
        for sid in (1, 2, 3):
            member = self[sid]
            for expect, request in (
                (NO_AUTH, dict(leaving="1", auth=False)),
                (BAD_VERSION, dict(leaving="1", version=7)),
                (BAD_VERSION, dict(joining="nonsense", version=7)),
                (BAD_ARGUMENTS, dict(joining="nonsense")),
                (BAD_ARGUMENTS, dict(joining="server.9=127.0.0.1:1:2")),
                (BAD_ARGUMENTS, dict(joining="server.9=127.0.0.1:1;3")),
                (BAD_ARGUMENTS, dict(leaving="2,3")),
                (BAD_ARGUMENTS, dict(members="server.1=127.0.0.1:1:2;3,nonsense=1")),
                (MARSHALLING, dict(leaving="x")),
                (MARSHALLING, dict(joining="server.x=127.0.0.1:1:2;3")),
                (NO_QUORUM, dict(members="server.8=127.0.0.1:1:2;3\nserver.9=127.0.0.1:4:5;6")),
                (NO_QUORUM, dict(leaving="2,3", joining="server.8=127.0.0.1:1:2;3")),
            ):
                got = self.ask(member, None, **request)
                assert got == expect, "%r through %d: %d, not %d" % (request, sid, got, expect)

    def add(self, sid):
        member = Member(self.ensemble, sid, Implementation(self.joiners[sid]), FOLLOWER)
        self.ensemble.members[sid] = member
        configure(member, self.ensemble.members)
        member.start()
        until("%d follows" % sid, lambda: member.mode == "follower", 60, 0.1)
        return member

    def join(self):
        """New servers follow without a vote, and get one; a watch on the configuration fires."""
        session = Session([self[1].port])
        session.get(NODE, True)
        self.add(4)
        before = self.version()
        version = self.ask(self[2], joining=self.line(4), version=before)
        assert session.wait_event(CHANGED, NODE), "no event"
        session.sync(NODE)
        assert session.get(NODE)[1]["mzxid"] == version
        session.close()
        self.agreed(version, (1, 2, 3, 4))
        self.add(5)
        shown = self.agreed(self.ask(self[5], joining=self.line(5)), (1, 2, 3, 4, 5))
        assert shown[:5] == [self.line(s) for s in (1, 2, 3, 4, 5)], shown
        self.voters(5)
        self.works()

    def observe(self):
        """Voters become observers."""
        for sid in (4, 1):
            version = self.ask(self[2], joining=self.line(sid, OBSERVER))
            until("%d observes" % sid, lambda: self[sid].mode == "observer", 60, 0.1)
            self.agreed(version, (1, 2, 3, 4, 5))
        self.voters(3)
        self.works()

    def vote_again(self):
        """And observers voters, with the whole list in one request."""
        members = ",".join(self.line(s) for s in (1, 2, 3, 4, 5))
        version = self.ask(self[2], members=members)
        for sid in (1, 4):
            until("%d follows" % sid, lambda: self[sid].mode == "follower", 60, 0.1)
        self.agreed(version, (1, 2, 3, 4, 5))
        self.voters(5)
        self.works()

    def move_port(self):
        """The client port of a member is another one."""
        for sid in (1, 4):
            member = self[sid]
            old, member.port = member.port, self.ensemble.ports.take()
            version = self.ask(self[2], joining=self.line(sid))
            until("%d at its new port" % sid, lambda: member.mode, 20, 0.1)
            self.agreed(version, (1, 2, 3, 4, 5))
            try:
                wire.Connection(old, limit=1.0).drop()
            except (wire.Gone, wire.Refused):
                continue
            raise AssertionError("%d still listens at its old port" % sid)
        self.works()

    def remove_leader(self):
        """The leader leaves the configuration: another one takes over, and it follows that."""
        zxid = self[3].zxid
        try:
            self.ask(self[3], leaving="3")
        except (wire.Gone, Unknown):
            pass
        until("another leader", lambda: self.other_leader(3), 60, 0.1)
        leader = self.other_leader(3)
        until("3 follows", lambda: self[3].mode == "follower", 60, 0.1)
        self.ensemble.settle()
        version = self.version()
        assert version > zxid, "%x" % version
        shown = self.agreed(version, (1, 2, 3, 4, 5))
        assert self.line(3) not in shown, shown
        self.voters(4)
        self.works()
        return "%d leads" % leader

    def other_leader(self, sid):
        modes = {m.sid: m.mode for m in self.ensemble}
        return next((s for s, mode in modes.items() if mode == "leader" and s != sid), None)

    def leave(self):
        """Who is removed goes on as a follower without a vote, until it is stopped."""
        version = self.ask(self[1], leaving="4")
        self.agreed(version, (1, 2, 4, 5))
        assert self[4].mode == "follower"
        self.works()
        self[4].stop()
        self.voters(3)
        self.works()

    def take_back(self):
        """A server that was removed is taken back, with a pause in between."""
        self[3].stop()
        configure(self[3], {s: self[s] for s in (1, 2, 3, 5)})
        self[3].start()
        until("3 follows", lambda: self[3].mode == "follower", 60, 0.1)
        version = self.ask(self[5], joining=self.line(3))
        self.agreed(version, (1, 2, 3, 5))
        self.voters(4)
        self.works()

    def restart(self):
        """All start again from the files as the servers have left them."""
        before = self.shown(self[2])
        del self.ensemble.members[4]
        self.ensemble.shut_down()
        for member in self.ensemble:
            member.start()
        self.ensemble.settle()
        for member in self.ensemble:
            shown = self.shown(member)
            del shown[1]["mtime"]
            before[1].pop("mtime", None)
            assert shown == before, "%d: %r, not %r" % (member.sid, shown, before)
        self.works()


def configure(member, members):
    """zoo.cfg with the client ports in the lines of the servers."""
    settings = dict(CONFIG, dataDir=member.data)
    settings.update(member.ensemble.config)
    del settings["clientPortAddress"]
    for m in members.values():
        at = (m.quorum, m.election, m.role, m.port)
        settings["server.%d" % m.sid] = "127.0.0.1:%d:%d:%s;127.0.0.1:%d" % at
    with open(member.config, "w") as f:
        f.writelines("%s=%s\n" % item for item in settings.items())
