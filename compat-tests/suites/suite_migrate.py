"""Ensembles of three, replaced one member at a time from `--from` to `--server` and back."""

import os
import sys

PARTS = ("server", "older")

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


def run(ctx):
    from ensemble import cases, migrate

    cases.run(ctx, migrate.cases(ctx))
