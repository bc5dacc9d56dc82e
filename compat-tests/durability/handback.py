"""Directories go from Zabra to Apache and back: what one left, the other serves the same."""

import os
import shutil
import signal
import struct

import load
import place
import tree
import wire

APACHE_PROPERTIES = ["zookeeper.extendedTypesEnabled=true"]


def fill(port):
    """Nodes of every kind, beside the load; the connection whose ephemerals must last."""
    c = wire.Connection(port, timeout=300000)
    c.add_auth("digest", b"alice:secret")
    c.create("/rich", b"x")
    # values: absent, empty, long
    c.create("/rich/null", None)
    c.create("/rich/empty", b"")
    c.create("/rich/long", os.urandom(900000))
    c.create("/rich/unset", b"abc")
    set_data(c, "/rich/unset", None)
    # Names beyond ASCII. Apache allows none beyond the basic plane, and loses the ids of access
    # lists that go beyond it.
    for name in ("gr\u00fc\u00dfe", "\u65e5\u672c\u8a9e", "a b", "dots..."):
        c.create("/rich/" + name, (name + "\U0001f418").encode("utf-8"))
    # access lists
    alice = c.create("/rich/acl", b"", 0, [(31, "auth", ""), (1, "world", "anyone")])
    c.create("/rich/acl-ip", b"", 0, [(31, "ip", "127.0.0.1/8"), (31, "digest", "b:c")])
    c.create("/rich/acl-odd", b"", 0, [(5, "digest", "\u00e4\u65e5:x"), (31, "auth", "")])
    c.call(wire.SET_ACL, wire.string(alice) + wire.acl_list([(31, "auth", "")]) + be("i", -1))
    # containers and nodes with a time to live
    c.call(wire.CREATE_CONTAINER, wire.create_body("/rich/box", b"", 4))
    c.create("/rich/box/in", b"")
    c.call(wire.CREATE_TTL, wire.create_body("/rich/ttl", b"t", 5) + be("q", 86400000))
    c.call(wire.CREATE_TTL, wire.create_body("/rich/ttl-", b"", 6) + be("q", (1 << 40) - 1))
    c.create("/rich/ttl/below", b"")
    # quotas
    c.create("/quota", b"1234")
    c.create("/zookeeper/quota/quota", b"")
    c.create("/zookeeper/quota/quota/zookeeper_limits", b"count=100,bytes=5000")
    c.create("/zookeeper/quota/quota/zookeeper_stats", b"count=1,bytes=4")
    for i in range(5):
        c.create("/quota/n%d" % i, b"abcde")
    # ephemerals, and sequence numbers behind deleted nodes
    c.create("/rich/eph", b"e", 1)
    for i in range(4):
        path = c.create("/rich/seq-", b"", 3)
        if i % 2:
            c.call(wire.DELETE, wire.string(path) + be("i", -1))
    # transactions that fail, whole and in a multi
    c.call(wire.DELETE, wire.string("/nowhere") + be("i", -1), expect=wire.NO_NODE)
    parts = [
        (wire.CREATE2, wire.create_body("/multi", b"", 0)),
        (wire.CREATE, wire.create_body("/multi/a-", b"", 2)),
        (wire.CHECK, wire.string("/multi") + be("i", 0)),
        (wire.SET_DATA, wire.string("/multi") + wire.buffer(b"m") + be("i", 0)),
        (wire.CREATE_CONTAINER, wire.create_body("/multi/box", b"", 4)),
        (wire.CREATE_TTL, wire.create_body("/multi/ttl", b"", 5) + be("q", 86400000)),
        (wire.CREATE, wire.create_body("/multi/eph", b"", 1)),
    ]
    c.call(wire.MULTI, wire.multi_body(parts))
    parts.append((wire.CHECK, wire.string("/multi") + be("i", 99)))
    c.call(wire.MULTI, wire.multi_body(parts))
    c.drop()
    return c


def change(port, session, number):
    """More of it, by the same session, in each round."""
    c = wire.Connection(port, 300000, session.session, session.password)
    c.add_auth("digest", b"alice:secret")
    set_data(c, "/rich/unset", None if number % 2 else b"%d" % number)
    set_data(c, "/quota/n1", b"x" * number)
    c.create("/quota/more-", b"12345", 2)
    c.create("/rich/seq-", b"", 3)
    c.create("/rich/box/in-", b"", 2)
    c.create("/rich/acl/below-%d" % number, b"", 0, [(31, "auth", ""), (number % 31 + 1, "ip", "::1")])
    c.drop()


def be(form, value):
    return struct.pack(">" + form, value)


def set_data(c, path, data):
    c.call(wire.SET_DATA, wire.string(path) + wire.buffer(data) + be("i", -1))


def observe(p, command, properties):
    """Starts a server over the place and notes all it shows."""
    with p.server(command, properties) as server:
        zxid, dump = server.zxid(), server.word("dump")
        seen = server.tree()
        return zxid, tree.sessions(dump), seen


def compare(ctx, p, apache, where):
    """Both servers over copies of the same bytes; what they show."""
    shown = []
    for name, command in (("zabra", ctx.server_command), ("apache", apache)):
        copy = p.copy(p.folder + "-" + name)
        shown.append(observe(copy, command, APACHE_PROPERTIES))
        shutil.rmtree(copy.folder)
    (zxid, sessions, seen), (other_zxid, other_sessions, other) = shown
    tree.same(other, seen, where + ": Apache against Zabra")
    if (zxid, sessions) != (other_zxid, other_sessions):
        raise AssertionError(
            "%s: zxid and sessions: %r with Zabra, %r with Apache"
            % (where, shown[0][:2], shown[1][:2])
        )
    return seen, sessions


def rounds(ctx, kind, options, count, how, seed):
    """Zabra, Apache, Zabra ... over one directory, each adding to it, each ended by `how`."""
    apache = ctx.apache_command()
    with place.new(ctx, **options) as p:
        work, session = load.Load(seed), None
        # Zabra writes twice in a row now and then
        for number, name in enumerate(["zabra", "apache", "zabra", "zabra", "apache"] * count):
            command = ctx.server_command if name == "zabra" else apache
            where = "%s, round %d, by %s" % (kind, number + 1, name)
            with p.server(command, APACHE_PROPERTIES) as server:
                if session is None:
                    session = fill(p.port)
                    for w in work.workers:
                        w.connect(p.port)
                        w.connection.drop()
                else:
                    work.resume(p.port)
                    change(p.port, session, number)
                goal = work.acked() + 600
                work.start(p.port)
                place.until("600 acknowledgements", lambda: work.acked() > goal)
                if how == signal.SIGTERM:
                    work.finish()
                    before = server.tree()
                server.process.send_signal(how)
                server.wait(20)
                if how == signal.SIGKILL:
                    work.finish()
            seen, sessions = compare(ctx, p, apache, where)
            if how == signal.SIGTERM:
                tree.same(seen, before, where + ": after the restart")
            work.check(seen)
            wanted = {"%x" % w.session for w in work.workers} | {"%x" % session.session}
            if not wanted - {"0"} <= sessions[0] or "%x" % session.session not in sessions[1]:
                raise AssertionError("%s: sessions %r, not %r" % (where, sessions, wanted))
            ctx.say(where + ": same")
