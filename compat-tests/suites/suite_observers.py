"""Observers that learn from followers (`observerMasterPort`), the server under test and another one
(`--from`, Apache ZooKeeper unless said) as masters of each other's observers."""

import os
import sys

PARTS = ("server",)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, observers, roles

    roles.run(ctx, cases.run, observers.layouts, observers.Observers)
