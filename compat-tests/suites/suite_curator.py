"""A program with the recipes of Apache Curator."""

from java_suite import compile_programs, java_command
from program_suite import run_program

PARTS = ("java",)


def run(ctx):
    if not compile_programs(ctx):
        return
    properties = ["zookeeper.extendedTypesEnabled=true", "znode.container.checkIntervalMs=1000"]
    with ctx.server(properties=properties) as server:
        run_program(ctx, java_command(ctx, "CuratorRecipes", server.address), 300, server)
