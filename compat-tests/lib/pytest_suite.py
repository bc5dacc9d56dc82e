"""Running a test suite that comes in a Python package."""

import json
import os
import threading


def run_pytest(ctx, arguments, timeout, workers, again=None, **environment):
    """Runs pytest with our plugin and reports each test as it ends.

    With `again`, the package of the tests: those that fail beside others run once more, alone, and
    that counts. Foreign tests have time limits of their own, which a busy machine breaks."""
    failed = []
    held = failed.append if again else None
    _pytest(ctx, arguments, timeout, workers, environment, held)
    if not failed:
        return
    ctx.say("%d failed beside others; once more, alone:" % len(failed))
    for name, _, detail in failed:
        ctx.say("  %s: %s" % (name, detail.strip().splitlines()[-1] if detail.strip() else ""))
    names = ["%s.%s" % (again, name.replace(".py::", "::", 1)) for name, _, _ in failed]
    alone = [a for a in arguments if a != again] + names
    seen = _pytest(ctx, alone, timeout, 1, environment, None)
    for name, outcome, detail in failed:
        if name not in seen:
            ctx.report.add(name, outcome, detail)


def _pytest(ctx, arguments, timeout, workers, environment, held):
    path = os.path.join(ctx.results, ctx.suite + ".jsonl")
    open(path, "w").close()
    environment = dict(
        environment,
        PYTHONPATH=os.path.join(ctx.tests, "lib"),
        PYTHONDONTWRITEBYTECODE="1",
        COMPAT_RESULTS=path,
        COMPAT_LEFT_OUT=json.dumps(ctx.expect.left_out()),
    )
    command = [ctx.python, "-m", "pytest", "-p", "compat_pytest", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, "--rootdir", ctx.compat, "-q"]
    if workers > 1:
        command += ["-n", str(workers), "--dist", "worksteal"]
    if ctx.only:
        command += ["-k", ctx.only]
    reader = _Reader(path, ctx.report, held)
    ended = threading.Event()

    def follow():
        while not ended.wait(0.5):
            reader.read()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        status = ctx.run(command + arguments, timeout, env=ctx.environment(**environment))
    finally:
        ended.set()
        follower.join()
        reader.read()
    # 0 passed, 1 some failed (reported one by one), 5 none selected
    if status not in (None, 0, 1, 5):
        ctx.report.add("%s: pytest" % ctx.suite, "fail", ctx.log_tail())
    return reader.seen


class _Reader:
    """Takes over what the plugin wrote since the last time; a test counts once. Who is given as
    `held` gets the failures."""

    def __init__(self, path, report, held):
        self.path, self.report, self.held = path, report, held
        self.offset, self.seen = 0, set()

    def read(self):
        with open(self.path, "rb") as f:
            f.seek(self.offset)
            data = f.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            name, outcome, detail = json.loads(line)
            if name not in self.seen:
                self.seen.add(name)
                if outcome == "fail" and self.held:
                    self.held((name, outcome, detail))
                else:
                    self.report.add(name, outcome, detail)
