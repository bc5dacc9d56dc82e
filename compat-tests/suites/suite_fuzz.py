"""Every decoder for some inputs, guided by coverage; `fuzz/run` goes on for longer."""

import os

from program_suite import report_line

PARTS = ()
RUNS = "1500"


def run(ctx):
    command = [os.path.join(ctx.tests, "fuzz", "run"), "--runs", RUNS]
    env = ctx.environment(CARGO_TERM_COLOR="never")
    status = ctx.run(command, 1500, on_line=lambda line: report_line(ctx.report, line), env=env)
    if status not in (0, 1, None):
        ctx.report.add("fuzz: the program", "fail", "ended with %s\n%s" % (status, ctx.log_tail()))
