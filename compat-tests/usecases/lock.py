#!/usr/bin/env python3
"""A distributed lock: several workers add to one number, one at a time.

    python lock.py [HOST:PORT]

Each worker is a client of its own.  The number lives outside ZooKeeper (here: a variable), is
read, and written back a moment later: without the lock, additions would be lost.  One worker
dies while it holds the lock; its session ends, its ephemeral node goes, and the next one gets
the lock.
"""

import sys
import threading
import time

from kazoo.client import KazooClient

HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
WORKERS, ROUNDS = 4, 10

balance = 0
inside = 0


def add_one():
    """What must not be done by two workers at once."""
    global balance, inside
    inside += 1
    assert inside == 1, "two workers hold the lock"
    seen = balance
    time.sleep(0.002)
    balance = seen + 1
    inside -= 1


def worker(number, errors):
    client = KazooClient(HOSTS)
    client.start()
    try:
        lock = client.Lock("/usecase/lock", "worker-%d" % number)
        for _ in range(ROUNDS):
            with lock:
                add_one()
    except BaseException as error:
        errors.append(error)
    finally:
        client.stop()
        client.close()


def main():
    # a holder that dies: its connection is closed without a word to the lock
    dying = KazooClient(HOSTS)
    dying.start()
    dying.Lock("/usecase/lock", "dying").acquire()

    errors = []
    threads = [threading.Thread(target=worker, args=(n, errors)) for n in range(WORKERS)]
    for thread in threads:
        thread.start()

    observer = KazooClient(HOSTS)
    observer.start()
    queue = observer.Lock("/usecase/lock")
    while len(queue.contenders()) < WORKERS + 1:
        time.sleep(0.01)
    print("waiting in line:", queue.contenders())
    assert queue.contenders()[0] == "dying"
    assert balance == 0, "somebody passed the holder"
    dying.stop()

    for thread in threads:
        thread.join()
    assert not errors, errors
    assert balance == WORKERS * ROUNDS, "lost additions: %d" % balance
    assert queue.contenders() == []
    print("%d workers added %d, nothing was lost" % (WORKERS, balance))
    observer.stop()


main()
