"""Clients that do not behave: they must cost little and harm nobody.

Memory is compared with generous bounds; how long a working client waits beside them is printed, not
asserted."""

import os
import socket
import struct
import threading
import time

PARTS = ("python",)
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

    def __init__(self, port, session=True):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
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
    """A working client, and the longest it waited."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client, self.done, self.longest, self.failed = Client(port), False, 0.0, None
        self.start()

    def run(self):
        try:
            while not self.done:
                begun = time.monotonic()
                self.client.call(EXISTS, text("/") + b"\0")
                self.longest = max(self.longest, time.monotonic() - begun)
        except (OSError, EOFError) as e:
            self.failed = repr(e)


def resident(server):
    with open("/proc/%d/status" % server.process.pid) as f:
        line = next(line for line in f if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def run(ctx):
    config = ["nio.sessionlessCnxnTimeout=1000"]
    with ctx.server(config=config) as server:
        beside = Beside(server.port)
        for name, case in CASES:
            if not ctx.only or ctx.only in name:
                check(ctx, name, case, server)
        beside.done = True
        beside.join(30)
        still = beside.failed is None
        print("[badclients] a working client waited %.1f ms at most" % (beside.longest * 1000))
        ctx.report.add("a working client goes on", "pass" if still else "fail", str(beside.failed))
        with open(server.log, errors="replace") as f:
            panicked = [line for line in f if "panicked" in line]
        ctx.report.add("no thread panics", "fail" if panicked else "pass", "".join(panicked[:3]))


def check(ctx, name, case, server):
    try:
        wrong = case(server)
    except (OSError, EOFError) as e:
        wrong = repr(e)
    ctx.report.add(name, "fail" if wrong else "pass", wrong or "")


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
    if err != 0:
        return "a long ACL got %d" % err
    if c.create("/" + "p" * 900000) != 0:
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
)
