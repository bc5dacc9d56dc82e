"""The tests of the Rust crate `zookeeper-client`; see crate/testcontainers."""

from cargo_suite import run_cargo_tests

PARTS = ("crate",)


def run(ctx):
    # a test waits for a line of the log
    run_cargo_tests(ctx, "zookeeper-client", threads=4, ZK_LOG_LEVEL="INFO")
