"""Debian's `load_gen`: endless cycles of pipelined create, set, get and delete."""

import glob
import os
import subprocess
import threading

from processes import kill_group, spawn

PARTS = ("c",)
CHILDREN = 5000
CYCLES = 3
LIMIT = 180


def run(ctx):
    program = glob.glob(os.path.join(ctx.compat, "debian/usr/lib/zookeeper/bin/load_gen"))[0]
    with open(os.path.join(ctx.compat, "debian", "libdir")) as f:
        env = ctx.environment(LD_LIBRARY_PATH=f.read().strip())
    with ctx.server() as server:
        cycles(ctx, [program, server.address, "/load", str(CHILDREN)], env)
        clean(ctx, [program, server.address, "/load", "clean"], env)


def cycles(ctx, command, env):
    """Stops it in the middle of a cycle, while the children exist."""
    begun = bad = 0
    process = spawn(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(LIMIT, lambda: kill_group(process))
    timer.daemon = True
    timer.start()
    try:
        with open(ctx.log, "ab") as log:
            for raw in process.stdout:
                log.write(raw)
                begun += b"Starting the read cycle" in raw
                bad += b"Failed to" in raw or b"Invalid read" in raw or b"ZOO_ERROR" in raw
                if begun > CYCLES:
                    break
    finally:
        timer.cancel()
        kill_group(process)
    done = begun > CYCLES
    detail = "%d cycles begun, %d errors\n%s" % (begun, bad, ctx.log_tail())
    ctx.report.add("three cycles end", "pass" if done else "fail", detail)
    ctx.report.add("no request fails", "pass" if not bad else "fail", detail)


def clean(ctx, command, env):
    lines = []
    status = ctx.run(command, LIMIT, on_line=lines.append, env=env)
    found = [line for line in lines if "Successfully deleted a subtree" in line]
    whole = status == 0 and found and "(%d nodes)" % (CHILDREN + 1) in found[0]
    detail = "status %s: %s" % (status, found or lines[-3:])
    ctx.report.add("the subtree is whole and is deleted", "pass" if whole else "fail", detail)
