"""A pytest plugin (`-p compat_pytest`): writes each result as a line of JSON, gives parallel
workers ports of their own, and leaves out the tests that are listed."""

import fnmatch
import json
import os


def pytest_configure(config):
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    number = int(worker[2:])
    ports = os.environ.get("COMPAT_WORKER_PORTS", "").split()
    if ports:
        # several variables, for the several suites; each one reads its own
        os.environ["ZK_HOST"] = "127.0.0.1"
        os.environ["ZK_PORT"] = os.environ["ZOOKEEPER_PORT_OFFSET"] = ports[number % len(ports)]
    config._compat_results = None
    path = os.environ.get("COMPAT_RESULTS")
    if path and not hasattr(config, "workerinput"):
        config._compat_results = open(path, "a", buffering=1)
        config.pluginmanager.register(_Recorder(config._compat_results), "compat-recorder")


def pytest_collection_modifyitems(config, items):
    patterns = json.loads(os.environ.get("COMPAT_LEFT_OUT", "[]"))
    keep, out = [], []
    for item in items:
        name = test_name(item.nodeid)
        left_out = any(fnmatch.fnmatchcase(name, p) for p in patterns)
        (out if left_out else keep).append(item)
    if out:
        items[:] = keep
        config.hook.pytest_deselected(items=out)
        if getattr(config, "workerinput", {}).get("workerid", "gw0") == "gw0":
            with open(os.environ["COMPAT_RESULTS"], "a") as f:
                for item in out:
                    f.write(json.dumps([test_name(item.nodeid), "skip", "left out"]) + "\n")


def test_name(nodeid):
    """`test_client.py::TestClient::test_x`, without the folder the package is in."""
    path, _, rest = nodeid.partition("::")
    return os.path.basename(path) + "::" + rest


class _Recorder:
    """Runs in the process that controls the workers."""

    def __init__(self, out):
        self.out, self.failed = out, set()

    def pytest_runtest_logreport(self, report):
        name = test_name(report.nodeid)
        if report.failed:
            self.failed.add(name)
            self.write(name, "fail", str(report.longrepr))
        elif report.skipped:
            self.write(name, "skip", str(report.longrepr))
        elif report.when == "call" and name not in self.failed:
            self.write(name, "pass", "")

    def pytest_collectreport(self, report):
        if report.failed:
            self.write(test_name(report.nodeid), "fail", str(report.longrepr))

    def write(self, name, outcome, detail):
        self.out.write(json.dumps([name, outcome, detail]) + "\n")
