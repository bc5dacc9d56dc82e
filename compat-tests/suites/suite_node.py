"""The integration tests of npm's `zookeeper` (a binding of the C client)."""

import os
import re

PARTS = ("node",)
TEST = re.compile(r"^(ok|not ok) \d+ - (.*?)(?: # (SKIP|TODO).*)?$")


def run(ctx):
    folder = os.path.join(ctx.compat, "node", "suite")
    ava = os.path.join(ctx.compat, "node", "node_modules", ".bin", "ava")
    found = []

    def line(text):
        match = TEST.match(text.strip())
        if match:
            outcome = "skip" if match.group(3) else {"ok": "pass", "not ok": "fail"}[match.group(1)]
            found.append((match.group(2).replace("\u203a", ">").strip(), outcome))

    with ctx.server() as server:
        command = [ava, "--tap", "--timeout", "60s", "tests/integration/*test.js"]
        if ctx.only:
            command += ["--match", "*%s*" % ctx.only]
        status = ctx.run(
            command + ["--", server.address], timeout=300, on_line=line, cwd=folder
        )
    for name, outcome in found:
        ctx.report.add(name, outcome, ctx.log_tail() if outcome == "fail" else "")
    if status not in (0, 1, None):
        ctx.report.add("node: ava", "fail", ctx.log_tail())
