"""Peers that do not behave, on the quorum and election ports of an ensemble of three under load."""

import os
import sys

PARTS = ("server",)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import badpeers, cases

    badpeers.run(ctx, cases.run)
