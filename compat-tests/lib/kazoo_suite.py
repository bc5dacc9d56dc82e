"""kazoo's own test suite; its harness starts our servers through bin/java."""

import os

from pytest_suite import run_pytest

# The harness always sets up a TLS port and SASL; these need their own suites.
DROP = r"^(secureClientPort|ssl\.|serverCnxnFactory|authProvider\.1|admin\.)"
LINES = "clientPortAddress=127.0.0.1\nadmin.enableServer=false"


def run_kazoo(ctx, members, workers, timeout, drop=DROP):
    """Every test against a cluster of so many members, each worker with one of its own."""
    # a member has the ten ports from its own one on
    ports = [str(ctx.ports.first + 10 * members * i) for i in range(workers)]
    run_pytest(
        ctx,
        ["--timeout", "180", "--pyargs", "kazoo.tests"],
        timeout=timeout,
        workers=workers,
        again="kazoo.tests",
        PATH=os.path.join(ctx.tests, "bin") + os.pathsep + os.environ["PATH"],
        ZABRA_COMPAT_DROP=drop,
        ZABRA_COMPAT_LINES=LINES,
        ZOOKEEPER_CLASSPATH="the-server-under-test",
        ZOOKEEPER_VERSION="3.9.5",
        ZOOKEEPER_CLUSTER_SIZE=str(members),
        COMPAT_WORKER_PORTS=" ".join(ports),
        # kazoo's suite then checks the version that the server gives
        CI="true",
    )
