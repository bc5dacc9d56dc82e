#!/usr/bin/env python3
"""Keeping data in step: replicas follow a tree of records, and workers move in phases.

    python synchronisation.py [HOST:PORT]

The tree is the source of truth.  Each replica keeps a copy in memory by watches, changes are
made in transactions (all of it or nothing), and after a disconnect a replica catches up.  A
double barrier lets workers begin and end a phase together.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError
from kazoo.recipe.cache import TreeCache

HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
ROOT = "/usecase/records"
REPLICAS, WORKERS = 3, 4


class Replica:
    """A copy of the tree below ROOT."""

    def __init__(self):
        self.client = KazooClient(HOSTS)
        self.client.start()
        self.changed = threading.Condition()
        self.cache = TreeCache(self.client, ROOT)
        self.cache.listen(self.tell)
        self.cache.start()

    def tell(self, _event):
        with self.changed:
            self.changed.notify_all()

    def copy(self):
        names = self.cache.get_children(ROOT, frozenset()) or ()
        nodes = {name: self.cache.get_data(ROOT + "/" + name) for name in names}
        return {name: node.data for name, node in nodes.items() if node}

    def wait_for(self, want):
        with self.changed:
            assert self.changed.wait_for(lambda: self.copy() == want, 20), self.copy()

    def drop_connection(self):
        """The network fails; the session goes on."""
        self.client._connection._socket.shutdown(2)


def transfer(client, source, target, amount):
    """Takes from one record and gives to another: both, or neither."""
    while True:
        have, source_stat = client.get(ROOT + "/" + source)
        other, target_stat = client.get(ROOT + "/" + target)
        transaction = client.transaction()
        transaction.set_data(
            ROOT + "/" + source, b"%d" % (int(have) - amount), source_stat.version
        )
        transaction.set_data(
            ROOT + "/" + target, b"%d" % (int(other) + amount), target_stat.version
        )
        results = transaction.commit()
        if not any(isinstance(result, Exception) for result in results):
            return
        assert any(isinstance(result, BadVersionError) for result in results), results


def replicas_follow():
    writer = KazooClient(HOSTS)
    writer.start()
    writer.ensure_path(ROOT)
    replicas = [Replica() for _ in range(REPLICAS)]
    names = ["a", "b", "c"]
    for name in names:
        writer.create(ROOT + "/" + name, b"100")
    for replica in replicas:
        replica.wait_for({name: b"100" for name in names})

    # several writers at once, and one replica that loses its connection meanwhile
    replicas[0].drop_connection()

    def move(source, target):
        client = KazooClient(HOSTS)
        client.start()
        for _ in range(10):
            transfer(client, source, target, 1)
        client.stop()

    pairs = [("a", "b"), ("b", "c"), ("a", "c")]
    threads = [threading.Thread(target=move, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want = {"a": b"80", "b": b"100", "c": b"120"}
    for replica in replicas:
        replica.wait_for(want)
    writer.delete(ROOT + "/b")
    del want["b"]
    for replica in replicas:
        replica.wait_for(want)
        replica.cache.close()
        replica.client.stop()
    writer.stop()
    print("%d replicas ended with %s" % (REPLICAS, want))


class Phase:
    """A double barrier: nobody works before all have come, nobody goes on before all are done.

    kazoo's own DoubleBarrier deletes its mark as soon as one client leaves, and a client that was
    slow to look then waits for ever; here the mark stays, and finding it counts."""

    def __init__(self, client, path):
        self.client, self.path, self.ready = client, path, path + "/ready"
        self.there = threading.Event()

    def workers(self, watch=None):
        names = self.client.get_children(self.path, watch=watch)
        return [name for name in names if name != "ready"]

    def enter(self):
        self.client.ensure_path(self.path)
        self.node = self.client.create(self.path + "/worker-", ephemeral=True, sequence=True)
        found = self.client.exists(self.ready, watch=lambda _event: self.there.set())
        if not found and len(self.workers()) == WORKERS:
            self.client.ensure_path(self.ready)
        if not found:
            assert self.there.wait(20), "the others did not come"

    def leave(self):
        self.client.delete(self.node)
        while True:
            changed = threading.Event()
            if not self.workers(lambda _event: changed.set()):
                return
            assert changed.wait(20), "the others do not leave"


def phases():
    phase, mutex, errors = [0] * WORKERS, threading.Lock(), []

    def work(number):
        client = KazooClient(HOSTS)
        client.start()
        try:
            for step in range(3):
                barrier = Phase(client, "/usecase/phase-%d" % step)
                barrier.enter()
                with mutex:
                    assert min(phase) >= step, "a worker is behind: %s" % phase
                    phase[number] = step + 1
                barrier.leave()
                with mutex:
                    assert min(phase) >= step + 1, "left too early: %s" % phase
        except BaseException as error:
            errors.append(error)
        finally:
            client.stop()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    assert phase == [3] * WORKERS
    print("%d workers went through 3 phases together" % WORKERS)


replicas_follow()
phases()
