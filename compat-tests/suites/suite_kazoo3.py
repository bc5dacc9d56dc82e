"""kazoo's own test suite against ensembles of three."""

from kazoo_suite import run_kazoo

PARTS = ("python",)


def run(ctx):
    run_kazoo(ctx, members=3, workers=3, timeout=2400)
