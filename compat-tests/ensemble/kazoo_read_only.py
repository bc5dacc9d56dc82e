"""A kazoo client that is content with reads, at a server without a quorum: says `reading` when it
reads there, and `writing` when it has found its way back to a server that writes."""

import sys
import threading

from kazoo.client import KazooClient, KeeperState
from kazoo.exceptions import NotReadOnlyCallError

client = KazooClient(hosts=sys.argv[1], read_only=True, timeout=10)
writes = threading.Event()


def listen(_state):
    if client.client_state == KeeperState.CONNECTED:
        writes.set()


client.add_listener(listen)
client.start(60)
assert client.client_state == KeeperState.CONNECTED_RO, client.client_state
assert client.get("/data")[0] == b"here"
for refused in (
    lambda: client.create("/kazoo"),
    lambda: client.set("/data", b""),
    lambda: client.sync("/data"),
):
    try:
        refused()
    except NotReadOnlyCallError:
        continue
    raise AssertionError("it was not refused")
print("reading", flush=True)
assert writes.wait(90), client.client_state
client.create("/kazoo", ephemeral=True)
client.stop()
print("writing", flush=True)
