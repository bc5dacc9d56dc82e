"""Read-only mode and local sessions: the same scripts through members of Apache ZooKeeper and of
the server under test, in one ensemble and in each role."""

import os
import sys

PARTS = ("server", "python")

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, modes

    modes.run(ctx, cases.run)
