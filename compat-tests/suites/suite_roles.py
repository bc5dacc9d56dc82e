"""The server under test as follower, observer and leader in an ensemble of other servers
(`--from`, Apache ZooKeeper unless said): requests, sessions, and every way of synchronising."""

import os
import sys

PARTS = ("server", "older")

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, roles, settings

    roles.run(ctx, cases.run)
    cases.run(ctx, settings.cases(ctx))
