"""A program with npm's node-zookeeper-client (pure JavaScript)."""

import os
import shutil

from program_suite import run_program

PARTS = ("node",)


def run(ctx):
    # beside node_modules, where Node looks for packages
    program = shutil.copy(os.path.join(ctx.tests, "node", "client.js"), os.path.join(ctx.compat, "node"))
    with ctx.server() as server:
        run_program(ctx, ["node", program, server.address], 180, server)
