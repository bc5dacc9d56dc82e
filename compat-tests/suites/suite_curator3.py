"""Curator's recipes in ensembles of three: all of them through a follower, and those that several
clients share with each other through all members, while the leader and a follower are killed."""

import os
import sys

from java_suite import compile_programs, java_command
from program_suite import run_program

PARTS = ("java",)

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "durability")]


class Victims:
    """What a program restarts: the member that it uses, or the one with this role."""

    def __init__(self, ensemble, member):
        self.ensemble, self.member = ensemble, member

    def restart(self, how, role=None):
        leader = self.ensemble.settle()
        member = self.member
        if role is not None:
            member = leader if role == "leader" else self.ensemble.followers()[0]
        member.stop(how)
        self.ensemble.settle()
        member.start()
        self.ensemble.settle()


def run(ctx):
    from ensemble.members import Ensemble

    if not compile_programs(ctx):
        return
    for program, prefix in (("CuratorRecipes", "follower: "), ("CuratorFailover", "")):
        with Ensemble(ctx, {sid: ctx.options.server for sid in (1, 2, 3)}, relayed=False) as ensemble:
            ensemble.start()
            follower = ensemble.followers()[0]
            ports = ensemble.client_ports() if prefix == "" else [follower.port]
            hosts = ",".join("127.0.0.1:%d" % port for port in ports)
            command = java_command(ctx, program, hosts)
            run_program(ctx, command, 400, Victims(ensemble, follower), prefix)
            if ctx.report.failed:
                for member in ensemble:
                    ensemble.keep_log(member)
