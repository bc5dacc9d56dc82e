#!/usr/bin/env python3
"""Central configuration: services read it at the start and see every change at once.

    python configuration.py [HOST:PORT]

An administrator changes the settings with the version it has read, so that two
administrators never overwrite each other.  The settings may only be written by whoever knows
the password.  Services watch the node; a watch event arrives before the new value can be read.
"""

import json
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoAuthError
from kazoo.security import make_acl, make_digest_acl

HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
PATH = "/usecase/configuration/web"
SERVICES = 5


class Service:
    """Always has the newest settings."""

    def __init__(self, name):
        self.name = name
        self.history = []
        self.changed = threading.Condition()
        self.client = KazooClient(HOSTS)
        self.client.start()
        self.client.DataWatch(PATH, self.settings_changed)

    def settings_changed(self, data, stat):
        with self.changed:
            self.history.append((stat.version, json.loads(data)) if data else None)
            self.changed.notify_all()

    def wait_for_version(self, version):
        with self.changed:
            assert self.changed.wait_for(lambda: self.history[-1][0] >= version, 20), (
                "%s has not seen version %d" % (self.name, version)
            )
            return self.history[-1][1]


def encode(settings):
    return json.dumps(settings).encode()


def main():
    admin = KazooClient(HOSTS, auth_data=[("digest", "admin:secret")])
    admin.start()
    admin.ensure_path("/usecase/configuration")
    admin.create(
        PATH,
        encode({"workers": 4, "colour": "blue"}),
        acl=[make_digest_acl("admin", "secret", all=True), make_acl("world", "anyone", read=True)],
    )

    services = [Service("service %d" % n) for n in range(SERVICES)]
    for service in services:
        assert service.wait_for_version(0) == {"workers": 4, "colour": "blue"}

    for version in range(1, 6):
        data, stat = admin.get(PATH)
        settings = json.loads(data)
        settings["workers"] += 1
        admin.set(PATH, encode(settings), version=stat.version)
        for service in services:
            assert service.wait_for_version(version)["workers"] == 4 + version
    print("%d services saw 5 changes" % SERVICES)

    # somebody who has read an old version cannot overwrite a newer one
    try:
        admin.set(PATH, encode({"workers": 1}), version=2)
        raise AssertionError("an old version was accepted")
    except BadVersionError:
        pass
    # services may read but not write
    try:
        services[0].client.set(PATH, b"{}")
        raise AssertionError("a service changed the settings")
    except NoAuthError:
        pass

    # each one saw the versions in order, none twice
    for service in services:
        versions = [entry[0] for entry in service.history]
        assert versions == sorted(set(versions)), versions
        service.client.stop()
    admin.delete(PATH)
    admin.stop()


main()
