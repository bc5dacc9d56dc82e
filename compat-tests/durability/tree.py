"""Reading a whole tree through a client, and comparing trees."""

import base64
import hashlib
import re
import struct

import wire

SUPER = b"super:durability"
SUPER_PROPERTY = "zookeeper.DigestAuthenticationProvider.superDigest=super:" + base64.b64encode(
    hashlib.sha1(SUPER).digest()
).decode("ascii")
WINDOW = 200


def read(port):
    """Every node: path to (data, stat, acl), read by a session of its own."""
    connection = wire.Connection(port)
    connection.add_auth("digest", SUPER)
    out, level = {}, ["/"]
    while level:
        following = []
        for start in range(0, len(level), WINDOW):
            some = level[start : start + WINDOW]
            for path in some:
                connection.send(wire.GET_DATA, wire.string(path) + b"\0")
                connection.send(wire.GET_ACL, wire.string(path))
                connection.send(wire.GET_CHILDREN2, wire.string(path) + b"\0")
            for path in some:
                node = _node(connection, path, following)
                if node is not None:
                    out[path] = node
        level = following
    connection.close()
    return out


def _node(connection, path, following):
    replies = [connection.receive() for _ in range(3)]
    errors = [error for _, error, _ in replies]
    if errors != [0, 0, 0]:
        raise AssertionError("reading %s gave %s" % (path, errors))
    data, acl, names = (reply for _, _, reply in replies)
    value, stat = data.buffer(), data.stat()
    above = path if path.endswith("/") else path + "/"
    following += [above + names.string() for _ in range(names.take(">i"))]
    return value, stat, acl.acl()


def expected(nodes):
    """A tree from the JSON of the golden sets."""
    return {
        path: (
            None if node["data"] is None else base64.b64decode(node["data"]),
            node["stat"],
            [tuple(a) for a in node["acl"]],
        )
        for path, node in nodes.items()
    }


def differences(got, want):
    """Lines, one for each node that is not the same."""
    out = []
    for path in sorted(set(got) | set(want)):
        if path not in want:
            out.append("%s: is there and should not be: %r" % (path, got[path]))
        elif path not in got:
            out.append("%s: is missing: %r" % (path, want[path]))
        elif got[path] != want[path]:
            pairs = zip(("data", "stat", "acl"), got[path], want[path])
            what = ["%s %r, not %r" % t for t in pairs if t[1] != t[2]]
            out.append("%s: %s" % (path, "; ".join(what)))
    return out


def same(got, want, where):
    wrong = differences(got, want)
    if wrong:
        more = "" if len(wrong) <= 8 else "\n... and %d more" % (len(wrong) - 8)
        raise AssertionError("%s:\n%s%s" % (where, "\n".join(w[:600] for w in wrong[:8]), more))


def sessions(dump):
    """The ids in the reply to `dump`: of sessions, and of owners with the ephemerals they have
    (Apache also lists some that have none left)."""
    tracked, _, owners = dump.partition("ephemeral nodes dump:")
    owners = owners.partition("Connections dump:")[0]
    held, owner = {}, None
    for line in owners.splitlines():
        if line.startswith("0x"):
            owner = line.rstrip(":")[2:]
        elif line.startswith("\t"):
            held.setdefault(owner, set()).add(line.strip())
    return set(re.findall("0x([0-9a-f]+)", tracked)), held
