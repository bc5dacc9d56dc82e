"""The list of cases of the durability suite."""

import functools
import signal

import crash
import damage
import disk
import golden
import handback
import stop


def all_cases(ctx):
    """Names and functions; one that returns a text could not be tried, for that reason."""
    rounds = ctx.options.rounds
    for kind in crash.KINDS:
        yield "kill -9 under load: " + kind, functools.partial(
            crash.kills, ctx, kind, 5 * rounds, 1
        )
    yield "kill -9 while it starts", functools.partial(crash.kills_at_start, ctx, 1)
    yield "sessions nobody goes on with", functools.partial(crash.forgotten_session, ctx)
    for kind, options in crash.KINDS.items():
        for how in (signal.SIGTERM, signal.SIGKILL):
            yield "hand-back: %s, %s" % (kind, how.name), functools.partial(
                handback.rounds, ctx, kind, options, rounds, how, 2
            )
    for name in golden.SETS:
        yield "take-over: " + name, functools.partial(golden.take_over, ctx, name)
    yield "damage: torn tails", functools.partial(damage.torn_tails, ctx, rounds, 3)
    yield "damage: garbage", functools.partial(damage.garbage, ctx, rounds, 4)
    yield "damage: unfinished newest log", functools.partial(damage.newest_logs, ctx, 5)
    for kind, options in crash.KINDS.items():
        yield "damage: snapshots, " + kind, functools.partial(
            damage.snapshots, ctx, kind, options, rounds, 6
        )
    for how in stop.STATUS:
        yield "stop: " + how.name, functools.partial(stop.signals, ctx, how, rounds, 7)
    for kind in disk.MOUNTS:
        for size, config in (("64 KB", []), ("8 MB", ["preAllocSize=8192"])):
            yield "full disk: %s, %s reserved" % (kind, size), functools.partial(
                disk.full, ctx, kind, config, 8
            )
    yield "unusable directories", functools.partial(disk.unusable, ctx)
    yield "read-only file system", functools.partial(disk.read_only, ctx)
