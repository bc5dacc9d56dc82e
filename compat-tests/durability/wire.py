"""The client protocol, as far as the durability tests need it: blocking, with requests sent
ahead of their replies."""

import socket
import struct

CREATE, DELETE, GET_DATA, SET_DATA, GET_ACL, SET_ACL = 1, 2, 4, 5, 6, 7
PING, GET_CHILDREN2, CHECK, MULTI, CREATE2 = 11, 12, 13, 14, 15
CREATE_CONTAINER, CREATE_TTL, AUTH, CLOSE = 19, 21, 100, -11

OK, NO_NODE, BAD_VERSION, NODE_EXISTS, NOT_EMPTY = 0, -101, -103, -110, -111

OPEN = [(31, "world", "anyone")]

STAT = struct.Struct(">qqqqiiiqiiq")
STAT_FIELDS = (
    "czxid mzxid ctime mtime version cversion aversion ephemeralOwner dataLength "
    "numChildren pzxid"
).split()


def string(text):
    raw = text.encode("utf-8")
    return struct.pack(">i", len(raw)) + raw


def buffer(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def acl_list(acl):
    out = struct.pack(">i", len(acl))
    for perms, scheme, who in acl:
        out += struct.pack(">i", perms) + string(scheme) + string(who)
    return out


def create_body(path, data, flags, acl=OPEN):
    return string(path) + buffer(data) + acl_list(acl) + struct.pack(">i", flags)


def multi_body(ops):
    """`ops` are pairs of an opcode and a body."""
    out = b"".join(struct.pack(">ibi", op, 0, -1) + body for op, body in ops)
    return out + struct.pack(">ibi", -1, 1, -1)


class Reader:
    """Takes a reply apart."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values if len(values) > 1 else values[0]

    def buffer(self):
        size = self.take(">i")
        if size < 0:
            return None
        out = self.raw[self.at : self.at + size]
        self.at += size
        return out

    def string(self):
        return self.buffer().decode("utf-8")

    def stat(self):
        out = STAT.unpack_from(self.raw, self.at)
        self.at += STAT.size
        return dict(zip(STAT_FIELDS, out))

    def acl(self):
        return [(self.take(">i"), self.string(), self.string()) for _ in range(self.take(">i"))]


class Gone(Exception):
    """The connection ended."""


class Refused(Exception):
    """The server does not know the session."""


class Connection:
    """One connection of one session: a new one, or the one with this id and password."""

    def __init__(self, port, timeout=30000, session=0, password=b"\0" * 16, limit=20.0):
        self.xid = 0
        self.input = b""
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), limit)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._send(struct.pack(">iqiq", 0, 0, timeout, session) + buffer(password) + b"\0")
            reply = Reader(self._frame())
        except OSError as e:
            raise Gone(str(e)) from e
        _, self.timeout, self.session = reply.take(">iiq")
        self.password = reply.buffer()
        if self.session == 0 or (session and session != self.session):
            self.socket.close()
            raise Refused("session 0x%x: refused" % session)

    def _send(self, payload):
        self.socket.sendall(struct.pack(">i", len(payload)) + payload)

    def _more(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise Gone("closed")
        self.input += part

    def _frame(self):
        while len(self.input) < 4:
            self._more()
        size = struct.unpack_from(">i", self.input)[0]
        while len(self.input) < 4 + size:
            self._more()
        out, self.input = self.input[4 : 4 + size], self.input[4 + size :]
        return out

    def send(self, op, body=b"", xid=None):
        """Sends a request without waiting for its reply."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        try:
            self._send(struct.pack(">ii", xid, op) + body)
        except OSError as e:
            raise Gone(str(e)) from e
        return xid

    def receive(self):
        """The next reply: zxid, error, and a reader at its body. Events and pings are passed over."""
        try:
            while True:
                reply = Reader(self._frame())
                xid, zxid, error = reply.take(">iqi")
                if xid >= 0 or xid == -4:
                    return zxid, error, reply
        except OSError as e:
            raise Gone(str(e)) from e

    def call(self, op, body=b"", expect=OK):
        self.send(op, body)
        zxid, error, reply = self.receive()
        if expect is not None and error != expect:
            raise AssertionError("op %d: error %d, not %d" % (op, error, expect))
        return zxid, error, reply

    def add_auth(self, scheme, credentials):
        self.send(AUTH, struct.pack(">i", 0) + string(scheme) + buffer(credentials), xid=-4)
        if self.receive()[1] != OK:
            raise AssertionError("authentication failed")

    def create(self, path, data=b"", flags=0, acl=OPEN):
        return self.call(CREATE, create_body(path, data, flags, acl))[2].string()

    def close(self):
        """Ends the session."""
        try:
            self.call(CLOSE)
        finally:
            self.socket.close()

    def drop(self):
        """Ends the connection only."""
        self.socket.close()
