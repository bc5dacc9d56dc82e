"""kazoo's own test suite, with one server; its harness starts it through bin/java."""

import os

from pytest_suite import run_pytest

PARTS = ("python",)
WORKERS = 4
# The harness always sets up a TLS port and SASL; these need their own suites.
DROP = r"^(secureClientPort|ssl\.|serverCnxnFactory|authProvider\.1|admin\.)"
LINES = "clientPortAddress=127.0.0.1\nadmin.enableServer=false"


def run(ctx):
    ports = [str(ctx.ports.first + 10 * i) for i in range(WORKERS)]
    run_pytest(
        ctx,
        ["--timeout", "180", "--pyargs", "kazoo.tests"],
        timeout=1500,
        workers=WORKERS,
        PATH=os.path.join(ctx.tests, "bin") + os.pathsep + os.environ["PATH"],
        ZABRA_COMPAT_DROP=DROP,
        ZABRA_COMPAT_LINES=LINES,
        ZOOKEEPER_CLASSPATH="the-server-under-test",
        ZOOKEEPER_VERSION="3.9.5",
        ZOOKEEPER_CLUSTER_SIZE="1",
        COMPAT_WORKER_PORTS=" ".join(ports),
        # kazoo's suite then checks the version that the server gives
        CI="true",
    )
