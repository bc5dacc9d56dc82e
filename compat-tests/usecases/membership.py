#!/usr/bin/env python3
"""Membership and load balancing: servers register, clients spread calls over those alive.

    python membership.py [HOST:PORT]

Each server has an ephemeral node with its address; it goes away with the server's session.
A balancer watches the list and calls the members in turn.  A leader is elected among them,
and a new one when it leaves.
"""

import collections
import sys
import threading

from kazoo.client import KazooClient

HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
GROUP = "/usecase/members"


class Server:
    """One member of the group, with its own session."""

    def __init__(self, name):
        self.name = name
        self.leading = threading.Event()
        self.over = threading.Event()
        self.client = KazooClient(HOSTS)
        self.client.start()
        self.client.create(
            GROUP + "/" + name, b"10.0.0.1:" + name.encode(), ephemeral=True, makepath=True
        )
        self.thread = threading.Thread(target=self.campaign, daemon=True)
        self.thread.start()

    def campaign(self):
        try:
            self.client.Election("/usecase/leader", self.name).run(self.lead)
        except Exception:
            pass  # the session ended while waiting

    def lead(self):
        self.leading.set()
        self.over.wait()

    def crash(self):
        """The session ends; nothing is cleaned up."""
        self.over.set()
        self.client.stop()


class Balancer:
    """Calls the members in turn; knows of changes by a watch."""

    def __init__(self):
        self.members = []
        self.calls = collections.Counter()
        self.changed = threading.Condition()
        self.client = KazooClient(HOSTS)
        self.client.start()
        self.client.ensure_path(GROUP)
        self.client.ChildrenWatch(GROUP, self.members_changed)

    def members_changed(self, names):
        with self.changed:
            self.members = sorted(names)
            self.changed.notify_all()

    def wait_for(self, names):
        with self.changed:
            assert self.changed.wait_for(lambda: self.members == names, 20), self.members

    def call(self, count):
        self.calls.clear()
        for i in range(count):
            name = self.members[i % len(self.members)]
            address, stat = self.client.get(GROUP + "/" + name)
            assert address.endswith(name.encode()) and stat.ephemeralOwner != 0
            self.calls[name] += 1


def wait_for_leader(servers):
    for _ in range(200):
        for server in servers:
            if server.leading.wait(0.05):
                return server
    raise AssertionError("no leader")


def main():
    balancer = Balancer()
    balancer.wait_for([])
    servers = {name: Server(name) for name in ("8001", "8002", "8003", "8004")}
    balancer.wait_for(sorted(servers))
    balancer.call(40)
    assert set(balancer.calls.values()) == {10}, balancer.calls
    print("calls:", dict(balancer.calls))

    # the leader goes: another one takes over, and gets no calls meant for the old one
    leader = wait_for_leader(servers.values())
    print("leader:", leader.name)
    assert sum(s.leading.is_set() for s in servers.values()) == 1, "two leaders"
    del servers[leader.name]
    leader.crash()
    balancer.wait_for(sorted(servers))
    balancer.call(30)
    assert leader.name not in balancer.calls and set(balancer.calls.values()) == {10}
    next_leader = wait_for_leader(servers.values())
    assert sum(s.leading.is_set() for s in servers.values()) == 1, "two leaders"
    print("new leader:", next_leader.name)

    for server in servers.values():
        server.crash()
    balancer.wait_for([])
    balancer.client.stop()


main()
