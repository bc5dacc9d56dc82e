"""Ensembles: members that are processes, each with an implementation that can be changed."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

import servers
import tree
from ensemble.faults import Faults
from ensemble.relay import ELECTION, QUORUM, Net
from ports import PortBlock
from processes import kill_group, spawn

FOLLOWER, OBSERVER = "participant", "observer"
TICK = 500
# Beside what every member has; a start on a busy machine must not run into initLimit.
CONFIG = {
    "tickTime": str(TICK),
    "initLimit": "20",
    "syncLimit": "6",
    "maxSessionTimeout": "60000",
    "clientPortAddress": "127.0.0.1",
    "maxClientCnxns": "0",
    "admin.enableServer": "false",
    "4lw.commands.whitelist": "*",
    "preAllocSize": "64",
    "extendedTypesEnabled": "true",
    "znode.container.checkIntervalMs": "1000",
}
# The longest time after which a silent leader or a lost quorum has been noticed.
SILENCE = (6 + 2) * TICK / 1000.0


def until(what, condition, limit=60.0, step=0.02):
    """Waits for a condition; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("%s did not happen in %d s" % (what, limit))
        time.sleep(step)


class Implementation:
    """What a member runs: `apache`, `apache-3.8.4` and the like, `zabra`, or a program."""

    def __init__(self, name):
        from runner import server_command

        self.name, self.command = name, server_command(name)
        self.apache = name.split("-")[0] == "apache"
        # 3.5 has no digests and fewer metrics
        self.old = name.startswith("apache-3.5")
        self.environment = {}
        if self.apache:
            self.environment["ZK_JVM_OPTS"] = (
                "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
            )


class Member:
    def __init__(self, ensemble, sid, implementation, role, name=None):
        self.ensemble, self.sid, self.role = ensemble, sid, role
        self.implementation = implementation
        # see load.py
        self.digests_excused = False
        self.host = "127.0.0.%d" % sid if ensemble.hosts else "127.0.0.1"
        self.folder = os.path.join(ensemble.folder, name or "m%d" % sid)
        self.data = os.path.join(self.folder, "data")
        os.makedirs(self.data)
        with open(os.path.join(self.data, "myid"), "w") as f:
            f.write("%d\n" % sid)
        self.config = os.path.join(self.folder, "zoo.cfg")
        self.log = os.path.join(self.folder, "server.log")
        self.port, self.quorum, self.election = (ensemble.ports.take() for _ in range(3))
        self.process, self.paused = None, False
        self.faults = None
        # in front of the command, and the data directory as seen behind it
        self.enter, self.shown = [], self.data

    def configure(self):
        lines = dict(CONFIG, dataDir=self.shown, clientPort=str(self.port))
        lines.update(self.ensemble.config)
        if self.role == OBSERVER:
            lines["peerType"] = OBSERVER
        for other in self.ensemble.members.values():
            ports = (other.quorum, other.election)
            if other.sid == self.sid:
                # a twin's are not those of the ensemble
                ports = (self.quorum, self.election)
            elif self.ensemble.net is not None:
                ports = tuple(
                    self.ensemble.net.ports[self.sid, other.sid, k] for k in (QUORUM, ELECTION)
                )
            hosts = [other.host]
            if self.ensemble.addresses is not None:
                hosts = self.ensemble.addresses(self, other)
            addresses = ["%s:%d:%d" % ((host,) + ports) for host in hosts]
            lines["server.%d" % other.sid] = "|".join(addresses) + ":" + other.role
        with open(self.config, "w") as f:
            f.writelines("%s=%s\n" % item for item in lines.items())

    # --- the process --------------------------------------------------------------------

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Starts the process; it does not wait for a role."""
        assert self.process is None, "member %d runs" % self.sid
        self.digests_excused = False
        command = self.enter + self.implementation.command + [
            "-D" + p for p in [tree.SUPER_PROPERTY] + self.ensemble.properties
        ]
        with open(self.log, "ab") as log:
            log.write(b"--- start: %s\n" % self.implementation.name.encode())
            log.flush()
            self.process = spawn(
                command + [self.config],
                cwd=self.folder,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def environment(self):
        more = dict(self.implementation.environment)
        if self.faults is not None:
            more.update(self.faults.environment)
        return dict(os.environ, **more)

    def can_fail(self):
        """Gives the member, before it starts, a disk and a clock that `faults` spoils."""
        self.faults = Faults(self.ensemble.ctx, os.path.join(self.folder, "faults"))

    def move_to(self, enter, inside, outside):
        """Another folder for its data, before it starts, as `durability/disk.py` gives it."""
        shutil.copytree(self.data, os.path.join(outside, "data"))
        self.enter, self.data = enter, os.path.join(outside, "data")
        self.shown = os.path.join(inside, "data")
        self.configure()

    def stop(self, how=signal.SIGTERM):
        process, self.process = self.process, None
        if process is None:
            return
        if self.paused:
            process.send_signal(signal.SIGCONT)
            self.paused = False
        process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(servers.STOP_LIMIT)
        kill_group(process)

    def kill(self):
        self.stop(signal.SIGKILL)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def become(self, implementation):
        """Another implementation over the same folder; the member is stopped by then."""
        assert self.process is None
        self.implementation = implementation

    # --- what it says of itself ---------------------------------------------------------

    def word(self, word, timeout=2.0):
        return servers.four_letter_word(self.port, word, timeout) or ""

    @property
    def mode(self):
        """leader, follower, observer, or None while it does not serve."""
        if self.paused or not self.running:
            return None
        for line in self.word("srvr").splitlines():
            if line.startswith("Mode:"):
                return line.split(":")[1].strip()
        return None

    @property
    def zxid(self):
        for line in self.word("srvr").splitlines():
            if line.startswith("Zxid:"):
                return int(line.split()[1], 16)
        return None

    def mntr(self):
        pairs = (line.split("\t", 1) for line in self.word("mntr").splitlines() if "\t" in line)
        return {key: value.strip() for key, value in pairs}

    def count(self, name):
        """A counter of `mntr`, 0 when it is not there."""
        return int(float(self.mntr().get(name, 0)))

    def log_tail(self, size=1500):
        with open(self.log, "rb") as f:
            return f.read()[-size:].decode("utf-8", "replace")

    def snapshots_taken(self):
        """How often it got everything from another one."""
        if not os.path.exists(self.log):
            return 0
        with open(self.log, "rb") as f:
            return f.read().count(b"Getting a snapshot from leader")

    def logs(self):
        """The transaction logs, oldest first."""
        folder = os.path.join(self.data, "version-2")
        names = [n for n in os.listdir(folder) if n.startswith("log.")]
        return [os.path.join(folder, n) for n in sorted(names, key=lambda n: int(n[4:], 16))]

    def logged(self, text):
        """Whether these bytes are in a transaction log."""
        for path in self.logs():
            with open(path, "rb") as f:
                if text in f.read():
                    return True
        return False

    def check(self):
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(
                "member %d (%s) ended with %s:\n%s"
                % (self.sid, self.implementation.name, self.process.returncode, self.log_tail())
            )


class Ensemble:
    """`members` maps an id to the name of an implementation, or to a pair of that and a role.
    Used as a context; everything ends with it. With `hosts` each one has an address of its own
    for the others, as one port is the same at all of them; there are no relays then. `addresses`
    has the hosts by which its first argument knows the second one, when it is not only one."""

    def __init__(self, ctx, members, config=None, properties=(), relayed=True, hosts=False,
                 addresses=None):
        self.ctx, self.config, self.properties = ctx, dict(config or {}), list(properties)
        self.folder = tempfile.mkdtemp(prefix="zabra-ensemble-")
        self.ports = PortBlock()
        self.members = {}
        self.net, self.hosts, self.addresses = None, hosts, addresses
        for sid, what in members.items():
            name, role = (what, FOLLOWER) if isinstance(what, str) else what
            self.members[sid] = Member(self, sid, Implementation(name), role)
        if relayed and not hosts:
            self.net = Net()
            for a, b in self.pairs(self.members, self.members):
                for kind, to in ((QUORUM, self[b].quorum), (ELECTION, self[b].election)):
                    self.net.add(a, b, kind, self.ports.take(), to)
            self.net.start()
        for member in self:
            member.configure()

    def __getitem__(self, sid):
        return self.members[sid]

    def __iter__(self):
        return iter(self.members.values())

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for member in self:
            member.kill()
        if self.net is not None:
            self.net.close()
        self.ports.release()
        if kind is not None:
            for member in self:
                with contextlib.suppress(OSError):
                    self.keep_log(member)
        if not self.ctx.options.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def keep_log(self, member):
        """Into the log of the suite, when something went wrong."""
        with open(self.ctx.log, "ab") as out:
            title = "\n=== member %d, %s, %s\n"
            out.write((title % (member.sid, member.implementation.name, member.role)).encode())
            out.write(member.log_tail(20000).encode())

    @staticmethod
    def pairs(some, others):
        return [(a, b) for a in some for b in others if a != b]

    def both(self, some, others):
        return self.pairs(some, others) + self.pairs(others, some)

    def twin(self, member):
        """One more process with the id of a member, which is none of the ensemble's."""
        twin = Member(self, member.sid, member.implementation, member.role, "twin")
        twin.configure()
        return twin

    # --- starting and waiting -----------------------------------------------------------

    def start(self, leader=None):
        """Starts all. With a leader given: that one first, together with just enough members
        of smaller ids, as the highest id wins among equals."""
        if leader is not None:
            voters = [m.sid for m in self if m.role == FOLLOWER]
            enough = len(voters) // 2 + 1
            first = [leader] + [s for s in voters if s < leader][: enough - 1]
            assert len(first) == enough, "no quorum of smaller ids"
            for sid in first:
                self[sid].start()
            self.settle(first)
        for member in self:
            if not member.running:
                member.start()
        self.settle()
        if leader is not None:
            assert self[leader].mode == "leader", "%d does not lead" % leader
        return self

    def settle(self, sids=None, limit=90.0):
        """Waits until these (all that run) serve, under one leader among them; that one."""

        def settled():
            some = [m for m in self if m.running and not m.paused]
            if sids is not None:
                some = [self[s] for s in sids]
            for m in some:
                m.check()
            modes = {m.sid: m.mode for m in some}
            leaders = [sid for sid, mode in modes.items() if mode == "leader"]
            if None not in modes.values() and len(leaders) == 1:
                return self[leaders[0]]
            self.last_modes = modes
            return None

        try:
            return until("one leader and all serving", settled, limit, 0.1)
        except AssertionError as e:
            raise AssertionError("%s: modes %s" % (e, self.last_modes)) from None

    def leader(self):
        for member in self:
            if member.mode == "leader":
                return member
        raise AssertionError("no leader")

    def followers(self):
        return [m for m in self if m.mode == "follower"]

    def client_ports(self, sids=None):
        return [m.port for m in self if sids is None or m.sid in sids]

    def shut_down(self, how=signal.SIGTERM):
        for member in self:
            member.stop(how)

    # --- comparing ----------------------------------------------------------------------

    def same_trees(self):
        """Every member shows the same tree, and digests agree; the tree."""
        first = None
        for member in [m for m in self if m.running]:
            # opening a session is a write: the member has everything before it
            nodes = tree.read(member.port)
            # its text has the ports as each one sees them
            nodes = {p: n for p, n in nodes.items() if p != "/zookeeper/config"}
            if first is None:
                first, name = nodes, member.sid
            else:
                tree.same(nodes, first, "member %d against %d" % (member.sid, name))
        self.same_digests()
        return first

    def same_digests(self):
        """No mismatch was met, and digests at the same zxid are equal; how many were compared."""
        seen, compared = {}, 0
        for member in [m for m in self if m.running and not m.implementation.old]:
            if member.digests_excused:
                continue
            wrong = member.count("zk_digest_mismatches_count")
            assert wrong == 0, "member %d met %d wrong digests" % (member.sid, wrong)
            for line in member.word("hash").splitlines():
                zxid, _, digest = line.partition(":")
                if not digest:
                    continue
                other = seen.setdefault(zxid, (digest.strip(), member.sid))
                compared += other[1] != member.sid
                assert other[0] == digest.strip(), "digest at %s: %s on %d, %s on %d" % (
                    (zxid, digest.strip(), member.sid) + other
                )
        return compared
