"""A client session that finds its way from member to member, and says of every request
whether it took effect, failed, or may have done either."""

import random
import socket
import struct
import threading
import time

import wire

EXISTS, GET_CHILDREN, SYNC, SET_WATCHES = 3, 8, 9, 101
CREATED, DELETED, CHANGED, CHILD = 1, 2, 3, 4
SESSION_EXPIRED, SESSION_MOVED = -112, -118


class Error(Exception):
    """The server's error code; the request had no effect."""

    def __init__(self, code, zxid=0):
        super().__init__("error %d" % code)
        self.code, self.zxid = code, zxid


class NotSent(Exception):
    """No member could be reached in time; the request had no effect."""


class Unknown(Exception):
    """The connection ended before the reply."""


class Expired(Exception):
    """The session has ended."""


class _Slot:
    def __init__(self, watch):
        self.done, self.reply, self.watch = threading.Event(), None, watch


class Session:
    def __init__(self, ports, timeout=20000, seed=None, name=""):
        self.ports, self.want, self.name = list(ports), timeout, name
        self.random = random.Random(seed)
        self.random.shuffle(self.ports)
        self.next = 0
        self.session, self.password, self.timeout = 0, b"\0" * 16, timeout
        self.changed = threading.Condition()
        self.socket, self.port = None, None
        self.pending, self.xid, self.zxid = {}, 0, 0
        self.events = []
        self.watches = {"data": set(), "exist": set(), "child": set()}
        self.closed = self.expired = False
        self.moves = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # --- the connection -----------------------------------------------------------------

    def _run(self):
        while not (self.closed or self.expired):
            port = self.ports[self.next % len(self.ports)]
            self.next += 1
            try:
                sock, rest = self._connect(port)
            except (OSError, wire.Gone, struct.error):
                time.sleep(0.02)
                continue
            if sock is None:
                break
            try:
                self._receive(sock, rest)
            except (OSError, wire.Gone):
                pass
            self._lost(sock)
        with self.changed:
            self.expired = self.expired or not self.closed
            self.changed.notify_all()

    def _connect(self, port):
        sock = socket.create_connection(("127.0.0.1", port), 1.0)
        try:
            sock.settimeout(3.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hello = struct.pack(">iqiq", 0, self.zxid, self.want, self.session)
            _send(sock, hello + wire.buffer(self.password) + b"\0")
            frames = _Frames(sock)
            reply = wire.Reader(frames.next())
            _, timeout, session = reply.take(">iiq")
            password = reply.buffer()
        except BaseException:
            sock.close()
            raise
        if session == 0:
            sock.close()
            if self.session == 0:
                raise wire.Gone("no session")
            self.expired = True
            return None, None
        sock.settimeout(max(0.05, min(0.5, timeout / 6000.0)))
        with self.changed:
            if self.closed:
                sock.close()
                raise wire.Gone("closed")
            assert self.session in (0, session), "another session than asked for"
            self.session, self.password, self.timeout = session, password, timeout
            if any(self.watches.values()):
                body = struct.pack(">iiq", -8, SET_WATCHES, self.zxid)
                for kind in ("data", "exist", "child"):
                    paths = sorted(self.watches[kind])
                    body += struct.pack(">i", len(paths)) + b"".join(map(wire.string, paths))
                _send(sock, body)
            self.sent = self.heard = time.monotonic()
            self.socket, self.port = sock, port
            self.moves += 1
            self.changed.notify_all()
        return sock, frames

    def _receive(self, sock, frames):
        while True:
            try:
                frame = frames.next()
                self.heard = time.monotonic()
                self._take(wire.Reader(frame))
            except socket.timeout:
                pass
            now = time.monotonic()
            if now - self.heard > self.timeout * 2 / 3000.0:
                raise wire.Gone("silent")
            if now - self.sent > self.timeout / 3000.0:
                with self.changed:
                    _send(sock, struct.pack(">ii", -2, wire.PING))
                    self.sent = now

    def _take(self, reply):
        xid, zxid, error = reply.take(">iqi")
        if xid == -1:
            kind, _state = reply.take(">ii")
            path = reply.string()
            with self.changed:
                gone = {CREATED: ("data", "exist"), CHANGED: ("data", "exist"), CHILD: ("child",)}
                for some in gone.get(kind, ("data", "exist", "child")):
                    self.watches[some].discard(path)
                self.events.append((kind, path))
                self.changed.notify_all()
            return
        with self.changed:
            if xid >= 0 and zxid > 0:
                if zxid < self.zxid:
                    self.backward = (self.zxid, zxid)
                self.zxid = max(self.zxid, zxid)
            slot = self.pending.pop(xid, None)
            if slot is None:
                return
            if slot.watch and (error == 0 or (slot.watch[0] == "exist" and error == wire.NO_NODE)):
                kind = "data" if slot.watch[0] == "exist" and error == 0 else slot.watch[0]
                self.watches[kind].add(slot.watch[1])
            slot.reply = (zxid, error, reply)
            slot.done.set()

    def _lost(self, sock):
        sock.close()
        with self.changed:
            self.socket = self.port = None
            pending, self.pending = self.pending, {}
        for slot in pending.values():
            slot.done.set()

    backward = None

    def wait_connected(self, limit=30.0):
        with self.changed:
            self.changed.wait_for(lambda: self.socket or self.closed or self.expired, limit)
            if self.expired:
                raise Expired("session 0x%x" % self.session)
            if self.socket is None:
                raise NotSent("no member in %d s" % limit)
        return self

    def move(self, port):
        """Leaves its member for the one at this port."""
        deadline = time.monotonic() + 30
        moved = False
        while not moved or self.port != port:
            # A member that is behind what the session has seen refuses it; the next one takes it,
            # and so it is tried again.
            if self.expired or time.monotonic() > deadline:
                raise Expired("not moved to %d" % port)
            self.next = self.ports.index(port)
            self.drop()
            with self.changed:
                self.changed.wait_for(lambda: self.port is not None or self.expired, 5)
            moved = True

    def drop(self):
        """Ends the connection, not the session."""
        with self.changed:
            if self.socket is not None:
                try:
                    self.socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def abandon(self):
        """Ends the connection for good; the session lives until it expires."""
        self.closed = True
        self.drop()
        self.thread.join()

    # --- requests -----------------------------------------------------------------------

    def send(self, op, body, watch=None, limit=30.0):
        """Sends without waiting; what `result` takes."""
        self.wait_connected(limit)
        with self.changed:
            if self.socket is None:
                raise NotSent("connection ended")
            self.xid += 1
            slot = _Slot(watch)
            self.pending[self.xid] = slot
            try:
                _send(self.socket, struct.pack(">ii", self.xid, op) + body)
                self.sent = time.monotonic()
            except OSError:
                # part of it may have left
                self.pending.pop(self.xid, None)
                slot.done.set()
        return slot

    def result(self, slot, limit=60.0):
        if not slot.done.wait(limit):
            raise AssertionError("no reply in %d s and the connection stands" % limit)
        if slot.reply is None:
            raise Unknown("connection lost")
        zxid, error, reply = slot.reply
        if error in (SESSION_EXPIRED, SESSION_MOVED):
            if error == SESSION_MOVED:
                raise NotSent("session moved")
            raise Expired("error -112")
        if error:
            raise Error(error, zxid)
        return reply

    def call(self, op, body=b"", watch=None, limit=30.0):
        return self.result(self.send(op, body, watch, limit))

    def create(self, path, data=b"", flags=0, acl=wire.OPEN):
        return self.call(wire.CREATE, wire.create_body(path, data, flags, acl)).string()

    def ensure(self, path):
        """Creates it unless it is there, again and again until the outcome is known."""
        while True:
            try:
                return self.create(path)
            except Unknown:
                continue
            except Error as e:
                if e.code != wire.NODE_EXISTS:
                    raise
                return path

    def set(self, path, data, version=-1):
        return self.call(wire.SET_DATA, set_body(path, data, version)).stat()

    def get(self, path, watch=False):
        reply = self.call(
            wire.GET_DATA, wire.string(path) + bytes([watch]), ("data", path) if watch else None
        )
        return reply.buffer(), reply.stat()

    def exists(self, path, watch=False):
        """The stat, or None."""
        try:
            return self.call(
                EXISTS, wire.string(path) + bytes([watch]), ("exist", path) if watch else None
            ).stat()
        except Error as e:
            if e.code != wire.NO_NODE:
                raise
            return None

    def children(self, path, watch=False):
        reply = self.call(
            GET_CHILDREN, wire.string(path) + bytes([watch]), ("child", path) if watch else None
        )
        return [reply.string() for _ in range(reply.take(">i"))]

    def delete(self, path, version=-1):
        self.call(wire.DELETE, wire.string(path) + struct.pack(">i", version))

    def sync(self, path="/"):
        return self.call(SYNC, wire.string(path))

    def close(self, limit=10.0):
        """Ends the session; True when the server said so."""
        try:
            self.call(wire.CLOSE, limit=limit)
            sure = True
        except (NotSent, Unknown):
            sure = False
        except Expired:
            sure = True
        self.closed = True
        self.drop()
        self.thread.join()
        return sure

    def wait_event(self, kind, path, limit=30.0):
        """Takes the event out; whether it came."""
        with self.changed:
            came = self.changed.wait_for(lambda: (kind, path) in self.events, limit)
            if came:
                self.events.remove((kind, path))
            return came


def set_body(path, data, version=-1):
    return wire.string(path) + wire.buffer(data) + struct.pack(">i", version)


def _send(sock, payload):
    sock.sendall(struct.pack(">i", len(payload)) + payload)


class _Frames:
    """Whole frames; a time-out leaves what has come so far."""

    def __init__(self, sock):
        self.socket, self.input = sock, b""

    def next(self):
        while True:
            if len(self.input) >= 4:
                size = struct.unpack_from(">i", self.input)[0]
                if len(self.input) >= 4 + size:
                    frame, self.input = self.input[4 : 4 + size], self.input[4 + size :]
                    return frame
            part = self.socket.recv(1 << 18)
            if not part:
                raise wire.Gone("closed")
            self.input += part
