"""The example programs in usecases/: each one ends with status 0 when it did as it says."""

import glob
import os

PARTS = ("python",)
LIMIT = 120


def run(ctx):
    env = ctx.environment(PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="1")
    with ctx.server() as server:
        for path in sorted(glob.glob(os.path.join(ctx.tests, "usecases", "*.py"))):
            name = os.path.basename(path)
            if ctx.only and ctx.only not in name:
                continue
            lines = []
            status = ctx.run([ctx.python, path, server.address], LIMIT, lines.append, env=env)
            if status is not None:
                outcome = "pass" if status == 0 else "fail"
                ctx.report.add(name, outcome, "\n".join(lines[-20:]))
