"""TCP relays between the members of an ensemble: cuts, one way or both, delay and resets,
without root.

Every ordered pair of members has a relay in front of the quorum port and one in front of the
election port of the second; the first one's zoo.cfg names them. Held bytes are kept and go on
when the link is healed, as TCP does it; a connection that is opened over a held link reaches
the other side only then.

On the election port the smaller id is called back at the address that it announces. The relay
puts the way through itself in its place.
"""

import queue
import selectors
import socket
import struct
import threading
import time

QUORUM, ELECTION = "quorum", "election"
CHUNK = 1 << 16
QUEUED = 256
PATIENCE = 1.0


def reset(sock):
    """Closes with RST; what is queued is lost."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    # close alone would leave a thread in recv
    try:
        sock.shutdown(socket.SHUT_RD)
    except OSError:
        pass
    sock.close()


class Net:
    """All relays of one ensemble. Links are named by the ids of sender and receiver."""

    def __init__(self):
        self.changed = threading.Condition()
        self.held, self.refused, self.delays = set(), set(), {}
        self.traps, self.chopped = {}, False
        self.ports, self.live = {}, set()
        self.closed = False
        self.selector = selectors.DefaultSelector()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def add(self, source, target, kind, port, to):
        """A relay from `port` to the port `to` of the member `target`."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(50)
        self.ports[source, target, kind] = port
        self.selector.register(listener, selectors.EVENT_READ, (source, target, kind, to))

    def start(self):
        self.thread.start()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        for connection in list(self.live):
            connection.end()

    def _accept(self):
        while not self.closed:
            for key, _ in self.selector.select(0.2):
                try:
                    client = key.fileobj.accept()[0]
                except OSError:
                    continue
                source, target, kind, to = key.data
                if frozenset((source, target)) in self.refused:
                    reset(client)
                    continue
                connection = _Connection(self, source, target, kind, to, client)
                with self.lock:
                    self.live.add(connection)
                threading.Thread(target=connection.run, daemon=True).start()

    # --- faults -------------------------------------------------------------------------

    def hold(self, pairs, kind=None):
        """Nothing sent over these links (to this kind of port) arrives until they are healed."""
        with self.changed:
            self.held.update(pairs if kind is None else [p + (kind,) for p in pairs])

    def trap(self, pair, marker, whole=False):
        """The link lets these bytes through and is held from right behind them on; with `whole`
        from behind what came together with them, for a packet that goes on behind them."""
        with self.changed:
            self.traps[pair] = (marker, whole)

    def trapped(self, pair):
        """Whether the bytes have passed."""
        return pair not in self.traps and pair in self.held

    def chop(self):
        """What goes to quorum ports and back arrives in pieces of a few bytes."""
        self.chopped = True

    def refuse(self, pairs):
        """Connections between these members are reset, and new ones too."""
        with self.changed:
            self.refused.update(frozenset(p) for p in pairs)
        self.reset(pairs)

    def reset(self, pairs):
        """Ends the connections between these members; bytes under way are lost."""
        both = {frozenset(p) for p in pairs}
        with self.lock:
            ending = [c for c in self.live if frozenset((c.source, c.target)) in both]
        for connection in ending:
            connection.end()

    def slow(self, pairs, seconds):
        """Everything over these links takes so much longer."""
        with self.changed:
            for pair in pairs:
                self.delays[pair] = seconds

    def heal(self):
        """No fault any more."""
        with self.changed:
            self.held.clear()
            self.traps.clear()
            self.chopped = False
            self.refused.clear()
            self.delays.clear()
            self.changed.notify_all()

    def wait_open(self, pairs, kind, give_up):
        """Waits until none of the links is held; False when `give_up()` or at the end."""
        waited = False
        with self.changed:
            while any(p in self.held or p + (kind,) in self.held for p in pairs):
                waited = True
                if self.closed or give_up():
                    return False
                self.changed.wait(0.1)
        # without a wait even one that has been closed again goes on: election pokes are like that
        return not (self.closed or waited and give_up())


class _Connection:
    """One connection through a relay."""

    def __init__(self, net, source, target, kind, to, client):
        self.net, self.source, self.target, self.kind, self.to = net, source, target, kind, to
        self.client, self.server, self.over = client, None, False

    def end(self):
        self.over = True
        for sock in (self.client, self.server):
            if sock is not None:
                reset(sock)
        with self.net.lock:
            self.net.live.discard(self)

    def _gone(self):
        """The connecting side has given up."""
        if self.over:
            return True
        try:
            self.client.setblocking(False)
            try:
                # data and the end cannot be told apart once bytes are queued: TCP_INFO can
                state = self.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
                return state != 1
            finally:
                self.client.setblocking(True)
        except OSError:
            return True

    def run(self):
        pair, back = (self.source, self.target), (self.target, self.source)
        if not self.net.wait_open((pair, back), self.kind, self._gone):
            return self.end()
        try:
            self.server = self._connect()
            for sock in (self.client, self.server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return self.end()
        if self.over:
            return self.end()
        first = self._rewrite if self.kind == ELECTION else None
        for args in ((pair, self.client, self.server, first), (back, self.server, self.client, None)):
            channel = queue.Queue(QUEUED)
            threading.Thread(target=self._read, args=(args[1], channel, args[3]), daemon=True).start()
            threading.Thread(target=self._write, args=(args[0], args[2], channel), daemon=True).start()

    def _connect(self):
        """To the target. Nobody listening is no refusal at once, as the connecting side has been
        told already that it is connected: a follower would not try again, where it has five
        tries for a leader that is about to listen."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                server = socket.create_connection(("127.0.0.1", self.to), 5)
                server.settimeout(None)
                return server
            except ConnectionRefusedError:
                if self.over or self.net.closed or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def _read(self, sock, channel, first):
        try:
            if first is not None:
                channel.put((time.monotonic(), first(sock)))
            while True:
                data = sock.recv(CHUNK)
                channel.put((time.monotonic(), data))
                if not data:
                    return
        except OSError:
            channel.put((time.monotonic(), b""))

    def _write(self, pair, sock, channel):
        passed = b""
        try:
            while not self.over:
                at, data = channel.get()
                delay = self.net.delays.get(pair, 0)
                while not self.over and time.monotonic() < at + delay:
                    time.sleep(min(0.01, max(0.0, at + delay - time.monotonic())))
                if not self._open(pair) or not data:
                    break
                trap = self.net.traps.get(pair)
                if trap is not None:
                    marker, whole = trap
                    at = (passed + data).find(marker)
                    cut = len(data) if whole else at + len(marker) - len(passed)
                    if at >= 0 and cut > 0:
                        self._send(sock, data[:cut])
                        data = data[cut:]
                        with self.net.changed:
                            self.net.held.add(pair)
                            self.net.traps.pop(pair, None)
                        if not self._open(pair):
                            break
                    passed = (passed + data)[-len(marker) :]
                self._send(sock, data)
        except OSError:
            pass
        self.end()

    def _open(self, pair):
        return self.net.wait_open((pair,), self.kind, lambda: self.over)

    def _send(self, sock, data):
        if not (self.net.chopped and self.kind == QUORUM):
            return sock.sendall(data)
        for start in range(0, len(data), 7):
            sock.sendall(data[start : start + 3])
            sock.sendall(data[start + 3 : start + 7])

    def _rewrite(self, sock):
        """The initial message of the election port, with the address that leads through us."""
        data = b""
        while len(data) < 20:
            part = sock.recv(CHUNK)
            if not part:
                return data
            data += part
        version, sid, size = struct.unpack_from(">qqi", data)
        if version >= 0 or not 0 < size <= 2048:
            return data
        while len(data) < 20 + size:
            part = sock.recv(CHUNK)
            if not part:
                return data
            data += part
        port = self.net.ports[self.target, self.source, ELECTION]
        address = b"127.0.0.1:%d" % port
        return struct.pack(">qqi", version, sid, len(address)) + address + data[20 + size :]
