#!/usr/bin/env python3
"""A distributed work queue: producers add tasks, consumers take each task exactly once.

    python work_queue.py [HOST:PORT]

Tasks are sequential nodes, so they come out in the order in which they went in.  A consumer
locks the task it works on and removes it when it is done; one that dies in between loses its
ephemeral lock, and another consumer gets the task again.
"""

import sys
import threading
import time

from kazoo.client import KazooClient

HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
PRODUCERS, CONSUMERS, TASKS = 2, 3, 20


def connect():
    client = KazooClient(HOSTS)
    client.start()
    return client


def produce(number):
    client = connect()
    queue = client.LockingQueue("/usecase/queue")
    for i in range(TASKS):
        queue.put(b"task %d of producer %d" % (i, number))
    client.stop()


def consume(done, mutex):
    client = connect()
    queue = client.LockingQueue("/usecase/queue")
    while True:
        task = queue.get(timeout=3)
        if task is None:
            break
        with mutex:
            done.append(task)
        queue.consume()
    client.stop()


def order_of_one_producer():
    """First in, first out."""
    client = connect()
    queue = client.Queue("/usecase/fifo")
    for i in range(10):
        queue.put(b"%d" % i)
    assert len(queue) == 10
    assert [queue.get() for _ in range(10)] == [b"%d" % i for i in range(10)]
    assert queue.get() is None
    # a smaller number is served before a larger one
    queue.put(b"later", priority=200)
    queue.put(b"sooner", priority=10)
    assert [queue.get(), queue.get()] == [b"sooner", b"later"]
    client.stop()


def a_dying_consumer_loses_nothing():
    producer, dying, other = connect(), connect(), connect()
    producer.LockingQueue("/usecase/queue").put(b"precious")
    assert dying.LockingQueue("/usecase/queue").get(timeout=5) == b"precious"
    assert other.LockingQueue("/usecase/queue").get(timeout=0.3) is None
    dying.stop()  # without consume()
    queue = other.LockingQueue("/usecase/queue")
    assert queue.get(timeout=5) == b"precious"
    assert queue.consume()
    producer.stop()
    other.stop()


def many_producers_and_consumers():
    done, mutex = [], threading.Lock()
    threads = [threading.Thread(target=produce, args=(n,)) for n in range(PRODUCERS)]
    threads += [threading.Thread(target=consume, args=(done, mutex)) for _ in range(CONSUMERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    want = [b"task %d of producer %d" % (i, n) for n in range(PRODUCERS) for i in range(TASKS)]
    assert sorted(done) == sorted(want), "lost or doubled tasks: %s" % done
    print("%d tasks, each done once, in %.1f s" % (len(done), time.monotonic() - began))


order_of_one_producer()
a_dying_consumer_loses_nothing()
many_producers_and_consumers()
