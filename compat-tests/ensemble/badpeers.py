"""Peers that do not behave, on the quorum, election and observer master ports of an ensemble under
load: nobody goes down, memory and descriptors stay bounded, writes go on, trees stay equal."""

import contextlib
import os
import random
import socket
import struct
import threading
import time

from ensemble import load
from ensemble.members import Ensemble, until

# An id that is no member's.
STRANGER = 77
FOLLOWER_INFO, OBSERVER_INFO, ACK_EPOCH, ACK = 11, 16, 18, 3
REQUEST, PROPOSAL, COMMIT, PING, REVALIDATE, LEADER_INFO, SNAP, TRUNC, UP_TO_DATE = (
    1, 2, 4, 5, 6, 17, 15, 14, 12,
)
V1, V2 = -65536, -65535
LOOKING, LEADING = 0, 2
MIB = 1 << 20
# What a member may grow by in a case, and how many descriptors may be left of it.
GROWTH, LEFT = 96 * MIB, 20
HUGE = (-2, -(1 << 31), 1 << 20, 0x7FFFFFFF)


def zxid(epoch, counter):
    return ((epoch & 0xFFFFFFFF) << 32) | counter


def buffer(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def packet(kind, number, data=None, auth=b"\xff\xff\xff\xff"):
    return struct.pack(">iQ", kind, number & 0xFFFFFFFFFFFFFFFF) + buffer(data) + auth


def info(sid, kind=FOLLOWER_INFO, epoch=0, version=0x10000, config=0):
    data = struct.pack(">qiq", sid, version, config)
    return packet(kind, zxid(epoch, 0), data)


def request(session, op, body=b"", cxid=1):
    return packet(REQUEST, -1, struct.pack(">qii", session, cxid, op) + body)


def hello(sid, version=V1, address=b"127.0.0.1:1"):
    return struct.pack(">qqi", version, sid, len(address)) + address


def notification(state, leader, number, round_, epoch, config=b"version=0"):
    fixed = struct.pack(">iqQqqi", state, leader, number, round_, epoch, 2)
    message = fixed + struct.pack(">i", len(config)) + config
    return struct.pack(">i", len(message)) + message


def junk(rng, size):
    return bytes(rng.getrandbits(8) for _ in range(size))


class Peer:
    """A connection to a port of a member."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), 10)

    def send(self, data):
        """Whatever the other side thinks of it."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)
        return self

    def closed(self, limit=20):
        """True once the other side has closed."""
        self.socket.settimeout(limit)
        try:
            while self.socket.recv(1 << 16):
                pass
        except socket.timeout:
            return False
        except OSError:
            pass
        return True

    def packet(self, limit=20):
        """The type and zxid of the next packet; nothing behind its data is expected."""
        self.socket.settimeout(limit)
        head = self._exactly(16)
        kind, number, length = struct.unpack(">iqi", head)
        data = self._exactly(length) if length > 0 else b""
        count = struct.unpack(">i", self._exactly(4))[0]
        assert count == -1, "identities from a leader"
        return kind, number, data

    def _exactly(self, n):
        got = b""
        while len(got) < n:
            part = self.socket.recv(n - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def close(self):
        self.socket.close()


def resident(member):
    with open("/proc/%d/status" % member.process.pid) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS"))


def descriptors(member):
    return len(os.listdir("/proc/%d/fd" % member.process.pid))


class BadPeers:
    def __init__(self, ctx):
        self.ctx, self.rng = ctx, random.Random(20261125)
        server = ctx.options.server
        members = {1: server, 2: server, 3: server}
        # one port at all of them for observers, so each has an address of its own
        self.ensemble = Ensemble(ctx, members, relayed=False, hosts=True)
        self.master_port = self.ensemble.ports.take()
        self.ensemble.config["observerMasterPort"] = str(self.master_port)
        for member in self.ensemble:
            member.configure()

    def cases(self):
        for what in (
            self.garbage, self.lengths, self.hellos, self.votes, self.followers, self.requests,
            self.observers, self.silence, self.snapshots, self.members_names, self.impostor_leaders, self.everything,
        ):
            yield what.__name__.replace("_", " "), lambda what=what: self.under_load(what)

    # --- what must hold -----------------------------------------------------------------

    def under_load(self, what):
        """Runs a case beside the load; nobody may notice. A case may name the members that it
        restarts itself."""
        ensemble = self.ensemble
        leader = ensemble.settle()
        pids = {m.sid: m.process.pid for m in ensemble}
        before = {m.sid: (resident(m), descriptors(m)) for m in ensemble}
        restarted = what() or ()
        self.load.goes_on(100)
        for member in ensemble:
            member.check()
        now = ensemble.settle()
        same = [m for m in ensemble if m.sid not in restarted]
        grown = {m.sid: resident(m) - before[m.sid][0] for m in same}
        for member in same:
            assert member.process.pid == pids[member.sid], "member %d went down" % member.sid
        # with the name of a member one can take its links away
        if what != self.members_names:
            assert now is leader, "the leader changed from %d to %d" % (leader.sid, now.sid)
        assert max(grown.values()) < GROWTH, "grew by %s MiB" % {s: g >> 20 for s, g in grown.items()}
        for member in same:
            until(
                "end of the connections of member %d" % member.sid,
                lambda m=member: descriptors(m) <= before[m.sid][1] + LEFT, 60, 0.1,
            )
        return "grew by %d MiB" % (max(grown.values()) >> 20)

    # --- the ports ----------------------------------------------------------------------

    def at(self, kind, member=None):
        member = member or self.ensemble.leader()
        ports = {"quorum": member.quorum, "election": member.election, "master": self.master_port}
        return Peer(member.host, ports[kind])

    def ports(self):
        """Every port where something listens: election everywhere, quorum at the leader, that for
        observers at followers."""
        leader = self.ensemble.leader()
        masters = [("master", m) for m in self.ensemble.followers()]
        return [("election", m) for m in self.ensemble] + [("quorum", leader)] + masters

    def epoch(self):
        return self.ensemble.leader().zxid >> 32

    def ends(self, peers, what):
        for peer in peers:
            assert peer.closed(), "the connection stands after %s" % what
            peer.close()

    def joined(self, sid, kind=FOLLOWER_INFO, port="quorum", member=None):
        """A learner as far as UPTODATE, by DIFF: it says that it has everything."""
        peer = self.at(port, member).send(info(sid, kind, self.epoch()))
        seen, number, _ = peer.packet()
        assert seen == LEADER_INFO, "no LEADERINFO but %d" % seen
        epoch = number >> 32
        # everything is far from over: what comes after the answer is DIFF or what goes on
        peer.send(packet(ACK_EPOCH, self.ensemble.leader().zxid, struct.pack(">i", -1)))
        peer.epoch = epoch
        while True:
            seen, number, _ = peer.packet()
            if seen == SNAP:
                return peer
            if seen == 10:
                peer.send(packet(ACK, zxid(epoch, 0)))
            if seen == UP_TO_DATE:
                return peer

    # --- the cases ----------------------------------------------------------------------

    def garbage(self):
        """Bytes that mean nothing, and beginnings of packets that do."""
        for kind, member in self.ports():
            peers = [self.at(kind, member).send(junk(self.rng, n)) for n in (1, 7, 19, 64, 4096, 1 << 18)]
            whole = hello(STRANGER) + notification(LOOKING, 1, 1, 1, 1)
            if kind == "quorum":
                whole = info(STRANGER)
            if kind == "master":
                whole = info(STRANGER, OBSERVER_INFO)
            peers += [self.at(kind, member).send(whole[:n]) for n in range(1, len(whole), 5)]
            # the half ones wait; that they go with us is all that can be asked
            for peer in peers:
                peer.close()

    def lengths(self):
        """Lengths that nobody means."""
        for kind, member in self.ports():
            peers = []
            for n in HUGE:
                if kind == "election":
                    peers.append(self.at(kind, member).send(struct.pack(">qqi", V1, STRANGER, n) + b"x"))
                    if n > 1 << 19 or n < 0:
                        peers.append(self.at(kind, member).send(hello(STRANGER) + struct.pack(">i", n) + b"x"))
                else:
                    auth, ids = struct.pack(">i", n), struct.pack(">ii", 1, n)
                    some = [packet(PING, 0, b"", auth)]
                    if n < 0 or n > 4 * MIB:
                        some.append(struct.pack(">iqi", FOLLOWER_INFO, 0, n))
                    if n < 0:
                        some.append(packet(PING, 0, b"", ids))
                    peers += [self.at(kind, member).send(one + b"x" * 64) for one in some]
            self.ends(peers, "a length that cannot be")

    def hellos(self):
        """Introductions on the election port that are none, or lie."""
        for member in self.ensemble:
            wrong = [
                hello(member.sid), hello(STRANGER, -1), hello(STRANGER, -65537),
                hello(STRANGER, V1, b"nowhere"), hello(STRANGER, V2, b"a:b|c"),
                hello(STRANGER, V1, b"\xff\xfe:1"), hello(STRANGER, V1, b"127.0.0.1:99999999"),
                hello(STRANGER, V2, b"|".join([b"127.0.0.1:1"] * 100)),
            ]
            for some in wrong:
                self.at("election", member).send(some).send(junk(self.rng, 50)).close()
            # thousands of names
            for n in range(200):
                sid = self.rng.choice([n, -n - 1, 1000 + n, 1 << 62])
                if sid not in self.ensemble.members:
                    self.at("election", member).send(hello(sid)).close()

    def votes(self):
        """Votes for somebody better, who leads already, from nobody; and again, and again."""
        for member in self.ensemble:
            with contextlib.closing(self.at("election", member).send(hello(STRANGER))) as peer:
                for state in (LOOKING, 1, LEADING, 3, 4, -1):
                    for leader in (STRANGER, 1, 3, -1):
                        one = notification(state, leader, zxid(0x7FFFFFF0, 7), 1 << 40, 0x7FFFFFF0)
                        peer.send(one * 20)
                for config in (b"", b"version=ffffffff\n", junk(self.rng, 300), b"server.1=x" * 5000):
                    peer.send(notification(LOOKING, 1, 1, 1, 1, config))
                cut = notification(LOOKING, 1, 1, 1, 1)
                for n in (28, 36, 40, 44, 48):
                    peer.send(struct.pack(">i", n) + cut[4 : 4 + n])
                peer.send(struct.pack(">i", 0))

    def followers(self):
        """Learners who are not what they say."""
        epoch, peers = self.epoch(), []
        for first in (
            info(STRANGER, 12), packet(PING, 0), packet(ACK, zxid(epoch, 1)), info(STRANGER, version=1),
            info(STRANGER, config=1 << 40), packet(FOLLOWER_INFO, 0, None), packet(99, 0),
            packet(FOLLOWER_INFO, 0, b"\0" * 7),
        ):
            peers.append(self.at("quorum").send(first))
        self.ends(peers, "a wrong first packet")
        peers = []
        for wrong in (
            packet(ACK_EPOCH, 0, None), packet(ACK_EPOCH, 0, b"\0"), packet(ACK, zxid(epoch, 1 << 30)),
            packet(ACK, zxid(epoch + 1, 0)), packet(PROPOSAL, zxid(epoch, 5), b"x" * 40),
            packet(COMMIT, zxid(epoch, 5)), packet(LEADER_INFO, zxid(epoch + 9, 0)),
        ):
            # of our epoch, of none, of the last one there is
            for own in (epoch, 0, 0x7FFFFFFF):
                peer = self.at("quorum").send(info(STRANGER, epoch=own))
                peers.append(peer.send(wrong))
        for peer in peers:
            peer.close()
        with contextlib.closing(self.joined(STRANGER)) as peer:
            peer.send(packet(ACK, zxid(peer.epoch, 0x7FFFFFFF)))
            assert peer.closed(), "acknowledges what was never proposed, and stays"
        with contextlib.closing(self.joined(STRANGER)) as peer:
            for _ in range(200):
                peer.send(packet(ACK, zxid(peer.epoch - 1, 3)) + packet(ACK, zxid(peer.epoch, 0)))

    def requests(self):
        """Requests that cannot be read, from a learner that is taken for one."""
        session = 0x7700000000000001
        bodies = [b"", b"\0", junk(self.rng, 30), struct.pack(">i", 0x7FFFFFFF), b"\xff" * 64]
        for op in (1, 2, 5, 7, 14, 15, 16, 19, 20, 21, 9, 4, -10, -11, -1, 99, 0):
            with contextlib.closing(self.joined(STRANGER)) as peer:
                for body in bodies:
                    peer.send(request(session, op, body))
                peer.send(packet(PING, 0, b"\1\2\3"))
        for wrong in (
            packet(REQUEST, -1, None), packet(REQUEST, -1, b"short"), packet(REVALIDATE, -1, None),
            packet(REVALIDATE, -1, b"short"), packet(PING, 0, b"short"),
        ):
            with contextlib.closing(self.joined(STRANGER, OBSERVER_INFO)) as peer:
                peer.send(wrong)
                assert peer.closed(), "%r, and stays" % wrong

    def observers(self):
        """Observers of a follower who are none."""
        for master in self.ensemble.followers():
            epoch, peers = self.epoch(), []
            for first in (
                info(STRANGER), packet(PING, 0), packet(ACK, zxid(epoch, 1)), packet(99, 0),
                info(STRANGER, OBSERVER_INFO, version=1), info(STRANGER, OBSERVER_INFO, config=1 << 40),
            ):
                peers.append(self.at("master", master).send(first))
            self.ends(peers, "a wrong first packet")
            for wrong in (
                packet(ACK, zxid(epoch, 5)), packet(REQUEST, -1, None), packet(REQUEST, -1, b"short"),
                packet(REVALIDATE, -1, b"short"), packet(PING, 0, b"short"), request(1, 4), request(1, 99),
            ):
                with contextlib.closing(self._observer(master)) as peer:
                    peer.send(wrong)
                    assert peer.closed(), "%r, and stays" % wrong
            for op in (1, 2, 5, 7, 14, 15, 16, 19, 20, 21, 9, -10, -11):
                with contextlib.closing(self._observer(master)) as peer:
                    for body in (b"", b"\0", junk(self.rng, 30), b"\xff" * 64):
                        peer.send(request(0x7700000000000001, op, body))
                    peer.send(packet(REVALIDATE, -1, struct.pack(">qi", 1, -1)) * 20)
            self._greedy_observers(master)

    def _observer(self, master):
        return self.joined(STRANGER, OBSERVER_INFO, "master", master)

    def _greedy_observers(self, master):
        """They want everything, and do not read it."""
        peers = []
        for n in range(40):
            peer = self.at("master", master).send(info(STRANGER + n, OBSERVER_INFO))
            peers.append(peer.send(packet(ACK_EPOCH, -1, struct.pack(">i", -1))))
        for peer in peers:
            assert peer.packet()[0] == LEADER_INFO
            peer.close()

    def silence(self):
        """More connections than anybody needs, that say nothing or stop in the middle."""
        peers = []
        for kind, member in self.ports():
            for n in range(600):
                with contextlib.suppress(OSError):
                    peer = self.at(kind, member)
                    if n % 3 == 1:
                        peer.send(hello(STRANGER)[:10] if kind == "election" else info(STRANGER)[:10])
                    peers.append(peer)
        counts = [descriptors(m) for m in self.ensemble]
        for peer in peers:
            peer.close()
        assert max(counts) < 1500, "%s descriptors" % counts

    def snapshots(self):
        """Learners who want everything, and do not read it."""
        peers = []
        for n in range(40):
            peer = self.at("quorum").send(info(STRANGER + n, self.rng.choice([11, 16])))
            peer.send(packet(ACK_EPOCH, -1, struct.pack(">i", -1)))
            peers.append(peer)
        until("snapshots", lambda: self.ensemble.leader().count("zk_snap_count") >= 30, 30)
        for peer in peers:
            peer.close()

    def members_names(self):
        """With the names of members: their links may suffer, what was promised may not."""
        for sid in self.ensemble.members:
            for kind, member in self.ports():
                if member.sid == sid:
                    continue
                if kind == "election":
                    peer = self.at(kind, member).send(hello(sid))
                    peer.send(notification(LOOKING, sid, zxid(0x7FFFFFF0, 1), 1 << 40, 0x7FFFFFF0) * 5)
                else:
                    peer = self.at(kind, member).send(info(sid, epoch=0x7FFFFFFF))
                peer.send(junk(self.rng, 300))
                peer.close()

    def impostor_leaders(self):
        """A member that looks for the leader, while somebody says that he is it."""
        victim = self.ensemble.followers()[0]
        stop = threading.Event()

        def pretend():
            claim = notification(LEADING, STRANGER, zxid(0x7FFFFFF0, 1), 1 << 40, 0x7FFFFFF0)
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    self.at("election", victim).send(hello(STRANGER) + claim * 10).close()
                time.sleep(0.01)

        thread = threading.Thread(target=pretend)
        thread.start()
        try:
            victim.kill()
            victim.start()
            self.ensemble.settle()
        finally:
            stop.set()
            thread.join()
        return {victim.sid}

    def everything(self):
        """All at once, in any order."""
        parts = [
            self.garbage, self.lengths, self.hellos, self.votes, self.followers, self.requests,
            self.observers,
        ]
        failed = []

        def one(part):
            try:
                part()
            except Exception as e:
                failed.append("%s: %r" % (part.__name__, e))

        threads = [threading.Thread(target=one, args=(p,)) for p in parts * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # a learner that is replaced by another one of its name may find its link closed
        assert all("EOFError" in f or "Connection" in f for f in failed), failed


def run(ctx, run_cases):
    peers = BadPeers(ctx)
    with peers.ensemble as ensemble:
        failed = ctx.report.failed
        ensemble.start(3)

        def all_cases():
            with load.checked(ensemble) as peers.load:
                run_cases(ctx, peers.cases())
            return peers.load.summary

        # the load is a case of its own: what it was promised
        only, ctx.only = ctx.only, None
        run_cases(ctx, [("the load beside them", lambda: restricted(ctx, only, all_cases))])
        if ctx.report.failed != failed:
            for member in ensemble:
                ensemble.keep_log(member)


def restricted(ctx, only, body):
    ctx.only = only
    return body()
