"""Servers replaced one at a time, on their data directories, under a load."""

from ensemble.load import checked
from ensemble.members import Ensemble, Implementation


def replace(ensemble, load, name):
    """Every member becomes this one, the leader last; the names of modes on the way."""
    order = sorted(ensemble, key=lambda m: m.mode == "leader")
    for member in order:
        # where all are up to date nothing hangs on the one that stops
        ensemble.settle()
        load.goes_on()
        member.stop()
        load.goes_on()
        member.become(Implementation(name))
        member.start()
        ensemble.settle()
        load.goes_on()
        load.fail_early()


def there_and_back(ctx, first, second):
    names = {1: first, 2: first, 3: first}
    with Ensemble(ctx, names) as ensemble:
        ensemble.start()
        with checked(ensemble, seed=ctx.options.rounds, scale=2 if ctx.options.long else 1) as load:
            for round_ in range(3 if ctx.options.long else 1):
                replace(ensemble, load, second)
                if ctx.options.long:
                    load.goes_on(1000)
                replace(ensemble, load, first)
        return load.summary


def with_observer(ctx, first, second):
    """As the migration guide says: an observer first, then the voters."""
    names = {1: first, 2: first, 3: first, 4: (second, "observer")}
    with Ensemble(ctx, names) as ensemble:
        for sid in (1, 2, 3):
            ensemble[sid].start()
        ensemble.settle()
        with checked(ensemble, ports=ensemble.client_ports((1, 2, 3))) as load:
            load.goes_on(200)
            ensemble[4].start()
            ensemble.settle()
            replace(ensemble, load, second)
        return load.summary


def cases(ctx):
    first, second = ctx.options.other, ctx.options.server
    yield "from one to the other and back", lambda: there_and_back(ctx, first, second)
    if ctx.options.long or ctx.only:
        yield "an observer first", lambda: with_observer(ctx, first, second)
        for old in ("apache-3.8.4", "apache-3.5.10"):
            yield "from %s and back" % old, lambda old=old: there_and_back(ctx, old, second)
