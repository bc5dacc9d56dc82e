"""Full disks and directories that cannot be used."""

import contextlib
import os
import shutil
import signal
import subprocess

import load
import place
import processes
import wire

SIZE = 80 << 20
MOUNTS = {
    "tmpfs": 'mount -t tmpfs -o size={size} durability "{mount}"',
    "ext4": 'mkfs.ext4 -q -m 0 "{image}" && mount -o loop "{image}" "{mount}"',
}


@contextlib.contextmanager
def small_disk(ctx, kind):
    """A folder on a small file system that only a process of ours sees: a command that runs
    programs beside it, the folder as they see it and the same as we do. It goes with that
    process, however this one ends: `--keep` leaves only the image of ext4. None when this machine
    does not let us."""
    with place.temporary(ctx) as folder:
        yield from _mounted(kind, folder)


def _mounted(kind, folder):
    mount, image = os.path.join(folder, "disk"), os.path.join(folder, "image")
    os.mkdir(mount)
    with open(image, "wb") as f:
        f.truncate(SIZE)
    script = "mount --make-rprivate / && " + MOUNTS[kind] + " && echo ready && exec sleep 1000000"
    script = script.format(size=SIZE, image=image, mount=mount)
    holder = None
    try:
        if os.getuid() == 0 and shutil.which("unshare") and shutil.which("nsenter"):
            holder = processes.spawn(
                ["unshare", "-m", "sh", "-c", script],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if holder.stdout.readline() == b"ready\n":
                enter = ["nsenter", "-t", str(holder.pid), "-m"]
                yield enter, mount, "/proc/%d/root%s" % (holder.pid, mount)
                return
        yield None
    finally:
        if holder is not None:
            processes.kill_group(holder)


def acked_or_ended(work, goal, server):
    return work.acked() > goal or server.process.poll() is not None


def fill_up(path, leave):
    """Takes all room but some."""
    with contextlib.suppress(OSError):
        with open(path, "wb", buffering=0) as f:
            while f.write(bytes(1 << 16)):
                pass
    with contextlib.suppress(OSError):
        os.truncate(path, max(0, os.path.getsize(path) - leave))


def full(ctx, kind, config, seed):
    """The disk gets full under load: the server ends with a message and status 1 or 10, twice;
    with room it goes on and nothing acknowledged is missing. None when that cannot be tried."""
    with small_disk(ctx, kind) as disk:
        if disk is None:
            return "needs root, unshare, nsenter and mount for a small file system"
        enter, inside, outside = disk
        p = place.Place(os.path.join(outside, "p"), ctx.ports.take(), config, keep=ctx.options.keep)
        shown = os.path.join(inside, "p", "data")
        command = enter + ctx.server_command
        work = load.Load(seed, data_max=1500)
        ballast = os.path.join(outside, "ballast")
        for number in range(3):
            with p.server(command, data=shown) as server:
                if number:
                    work.check(server.tree())
                    work.resume(p.port)
                else:
                    for w in work.workers:
                        w.connect(p.port)
                        w.connection.drop()
                goal = work.acked() + 300
                work.start(p.port)
                place.until("300 acknowledgements", lambda: acked_or_ended(work, goal, server))
                fill_up(ballast, leave=(0, 300000, 2000000)[number])
                status = server.wait(60)
                work.finish()
                out = server.output()
                words = ("No space left on device", "Severe unrecoverable error", "Exiting JVM")
                for word in words:
                    if word not in out:
                        raise AssertionError("no %r in\n%s" % (word, out[-3000:]))
                if status not in (1, 10) or "panicked" in out:
                    raise AssertionError("exit status %d\n%s" % (status, out[-3000:]))
            # Whether it can start without room depends on what is left; never with a loss.
            room = p.server(command, data=shown)
            try:
                room.start()
                for w in work.workers:
                    saved = list(w.pending), dict(w.tree), w.session
                    w.check(room.tree())
                    w.pending.extend(saved[0])
                    w.tree, w.session = saved[1:]
            except (RuntimeError, wire.Gone, AttributeError):
                if "No space left on device" not in room.output():
                    raise AssertionError(room.log_tail()) from None
            finally:
                room.end()
            with contextlib.suppress(FileNotFoundError):
                os.remove(ballast)
        with p.server(command, data=shown) as server:
            work.check(server.tree())
            work.resume(p.port)
    return None


def unusable(ctx):
    """Directories that cannot be used at all: status 3, and why."""
    with place.new(ctx) as p:
        off = ["zookeeper.datadir.autocreate=false"]
        expect(p.server(ctx.server_command, off).fails(), "Missing data directory", p.data)
        with p.server(ctx.server_command) as server:
            c = wire.Connection(p.port)
            c.create("/a", b"1")
            # A second server, on another port
            other = place.Place(p.folder, ctx.ports.take())
            expect(other.server(ctx.server_command).fails(), "locked", p.data)
            c.create("/b", b"2")
            c.close()
            server.stop(signal.SIGTERM)
        with p.server(ctx.server_command) as server:
            if not {"/a", "/b"} <= set(server.tree()):
                raise AssertionError("nodes are missing")
        # A file where the directory should be
        stray = os.path.join(p.folder, "file")
        open(stray, "w").close()
        expect(p.server(ctx.server_command, data=stray).fails(), "Unable to create", stray)


def read_only(ctx):
    """A file system that is mounted read-only."""
    with small_disk(ctx, "tmpfs") as disk:
        if disk is None:
            return "needs root, unshare, nsenter and mount for a small file system"
        enter, inside, outside = disk
        where, small = os.path.join(outside, "p"), ["preAllocSize=64"]
        p = place.Place(where, ctx.ports.take(), small, keep=ctx.options.keep)
        shown = os.path.join(inside, "p", "data")
        command = enter + ctx.server_command
        with p.server(command, data=shown) as server:
            wire.Connection(p.port).create("/a")
            server.stop(signal.SIGKILL)
        subprocess.check_call(enter + ["mount", "-o", "remount,ro", inside])
        expect(p.server(command, data=shown).fails(), "Cannot write to", shown)
        subprocess.check_call(enter + ["mount", "-o", "remount,rw", inside])
        with p.server(command, data=shown) as server:
            if "/a" not in server.tree():
                raise AssertionError("/a is missing")
    return None


def expect(result, *words):
    status, out = result
    if status != 3 or not all(word in out for word in words) or "panicked" in out:
        raise AssertionError("exit status %d, words %r\n%s" % (status, words, out[-2000:]))
