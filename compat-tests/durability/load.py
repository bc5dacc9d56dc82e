"""A write load whose outcome is known.

Each worker is one session with a folder of its own in the tree and many requests in flight.
Requests of a session take effect in their order, so after a crash its folder must be as it
was after one of the requests from the last acknowledged to the last sent: not less, not more,
no multi in part.
"""

import collections
import random
import struct
import threading

import wire

Node = collections.namedtuple("Node", "data version creates deletes owner czxid mzxid pzxid")

NODES_MAX = 120
IN_FLIGHT = 40


class Failed(Exception):
    """An operation of the model that does not work out, with its error code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


def parent(path):
    return path.rpartition("/")[0]


def apply_one(tree, op, zxid, session):
    """Changes `tree`; returns the path made by a create."""
    kind, path = op[0], op[1]
    if kind == "create":
        above = tree.get(parent(path))
        if above is None:
            raise Failed(wire.NO_NODE)
        if op[3] & 2:
            path += "%010d" % above.creates
        if path in tree:
            raise Failed(wire.NODE_EXISTS)
        owner = session if op[3] & 1 else 0
        tree[parent(path)] = above._replace(creates=above.creates + 1, pzxid=zxid)
        tree[path] = Node(op[2], 0, 0, 0, owner, zxid, zxid, zxid)
        return path
    node = tree.get(path)
    if node is None:
        raise Failed(wire.NO_NODE)
    if kind == "delete":
        if any(p.startswith(path + "/") for p in tree):
            raise Failed(wire.NOT_EMPTY)
        remove(tree, path, zxid)
    elif kind == "set":
        tree[path] = node._replace(data=op[2], version=node.version + 1, mzxid=zxid)
    elif kind == "check" and node.version != op[2]:
        raise Failed(wire.BAD_VERSION)
    return None


def remove(tree, path, zxid):
    del tree[path]
    above = tree[parent(path)]
    tree[parent(path)] = above._replace(deletes=above.deletes + 1, pzxid=zxid)


def apply(tree, op, zxid, session):
    """The tree after the operation, its error code, and the path a create made."""
    after = dict(tree)
    try:
        if op[0] == "multi":
            for part in op[1]:
                apply_one(after, part, zxid, session)
            return after, wire.OK, None
        if op[0] == "close":
            for path in [p for p, n in tree.items() if n.owner == session]:
                remove(after, path, zxid)
            return after, wire.OK, None
        return after, wire.OK, apply_one(after, op, zxid, session)
    except Failed as e:
        return tree, e.code, None


def request(op):
    """Opcode and body."""
    kind = op[0]
    if kind == "create":
        return wire.CREATE if len(op[1]) % 2 else wire.CREATE2, wire.create_body(*op[1:4])
    if kind == "delete":
        return wire.DELETE, wire.string(op[1]) + struct.pack(">i", -1)
    if kind == "set":
        return wire.SET_DATA, wire.string(op[1]) + wire.buffer(op[2]) + struct.pack(">i", -1)
    if kind == "check":
        return wire.CHECK, wire.string(op[1]) + struct.pack(">i", op[2])
    if kind == "multi":
        return wire.MULTI, wire.multi_body([request(part) for part in op[1]])
    return wire.CLOSE, b""


class Worker:
    """One session and its folder. `run` goes on until the server is gone or `stop` is set."""

    def __init__(self, name, seed, timeout=60000, data_max=400):
        self.root, self.random = "/" + name, random.Random(seed)
        self.timeout, self.data_max = timeout, data_max
        self.connection, self.session, self.password = None, 0, None
        self.tree = None
        self.pending = collections.deque()
        self.stop = threading.Event()
        self.acked = self.zxid = 0
        self.wrong = None
        self.thread = None

    def connect(self, port):
        """Opens the session, or goes on with the one of last time."""
        if self.session:
            c = wire.Connection(port, self.timeout, self.session, self.password)
        else:
            c = wire.Connection(port, self.timeout)
            self.session, self.password = c.session, c.password
        self.connection = c
        if self.tree is None:
            zxid = c.call(wire.CREATE, wire.create_body(self.root, b"", 0))[0]
            self.tree = {self.root: Node(b"", 0, 0, 0, 0, zxid, zxid, zxid)}

    def start(self, port):
        self.stop.clear()
        self.thread = threading.Thread(target=self._guarded, args=(port,), daemon=True)
        self.thread.start()

    def finish(self):
        """Waits for the end; what was sent and not answered stays in `pending`."""
        self.stop.set()
        self.thread.join()
        if self.wrong is not None:
            raise AssertionError(self.wrong)

    def _guarded(self, port):
        try:
            self.run(port)
        except (wire.Gone, OSError):
            pass
        except wire.Refused as e:
            self.wrong = "%s: %s" % (self.root, e)
        except Exception as e:  # shown by finish
            self.wrong = "%s: %r" % (self.root, e)

    def run(self, port):
        while not self.stop.is_set():
            self.connect(port)
            sent, closing = self.tree, False
            while True:
                while len(self.pending) < IN_FLIGHT and not closing:
                    if self.stop.is_set():
                        break
                    op = self.choose(sent)
                    closing = op[0] == "close"
                    sent = apply(sent, op, None, self.session)[0]
                    self.pending.append(op)
                    self.connection.send(*request(op))
                if not self.pending:
                    break
                self.take_reply()
            self.connection.drop()
            if closing:
                self.session = 0

    def take_reply(self):
        zxid, error, reply = self.connection.receive()
        op = self.pending.popleft()
        after, code, path = apply(self.tree, op, zxid, self.session)
        if op[0] == "multi" and error == wire.OK and reply.take(">i") == -1:
            error = code or wire.OK - 1
        if error != code:
            raise AssertionError("%r gave %d, not %d" % (op, error, code))
        if path is not None and reply.string() != path:
            raise AssertionError("%r made %r, not %s" % (op, reply.raw, path))
        self.tree = after
        self.acked += 1
        self.zxid = max(self.zxid, zxid)

    def choose(self, tree):
        r = self.random
        dice = r.random()
        if dice < 0.002:
            return ("close",)
        if dice < 0.15:
            parts = [self.simple(tree) for _ in range(r.randint(1, 5))]
            some = r.choice(list(tree))
            # one in four fails
            version = tree[some].version + (r.random() < 0.25)
            return ("multi", [("check", some, version)] + parts)
        return self.simple(tree)

    def simple(self, tree):
        r = self.random
        paths = list(tree)
        some = r.choice(paths)
        dice = r.random()
        if len(paths) > NODES_MAX:
            dice = max(dice, 0.45)
        data = r.choice((None, b"", r.randbytes(r.randint(1, self.data_max))))
        if dice < 0.5:
            flags = r.choice((0, 0, 0, 1, 2, 3))
            fixed = "n%d" % r.randint(0, 30)
            folder = self.root if flags & 1 or tree[some].owner else some
            if folder.count("/") > 4:
                folder = self.root
            return ("create", "%s/%s" % (folder, "s-" if flags & 2 else fixed), data, flags)
        if dice < 0.75 and some != self.root:
            leaves = [p for p in r.sample(paths, min(8, len(paths))) if p != self.root]
            return ("delete", max(leaves or [some], key=len))
        return ("set", some, data)

    def check(self, dump):
        """Matches what a server shows with what it may show; the model goes on from there."""
        shown = {
            p: view(*n) for p, n in dump.items() if p == self.root or p.startswith(self.root + "/")
        }
        tree, why = self.tree, None
        ops = list(self.pending)
        self.pending.clear()
        for done in range(len(ops) + 1):
            wrong = mismatch(shown, tree)
            if wrong is None:
                if done and ops[done - 1][0] == "close":
                    self.session = 0
                self.tree = adopt(shown)
                return done
            why = why or wrong
            if done < len(ops):
                tree = apply(tree, ops[done], None, self.session)[0]
        raise AssertionError(
            "%s: after %d acknowledged and %d more sent requests: %s\nfirst of those: %.2000r"
            % (self.root, self.acked, len(ops), why, ops[:6])
        )


def view(data, stat, _acl):
    """A node as the model keeps it; creates and deletes are known by their sum only."""
    names = ("version", "cversion", "ephemeralOwner", "czxid", "mzxid", "pzxid")
    # Apache: an absent value and an empty one are kept apart
    return (data,) + tuple(stat[n] for n in names) + (stat["numChildren"],)


def mismatch(shown, tree):
    children = collections.Counter(parent(p) for p in tree)
    for path in sorted(set(shown) | set(tree)):
        if path not in shown:
            return "%s is missing" % path
        if path not in tree:
            return "%s is there" % path
        n = tree[path]
        want = (n.data, n.version, n.creates + n.deletes, n.owner, n.czxid, n.mzxid, n.pzxid)
        want += (children[path],)
        got = shown[path]
        if any(w is not None and w != g for w, g in zip(want[1:], got[1:])) or want[0] != got[0]:
            return "%s is %r, not %r" % (path, got, want)
    return None


def adopt(shown):
    out = {}
    for path, (data, version, cversion, owner, czxid, mzxid, pzxid, children) in shown.items():
        # cversion = creates + deletes; children = creates - deletes
        creates, deletes = (cversion + children) // 2, (cversion - children) // 2
        out[path] = Node(data, version, creates, deletes, owner, czxid, mzxid, pzxid)
    return out


class Load:
    """Several workers."""

    def __init__(self, seed, workers=5, prefix="w", **options):
        self.workers = [
            Worker("%s%d" % (prefix, i), seed * 1000 + i, **options) for i in range(workers)
        ]

    def start(self, port):
        for w in self.workers:
            w.start(port)

    def finish(self):
        for w in self.workers:
            w.stop.set()
        for w in self.workers:
            w.finish()

    def acked(self):
        return sum(w.acked for w in self.workers)

    def check(self, dump):
        """How many requests took effect without an acknowledgement."""
        return sum(w.check(dump) for w in self.workers)

    def resume(self, port):
        """Every session is still known under its id and password."""
        for w in self.workers:
            if w.session:
                w.connect(port)
                w.connection.drop()

    def zxid(self):
        return max(w.zxid for w in self.workers)
