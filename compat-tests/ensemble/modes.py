"""Members without a quorum, and sessions that only one server knows: the same script through
members of both implementations, in one ensemble. What a script meets through an Apache member is
what it must meet through every other one of that role."""

import contextlib
import functools
import os
import re
import socket
import struct
import subprocess
import threading

import wire
from ensemble.members import Ensemble, until
from ensemble.session import EXISTS, GET_CHILDREN, SYNC
from processes import kill_group, spawn

MULTI_READ, GET_EPHEMERALS, COUNT, ADD_WATCH, WHO_AM_I, SET_WATCHES = 22, 103, 104, 106, 107, 101
RECONFIG, CHECK_WATCHES, REMOVE_WATCHES = 16, 17, 18
EPHEMERAL, EPHEMERAL_SEQUENTIAL = 1, 3
LOCAL = {"localSessionsEnabled": "true"}
UPGRADING = dict(LOCAL, localSessionsUpgradingEnabled="true")
READ_ONLY = ["readonlymode.enabled=true"]
# The shortest timeout that is granted, ms: two ticks.
SHORT = 1000


class Client(wire.Connection):
    """One connection; `answer` says how its connect request was met."""

    def __init__(
        self, port, read_only=False, session=0, password=b"\0" * 16, zxid=0, timeout=20000
    ):
        self.xid, self.input, self.session, self.zxid = 0, b"", 0, None
        self.socket = socket.create_connection(("127.0.0.1", port), 20.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = struct.pack(">iqiq", 0, zxid, timeout, session) + wire.buffer(password)
        if read_only is not None:
            hello += bytes([read_only])
        self.answer = self._connect(hello)

    def _connect(self, hello):
        try:
            self._send(hello)
            frame = self._frame()
        except (OSError, wire.Gone):
            return "closed"
        if len(frame) == 16:
            xid, _zxid, error = struct.unpack(">iqi", frame)
            return "error", xid, error
        reply = wire.Reader(frame)
        _, self.timeout, self.session = reply.take(">iiq")
        self.password = reply.buffer()
        kind = "open" if self.session else "rejected"
        return (kind, self.timeout, len(frame)) + tuple(frame[36:])

    def event(self):
        """The next frame is an event: its type and path."""
        reply = wire.Reader(self._frame())
        xid, _zxid, _error = reply.take(">iqi")
        assert xid == -1, "xid %d, no event" % xid
        kind, state = reply.take(">ii")
        return kind, state, reply.string()

    def is_closed(self):
        """Waits for the end of the connection."""
        try:
            while True:
                self._frame()
        except wire.Gone:
            return True
        except socket.timeout:
            return False
        except OSError:
            return True


class Script:
    """What a client meets; `outcomes` has an entry for each step."""

    def __init__(self, members, sid):
        self.members, self.sid = members, sid
        self.port = members[sid].port
        self.others = [m for m in members if m.sid != sid]
        self.outcomes, self.open, self.ended = [], [], set()

    def note(self, name, what):
        self.outcomes.append((name, what))
        return what

    def connect(self, name, port=None, **options):
        client = Client(port or self.port, **options)
        self.open.append(client)
        self.note(name, client.answer)
        return client

    def ask(self, name, client, op, body=b"", take=None):
        """Notes error and how many transactions the client sees since its last reply."""
        try:
            client.send(op, body)
            zxid, error, reply = client.receive()
        except wire.Gone:
            return self.note(name, "closed")
        moved = None if client.zxid is None or zxid < 0 else zxid - client.zxid
        client.zxid = zxid if zxid >= 0 else client.zxid
        if op == wire.CLOSE and not error:
            self.ended.add(client.session)
        # The words of a reply to an error are not looked at: there are none.
        return self.note(name, (error, moved, take(reply) if take and not error else None))

    def create(self, name, client, path, flags=0, op=wire.CREATE):
        return self.ask(name, client, op, wire.create_body(path, b"d", flags))

    def end(self):
        """No session is left behind: local ones are counted. Each ends once: a second end of one
        of the ensemble would be a transaction that the next script meets."""
        for client in reversed(self.open):
            with contextlib.suppress(wire.Gone, OSError, AssertionError):
                if client.session and client.session not in self.ended:
                    self.ended.add(client.session)
                    client.close()
            client.drop()

    def path(self, name):
        return "/%s-%d" % (name, self.sid)

    def counts(self, name):
        """Local sessions here, as `mntr` and `dump` have them."""
        local = self.members[self.sid].count("zk_local_sessions")
        dump = self.members[self.sid].word("dump")
        heads = re.findall(r"^(?:Local |Global )?Sessions?(?: Sets)?\b", dump, re.M)
        self.note(name, (local, heads))

    def knows(self, name, client, who=None):
        """Where `dump` has a session: among the local ones, the global ones, or nowhere."""
        dump = (who or self.members[self.sid]).word("dump").split("ephemeral nodes dump")[0]
        local, _, known = dump.partition("Global Session")
        sid = "0x%x" % client.session
        self.note(name, ("local" * (sid in local)) + ("global" * (sid in known)))


def multi(*ops):
    return wire.multi_body(list(ops))


def creation(path, flags=0):
    return wire.CREATE, wire.create_body(path, b"", flags)


def results(reply):
    """Of a multi: opcodes and errors; what else there is is skipped by what it is."""
    out = []
    while True:
        op, done, error = reply.take(">ibi")
        if done:
            return out
        if op == -1:
            out.append((op, reply.take(">i")))
            continue
        out.append((op, error))
        if op == wire.CREATE:
            reply.string()


# --- local sessions ---------------------------------------------------------------------


def plain_life(s):
    """A local session from its opening to its end."""
    s.counts("before")
    watcher = s.connect("first")
    s.ask("sync", watcher, SYNC, wire.string("/"))
    c = s.connect("open")
    c.zxid = watcher.zxid
    s.ask("nothing was logged for it", c, EXISTS, wire.string("/") + b"\0")
    s.counts("two")
    s.knows("known", c)
    s.knows("known elsewhere", c, s.others[0])
    s.create("create", c, s.path("plain"))
    s.create("create2", c, s.path("plain2"), op=wire.CREATE2)
    body = wire.string(s.path("plain")) + wire.buffer(b"x") + struct.pack(">i", -1)
    s.ask("set", c, wire.SET_DATA, body)
    s.ask("multi", c, wire.MULTI, multi(creation(s.path("plain") + "/a")), results)
    s.ask("delete", c, wire.DELETE, wire.string(s.path("plain2")) + struct.pack(">i", -1))
    s.ask("ephemerals", c, GET_EPHEMERALS, wire.string("/"), lambda r: r.take(">i"))
    s.connect("elsewhere", s.others[0].port, session=c.session, password=c.password)
    again = s.connect("again", session=c.session, password=c.password)
    s.note("the old connection", c.is_closed())
    again.zxid = watcher.zxid
    s.ask("goes on", again, SYNC, wire.string("/"))
    wrong = s.connect("wrong password", session=c.session, password=b"\1" * 16)
    s.note("it is closed", wrong.is_closed())
    again = s.connect("once more", session=c.session, password=c.password)
    again.zxid = watcher.zxid
    s.ask("sync again", again, SYNC, wire.string("/"))
    s.ask("close", again, wire.CLOSE)
    s.note("it is closed", again.is_closed())
    s.connect("after the end", session=c.session, password=c.password)
    s.counts("one")
    s.ask("close the first", watcher, wire.CLOSE)
    s.counts("none")


def pipelined(s):
    """Replies come in order, with the end last."""
    c = s.connect("open")
    c.send(wire.CREATE, wire.create_body(s.path("pipe"), b"", 0))
    c.send(SYNC, wire.string("/"))
    c.send(wire.GET_DATA, wire.string(s.path("pipe")) + b"\0")
    c.send(wire.CREATE, wire.create_body(s.path("pipe") + "/x", b"", 0))
    c.send(wire.CLOSE)
    first = None
    for name in ("create", "sync", "get", "create below", "close"):
        zxid, error, _ = c.receive()
        first = first or zxid
        s.note(name, (error, zxid - first))
    s.note("it is closed", c.is_closed())


def silence(s):
    """A local session that falls silent ends here, and nobody else hears of it."""
    watcher = s.connect("first")
    s.ask("sync", watcher, SYNC, wire.string("/"))
    c = s.connect("open", timeout=SHORT)
    s.note("closed by the server", c.is_closed())
    s.connect("it has ended", session=c.session, password=c.password)
    s.ask("no transaction", watcher, SYNC, wire.string("/"))
    s.counts("one is left")
    # pings keep one alive
    c = s.connect("open another", timeout=SHORT)
    stop = threading.Event()
    while not stop.wait(SHORT / 3000.0):
        c.send(wire.PING, xid=-2)
        if s.pinged > 6:
            break
        s.pinged += 1
    s.ask("it lives", c, EXISTS, wire.string("/") + b"\0")


def upgrade(s):
    """A local session creates an ephemeral node, and is everybody's."""
    c = s.connect("open")
    s.ask("sync", c, SYNC, wire.string("/"))
    s.create("ephemeral", c, s.path("eph"), EPHEMERAL)
    owner = lambda r: r.stat()["ephemeralOwner"] == c.session
    s.ask("it owns it", c, EXISTS, wire.string(s.path("eph")) + b"\0", owner)
    s.knows("known", c)
    s.counts("no local one")
    s.create("another", c, s.path("eph2"), EPHEMERAL_SEQUENTIAL, wire.CREATE2)
    s.ask("ephemerals", c, GET_EPHEMERALS, wire.string("/"), lambda r: r.take(">i"))
    s.ask("multi", c, wire.MULTI, multi(creation(s.path("eph3"), EPHEMERAL)), results)
    moved = s.connect("elsewhere", s.others[0].port, session=c.session, password=c.password)
    s.create("it writes there", moved, s.path("eph4"), EPHEMERAL)
    s.create("and not here", c, s.path("eph5"), EPHEMERAL)
    s.ask("sync there", moved, SYNC, wire.string("/"))
    s.ask("owned there", moved, GET_EPHEMERALS, wire.string("/"), lambda r: r.take(">i"))
    back = s.connect("back", session=c.session, password=c.password)
    s.ask("sync here", back, SYNC, wire.string("/"))
    s.ask("close", back, wire.CLOSE)
    s.note("it is closed", back.is_closed())
    c = s.connect("open another")
    s.ask("the nodes are gone", c, EXISTS, wire.string(s.path("eph")) + b"\0")
    s.ask("close it", c, wire.CLOSE)


def upgrade_by_others(s):
    """What else makes a local session global, and what does not."""
    kinds = (
        ("create2", wire.CREATE2, wire.create_body(s.path("two"), b"", EPHEMERAL)),
        ("sequential", wire.CREATE, wire.create_body(s.path("seq"), b"", EPHEMERAL_SEQUENTIAL)),
        (
            "multi", wire.MULTI,
            multi(creation(s.path("m")), creation(s.path("m2"), EPHEMERAL)),
        ),
        ("container", wire.CREATE_CONTAINER, wire.create_body(s.path("box"), b"", 4)),
        ("container with flags", wire.CREATE_CONTAINER, wire.create_body(s.path("b2"), b"", 1)),
        ("ephemeral that fails", wire.CREATE, wire.create_body("/no/such", b"", EPHEMERAL)),
        (
            "multi that fails", wire.MULTI,
            multi(creation(s.path("f"), EPHEMERAL), creation("/no/such")),
        ),
        ("bad flags", wire.CREATE, wire.create_body(s.path("bad"), b"", 9)),
    )
    for name, op, body in kinds:
        c = s.connect("open for " + name)
        s.ask("sync", c, SYNC, wire.string("/"))
        s.ask(name, c, op, body, results if op == wire.MULTI else None)
        s.knows("known", c)
        s.ask("close", c, wire.CLOSE)


def upgrade_pipelined(s):
    """Requests behind the one that upgrades, and the end of the session behind them."""
    c = s.connect("open")
    s.ask("sync", c, SYNC, wire.string("/"))
    first = c.zxid
    for n in range(3):
        c.send(wire.CREATE, wire.create_body(s.path("pe%d" % n), b"", EPHEMERAL))
    c.send(wire.CREATE, wire.create_body(s.path("pp"), b"", 0))
    c.send(wire.CLOSE)
    for name in ("create", "create", "create", "persistent", "close"):
        zxid, error, _ = c.receive()
        s.note(name, (error, zxid - first))
    s.note("it is closed", c.is_closed())
    c = s.connect("open another")
    for name in ("pe0", "pe2", "pp"):
        s.ask(name, c, EXISTS, wire.string(s.path(name)) + b"\0")


def no_upgrade(s):
    """Local sessions that must stay local create no ephemeral nodes."""
    c = s.connect("open")
    s.ask("sync", c, SYNC, wire.string("/"))
    s.create("ephemeral", c, s.path("e"), EPHEMERAL)
    s.create("create2", c, s.path("e"), EPHEMERAL, wire.CREATE2)
    s.ask("multi", c, wire.MULTI, multi(creation(s.path("m")), creation(s.path("n"), 1)), results)
    s.ask(
        "container with flags", c, wire.CREATE_CONTAINER, wire.create_body(s.path("b"), b"", 1)
    )
    s.create("below nothing", c, "/no/such", EPHEMERAL)
    s.create("persistent", c, s.path("p"))
    s.knows("known", c)
    s.ask("ephemerals", c, GET_EPHEMERALS, wire.string("/"), lambda r: r.take(">i"))
    s.ask("close", c, wire.CLOSE)
    s.note("it is closed", c.is_closed())


# --- without a quorum -------------------------------------------------------------------


def requests(s, c, name):
    """Every kind of request to a member without a quorum."""
    full = wire.string("/data")
    names = lambda r: sorted(r.string() for _ in range(r.take(">i")))
    s.ask("get", c, wire.GET_DATA, full + b"\1", lambda r: r.buffer())
    s.ask("get none", c, wire.GET_DATA, wire.string("/none") + b"\0")
    s.ask("exists", c, EXISTS, wire.string("/none") + b"\1")
    s.ask("children", c, GET_CHILDREN, full + b"\1", names)
    s.ask("children2", c, wire.GET_CHILDREN2, full + b"\0", names)
    s.ask("acl", c, wire.GET_ACL, full, lambda r: r.acl())
    s.ask("count", c, COUNT, full, lambda r: r.take(">i"))
    s.ask("ephemerals", c, GET_EPHEMERALS, full, lambda r: r.take(">i"))
    s.ask("who am i", c, WHO_AM_I, b"", lambda r: r.take(">i"))
    s.ask("add watch", c, ADD_WATCH, full + struct.pack(">i", 1))
    s.ask("check watches", c, CHECK_WATCHES, full + struct.pack(">i", 3))
    s.ask("remove watches", c, REMOVE_WATCHES, full + struct.pack(">i", 3))
    reads = multi((wire.GET_DATA, full + b"\0"), (GET_CHILDREN, full + b"\0"))
    s.ask("multi read", c, MULTI_READ, reads)
    c.send(wire.PING, xid=-2)
    s.ask("sync", c, SYNC, full)
    s.create("create", c, "/new")
    s.create("create2", c, "/new", op=wire.CREATE2)
    s.create("ephemeral", c, "/new", EPHEMERAL)
    s.create("container", c, "/new", 4, wire.CREATE_CONTAINER)
    ttl = wire.create_body("/new", b"", 5) + struct.pack(">q", 1000)
    s.ask("ttl", c, wire.CREATE_TTL, ttl)
    s.ask("set", c, wire.SET_DATA, full + wire.buffer(b"") + struct.pack(">i", -1))
    s.ask("delete", c, wire.DELETE, full + struct.pack(">i", -1))
    acl = full + wire.acl_list(wire.OPEN) + struct.pack(">i", -1)
    s.ask("set acl", c, wire.SET_ACL, acl)
    s.ask("multi", c, wire.MULTI, multi(creation("/new")))
    s.ask("empty multi", c, wire.MULTI, multi())
    body = b"".join(wire.string(t) for t in ("server.9=127.0.0.1:1:2;3", "", ""))
    s.ask("reconfig", c, RECONFIG, body + struct.pack(">q", -1))
    c.add_auth("digest", b"a:b")
    s.ask("who am i now", c, WHO_AM_I, b"", lambda r: r.take(">i"))
    lists = wire.string("/data") + struct.pack(">i", 0) * 2
    watches = struct.pack(">qi", 0, 1) + lists
    c.send(SET_WATCHES, watches, xid=-8)
    s.note("event of set watches", c.event())
    s.note("reply to set watches", wire.Reader(c._frame()).take(">iqi")[::2])
    s.ask("still there", c, EXISTS, full + b"\0")


def words(s):
    """What the member says of itself."""
    member = s.members[s.sid]
    s.note("isro", member.word("isro"))
    s.note("ruok", member.word("ruok"))
    keep = re.compile(r"^(READ-ONLY.*|Clients:|Mode:.*|Zxid:.*|Node count:.*)$", re.M)
    for word in ("srvr", "stat"):
        s.note(word, keep.findall(member.word(word)))
    mntr = member.mntr()
    s.note("state", mntr.get("zk_server_state"))
    s.note("only of a quorum", [k in mntr for k in (
        "zk_peer_state", "zk_quorum_size", "zk_learners", "zk_synced_observers"
    )])
    s.note("sessions", [mntr.get(k) for k in ("zk_global_sessions", "zk_local_sessions")])
    s.note("conf", [line.split("=")[0] for line in member.word("conf").splitlines()])
    id_line = [l for l in member.word("conf").splitlines() if l.startswith("serverId")]
    s.note("serverId", id_line == ["serverId=%d" % s.sid])
    dump = re.sub(r"0x[0-9a-f]+", "ID", member.word("dump").split("Connections dump")[0])
    dump = re.sub(r"expire at .*", "expire at DATE", dump)
    s.note("dump", dump)


def doors(s, known):
    """Who is let in. `known` are a session of the ensemble and one that has ended."""
    alive, ended = known
    s.connect("an old client", read_only=None)
    s.connect("one that wants to write", read_only=False)
    s.connect("one from the future", read_only=True, zxid=1 << 40)
    as_one = lambda c: dict(read_only=True, session=c.session, password=c.password)
    s.connect("a session of the ensemble", **as_one(alive))
    s.connect("with a wrong password", **dict(as_one(alive), password=b"\1" * 16))
    s.connect("an unknown one, wrong password", **dict(as_one(ended), password=b"\1" * 16))


def read_only(s, known):
    words(s)
    doors(s, known)
    alive, ended = known
    s.connect("one that has ended", read_only=True, session=ended.session, password=ended.password)
    c = s.connect("open", read_only=True)
    requests(s, c, "local")
    s.counts("one")
    s.connect(
        "elsewhere", s.others[0].port, read_only=True, session=c.session, password=c.password
    )
    again = s.connect("again", read_only=True, session=c.session, password=c.password)
    s.note("the old connection", c.is_closed())
    s.ask("close", again, wire.CLOSE)
    s.note("it is closed", again.is_closed())
    s.connect("after the end", read_only=True, session=c.session, password=c.password)
    c = s.connect("open for unknown", read_only=True)
    s.ask("unknown", c, 99)
    s.note("it is closed", c.is_closed())
    c = s.connect("open and silent", read_only=True, timeout=SHORT)
    s.note("closed by the server", c.is_closed())
    s.connect("it has ended", read_only=True, session=c.session, password=c.password)


def read_only_global(s, known):
    """Without local sessions there can be no new ones."""
    words(s)
    doors(s, known)
    alive, ended = known
    s.connect("a new one", read_only=True)
    c = s.connect("an unknown one", read_only=True, session=ended.session, password=ended.password)
    requests(s, c, "unknown")
    s.ask("close", c, wire.CLOSE)
    s.ask("it stays", c, EXISTS, wire.string("/data") + b"\0")
    s.connect("again", read_only=True, session=c.session, password=c.password)


# --- ensembles --------------------------------------------------------------------------


class Modes:
    """Cases of one configuration, each through all members of some ensembles. The first one has
    two Apache members, one of them leads; the second one is led by the server under test."""

    def __init__(self, ctx, name, config, properties, scripts, cut):
        self.ctx, self.name, self.config, self.properties = ctx, name, config, properties
        self.scripts, self.cut = scripts, cut
        self.wanted = {}

    def ensembles(self):
        other, under = self.ctx.options.other, self.ctx.options.server
        yield "first", {1: other, 2: under, 3: other}
        if self.scripts:
            yield "second", {1: other, 2: under, 3: under}

    def run(self, run_cases):
        for number, members in self.ensembles():
            if not self.is_wanted(number):
                continue
            with Ensemble(self.ctx, members, self.config, self.properties) as ensemble:
                failed = self.ctx.report.failed
                title = "%s: %s: " % (self.name, number)
                cases = [(title + "start", functools.partial(self.start, ensemble))]
                for script in self.scripts:
                    name = script.__name__.replace("_", " ")
                    cases.append((title + name, functools.partial(self.through_all, ensemble, script)))
                if self.cut and number == "first":
                    cases.append((title + "without a quorum", lambda: self.without_quorum(ensemble)))
                run_cases(self.ctx, cases)
                if self.ctx.report.failed != failed:
                    for member in ensemble:
                        ensemble.keep_log(member)

    @staticmethod
    def start(ensemble):
        """Up to the first transaction of the epoch, so that zxids go on one by one."""
        ensemble.start(3)
        with contextlib.closing(Client(ensemble[3].port)) as c:
            c.create("/started")
        for member in ensemble:
            with contextlib.closing(Client(member.port)) as c:
                c.call(SYNC, wire.string("/"))

    def is_wanted(self, number):
        only = self.ctx.only
        return not only or ":" not in only or (self.name + ": ").startswith(only.split(":")[0])

    def transcript(self, ensemble, sid, script, *more):
        s = Script(ensemble, sid)
        s.pinged = 0
        try:
            script(s, *more)
        finally:
            s.end()
        return s.outcomes

    def compare(self, ensemble, sid, key, got):
        """With what came first through a member of that role: the reference's."""
        wanted = self.wanted.setdefault(key, got)
        for one, other in zip(got, wanted):
            assert one == other, "member %d (%s): %r, not %r; before it %r" % (
                sid, ensemble[sid].implementation.name, one, other, got[: got.index(one)][-3:]
            )
        assert len(got) == len(wanted)
        return len(got)

    def through_all(self, ensemble, script):
        steps = 0
        for member in ensemble:
            role = "leader" if member.sid == 3 else "follower"
            got = self.transcript(ensemble, member.sid, script)
            steps += self.compare(ensemble, member.sid, (script, role), got)
        ensemble.same_trees()
        return "%d steps" % steps

    def known(self, ensemble):
        """Sessions of the ensemble, one alive and one that has ended."""
        some = []
        for n in range(2):
            c = Client(ensemble[3].port)
            c.create("/known-%d" % n, b"", EPHEMERAL)
            some.append(c)
        some[1].close()
        for m in ensemble:
            c = Client(m.port)
            c.call(SYNC, wire.string("/"))
            c.close()
        return some

    def without_quorum(self, ensemble):
        """All links are cut; every member serves reads; they are connected again."""
        with contextlib.closing(Client(ensemble[3].port)) as c:
            c.create("/data", b"here")
            c.create("/data/a")
        known = self.known(ensemble)
        held = {m.sid: Client(m.port) for m in ensemble}
        sids = [m.sid for m in ensemble]
        ensemble.net.refuse(ensemble.pairs(sids, sids))
        for sid, c in held.items():
            assert c.is_closed(), "member %d kept its client" % sid
            until("no mode", lambda: ensemble[sid].word("isro") == "null", 20)
        for m in ensemble:
            until("read-only mode of %d" % m.sid, lambda: m.word("isro") == "ro", 30)
        steps = 0
        for m in ensemble:
            got = self.transcript(ensemble, m.sid, self.cut, known)
            # a local session dies with the role it was opened in
            c = held[m.sid]
            back = Client(m.port, read_only=True, session=c.session, password=c.password)
            got.append(("the session from before", back.answer))
            steps += self.compare(ensemble, m.sid, self.cut, got)
        with self.kazoo(ensemble[2]):
            self.connected_again(ensemble, known[0])
        # kazoo has ended by now
        ensemble.same_trees()
        return "%d steps" % steps

    @contextlib.contextmanager
    def kazoo(self, member):
        """A kazoo client reads at the member before, and writes there after the body."""
        if "localSessionsEnabled" not in self.config:
            yield
            return
        program = os.path.join(os.path.dirname(__file__), "kazoo_read_only.py")
        command = [self.ctx.python, program, "127.0.0.1:%d" % member.port]
        process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said = process.stdout.readline()
            assert said == b"reading\n", said + process.stdout.read()
            yield
            # with what kazoo logs of its way
            said = process.stdout.read()
            assert said.endswith(b"writing\n"), said
        finally:
            kill_group(process)

    def connected_again(self, ensemble, alive):
        """Read-only clients are sent away, sessions of the ensemble go on."""
        local = "localSessionsEnabled" in self.config
        readers = {m.sid: Client(m.port, read_only=True) for m in ensemble}
        ensemble.net.heal()
        for sid, c in readers.items():
            assert c.answer[0] == ("open" if local else "error"), c.answer
            assert c.is_closed(), "member %d kept its reader" % sid
        ensemble.settle()
        for m in ensemble:
            assert m.word("isro") == "rw"
            c = readers[m.sid]
            if local:
                back = Client(m.port, session=c.session, password=c.password)
                assert back.answer[0] == "rejected", back.answer
            goes_on = Client(m.port, session=alive.session, password=alive.password)
            assert goes_on.answer[0] == "open", goes_on.answer
            goes_on.call(EXISTS, wire.string("/known-0") + b"\0")
            # a client that would be content with reads
            content = Client(m.port, read_only=True)
            assert content.answer[3:] == (0,), content.answer
            content.create("/content-%d" % m.sid)


def run(ctx, run_cases):
    upgrading = [plain_life, pipelined, silence, upgrade, upgrade_by_others, upgrade_pipelined]
    for modes in (
        Modes(ctx, "upgrading", UPGRADING, READ_ONLY, upgrading, read_only),
        Modes(ctx, "local", LOCAL, [], [no_upgrade], None),
        Modes(ctx, "global", {}, READ_ONLY, [], read_only_global),
    ):
        modes.run(run_cases)
