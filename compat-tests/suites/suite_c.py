"""A program with the C client (Debian's, multi-threaded)."""

import os

from program_suite import run_program

PARTS = ("c",)


def run(ctx):
    with ctx.server() as server:
        program = os.path.join(ctx.compat, "bin", "c-client")
        run_program(ctx, [program, server.address], 180, server)
