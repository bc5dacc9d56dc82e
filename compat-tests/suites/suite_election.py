"""Our leader election as one of three members, the other two Apache's."""

import os

from program_suite import report_line

PARTS = ("server",)


def run(ctx):
    env = ctx.environment(
        ZABRA_APACHE=os.path.join(ctx.tests, "bin", "apache-server"),
        CARGO_TERM_COLOR="never",
    )
    command = ["cargo", "test", "--test", "election", "--"]
    if ctx.only:
        command.append(ctx.only)
    lines = []

    def line(text):
        lines.append(text)
        report_line(ctx.report, text)

    status = ctx.run(command, 900, on_line=line, env=env, cwd=os.path.dirname(ctx.tests))
    if status not in (None, 0, 101):
        ctx.report.add("election: the program", "fail", "\n".join(lines[-60:]))
