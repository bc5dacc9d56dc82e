"""Asked to stop under load: quickly, with Apache's exit status, and nothing is lost."""

import signal
import time

import load
import place

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
# What scripts allow; the slowest of several may be held up by this machine.
USUAL, MOST = 1.0, 5.0


def signals(ctx, how, rounds, seed):
    took = []
    with place.new(ctx) as p:
        work = load.Load(seed)
        for number in range(3 * rounds):
            with p.server(ctx.server_command) as server:
                if number:
                    work.check(server.tree())
                    work.resume(p.port)
                else:
                    for w in work.workers:
                        w.connect(p.port)
                        w.connection.drop()
                goal = work.acked() + 500
                work.start(p.port)
                place.until("500 acknowledgements", lambda: work.acked() > goal)
                began = time.monotonic()
                server.process.send_signal(how)
                status = server.wait(MOST)
                took.append(time.monotonic() - began)
                work.finish()
                if status != STATUS[how]:
                    raise AssertionError("exit status %d\n%s" % (status, server.log_tail()))
        with p.server(ctx.server_command) as server:
            work.check(server.tree())
            work.resume(p.port)
    if min(took) > USUAL:
        raise AssertionError("it took %r seconds" % took)
