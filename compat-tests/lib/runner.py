#!/usr/bin/env python3
"""Runs suites against a server and prints `suite: N passed, N failed, N skipped` for each.

Only the standard library is used, so that it runs before anything is set up.
"""

import argparse
import concurrent.futures
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
COMPAT_TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(COMPAT_TESTS, "suites")]

from ports import PortBlock  # noqa: E402
from processes import kill_all, run_logged  # noqa: E402
from report import Expectations, Report  # noqa: E402
from servers import Server  # noqa: E402

# In the order of their length, so that the long ones start first.
SUITES = [
    "kazoo", "differential", "durability", "fuzz", "crate", "aiozk", "node", "loadgen", "c", "go",
    "nodeclient", "usecases", "badclients", "java", "zkcli", "curator", "zkcrate",
]
# Ensembles: run by name; `--from` and `--long` are for these. To make one part of `all` and of
# every run, move its name to SUITES.
ENSEMBLE_SUITES = [
    "election", "roles", "observers", "badpeers", "migrate", "modes", "drills", "reconfig",
    "curator3", "kazoo3",
]
PROGRESS_EVERY = 30


class Context:
    """What a suite gets: where things are, the server under test, and its report."""

    def __init__(self, suite, options, say):
        self.suite, self.options, self.say = suite, options, say
        self.tests = COMPAT_TESTS
        self.compat = os.environ["ZABRA_COMPAT_DIR"]
        self.python = os.path.join(self.compat, "venv", "bin", "python")
        self.server_command = server_command(options.server)
        self.only = options.only
        self.results = os.path.join(self.compat, "results", options.server_name)
        self.log = os.path.join(self.results, suite + ".log")
        self.expect = Expectations(
            os.path.join(COMPAT_TESTS, "expect", suite + ".txt"),
            apache=options.server.split("-")[0] == "apache",
        )
        self.report = Report(suite, self.expect, say)
        self.ports = PortBlock()

    def server(self, config=(), properties=()):
        return Server(
            self.server_command, self.ports.take(), config, properties, self.options.keep
        )

    def apache_command(self):
        """The reference server, whatever the server under test."""
        return server_command("apache")

    def environment(self, **more):
        """The caller's, without what would change the behaviour of a suite."""
        env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("ZOOKEEPER_", "ZK_", "PYTEST_", "SERVER_JVM", "JAVA_TOOL"))
            and k not in ("JVMFLAGS", "CI", "PYTHONPATH", "CLASSPATH")
        }
        env["ZABRA_COMPAT_SERVER"] = " ".join(self.server_command)
        env["ZABRA_COMPAT_PORTS"] = "%d-%d" % (self.ports.first, self.ports.last)
        env.update(more)
        return env

    def run(self, command, timeout, on_line=None, **options):
        """Runs a program with its output in the log of the suite; its exit status."""
        options.setdefault("env", self.environment())
        status = run_logged(command, self.log, timeout, on_line=on_line, **options)
        if status is None:
            self.report.add(
                "%s: time limit" % self.suite, "fail", "killed after %d s" % timeout
            )
        return status

    def log_tail(self, lines=30):
        with open(self.log, "rb") as f:
            return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines:])


def server_command(name):
    """The command line in front of `-Dname=value ... zoo.cfg`."""
    repo = os.path.dirname(COMPAT_TESTS)
    if name.startswith("apache-"):
        return ["env", "ZK_VERSION=" + name[len("apache-") :]] + server_command("apache")
    if name == "apache":
        return [os.path.join(COMPAT_TESTS, "bin", "apache-server"), "server"]
    if name == "zabra":
        target = os.environ.get("CARGO_TARGET_DIR") or os.path.join(repo, "target")
        name = os.environ.get("ZABRA_BIN") or os.path.join(repo, target, "release", "zabra")
    path = os.path.abspath(name)
    if not os.access(path, os.X_OK):
        raise SystemExit("run: no program %s (cargo build --release makes ours)" % path)
    return [path, "server"]


_setup_lock = threading.Lock()


def prepare(ctx, parts):
    """Runs setup for what the suite needs; False (and a failure) when it could not."""
    parts = ["tools"] + list(parts)
    if ctx.options.server == "apache":
        parts.append("server")
    with _setup_lock:
        done = subprocess.run(
            [os.path.join(ctx.tests, "setup")] + parts,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
    if done.returncode != 0:
        ctx.report.add("%s: setup of %s" % (ctx.suite, ", ".join(parts)), "fail", done.stdout)
    return done.returncode == 0


def run_suite(suite, options):
    def say(text):
        print("[%s] %s" % (suite, text), flush=True)

    began = time.monotonic()
    module = importlib.import_module("suite_" + suite)
    ctx = Context(suite, options, say)
    os.makedirs(ctx.results, exist_ok=True)
    open(ctx.log, "w").close()
    ended = threading.Event()

    def progress():
        while not ended.wait(PROGRESS_EVERY):
            say("... %s so far (%d s)" % (ctx.report.line(), time.monotonic() - began))

    threading.Thread(target=progress, daemon=True).start()
    try:
        if prepare(ctx, module.PARTS):
            module.run(ctx)
            ctx.report.finish(whole=options.only is None)
    except Exception:
        ctx.report.add("%s: the suite itself" % suite, "fail", traceback.format_exc())
    finally:
        ended.set()
        ctx.ports.release()
    ctx.report.save(os.path.join(ctx.results, suite + ".json"))
    say("took %d s; log: %s" % (time.monotonic() - began, ctx.log))
    print("%s: %s" % (suite, ctx.report.line()), flush=True)
    return ctx.report


def main():
    parser = argparse.ArgumentParser(prog="compat-tests/run", description=__doc__.split("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="or `all`")
    parser.add_argument("--server", default="zabra", help="zabra, apache, or a path")
    parser.add_argument("--only", metavar="WORD", help="only tests whose name has this word")
    parser.add_argument("--jobs", type=int, default=3, help="suites at once (3)")
    parser.add_argument("--rounds", type=int, default=1, help="how long random tests go on (1)")
    parser.add_argument(
        "--from", dest="other", default="apache", metavar="NAME",
        help="ensembles: the other members, or what is replaced: apache (also -3.8.4, -3.5.10)",
    )
    parser.add_argument("--long", action="store_true", help="ensembles: every case, long loads")
    parser.add_argument("--keep", action="store_true", help="keep the folders of servers")
    parser.add_argument("--list", action="store_true", help="print the names of the suites")
    options = parser.parse_args()
    if options.list:
        print("\n".join(SUITES))
        return 0
    names = SUITES if options.suites == ["all"] else options.suites
    unknown = [name for name in names if name not in SUITES + ENSEMBLE_SUITES]
    if unknown or not names:
        parser.error("suites are: " + ", ".join(SUITES + ENSEMBLE_SUITES))
    options.server_name = os.path.basename(options.server)
    server_command(options.server)

    def stop(number, _frame):
        kill_all()
        print("run: stopped by signal %d" % number, flush=True)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        reports = list(pool.map(lambda name: run_suite(name, options), names))
    return 1 if any(report.failed for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
