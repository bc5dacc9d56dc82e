"""The differential tester: the same operations on real Apache ZooKeeper and on the server."""

import os

PARTS = ("server",)
SEEDS, STEPS = "4", "300"


def run(ctx):
    apache = ctx.options.server == "apache"
    command = ["cargo", "test", "--test", "differential", "--", "--seeds", SEEDS, "--steps", STEPS]
    env = ctx.environment(
        ZABRA_APACHE=os.path.join(ctx.tests, "bin", "apache-server"),
        CARGO_TERM_COLOR="never",
    )
    if apache:
        command.append("--oracle")
    else:
        env["ZABRA_BIN"] = ctx.server_command[0]
    if ctx.only:
        command += ["--only", ctx.only]
    lines = []
    status = ctx.run(
        command, 1500, on_line=lines.append, env=env, cwd=os.path.dirname(ctx.tests)
    )
    if status is not None:
        outcome = "pass" if status == 0 else "fail"
        ctx.report.add("no difference", outcome, "\n".join(lines[-60:]))
