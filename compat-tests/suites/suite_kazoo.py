"""kazoo's own test suite, with one server."""

from kazoo_suite import run_kazoo

PARTS = ("python",)


def run(ctx):
    run_kazoo(ctx, members=1, workers=4, timeout=1500)
