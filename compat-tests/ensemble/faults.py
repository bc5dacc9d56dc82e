"""Slow and failing disks, and clocks that jump, for single members: `faults.c` in front of them."""

import mmap
import os
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def library(ctx):
    """The compiled `faults.c`."""
    source = os.path.join(HERE, "faults.c")
    out = os.path.join(ctx.compat, "bin", "faults.so")
    if not os.path.exists(out) or os.path.getmtime(out) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        new = "%s.%d" % (out, os.getpid())
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", new, source, "-ldl"], check=True
        )
        os.replace(new, out)
    return out


class Faults:
    """Those of one member; they outlive its process."""

    def __init__(self, ctx, path):
        with open(path, "wb") as f:
            f.write(bytes(12))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 12)
        self.environment = {"LD_PRELOAD": library(ctx), "ZABRA_FAULTS": path}

    def set(self, slow=0.0, failures=0, clock=0):
        """`slow`: seconds that each sync takes longer; `failures`: so many next syncs fail;
        `clock`: seconds by which its clock is off."""
        self.map[:12] = struct.pack("=iii", round(slow * 1000), failures, clock)

    def failures_left(self):
        return struct.unpack("=iii", self.map[:12])[1]
