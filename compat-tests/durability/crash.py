"""kill -9 at random instants under a write load: every acknowledged write is there after the
restart, multis are whole, sessions go on."""

import random
import signal
import threading
import time

import load
import place
import wire

# Four servers, set up differently.
KINDS = {
    "plain": {},
    "gzip": {"properties": ["zookeeper.snapshot.compression.method=gz"]},
    "snappy": {
        "config": ["txnLogSizeLimitInKb=100", "autopurge.purgeInterval=1"],
        "properties": ["zookeeper.snapshot.compression.method=snappy"],
    },
    "split": {
        "split": True,
        "config": ["txnLogSizeLimitInKb=40", "snapSizeLimitInKb=300", "preAllocSize=4"],
    },
}


def kills(ctx, kind, rounds, seed):
    """Returns how many requests were acknowledged in all."""
    with place.new(ctx, **KINDS[kind]) as p:
        rng, work = random.Random(seed), load.Load(seed)
        command = ctx.server_command
        unacknowledged = 0
        for number in range(rounds):
            with p.server(command) as server:
                if number:
                    if server.zxid() < work.zxid():
                        raise AssertionError("the last acknowledged transaction is missing")
                    unacknowledged += work.check(server.tree())
                    work.resume(p.port)
                else:
                    for w in work.workers:
                        w.connect(p.port)
                        w.connection.drop()
                before = work.acked()
                work.start(p.port)
                place.until("an acknowledgement", lambda: work.acked() > before)
                # At any instant, also while a start's first snapshot is written.
                threading.Event().wait(rng.choice((0.0, 0.05, 0.3, 0.8)) * rng.random())
                server.process.send_signal(signal.SIGKILL)
                work.finish()
            ctx.say("%s: kill %d, %d acknowledged" % (kind, number + 1, work.acked()))
        with p.server(command) as server:
            unacknowledged += work.check(server.tree())
            work.resume(p.port)
            if len(p.snapshots()) < 2:
                raise AssertionError("no snapshot was taken on the way")
        return work.acked(), unacknowledged


def kills_at_start(ctx, seed):
    """Killed again and again while it starts, before it serves."""
    with place.new(ctx, config=["snapCount=50"]) as p:
        rng, work = random.Random(seed), load.Load(seed)
        with p.server(ctx.server_command) as server:
            for w in work.workers:
                w.connect(p.port)
                w.connection.drop()
            work.start(p.port)
            place.until("2000 acknowledgements", lambda: work.acked() > 2000)
            server.process.send_signal(signal.SIGKILL)
            work.finish()
        for _ in range(10):
            server = p.server(ctx.server_command)
            thread = threading.Thread(target=_start, args=(server,))
            thread.start()
            try:
                time.sleep(rng.random() * 0.03)
                place.until("a process", lambda: server.process is not None)
                server.process.send_signal(signal.SIGKILL)
                thread.join()
            finally:
                server.end()
        with p.server(ctx.server_command) as server:
            work.check(server.tree())
            work.resume(p.port)


def _start(server):
    try:
        server.start()
    except (RuntimeError, AttributeError):
        pass


def forgotten_session(ctx):
    """A session that nobody goes on with ends after its timeout, which starts anew."""
    with place.new(ctx, config=["tickTime=500"]) as p:
        with p.server(ctx.server_command) as server:
            gone, stays = wire.Connection(p.port, 4000), wire.Connection(p.port, 600000)
            gone.create("/gone", b"", 1)
            stays.create("/stays", b"", 1)
            server.process.send_signal(signal.SIGKILL)
            server.wait(20)
        with p.server(ctx.server_command) as server:
            if not {"/gone", "/stays"} <= set(server.tree()):
                raise AssertionError("ephemerals are missing right after the restart")

            def ended():
                try:
                    return "/gone" not in server.tree()
                except AssertionError:
                    return False  # it went between the list of names and its turn

            place.until("the end of the session", ended)
            if "/stays" not in server.tree():
                raise AssertionError("/stays is missing")
            try:
                wire.Connection(p.port, 4000, gone.session, gone.password)
            except wire.Refused:
                pass
            else:
                raise AssertionError("the session that ended is served")
            wire.Connection(p.port, 600000, stays.session, stays.password).close()
            if "/stays" in server.tree():
                raise AssertionError("/stays is there")
