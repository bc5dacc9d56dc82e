"""A program with ZooKeeper's own Java client."""

from java_suite import compile_programs, java_command
from program_suite import run_program

PARTS = ("java",)


def run(ctx):
    if not compile_programs(ctx):
        return
    properties = ["zookeeper.extendedTypesEnabled=true", "znode.container.checkIntervalMs=1000"]
    with ctx.server(properties=properties) as server:
        run_program(ctx, java_command(ctx, "JavaClient", server.address), 240, server)
