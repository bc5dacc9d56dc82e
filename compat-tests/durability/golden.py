"""Directories that real servers wrote, taken over by the real binary."""

import json
import os
import tarfile

import place
import tree

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "disk")

# Archive: the tree it must load to.
SETS = {
    name: "expected-tree.json"
    for name in (
        "std-395-plain std-395-gz std-395-snappy std-395-splitdirs std-395-digest-off "
        "std-395-lastzxid-off std-395-closesessiontxn-off std-395-legacy-tail std-395-logroll "
        "std-395-fuzzy std-380 std-359 quorum1-395"
    ).split()
}
SETS["std-395-kill9-partial"] = "expected-after-restart.json"
SETS["std-395-admin"] = "expected-after-restart.json"


def take_over(ctx, name):
    """Starts twice: what the first start did must not change what the second one finds."""
    with place.temporary(ctx) as folder:
        with tarfile.open(os.path.join(FOLDER, name + ".tar.gz")) as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extractall(folder, filter="data")
            else:
                archive.extractall(folder)
        root = os.path.join(folder, name)
        with open(os.path.join(root, SETS[name])) as f:
            golden = json.load(f)
        want = tree.expected(golden["nodes"])
        split = os.path.isdir(os.path.join(root, "datalog"))
        p = place.Place(root, ctx.ports.take(), split=split, keep=ctx.options.keep)
        for start in ("first", "second"):
            with p.server(ctx.server_command) as server:
                if start == "first" and "zxid" in golden and server.zxid() != int(golden["zxid"], 16):
                    raise AssertionError("zxid 0x%x, not %s" % (server.zxid(), golden["zxid"]))
                tree.same(server.tree(), want, "%s, %s start" % (name, start))
