"""One server under test, as a process on a port of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from processes import kill_group, spawn

START_LIMIT = 60
STOP_LIMIT = 15


def four_letter_word(port, word, timeout=5.0):
    """The whole reply, or None when nothing answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as s:
            s.settimeout(timeout)
            s.sendall(word.encode())
            reply = b""
            while True:
                part = s.recv(65536)
                if not part:
                    return reply.decode("utf-8", "replace")
                reply += part
    except OSError:
        return None


class Server:
    """Started on entry, stopped on exit; the folder stays when something went wrong."""

    def __init__(self, command, port, config=(), properties=(), keep=False):
        self.command, self.port, self.properties = list(command), port, list(properties)
        self.folder = tempfile.mkdtemp(prefix="zabra-compat-")
        self.data = os.path.join(self.folder, "data")
        self.log = os.path.join(self.folder, "server.log")
        self.keep = keep
        self.process = None
        os.mkdir(self.data)
        lines = {
            "tickTime": "2000",
            "dataDir": self.data,
            "clientPort": str(port),
            "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": "0",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        lines.update(line.split("=", 1) for line in config)
        self.config = os.path.join(self.folder, "zoo.cfg")
        with open(self.config, "w") as f:
            f.writelines("%s=%s\n" % item for item in lines.items())

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def start(self):
        with open(self.log, "ab") as log:
            self.process = spawn(
                self.command + ["-D" + p for p in self.properties] + [self.config],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + START_LIMIT
        while "Mode:" not in (four_letter_word(self.port, "srvr") or ""):
            if self.process.poll() is not None:
                raise RuntimeError(
                    "server ended with %s: %s" % (self.process.returncode, self.log_tail())
                )
            if time.monotonic() > end:
                raise RuntimeError("server is not serving: " + self.log_tail())
            time.sleep(0.02)
        return self

    def log_tail(self, size=2000):
        with open(self.log, "rb") as f:
            return f.read()[-size:].decode("utf-8", "replace")

    def stop(self, how=signal.SIGTERM):
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        kill_group(process)

    def restart(self, how=signal.SIGKILL):
        self.stop(how)
        self.start()

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def __exit__(self, kind, value, trace):
        self.stop()
        if not self.keep and kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
