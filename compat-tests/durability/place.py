"""A data directory and the servers that are started over it, one after the other."""

import contextlib
import os
import shutil
import signal
import tempfile
import time

import servers
import tree
import wire

# Apache's name of a setting, and small values so that everything happens often.
BUSY = [
    "snapCount=200",
    "preAllocSize=64",
    "maxSessionTimeout=600000",
    "extendedTypesEnabled=true",
    "znode.container.checkIntervalMs=3600000",
]


class Place:
    """Folders in a folder; `command` runs over them. `keep` leaves what its servers print."""

    def __init__(self, folder, port, config=(), split=False, properties=(), keep=False):
        self.folder, self.port, self.split, self.keep = folder, port, split, keep
        self.config, self.properties = list(config), list(properties)
        self.data = os.path.join(folder, "data")
        self.log = os.path.join(folder, "datalog") if split else self.data
        os.makedirs(self.data, exist_ok=True)
        os.makedirs(self.log, exist_ok=True)

    def server(self, command, properties=(), data=None):
        config = ["dataDir=" + (data or self.data)] + BUSY + self.config
        if self.split:
            config.append("dataLogDir=" + self.log)
        names = [tree.SUPER_PROPERTY] + self.properties + list(properties)
        return Running(command, self.port, config, names, self.keep)

    def copy(self, folder):
        """The same bytes elsewhere."""
        other = Place.__new__(Place)
        other.__dict__.update(self.__dict__)
        other.folder = folder
        other.data = os.path.join(folder, "data")
        other.log = os.path.join(folder, "datalog") if self.split else other.data
        # A plain copy keeps neither holes nor links; neither matters to a server.
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("zabra.lock"))
        return other

    def files(self, prefix, side=None):
        """The files with names that begin so, by their zxid."""
        folder = os.path.join(side or self.data, "version-2")
        names = [n for n in os.listdir(folder) if n.startswith(prefix)]
        names.sort(key=lambda n: int(n.split(".")[1], 16))
        return [os.path.join(folder, n) for n in names]

    def logs(self):
        return self.files("log.", self.log)

    def snapshots(self):
        return self.files("snapshot.")


class Running(servers.Server):
    """One start of a server. Left with SIGKILL unless it has ended by then; what it printed goes
    with it, also when the case fails, whose message has the end of it."""

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.end()
            raise

    def __exit__(self, kind, value, trace):
        self.end()

    def end(self):
        self.stop(signal.SIGKILL)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait(self, limit):
        """The exit status, as a shell gives it."""
        status = self.process.wait(limit)
        return status if status >= 0 else 128 - status

    def output(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def fails(self, limit=30):
        """Starts a server that must not serve: its exit status and what it printed."""
        try:
            self.start()
            raise AssertionError("it serves: " + self.log_tail())
        except RuntimeError:
            status = self.process.poll()
            if status is None:
                raise AssertionError("it neither serves nor ends: " + self.log_tail()) from None
            return status, self.output()
        finally:
            self.end()

    def word(self, word):
        return servers.four_letter_word(self.port, word, 20.0)

    def zxid(self):
        for line in self.word("srvr").splitlines():
            if line.startswith("Zxid:"):
                return int(line.split()[1], 16)
        raise AssertionError("srvr shows no zxid")

    def tree(self):
        return tree.read(self.port)


@contextlib.contextmanager
def temporary(ctx):
    """A folder that goes however the case ends, unless `--keep` was given."""
    folder = tempfile.mkdtemp(prefix="zabra-durability-")
    try:
        yield folder
    finally:
        if ctx.options.keep:
            ctx.say("kept: " + folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def new(ctx, **options):
    """A place in such a folder."""
    with temporary(ctx) as folder:
        yield Place(os.path.join(folder, "p"), ctx.ports.take(), keep=ctx.options.keep, **options)


def until(what, condition, limit=60):
    """Waits for a condition."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("%s did not happen in %d s" % (what, limit))
        time.sleep(0.005)


def reachable(port):
    try:
        wire.Connection(port, limit=2.0).close()
        return True
    except (wire.Gone, wire.Refused):
        return False
