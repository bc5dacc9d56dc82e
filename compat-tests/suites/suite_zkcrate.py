"""The tests of the Rust crate `zookeeper`, whose clusters are processes here (zkcrate/bin/java):
of the size that they ask for, and again with a follower of three wherever they ask for one."""

import os

from cargo_suite import run_cargo_tests

PARTS = ("zkcrate",)


def run(ctx):
    name = ctx.options.server
    environment = {
        "PATH": os.path.join(ctx.tests, "zkcrate", "bin") + os.pathsep + os.environ["PATH"],
        "ZABRA_COMPAT_NAME": name if name.startswith("apache") else ctx.server_command[0],
    }
    which = ("--test", "test")
    run_cargo_tests(ctx, "zookeeper", 2, "", which, **environment)
    environment["ZABRA_COMPAT_MEMBERS"] = "3"
    run_cargo_tests(ctx, "zookeeper", 2, "three: ", which, **environment)
