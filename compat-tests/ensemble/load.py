"""A light load through every member whose promises are checked while it runs and at the end.

- Registers: each of several sessions writes numbers to its own node, some in bursts of requests
  sent ahead of their replies. No acknowledged number is lost, a session reads what it wrote,
  and its requests take effect in their order.
- Compare and set: shared registers, whose history must be linearizable, and a read after a sync
  must show every write that ended before the sync.
- Sequential names: acknowledged ones stay, grow, and are given once.
- Ephemerals are there while their session lives and go when it is closed.
- Watches: each acknowledged change fires the watch that was set before it, wherever the session
  has moved meanwhile.

No session may expire, unless `expiry` is set.
"""

import contextlib
import random
import threading
import time

import tree
import wire
from ensemble import linear
from ensemble.members import until
from ensemble.session import (
    CHANGED, CHILD, CREATED, DELETED, Error, Expired, NotSent, Session, Unknown, set_body,
)

ROOT = "/load"
# Operations on one register, so that the search stays small.
PER_REGISTER = 100
PAUSE = 0.004


class Worker:
    def __init__(self, load, name):
        self.load, self.name = load, name
        self.random = random.Random("%s %s" % (load.seed, name))
        self.session = load.session(name)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.acked = self.unknown = 0

    def _run(self):
        try:
            while not self.load.stopping.is_set():
                try:
                    self.step()
                except NotSent:
                    pass
                except Unknown:
                    self.unknown += 1
                self.load.stopping.wait(PAUSE)
        except Expired as e:
            self.load.wrong.append("%s: session expired: %s" % (self.name, e))
        except Exception as e:  # a broken promise, shown by check
            self.load.wrong.append("%s: %s: %s" % (self.name, type(e).__name__, e))

    def sessions(self):
        return [self.session]

    def ok(self):
        self.acked += 1
        self.load.acked(time.monotonic())


class Registers(Worker):
    def __init__(self, load, name):
        super().__init__(load, name)
        self.path = "%s/%s" % (ROOT, name)
        self.session.ensure(self.path)
        self.last = self.tried = 0
        self.version = 0

    def step(self):
        count = 8 if self.random.random() < 0.1 else 1
        slots = []
        try:
            for _ in range(count):
                self.tried += 1
                body = set_body(self.path, b"%d" % self.tried)
                slots.append((self.tried, self.session.send(wire.SET_DATA, body)))
        finally:
            for number, slot in slots:
                stat = self.session.result(slot).stat()
                if stat["version"] <= self.version:
                    raise AssertionError("version %d after %d" % (stat["version"], self.version))
                self.version, self.last = stat["version"], number
                self.ok()
        value, stat = self.session.get(self.path)
        if not self.last <= int(value) <= self.tried:
            raise AssertionError("read %s, wrote %d to %d" % (value, self.last, self.tried))
        if stat["version"] < self.version:
            raise AssertionError("version went back to %d" % stat["version"])
        if self.session.backward:
            raise AssertionError("zxid went back: %x, %x" % self.session.backward)

    def check(self, nodes):
        value = int(nodes[self.path][0] or b"0")
        if not self.last <= value <= self.tried:
            raise AssertionError(
                "%s is %d; acknowledged %d, sent %d" % (self.path, value, self.last, self.tried)
            )


class CompareAndSet(Worker):
    def step(self):
        register, path = self.load.register()
        if register.fresh(self.name):
            try:
                self.session.create(path, linear.START[1])
            except Error as e:
                if e.code != wire.NODE_EXISTS:
                    raise
            except Unknown:
                register.again(self.name)
                raise
        begin, port = time.monotonic(), self.session.port
        kind = self.random.choice(("read", "write", "cas", "cas"))
        argument = result = None
        try:
            if kind == "read":
                self.session.sync(path)
                value, stat = self.session.get(path)
                result, outcome = (stat["version"], value), "ok"
                if self.load.suspected(begin, port, self.session.port):
                    return
            else:
                expected = None if kind == "write" else register.seen(self.random)
                argument = (expected, self.load.value())
                version = -1 if expected is None else expected
                result, outcome = self.session.set(path, argument[1], version)["version"], "ok"
                register.version = max(register.version, result)
                self.ok()
        except Error as e:
            if e.code != wire.BAD_VERSION or kind == "read":
                raise
            outcome = "fail"
        except Unknown:
            if kind != "read":
                register.add(linear.Op(kind, argument, None, "unknown", begin, linear.FOREVER, self.name))
            raise
        register.add(linear.Op(kind, argument, result, outcome, begin, time.monotonic(), self.name))

    def check(self, nodes):
        pass


class Register:
    def __init__(self):
        self.history, self.version, self.known = [], 0, set()
        self.lock = threading.Lock()

    def fresh(self, name):
        """Whether this worker has not made sure yet that it is there."""
        with self.lock:
            new = name not in self.known
            self.known.add(name)
            return new

    def again(self, name):
        with self.lock:
            self.known.discard(name)

    def seen(self, rng):
        return max(0, self.version - (rng.random() < 0.3))

    def add(self, op):
        with self.lock:
            self.history.append(op)


class Sequential(Worker):
    folder = ROOT + "/seq"

    def __init__(self, load, name):
        super().__init__(load, name)
        self.session.ensure(self.folder)
        self.made, self.maybe = [], 0

    def step(self):
        try:
            path = self.session.create("%s/%s-" % (self.folder, self.name), b"", 2)
        except Unknown:
            self.maybe += 1
            raise
        number = int(path[-10:])
        if self.made and number <= int(self.made[-1][-10:]):
            raise AssertionError("%s after %s" % (path, self.made[-1]))
        self.made.append(path)
        self.ok()

    def check(self, nodes):
        mine = [p for p in nodes if p.startswith("%s/%s-" % (self.folder, self.name))]
        lost = sorted(set(self.made) - set(mine))
        if lost:
            raise AssertionError("acknowledged and lost: %s" % lost[:5])
        if len(mine) > len(self.made) + self.maybe:
            raise AssertionError("%d names, %d made" % (len(mine), len(self.made) + self.maybe))


class Ephemerals(Worker):
    folder = ROOT + "/eph"

    def __init__(self, load, name):
        super().__init__(load, name)
        self.session.ensure(self.folder)
        self.path = "%s/%s" % (self.folder, name)
        self.owner, self.number, self.there, self.rounds = None, 0, False, 0
        self.gone, self.unsure = [], []

    def sessions(self):
        return [self.session] + ([self.owner] if self.owner else [])

    def step(self):
        if self.owner is None:
            self.number += 1
            self.owner = self.load.session(self.name + "-owner")
            self.there = False
        node = "%s-%d" % (self.path, self.number)
        if not self.there:
            try:
                self.owner.create(node, b"", 1)
            except Error as e:
                if e.code != wire.NODE_EXISTS:
                    raise
            self.there = True
            self.ok()
        begin, port = time.monotonic(), self.session.port
        self.session.sync(node)
        stat = self.session.exists(node)
        if not self.load.suspected(begin, port, self.session.port):
            if stat is None or stat["ephemeralOwner"] != self.owner.session:
                raise AssertionError("%s while its session lives: %s" % (node, stat))
        self.rounds += 1
        if self.rounds % 40 == 0:
            self._close(node)
        self.load.stopping.wait(0.02)

    def _close(self, node):
        owner, self.owner = self.owner, None
        sure = owner.close()
        if not sure:
            self.unsure.append(node)
            return
        self.gone.append(node)
        self.ok()
        begin, port = time.monotonic(), self.session.port
        self.session.sync(node)
        stat = self.session.exists(node)
        if stat is not None and not self.load.suspected(begin, port, self.session.port):
            raise AssertionError("%s after its session was closed" % node)

    def check(self, nodes):
        node = "%s-%d" % (self.path, self.number)
        if self.owner is not None and self.there:
            if node not in nodes or nodes[node][1]["ephemeralOwner"] != self.owner.session:
                raise AssertionError("%s is not there though its session lives" % node)
        for node in self.gone:
            if node in nodes:
                raise AssertionError("%s outlived its session" % node)


class Watches(Worker):
    def __init__(self, load, name):
        super().__init__(load, name)
        self.writer = load.session(name + "-writer")
        self.path = "%s/%s" % (ROOT, name)
        self.session.ensure(self.path)
        self.fired = 0

    def sessions(self):
        return [self.session, self.writer]

    def step(self):
        kind = self.random.choice((CHANGED, CHILD, CREATED))
        child = "%s/c%d" % (self.path, self.random.randrange(1 << 40))
        with self.session.changed:
            self.session.events.clear()
        if kind == CHANGED:
            self.session.get(self.path, True)
            self.writer.set(self.path, b"x")
            self._expect(CHANGED, self.path)
        elif kind == CHILD:
            self.session.children(self.path, True)
            self.writer.create(child)
            self._expect(CHILD, self.path)
        else:
            self.session.exists(child, True)
            self.writer.create(child)
            self._expect(CREATED, child)
            self.session.exists(child, True)
            self.writer.delete(child)
            self._expect(DELETED, child)

    def _expect(self, kind, path):
        self.ok()
        if not self.session.wait_event(kind, path, self.load.watch_limit):
            if self.session.expired:
                raise Expired("session 0x%x" % self.session.session)
            raise AssertionError("no event %d at %s" % (kind, path))
        self.fired += 1

    def check(self, nodes):
        pass


class Load:
    """`with Load(ensemble, seed) as load: ...faults...` and then `load.check()`."""

    watch_limit = 60.0

    def __init__(self, ensemble, seed=1, timeout=20000, ports=None, expiry=False, scale=1):
        self.ensemble, self.seed, self.timeout, self.expiry = ensemble, seed, timeout, expiry
        self.ports = ports or ensemble.client_ports()
        self.wrong, self.stopping = [], threading.Event()
        self.lock = threading.Lock()
        self.registers, self.given, self.values = [], 0, 0
        self.suspects, self.nodes = [], None
        self.last_ack, self.gap, self.total = None, 0.0, 0
        first = self.session("setup")
        first.ensure(ROOT)
        first.close()
        makers = [Registers] * 3 * scale + [CompareAndSet] * 4 * scale
        makers += [Sequential] * 2 * scale + [Ephemerals] * 2 * scale + [Watches] * 2 * scale
        self.workers = [
            make(self, "%s%d" % (make.__name__.lower(), i)) for i, make in enumerate(makers)
        ]

    def session(self, name):
        return Session(self.ports, self.timeout, "%s %s" % (self.seed, name), name)

    def __enter__(self):
        self.snapshots = {m.sid: m.snapshots_taken() for m in self.ensemble}
        for worker in self.workers:
            worker.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping.set()
        for worker in self.workers:
            worker.thread.join()
        if kind is not None:
            self.abandon()

    def abandon(self):
        for worker in self.workers:
            for session in worker.sessions():
                session.abandon()

    # --- for the workers ----------------------------------------------------------------

    def acked(self, now):
        with self.lock:
            if self.last_ack is not None:
                self.gap = max(self.gap, now - self.last_ack)
            self.last_ack = now
            self.total += 1

    def register(self):
        with self.lock:
            if self.given % PER_REGISTER == 0:
                self.registers.append(Register())
            self.given += 1
            number = len(self.registers) - 1
            return self.registers[number], "%s/cas%d" % (ROOT, number)

    def value(self):
        with self.lock:
            self.values += 1
            return b"%d" % self.values

    def suspected(self, begin, *ports):
        """Whether one of these members may have answered as a leader that was deposed."""
        with self.lock:
            return any(
                port in ports and (end is None or begin <= end) for port, end in self.suspects
            )

    # --- for the drills -----------------------------------------------------------------

    def suspect(self, member):
        """From now on a sync there promises nothing: the member may be a leader that has not
        noticed yet that it is not. Returns what `trust` takes."""
        with self.lock:
            self.suspects.append((member.port, None))
        return len(self.suspects) - 1

    def trust(self, token):
        with self.lock:
            self.suspects[token] = (self.suspects[token][0], time.monotonic())

    def goes_on(self, count=20, limit=60):
        """Waits until so many more writes are acknowledged."""
        goal = self.total + count
        until("%d more writes" % count, lambda: self.total >= goal or self.wrong, limit)
        self.fail_early()

    def fail_early(self):
        if self.wrong:
            raise AssertionError("\n".join(self.wrong[:5]))

    def clear_gap(self):
        with self.lock:
            gap, self.gap = self.gap, 0.0
            return gap

    # --- the end ------------------------------------------------------------------------

    def check(self, sessions_end=True):
        """All checkers; a line with what was done."""
        try:
            self.fail_early()
            self.ensemble.settle()
            self._excuse()
            nodes = self.nodes = self.ensemble.same_trees()
            for worker in self.workers:
                worker.check(nodes)
            checked = self._histories()
            for worker in self.workers:
                for session in worker.sessions():
                    self._alive(session)
            if sessions_end:
                self._end_sessions()
        finally:
            self.abandon()
        fired = sum(w.fired for w in self.workers if isinstance(w, Watches))
        return "%d writes, %d unknown, %d watches, %d operations on %d registers, gap %d ms" % (
            self.total, sum(w.unknown for w in self.workers), fired, checked,
            len(self.registers), self.gap * 1000,
        )

    def _excuse(self):
        """A snapshot that was sent beside writes holds some of them early. Apache's learner compares
        digests all the same, and counts what it finds as wrong (no matter who sent it)."""
        for member in self.ensemble:
            if member.implementation.apache and member.snapshots_taken() > self.snapshots[member.sid]:
                member.digests_excused = True

    def _histories(self):
        count = 0
        for register in self.registers:
            count += len(register.history)
            old = linear.old_reads(register.history)
            if old:
                raise AssertionError("read after sync is older than version %d: %s" % old[0][::-1])
            left = linear.linearizable(register.history)
            if left is not True:
                raise AssertionError("not linearizable; left over: %s" % (left,))
        return count

    def _alive(self, session):
        try:
            session.wait_connected()
            session.exists("/")
        except (NotSent, Unknown):
            session.wait_connected()
            session.exists("/")

    def _end_sessions(self):
        """Every session can be closed, and its ephemerals go with it."""
        mine = set()
        for worker in self.workers:
            for session in worker.sessions():
                if session.close():
                    mine.add(session.session)
        for member in [m for m in self.ensemble if m.running]:
            nodes = tree.read(member.port)
            left = [p for p, n in nodes.items() if n[1]["ephemeralOwner"] in mine]
            if left:
                raise AssertionError("on member %d ephemerals outlived: %s" % (member.sid, left[:5]))


@contextlib.contextmanager
def checked(ensemble, **options):
    """A load around a body, with all checkers after it; `load.summary` at the end."""
    load = Load(ensemble, **options)
    with load:
        load.goes_on()
        yield load
        load.goes_on()
    load.summary = load.check()
