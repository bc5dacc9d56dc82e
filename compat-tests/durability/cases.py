"""The list of cases of the durability suite."""

import functools

import crash


class Skipped:
    """A case that this machine cannot run, and why."""

    def __init__(self, why):
        self.why = why


def all_cases(ctx):
    rounds = ctx.options.rounds
    for kind in crash.KINDS:
        yield "kill -9 under load: " + kind, functools.partial(
            crash.kills, ctx, kind, 5 * rounds, 1
        )
    yield "kill -9 while it starts", functools.partial(crash.kills_at_start, ctx, 1)
