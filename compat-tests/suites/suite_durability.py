"""Durability with real processes: kill -9, damage, full disks, and directories handed to and
from Apache ZooKeeper. `--rounds` multiplies what is random."""

import os
import sys
import traceback

PARTS = ("server",)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "durability"))


def run(ctx):
    import cases

    for name, body in cases.all_cases(ctx):
        if ctx.only and ctx.only not in name:
            continue
        try:
            skipped = body()
        except Exception as e:
            ctx.report.add(name, "fail", "%s\n%s" % (traceback.format_exc(), e))
        else:
            if isinstance(skipped, str):
                ctx.report.add(name, "skip", skipped)
            else:
                ctx.report.add(name, "pass")
