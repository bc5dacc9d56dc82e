"""Faults in ensembles of three under load: killed and stopped processes, cut and slow links,
writes caught on their way. `--long` runs all of them, many times."""

import os
import sys

PARTS = ("server", "older")

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, drills

    cases.run(ctx, drills.cases(ctx))
