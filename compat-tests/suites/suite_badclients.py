"""Clients that do not behave: they must cost little and harm nobody.

Memory is compared with generous bounds. A working client beside them may wait `LONGER` more than
just before the case; a case that makes it wait longer is repeated, and counts when it did so in
each of `ATTEMPTS`."""

import os
import select
import socket
import struct
import threading
import time

from servers import Server, four_letter_word

PARTS = ("python", "server")
# Seconds of the 99th percentile.
LONGER, ATTEMPTS = 0.1, 3
CONTROL_CALLS = 200
MIB = 1024 * 1024
ANYONE = struct.pack(">ii", 1, 31) + b"\0\0\0\5world\0\0\0\6anyone"
CREATE, EXISTS, GET, SET, MULTI, ADD_WATCH = 1, 3, 4, 5, 14, 106


def text(s):
    raw = s.encode()
    return struct.pack(">i", len(raw)) + raw


def frame(xid, op, body):
    return struct.pack(">iii", len(body) + 8, xid, op) + body


class Client:
    """The protocol by hand: nothing between the test and the bytes."""

    def __init__(self, port, session=True, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
        if session:
            hello = struct.pack(">iqiqi", 0, 0, 30000, 0, 16) + bytes(17)
            self.socket.sendall(struct.pack(">i", len(hello)) + hello)
            self.reply()

    def exactly(self, n):
        got = b""
        while len(got) < n:
            part = self.socket.recv(n - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def reply(self):
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def call(self, op, body, xid=1):
        self.socket.sendall(frame(xid, op, body))
        return struct.unpack(">iqi", self.reply()[:16])[2]

    def create(self, path, data=b""):
        body = text(path) + struct.pack(">i", len(data)) + data + ANYONE + struct.pack(">i", 0)
        return self.call(CREATE, body)

    def is_closed(self):
        """True once the server has closed; a server that keeps it open runs into the time-out."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()


class Beside(threading.Thread):
    """A working client, and how long it waited since it was last asked."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.done, self.waits, self.failed = Client(port), False, [], None
        self.start()

    def run(self):
        try:
            while not self.done:
                begun = time.monotonic()
                self.client.call(EXISTS, text("/") + b"\0")
                self.waits.append(time.monotonic() - begun)
        except (OSError, EOFError) as e:
            self.failed = repr(e)
        self.client.close()

    def control(self):
        """The 99th percentile with nobody beside it."""
        self.waits = []
        until(lambda: len(self.waits) >= CONTROL_CALLS or self.failed)
        return self.percentile()

    def percentile(self):
        waits, self.waits = sorted(self.waits), []
        return waits[len(waits) * 99 // 100] if waits else float("inf")


def until(condition, limit=30):
    """Whether the condition comes true in time."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def resident(server):
    with open("/proc/%d/status" % server.process.pid) as f:
        line = next(line for line in f if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def run(ctx):
    config = ["nio.sessionlessCnxnTimeout=1000"]
    with ctx.server(config=config) as server:
        start = resident(server)
        beside, slow = Beside(server.port), []
        for name, case in CASES:
            if not ctx.only or ctx.only in name:
                check(ctx, name, case, server, beside, slow)
        beside.done = True
        beside.join(30)
        outcome(ctx, "a working client goes on", beside.failed)
        outcome(ctx, "a working client does not wait", "\n".join(slow))
        outcome(ctx, "nothing is left", left_over(server, start))
        with open(server.log, errors="replace") as f:
            panicked = [line for line in f if "panicked" in line]
        outcome(ctx, "no thread panics", "".join(panicked[:3]))
    for name, limit in LIMITS:
        if not ctx.only or ctx.only in name:
            outcome(ctx, name, limits(ctx, limit))


def outcome(ctx, name, wrong):
    ctx.report.add(name, "fail" if wrong else "pass", wrong or "")


def check(ctx, name, case, server, beside, slow):
    """Runs a case; again while the client beside it waits too long, at most `ATTEMPTS` times."""
    for attempt in range(ATTEMPTS):
        control = beside.control()
        try:
            wrong = case(server)
        except (OSError, EOFError) as e:
            wrong = repr(e)
        waited = beside.percentile()
        print("[badclients] %s: p99 %.1f ms beside it, %.1f ms before" % (
            name, waited * 1000, control * 1000))
        if wrong or beside.failed or waited <= control + LONGER:
            break
    else:
        slow.append("%s: p99 %.1f ms, %.1f ms before" % (name, waited * 1000, control * 1000))
    outcome(ctx, name, wrong)


def left_over(server, start):
    """Memory near what it was, nobody connected, and the server answers."""

    def srvr(line):
        reply = four_letter_word(server.port, "srvr", 20.0) or ""
        return line in reply.splitlines()

    # The question itself is a connection.
    if not until(lambda: srvr("Connections: 1")):
        return "connections are left: %r" % four_letter_word(server.port, "srvr")
    if not until(lambda: srvr("Mode: standalone")):
        return "srvr: %r" % four_letter_word(server.port, "srvr")
    if not until(lambda: watch_count(server) == 0):
        return "%d watches are left" % watch_count(server)
    print("[badclients] %d MiB at the start, %d MiB at the end" % (
        start // MIB, resident(server) // MIB))
    until(lambda: growth(server, start, END_GROWTH) is None)
    return growth(server, start, END_GROWTH)


def watch_count(server):
    for line in (four_letter_word(server.port, "mntr", 20.0) or "").splitlines():
        if line.startswith("zk_watch_count"):
            return int(line.split()[1])
    return -1


def growth(server, before, limit):
    grown = resident(server) - before
    return None if grown < limit else "memory grew by %d MiB" % (grown // MIB)


def announcers(server):
    before = resident(server)
    clients = [Client(server.port) for _ in range(600)]
    for c in clients:
        c.socket.sendall(struct.pack(">i", 1000000) + bytes(100))
    Client(server.port).close()
    wrong = growth(server, before, 24 * MIB)
    for c in clients:
        c.close()
    return wrong


def unread_replies(server):
    c = Client(server.port)
    c.create("/big", bytes(1000000))
    before = resident(server)
    c.socket.setblocking(False)
    try:
        c.socket.send(b"".join(frame(n, GET, text("/big") + b"\0") for n in range(1, 2001)))
    except BlockingIOError:
        pass
    other = Client(server.port)
    for _ in range(200):
        other.call(EXISTS, text("/big") + b"\0")
    wrong = growth(server, before, 64 * MIB)
    other.close()
    c.close()
    return wrong


def unread_events(server):
    watcher, writer = Client(server.port), Client(server.port)
    watcher.call(ADD_WATCH, text("/") + struct.pack(">i", 1))
    writer.create("/told")
    before = resident(server)
    for _ in range(20):
        many = b"".join(
            frame(n, SET, text("/told") + struct.pack(">i", 1) + b"x" + struct.pack(">i", -1))
            for n in range(1, 501)
        )
        threading.Thread(target=writer.socket.sendall, args=(many,)).start()
        for _ in range(500):
            writer.reply()
    wrong = growth(server, before, 64 * MIB)
    watcher.close()
    writer.close()
    return wrong


def other_protocols(server):
    for raw in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes.fromhex("1603010200010001fc0303") + bytes(64),
        b"*1\r\n$4\r\nPING\r\n",
        os.urandom(4096),
        struct.pack(">i", -1),
        struct.pack(">i", 0x7FFFFFFF),
    ):
        c = Client(server.port, session=False)
        try:
            c.socket.sendall(raw)
        except ConnectionError:
            continue
        if not c.is_closed():
            return "not closed after %r" % raw[:20]
        c.close()
    return None


def forged_counts(server):
    before = resident(server)
    for op, body in (
        (CREATE, text("/f") + struct.pack(">i", 0x7FFFFFFF)),
        (CREATE, text("/f") + struct.pack(">ii", 0, 0x7FFFFFFF)),
        (SET, struct.pack(">i", 0x7FFFFFFF)),
        (101, struct.pack(">qi", 0, 0x7FFFFFFF)),
        (MULTI, struct.pack(">i", 1) + b"\0" + struct.pack(">i", -1) + text("/f")),
    ):
        c = Client(server.port)
        err = c.call(op, body)
        if err != -5:
            return "operation %d got %d" % (op, err)
        c.close()
    return growth(server, before, 24 * MIB)


def huge_requests(server):
    c = Client(server.port)
    acl = struct.pack(">i", 20000) + ANYONE[4:] * 20000
    err = c.call(CREATE, text("/acl") + struct.pack(">i", 0) + acl + struct.pack(">i", 0))
    if err not in (0, -110):
        return "a long ACL got %d" % err
    if c.create("/" + "p" * 900000) not in (0, -110):
        return "a long path was refused"
    c.close()
    return None


def silent_connections(server):
    silent = [Client(server.port, session=False) for _ in range(20)]
    for n, c in enumerate(silent):
        c.socket.sendall(b"\0\0\0\x2d\0\0\0\0"[: n % 9])
    return None if all(c.is_closed() for c in silent) else "a connection without a session stays"


def churn(server):
    before = resident(server)
    for n in range(2000):
        Client(server.port, session=n % 4 == 0).close()
    return growth(server, before, 32 * MIB)


def many_watches(server):
    before = resident(server)
    c = Client(server.port)
    for start in range(0, 100000, 1000):
        many = b"".join(
            frame(n + 1, EXISTS, text("/absent/%d" % n) + b"\1") for n in range(start, start + 1000)
        )
        c.socket.sendall(many)
        for _ in range(1000):
            c.reply()
    wrong = growth(server, before, 96 * MIB)
    c.close()
    return wrong


def held_watches(server):
    """300,000 of them, by 30 sessions at once."""
    before = resident(server)
    clients = [Client(server.port) for _ in range(30)]
    for number, c in enumerate(clients):
        for start in range(0, 10000, 1000):
            many = b"".join(
                frame(n + 1, EXISTS, text("/absent/%d/%d" % (number, n)) + b"\1")
                for n in range(start, start + 1000)
            )
            c.socket.sendall(many)
            # Each a length and a header: nothing is there.
            c.exactly(1000 * 20)
    wrong = growth(server, before, 160 * MIB)
    if watch_count(server) != 300000:
        wrong = "%d watches" % watch_count(server)
    for c in clients:
        c.close()
    return wrong if until(lambda: watch_count(server) == 0) else "watches stay"


def unread_writes(server):
    """Writes without end by a client that reads no reply: at some point nobody reads them."""
    c, other = Client(server.port), Client(server.port)
    c.create("/written")
    before = resident(server)
    body = text("/written") + struct.pack(">i", 1000) + bytes(1000) + struct.pack(">i", -1)
    many = b"".join(frame(n, SET, body) for n in range(1, 1001))
    c.socket.setblocking(False)
    sent, most, wrong = 0, 200 * MIB, None
    while sent < most and wrong is None:
        if not select.select([], [c.socket], [], 1.0)[1]:
            break
        sent += c.socket.send(many[sent % len(many):])
        wrong = growth(server, before, 160 * MIB)
    for n in range(200):
        if other.call(SET, body) != 0:
            wrong = "another client's write fails"
    c.close()
    other.close()
    return wrong


def recursive_watches(server):
    """On the root and on each of 150 nodes above the one that changes: one event for each change."""
    watcher, writer = Client(server.port), Client(server.port)
    paths = ["/deep" * n for n in range(1, 151)]
    for path in paths:
        writer.create(path)
    before = resident(server)
    for path in ["/"] + paths:
        if watcher.call(ADD_WATCH, text(path) + struct.pack(">i", 1)) != 0:
            return "no watch on %d bytes" % len(path)
    changes = 2000
    body = text(paths[-1]) + struct.pack(">i", 1) + b"x" + struct.pack(">i", -1)
    many = b"".join(frame(n, SET, body) for n in range(1, changes + 1))
    sender = threading.Thread(target=writer.socket.sendall, args=(many,))
    sender.start()
    told = text(paths[-1])
    for _ in range(changes):
        writer.reply()
        event = watcher.reply()
        if event[:4] != b"\xff\xff\xff\xff" or not event.endswith(told):
            return "not the event: %r" % event[:40]
    sender.join()
    watcher.socket.sendall(frame(7, EXISTS, text("/") + b"\0"))
    # Nothing twice: the next message is the reply.
    if watcher.reply()[:4] != struct.pack(">i", 7):
        return "more events than changes"
    wrong = growth(server, before, 48 * MIB)
    watcher.close()
    writer.close()
    return wrong


def big_multis(server):
    """As long as a frame may be, and with counts inside that are not true."""
    c = Client(server.port)
    before = resident(server)
    one = struct.pack(">ibi", 13, 0, -1) + text("/") + struct.pack(">i", -1)
    end = struct.pack(">ibi", -1, 1, -1)
    for _ in range(5):
        if c.call(MULTI, one * (1000000 // len(one)) + end) != 0:
            return "many checks fail"
        c.create("/multi")
        data = text("/multi") + struct.pack(">i", 1000000) + bytes(1000000) + struct.pack(">i", -1)
        if c.call(MULTI, struct.pack(">ibi", SET, 0, -1) + data + end) != 0:
            return "a big write fails"
    c.close()
    whole = one * 10000
    for op, body in (
        (CREATE, struct.pack(">i", 0x7FFFFFFF)),
        (CREATE, text("/f") + struct.pack(">i", 0x7FFFFFFF)),
        (CREATE, text("/f") + struct.pack(">ii", 0, 0x7FFFFFFF)),
        (SET, text("/") + struct.pack(">i", 0x7FFFFFFF)),
        (13, text("/")),
    ):
        c = Client(server.port)
        err = c.call(MULTI, whole + struct.pack(">ibi", op, 0, -1) + body)
        if err != -5:
            return "operation %d got %d" % (op, err)
        c.close()
    return growth(server, before, 48 * MIB)


def enters(port, source="127.0.0.1"):
    """A client with a session, or how it was turned away."""
    try:
        return Client(port, source=source)
    # A broken pipe is an end that came before the first message was sent.
    except (EOFError, BrokenPipeError):
        return "closed"
    except ConnectionError:
        return "reset"


def limits(ctx, config):
    """The same experience with both servers."""
    seen = []
    for command in (ctx.apache_command(), ctx.server_command):
        with Server(command, ctx.ports.take(), config, keep=ctx.options.keep) as server:
            seen.append(turned_away(server.port))
    if seen[0] != seen[1]:
        return "Apache: %r, here: %r" % tuple(seen)
    return None if "reset" in seen[1] or "closed" in seen[1] else "no limit: %r" % seen[1]


def turned_away(port):
    """What five clients meet, one from another address, and one after all have gone. The first
    may have to wait for the end of the question whether the server serves."""
    clients = []
    until(lambda: clients.append(enters(port)) or not isinstance(clients[-1], str))
    seen = ["in"]
    clients = clients[-1:]
    for source in ["127.0.0.1"] * 4 + ["127.0.0.2"]:
        clients.append(enters(port, source))
        seen.append(clients[-1] if isinstance(clients[-1], str) else "in")
    for c in clients:
        if not isinstance(c, str):
            c.close()
    again = []
    until(lambda: again.append(enters(port)) or not isinstance(again[-1], str))
    seen.append("still refused" if isinstance(again[-1], str) else "in")
    return seen


# Bytes that the server may have grown by after all cases.
END_GROWTH = 64 * MIB

LIMITS = (
    ("maxClientCnxns", ["maxClientCnxns=3"]),
    ("maxCnxns", ["maxCnxns=3"]),
)

CASES = (
    ("600 clients announce a megabyte", announcers),
    ("replies that nobody reads", unread_replies),
    ("events that nobody reads", unread_events),
    ("other protocols", other_protocols),
    ("forged counts", forged_counts),
    ("huge requests", huge_requests),
    ("silent connections", silent_connections),
    ("2000 connections come and go", churn),
    ("100000 watches", many_watches),
    ("300000 watches of 30 sessions", held_watches),
    ("writes whose replies nobody reads", unread_writes),
    ("deep recursive watches", recursive_watches),
    ("big multis", big_multis),
)
