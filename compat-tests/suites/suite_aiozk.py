"""aiozk's own test suite; every worker has a server of its own."""

import contextlib

from pytest_suite import run_pytest

PARTS = ("python",)
WORKERS = 2


def run(ctx):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ctx.server()) for _ in range(WORKERS)]
        run_pytest(
            ctx,
            ["-o", "asyncio_mode=auto", "--timeout", "120", "--pyargs", "aiozk.test"],
            timeout=900,
            workers=WORKERS,
            COMPAT_WORKER_PORTS=" ".join(str(s.port) for s in servers),
        )
