"""Torn tails and damaged files: what can be given up is, what cannot is named."""

import os
import random
import shutil
import signal

import load
import place
import records
import tree

OVERRIDE = ["zabra.acceptDamagedLog=true"]
# How the last record may be hurt by an interrupted write, from an offset inside it on.
TORN = ("cut", "zeros", "cut and zeros")


def prepare(ctx, p, seed, snapshots=True):
    """A directory left by kill -9 with a last record, and the trees after each transaction but
    the last and after the last."""
    p.config.append("snapCount=%d" % (200 if snapshots else 100000))
    work = load.Load(seed, workers=2)
    with p.server(ctx.server_command) as server:
        for w in work.workers:
            w.connect(p.port)
            w.connection.drop()
        work.start(p.port)
        place.until("1000 acknowledgements", lambda: work.acked() > 1000)
        work.finish()
        w = work.workers[0]
        w.connect(p.port)
        c = w.connection
        for i in range(6):
            c.create("/last%d" % i, b"value %d" % i * 60)
        server.process.send_signal(signal.SIGKILL)
        server.wait(20)
    log = p.logs()[-1]
    if len(records.records(log)) < 4:
        # A snapshot came just there: the log is too short to be hurt in the middle.
        raise AssertionError("%s has too few records" % log)
    return work


class Bench:
    """Copies of one directory, each hurt and started."""

    def __init__(self, ctx, p):
        self.ctx, self.p, self.count = ctx, p, 0
        whole = self.copy()
        with whole.server(ctx.server_command) as server:
            self.zxid, self.tree = server.zxid(), server.tree()
        shutil.rmtree(whole.folder)

    def copy(self):
        self.count += 1
        return self.p.copy("%s-%d" % (self.p.folder, self.count))

    def without_last(self, got, where):
        """Everything but the last node."""
        want = {path: node for path, node in self.tree.items() if path != "/last5"}
        skip = {"/"}
        tree.same(
            {k: v for k, v in got.items() if k not in skip},
            {k: v for k, v in want.items() if k not in skip},
            where,
        )

    def starts_without_last(self, copy, where):
        for start in ("first", "second"):
            with copy.server(self.ctx.server_command) as server:
                if start == "first" and server.zxid() != self.zxid - 1:
                    raise AssertionError("%s: zxid 0x%x" % (where, server.zxid()))
                self.without_last(server.tree(), "%s, %s start" % (where, start))
        shutil.rmtree(copy.folder)

    def starts_whole(self, copy, where):
        for start in ("first", "second"):
            with copy.server(self.ctx.server_command) as server:
                if start == "first" and server.zxid() != self.zxid:
                    raise AssertionError("%s: zxid 0x%x" % (where, server.zxid()))
                tree.same(server.tree(), self.tree, "%s, %s start" % (where, start))
        shutil.rmtree(copy.folder)

    def sector_missing(self, copy, all_records, at):
        """Looks like a power cut during a batch: it starts with what is before, says so loudly,
        and keeps the file."""
        log = copy.logs()[-1]
        records.fill_zero(log, at, at + 512)
        hurt = contents(copy)[os.path.basename(log)]
        zxid = max((r.zxid for r in all_records if r.end <= at), default=0)
        with copy.server(self.ctx.server_command) as server:
            if server.zxid() != zxid or "damaged.log" not in server.output():
                raise AssertionError("0x%x, not 0x%x\n%s" % (server.zxid(), zxid, server.log_tail()))
        if contents(copy).get("damaged." + os.path.basename(log)) != hurt:
            raise AssertionError("the file was not kept: %r" % sorted(contents(copy)))
        shutil.rmtree(copy.folder)

    def refused(self, copy, words, where, override=None):
        """It ends with a message that has these words, changes nothing on the disk, and starts
        with the override up to zxid `override`."""
        before = contents(copy)
        status, out = copy.server(self.ctx.server_command).fails()
        if status != 1 or "panicked" in out:
            raise AssertionError("%s: exit status %s\n%s" % (where, status, out))
        for word in words:
            if word not in out:
                raise AssertionError("%s: no %r in\n%s" % (where, word, out))
        if contents(copy) != before:
            raise AssertionError("%s: files changed" % where)
        if override is not None:
            with copy.server(self.ctx.server_command, OVERRIDE) as server:
                if server.zxid() != override:
                    raise AssertionError("%s: override: zxid 0x%x" % (where, server.zxid()))
            with copy.server(self.ctx.server_command) as server:
                server.tree()
        shutil.rmtree(copy.folder)


def contents(p):
    out = {}
    for side in {p.data, p.log}:
        folder = os.path.join(side, "version-2")
        for name in os.listdir(folder):
            if name.startswith(("log.", "snapshot.", "damaged.")):
                with open(os.path.join(folder, name), "rb") as f:
                    out[name] = f.read()
    return out


def torn_tails(ctx, rounds, seed):
    rng = random.Random(seed)
    with place.new(ctx) as p:
        prepare(ctx, p, seed, snapshots=False)
        bench = Bench(ctx, p)
        last = records.records(p.logs()[-1])[-1]
        size = os.path.getsize(p.logs()[-1])
        offsets = {0, 1, 4, 7, 8, 11, 12, 13, 30, last.end - last.start - 2}
        offsets |= {last.end - last.start - 1}
        offsets |= {rng.randrange(1, last.end - last.start - 1) for _ in range(6 * rounds)}
        for offset in sorted(offsets):
            for way in TORN:
                copy = bench.copy()
                log = copy.logs()[-1]
                if way != "zeros":
                    records.cut(log, last.start + offset)
                if way == "cut and zeros":
                    records.cut(log, size)
                if way == "zeros":
                    records.fill_zero(log, last.start + offset, last.end)
                where = "last record at %d, %s at %d" % (last.start, way, last.start + offset)
                bench.starts_without_last(copy, where)


def garbage(ctx, rounds, seed):
    """Bytes that no write of ours can have left: never a panic, never a silent loss."""
    rng = random.Random(seed)
    with place.new(ctx) as p:
        prepare(ctx, p, seed, snapshots=False)
        bench = Bench(ctx, p)
        name = os.path.basename(p.logs()[-1])
        all_records = records.records(p.logs()[-1])
        last = all_records[-1]
        # A complete record with a wrong byte is damage, wherever the byte is.
        offsets = [4, 5, 7, 12, 20, last.end - last.start - 2]
        offsets += [rng.randrange(12, last.end - last.start - 1) for _ in range(4 * rounds)]
        for offset in offsets:
            copy = bench.copy()
            records.flip(copy.logs()[-1], last.start + offset)
            where = "a wrong byte in the last record at %d" % offset
            words = [name, "offset %d" % last.start, "0x%x" % (last.zxid - 1)]
            bench.refused(copy, words, where, last.zxid - 1)
        # Its end byte: Apache takes any for a write that did not finish; only zero is one
        copy = bench.copy()
        records.flip(copy.logs()[-1], last.end - 1)
        words = [name, "offset %d" % last.start, "end byte"]
        bench.refused(copy, words, "a wrong end byte", last.zxid - 1)
        # Its length
        for size in (b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfb"):
            copy = bench.copy()
            records.overwrite(copy.logs()[-1], last.start + 8, size)
            words = [name, "offset %d" % last.start, "Unreasonable length"]
            bench.refused(copy, words, "length %r" % size, last.zxid - 1)
        # Behind it, where zeros should be
        for number in range(4 * rounds):
            copy = bench.copy()
            size = rng.randint(20, 3000)
            records.overwrite(copy.logs()[-1], last.end, rng.randbytes(size))
            bench.refused(copy, [name, "offset %d" % last.end], "garbage behind", last.zxid)
        # In the middle: in the record, in its length, zeros over it, a record cut out
        for number in range(4 * rounds):
            middle = all_records[rng.randrange(1, len(all_records) - 3)]
            words = [name, "offset %d" % middle.start]
            copy = bench.copy()
            records.flip(copy.logs()[-1], rng.randrange(middle.start + 12, middle.end - 1))
            bench.refused(copy, words, "a wrong byte in the middle", middle.zxid - 1)
            # Less than a sector, which no interrupted write leaves
            sector_end = middle.start // 512 * 512 + 512
            if sector_end - middle.start > 16:
                copy = bench.copy()
                records.fill_zero(copy.logs()[-1], middle.start, sector_end - 1)
                records.overwrite(copy.logs()[-1], sector_end - 1, b"x")
                bench.refused(copy, words, "zeros in the middle", middle.zxid - 1)
            if sector_end + 1024 < last.end:
                bench.sector_missing(bench.copy(), all_records, sector_end)
            copy = bench.copy()
            with open(copy.logs()[-1], "r+b") as f:
                raw = f.read()
                f.seek(middle.start)
                f.write(raw[middle.end :])
                f.truncate()
            bench.refused(copy, words, "a record cut out", middle.zxid - 1)


def newest_logs(ctx, seed):
    """Logs whose creation was interrupted."""
    with place.new(ctx) as p:
        prepare(ctx, p, seed, snapshots=False)
        bench = Bench(ctx, p)
        header = b"ZKLG\0\0\0\2\0\0\0\0\0\0\0\0"
        for what in (b"", header[:8], bytes(16), bytes(65536), header, header + bytes(65536)):
            copy = bench.copy()
            folder = os.path.join(copy.log, "version-2")
            with open(os.path.join(folder, "log.%x" % (bench.zxid + 1)), "wb") as f:
                f.write(what)
            bench.starts_whole(copy, "a newest log of %d bytes, %r" % (len(what), what[:8]))
        copy = bench.copy()
        path = os.path.join(copy.log, "version-2", "log.%x" % (bench.zxid + 1))
        with open(path, "wb") as f:
            f.write(b"GARBAGE." * 10)
        words = [path, "offset 0", "magic"]
        bench.refused(copy, words, "a newest log of another kind", bench.zxid)


def snapshots(ctx, kind, options, rounds, seed):
    rng = random.Random(seed)
    with place.new(ctx, **options) as p:
        for attempt in range(20):
            try:
                prepare(ctx, p, seed + attempt)
                break
            except AssertionError as e:
                if "too few records" not in str(e):
                    raise
                shutil.rmtree(p.folder)
                p.__init__(p.folder, p.port, p.config, p.split, p.properties)
        bench = Bench(ctx, p)
        newest = p.snapshots()[-1]
        size = os.path.getsize(newest)
        for at in [1, 40, size - 1] + [rng.randrange(size) for _ in range(4 * rounds)]:
            copy = bench.copy()
            records.cut(copy.snapshots()[-1], at)
            bench.starts_whole(copy, "newest snapshot cut at %d of %d" % (at, size))
        for at in [rng.randrange(size) for _ in range(6 * rounds)]:
            copy = bench.copy()
            records.flip(copy.snapshots()[-1], at)
            bench.starts_whole(copy, "newest snapshot with a wrong byte at %d of %d" % (at, size))
        copy = bench.copy()
        os.remove(copy.snapshots()[-1])
        bench.starts_whole(copy, "newest snapshot missing")
        copy = bench.copy()
        for path in copy.snapshots():
            records.cut(path, 30)
        words = ["Not able to find valid snapshots", os.path.basename(newest)]
        bench.refused(copy, words, "every snapshot cut")
        copy = bench.copy()
        for path in copy.snapshots():
            os.remove(path)
        bench.refused(copy, ["No snapshot found, but there are log entries"], "no snapshot")
        copy = bench.copy()
        for path in copy.snapshots():
            records.cut(path, 30)
        for path in copy.logs():
            os.remove(path)
        bench.refused(copy, ["Not able to find valid snapshots"], "no whole file")
        # A missing log between the snapshot used and the newest log
        copy = bench.copy()
        logs, images = copy.logs(), copy.snapshots()
        for path in images[2:]:
            os.remove(path)
        gone = [x for x in logs if number(x) > number(images[1])]
        os.remove(gone[len(gone) // 2])
        bench.refused(copy, ["does not follow", "offset 16"], "a log is missing")


def number(path):
    return int(os.path.basename(path).split(".")[1], 16)
