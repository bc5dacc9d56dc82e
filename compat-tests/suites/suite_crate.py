"""The tests of the Rust crate `zookeeper-client`; see crate/testcontainers."""

import os
import re

PARTS = ("crate",)
TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)")
PROGRAM = re.compile(r"^\s+Running (?:unittests )?(\S+)")


def run(ctx):
    folder = os.path.join(ctx.compat, "crate", "zookeeper-client")
    program = [""]
    details = {}
    current = [None]
    results = []

    def line(text):
        found = PROGRAM.match(text)
        if found:
            program[0] = os.path.basename(found.group(1)).replace(".rs", "")
            return
        found = TEST.match(text)
        if found:
            results.append((program[0] + "::" + found.group(1), found.group(2)))
            return
        if text.startswith("---- ") and text.endswith(" stdout ----"):
            current[0] = text.split()[1]
            details[current[0]] = []
        elif current[0]:
            details[current[0]].append(text)

    command = ["cargo", "test", "--offline", "--no-fail-fast", "--tests", "--"]
    command += ["--test-threads", "4"]
    for pattern in ctx.expect.left_out():
        command += ["--skip", pattern.split("::", 1)[1]]
        ctx.report.add(pattern, "skip", "left out")
    if ctx.only:
        command.append(ctx.only)
    status = ctx.run(
        command,
        timeout=1200,
        on_line=line,
        cwd=folder,
        env=ctx.environment(
            CARGO_TARGET_DIR=os.path.join(ctx.compat, "crate", "target"),
            CARGO_TERM_COLOR="never",
            RUST_BACKTRACE="0",
            RUST_LOG="off",
            # a test waits for a line of the log
            ZK_LOG_LEVEL="INFO",
        ),
    )
    words = {"ok": "pass", "FAILED": "fail", "ignored": "skip"}
    for name, outcome in results:
        detail = "\n".join(details.get(name.split("::", 1)[1], []))
        ctx.report.add(name, words[outcome], detail)
    if status not in (0, 101, None):
        ctx.report.add("crate: cargo test", "fail", ctx.log_tail())
