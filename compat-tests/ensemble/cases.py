"""Running named cases one after the other, each a test of the suite."""

import time
import traceback


def run(ctx, cases):
    """`cases` are pairs of a name and a function; what it returns is shown."""
    for name, body in cases:
        if ctx.only and ctx.only not in name:
            continue
        began = time.monotonic()
        try:
            note = body()
        except Exception as e:
            ctx.report.add(name, "fail", "%s\n%s" % (traceback.format_exc(), e))
            continue
        ctx.report.add(name, "pass")
        ctx.say("%s: %.1f s%s" % (name, time.monotonic() - began, "; %s" % note if note else ""))
