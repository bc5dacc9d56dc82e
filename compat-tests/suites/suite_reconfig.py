"""Dynamic reconfiguration in ensembles that mix the server under test with others (`--from`,
Apache ZooKeeper unless said): joining, leaving, roles, the leader itself, errors, and the files."""

import os
import sys

PARTS = ("server",)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, reconfig

    cases.run(ctx, reconfig.cases(ctx))
