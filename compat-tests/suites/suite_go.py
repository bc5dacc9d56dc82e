"""A program with the Go client, go-zookeeper."""

import os

from program_suite import run_program

PARTS = ("go",)


def run(ctx):
    with ctx.server(properties=["zookeeper.extendedTypesEnabled=true"]) as server:
        program = os.path.join(ctx.compat, "bin", "go-client")
        run_program(ctx, [program, server.address], 180, server)
