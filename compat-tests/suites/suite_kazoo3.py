"""kazoo's own test suite against ensembles of three."""

from kazoo_suite import DROP, run_kazoo

PARTS = ("python",)


def run(ctx):
    drop = DROP
    if ctx.options.server != "apache":
        # not there yet; expect/kazoo3.txt leaves the tests out that need it
        drop += "|^reconfigEnabled"
    run_kazoo(ctx, members=3, workers=3, timeout=2400, drop=drop)
