"""kazoo's own test suite against ensembles of three; its harness starts them through bin/java."""

import os

from pytest_suite import run_pytest
from suite_kazoo import DROP, LINES

PARTS = ("python",)
WORKERS = 2


def run(ctx):
    # a member has the ten ports from its own one on, an ensemble forty
    ports = [str(ctx.ports.first + 40 * i) for i in range(WORKERS)]
    run_pytest(
        ctx,
        ["--timeout", "180", "--pyargs", "kazoo.tests"],
        timeout=2400,
        workers=WORKERS,
        PATH=os.path.join(ctx.tests, "bin") + os.pathsep + os.environ["PATH"],
        ZABRA_COMPAT_DROP=DROP,
        ZABRA_COMPAT_LINES=LINES,
        ZOOKEEPER_CLASSPATH="the-server-under-test",
        ZOOKEEPER_VERSION="3.9.5",
        ZOOKEEPER_CLUSTER_SIZE="3",
        COMPAT_WORKER_PORTS=" ".join(ports),
        # kazoo's suite then checks the version that the server gives
        CI="true",
    )
