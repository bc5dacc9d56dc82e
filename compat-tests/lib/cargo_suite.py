"""Running the tests of a Rust crate whose package `setup` has copied."""

import os
import re

TEST = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)")
PROGRAM = re.compile(r"^\s+Running (?:unittests )?(\S+)")
WORDS = {"ok": "pass", "FAILED": "fail", "ignored": "skip"}


def run_cargo_tests(ctx, name, threads, prefix="", which=("--tests",), **environment):
    """`name` is that of the folder below `crate`, `which` are its targets; `prefix` goes in front
    of each test's name."""
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

    command = ["cargo", "test", "--offline", "--no-fail-fast", *which, "--"]
    command += ["--test-threads", str(threads)]
    for pattern in ctx.expect.left_out():
        if pattern.startswith(prefix):
            command += ["--skip", pattern.split("::", 1)[1]]
            ctx.report.add(pattern, "skip", "left out")
    if ctx.only:
        command.append(ctx.only)
    status = ctx.run(
        command,
        timeout=1200,
        on_line=line,
        cwd=os.path.join(ctx.compat, "crate", name),
        env=ctx.environment(
            CARGO_TARGET_DIR=os.path.join(ctx.compat, "crate", "target"),
            CARGO_TERM_COLOR="never",
            RUST_BACKTRACE="0",
            RUST_LOG="off",
            **environment
        ),
    )
    for test, outcome in results:
        detail = "\n".join(details.get(test.split("::", 1)[1], []))
        ctx.report.add(prefix + test, WORDS[outcome], detail)
    if status not in (0, 101, None):
        ctx.report.add("%s: cargo test" % ctx.suite, "fail", ctx.log_tail())
