"""Where the records of a transaction log are."""

import collections
import struct

Record = collections.namedtuple("Record", "start end zxid")
HEADER = 16


def records(path):
    """The records, and behind them the padding."""
    with open(path, "rb") as f:
        raw = f.read()
    out, at = [], HEADER
    while at + 12 <= len(raw):
        size = struct.unpack_from(">i", raw, at + 8)[0]
        if size <= 0:
            break
        zxid = struct.unpack_from(">q", raw, at + 12 + 12)[0]
        out.append(Record(at, at + 12 + size + 1, zxid))
        at = out[-1].end
    return out


def cut(path, length):
    with open(path, "r+b") as f:
        f.truncate(length)


def overwrite(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x41]))


def fill_zero(path, start, end):
    overwrite(path, start, bytes(end - start))
