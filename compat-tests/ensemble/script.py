"""Every kind of request, through one member; what comes back is the same through any."""

import struct

import wire
from ensemble.session import CHILD, CREATED, DELETED, Error, EXISTS, GET_CHILDREN, SYNC

RECONFIG, CHECK_WATCHES, REMOVE_WATCHES, MULTI_READ = 16, 17, 18, 22
GET_EPHEMERALS, GET_ALL_CHILDREN_NUMBER, ADD_WATCH, WHO_AM_I = 103, 104, 106, 107
READ_ONLY_ACL = [(1, "world", "anyone")]
# What a stat has that does not depend on zxids, times and session ids.
SHOWN = "version cversion aversion dataLength numChildren".split()
EPHEMERAL, SEQUENCE, CONTAINER, TTL = 1, 2, 4, 5


class Script:
    """`outcomes` has one entry for each request, in order."""

    def __init__(self, session, root, new):
        self.session, self.root, self.new, self.outcomes = session, root, new, []

    def ask(self, name, op, body, take=None, watch=None):
        try:
            reply = self.session.call(op, body, watch)
            out = take(reply) if take else None
        except Error as e:
            out = e.code
        self.outcomes.append((name, out))
        return out

    def stat(self, reply):
        stat = reply.stat()
        owner = stat["ephemeralOwner"]
        mine = "mine" if owner == self.session.session else owner
        return tuple(stat[k] for k in SHOWN) + (mine,)

    def path(self, reply):
        return reply.string()[len(self.root) :]

    def data(self, reply):
        return reply.buffer(), self.stat(reply)

    def names(self, reply):
        return sorted(reply.string() for _ in range(reply.take(">i")))

    def results(self, reply):
        """Of a multi: opcodes and errors."""
        out = []
        while True:
            op, done, error = reply.take(">ibi")
            if done:
                return out
            if op == -1:
                out.append((op, reply.take(">i")))
            else:
                out.append((op, error))
                if op in (wire.CREATE, wire.CREATE2):
                    reply.string()
                if op in (wire.CREATE2, wire.SET_DATA):
                    reply.stat()
                if op == wire.GET_DATA:
                    reply.buffer()
                    reply.stat()
                if op == GET_CHILDREN:
                    self.names(reply)

    def create(self, name, path, flags=0, data=b"d", acl=wire.OPEN):
        self.ask(name, wire.CREATE, wire.create_body(self.root + path, data, flags, acl), self.path)

    def read(self, path):
        full = self.root + path
        self.ask("get " + path, wire.GET_DATA, wire.string(full) + b"\0", self.data)

    def set(self, path, data, version=-1):
        body = wire.string(self.root + path) + wire.buffer(data) + struct.pack(">i", version)
        self.ask("set " + path, wire.SET_DATA, body, self.stat)

    def delete(self, path, version=-1):
        body = wire.string(self.root + path) + struct.pack(">i", version)
        self.ask("delete " + path, wire.DELETE, body)

    def multi(self, name, ops):
        self.ask(name, wire.MULTI, wire.multi_body(ops), self.results)

    def run(self):
        self.nodes()
        self.lists()
        self.multis()
        self.access()
        self.watches()
        self.others()
        return self.outcomes

    def nodes(self):
        self.create("root", "")
        self.create("create", "/a")
        self.create("create again", "/a")
        self.create("no parent", "/x/y")
        self.create("null data", "/null", data=None)
        self.create("sequential", "/a/s-", SEQUENCE)
        self.create("sequential 2", "/a/s-", SEQUENCE)
        self.create("ephemeral", "/e", EPHEMERAL)
        self.create("below an ephemeral", "/e/c")
        self.create("ephemeral sequential", "/es-", EPHEMERAL | SEQUENCE)
        body = wire.create_body(self.root + "/c2", b"22", 0)
        self.ask("create2", wire.CREATE2, body, lambda r: (self.path(r), self.stat(r)))
        body = wire.create_body(self.root + "/box", b"", CONTAINER)
        self.ask("container", wire.CREATE_CONTAINER, body, self.path)
        body = wire.create_body(self.root + "/ttl", b"", TTL) + struct.pack(">q", 3600000)
        self.ask("ttl", wire.CREATE_TTL, body, self.path)
        for path in ("/a", "/e", "/c2", "/null", "/none", "/a/s-0000000001"):
            self.read(path)
        self.set("/a", b"new")
        self.set("/a", b"newer", 1)
        self.set("/a", b"no", 1)
        self.set("/none", b"no")
        self.delete("/a")
        self.delete("/c2", 4)
        self.delete("/c2", 0)
        self.delete("/none")
        self.read("/a")

    def lists(self):
        full = wire.string(self.root)
        self.ask("exists", EXISTS, full + b"\0", self.stat)
        self.ask("exists not", EXISTS, wire.string(self.root + "/none") + b"\0", self.stat)
        self.ask("children", GET_CHILDREN, full + b"\0", self.names)
        self.ask("children2", wire.GET_CHILDREN2, full + b"\0", lambda r: (self.names(r), self.stat(r)))
        if self.new:
            self.ask("count", GET_ALL_CHILDREN_NUMBER, full, lambda r: r.take(">i"))
            self.ask(
                "ephemerals", GET_EPHEMERALS, full,
                lambda r: sorted(p[len(self.root) :] for p in self.names(r)),
            )
        self.ask("sync", SYNC, full, lambda r: self.path(r))

    def multis(self):
        a, b = self.root + "/m", self.root + "/m/n"
        create = lambda p, flags=0: (wire.CREATE, wire.create_body(p, b"", flags))
        change = lambda p, v=-1: (
            wire.SET_DATA, wire.string(p) + wire.buffer(b"m") + struct.pack(">i", v)
        )
        check = lambda p, v: (wire.CHECK, wire.string(p) + struct.pack(">i", v))
        remove = lambda p: (wire.DELETE, wire.string(p) + struct.pack(">i", -1))
        self.multi("multi", [create(a), create(b), change(a), check(a, 1), create(b + "-", 2), remove(b)])
        self.multi("multi refused", [create(b), change(a, 7), remove(a)])
        self.multi("multi check refused", [change(a), check(a, 9)])
        self.multi("multi ephemeral", [create(self.root + "/me", EPHEMERAL), create(a + "/k")])
        self.multi("empty multi", [])
        self.read("/m")
        self.read("/m/n")
        if self.new:
            gets = [(wire.GET_DATA, wire.string(a) + b"\0"), (GET_CHILDREN, wire.string(a) + b"\0")]
            self.ask("multi read", MULTI_READ, wire.multi_body(gets), self.results)

    def access(self):
        full = wire.string(self.root + "/a")
        read = lambda r: (r.acl(), self.stat(r))
        self.ask("acl", wire.GET_ACL, full, read)
        body = full + wire.acl_list(READ_ONLY_ACL) + struct.pack(">i", 0)
        self.ask("set acl", wire.SET_ACL, body, self.stat)
        self.ask("set acl again", wire.SET_ACL, body, self.stat)
        self.set("/a", b"forbidden")
        self.create("forbidden", "/a/b")
        self.create("no acl", "/na", acl=[])
        self.ask("acl after", wire.GET_ACL, full, read)

    def watches(self):
        session, path = self.session, self.root + "/w"
        session.exists(path, True)
        session.children(self.root, True)
        self.create("watched", "/w")
        for kind, where in ((CREATED, path), (CHILD, self.root)):
            self.outcomes.append(("event", session.wait_event(kind, where)))
        session.get(path, True)
        session.children(path, True)
        self.delete("/w")
        self.outcomes.append(("event", session.wait_event(DELETED, path)))
        body = wire.string(path) + struct.pack(">i", 3)
        self.ask("check watches", CHECK_WATCHES, body)
        session.exists(path, True)
        self.ask("remove watches", REMOVE_WATCHES, body)
        if self.new:
            self.ask("add watch", ADD_WATCH, wire.string(self.root) + struct.pack(">i", 1))
            self.create("seen by a recursive watch", "/w2")
            self.outcomes.append(("event", session.wait_event(CREATED, self.root + "/w2")))
            self.ask("remove it", REMOVE_WATCHES, wire.string(self.root) + struct.pack(">i", 3))

    def others(self):
        if self.new:
            self.ask("who am i", WHO_AM_I, b"", lambda r: r.take(">i"))
        body = b"".join(wire.string(t) for t in ("server.9=127.0.0.1:1:2;3", "", ""))
        self.ask("reconfig", RECONFIG, body + struct.pack(">q", -1))
        self.ask("no such request", 99, b"")
