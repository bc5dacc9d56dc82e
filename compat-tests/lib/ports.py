"""Blocks of local ports, each for one suite of one run.

A block is held by a lock on a file, so runs side by side never share one.  All are below the
range from which the kernel takes ports for outgoing connections.
"""

import fcntl
import os
import socket
import tempfile

FIRST, LAST, SIZE = 12000, 31900, 100


def bindable(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class PortBlock:
    """`SIZE` ports from `first` on; `take` hands out each free one once."""

    def __init__(self):
        folder = os.path.join(tempfile.gettempdir(), "zabra-compat-ports.%d" % os.getuid())
        os.makedirs(folder, exist_ok=True)
        for first in range(FIRST, LAST, SIZE):
            lock = open(os.path.join(folder, str(first)), "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            self._lock = lock
            self.first = self._next = first
            self.last = first + SIZE - 1
            return
        raise RuntimeError("every block of ports is in use")

    def take(self):
        while self._next <= self.last:
            port, self._next = self._next, self._next + 1
            if bindable(port):
                return port
        raise RuntimeError("no free port left in %d-%d" % (self.first, self.last))

    def release(self):
        self._lock.close()
