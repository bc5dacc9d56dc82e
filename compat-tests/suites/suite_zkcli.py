"""Scripted sessions of ZooKeeper's command-line client, ZooKeeperMain (zkCli.sh).

Each command is typed into one running client and its answer held against patterns; the
client is told to list a node that does not exist after each, whose complaint marks the end.
"""

import os
import queue
import re
import subprocess
import threading

from java_suite import java_command
from processes import kill_group, spawn

PARTS = ("java",)
MAIN = "org.apache.zookeeper.ZooKeeperMain"
LIMIT = 20

STAT = [
    r"cZxid = 0x[0-9a-f]+",
    r"ctime = \w{3} \w{3} \d\d ",
    r"mZxid = 0x[0-9a-f]+",
    r"pZxid = 0x[0-9a-f]+",
    r"cversion = \d+",
    r"dataVersion = \d+",
    r"aclVersion = \d+",
    r"ephemeralOwner = 0x[0-9a-f]+",
    r"dataLength = \d+",
    r"numChildren = \d+",
]

# (name, command, patterns that the answer must have); `!` before a pattern: must not have
SESSION = [
    ("version", "version", [r"ZooKeeper CLI version: 3\.9\.5"]),
    ("ls root", "ls /", [r"^\[zookeeper\]$"]),
    ("ls -R", "ls -R /", [r"^/$", r"^/zookeeper$", r"^/zookeeper/config$", r"^/zookeeper/quota$"]),
    ("create", "create /cli hello", [r"^Created /cli$"]),
    ("create again", "create /cli hello", [r"Node already exists: /cli"]),
    ("create without parent", "create /none/child x", [r"Node does not exist: /none/child"]),
    ("get", "get /cli", [r"^hello$"]),
    ("get -s", "get -s /cli", [r"^hello$", r"dataVersion = 0", r"dataLength = 5"] + STAT),
    ("get nothing", "get /none", [r"Node does not exist: /none"]),
    ("set", "set /cli world", [r"!rror", r"!xception"]),
    ("set -s", "set -s /cli again", [r"dataVersion = 2"] + STAT),
    ("set -v wrong", "set -v 1 /cli x", [r"version No is not valid : /cli"]),
    ("set -v right", "set -v 2 /cli x", [r"!not valid"]),
    ("stat", "stat /cli", [r"dataVersion = 3", r"numChildren = 0"] + STAT),
    ("stat nothing", "stat /none", [r"Node does not exist: /none"]),
    ("create child", "create /cli/a", [r"^Created /cli/a$"]),
    ("get null data", "get /cli/a", [r"^null$"]),
    ("create -s", "create -s /cli/seq- x", [r"^Created /cli/seq-0000000001$"]),
    ("create -e", "create -e /cli/eph x", [r"^Created /cli/eph$"]),
    ("create below -e", "create /cli/eph/child", [r"Ephemerals cannot have children"]),
    ("create -e -s", "create -e -s /cli/both- x", [r"^Created /cli/both-0000000003$"]),
    ("create -c", "create -c /cli/container", [r"^Created /cli/container$"]),
    ("create -t", "create -t 3600000 /cli/ttl x", [r"^Created /cli/ttl$"]),
    ("ls children", "ls /cli", [r"^\[a, both-0000000003, container, eph, seq-0000000001, ttl\]$"]),
    ("ls -s", "ls -s /cli", [r"cversion = 6", r"numChildren = 6"]),
    ("getAllChildrenNumber", "getAllChildrenNumber /cli", [r"^6$"]),
    ("getEphemerals", "getEphemerals /cli", [r"^\[/cli/both-0000000003, /cli/eph\]$|^\[/cli/eph, "]),
    ("delete -v wrong", "delete -v 7 /cli/a", [r"version No is not valid : /cli/a"]),
    ("delete full", "delete /cli", [r"Node not empty: /cli"]),
    ("delete", "delete /cli/a", [r"!rror", r"!xist"]),
    ("delete nothing", "delete /cli/a", [r"Node does not exist: /cli/a"]),
    ("getAcl", "getAcl /cli", [r"^'world,'anyone$", r"^: cdrwa$"]),
    ("getAcl -s", "getAcl -s /cli", [r"^: cdrwa$", r"aclVersion = 0"]),
    ("setAcl bad", "setAcl /cli nonsense:x:cdrwa", [r"Acl is not valid : /cli"]),
    ("setAcl read", "setAcl /cli world:anyone:ra", [r"!xception"]),
    ("set without right", "set /cli x", [r"Insufficient permission : /cli"]),
    ("setAcl back", "setAcl -s /cli world:anyone:cdrwa", [r"aclVersion = 2"]),
    ("whoami", "whoami", [r"^ip: 127\.0\.0\.1$"]),
    ("addauth", "addauth digest erin:secret", [r"!rror"]),
    ("whoami after addauth", "whoami", [r"^ip: 127\.0\.0\.1$", r"^digest: erin$"]),
    ("create with auth acl", "create /cli/mine x auth::cdrwa", [r"^Created /cli/mine$"]),
    ("getAcl of it", "getAcl /cli/mine", [r"^'digest,'erin:[A-Za-z0-9+/]+=$", r"^: cdrwa$"]),
    ("setquota", "setquota -n 100 /cli", [r"!xception"]),
    ("listquota", "listquota /cli", [
        r"Output quota for /cli count=100,bytes=-1", r"Output stat for /cli count=7,bytes=\d+",
    ]),
    ("setquota hard", "setquota -B 1000 /cli", [r"!xception"]),
    ("listquota hard", "listquota /cli", [r"=1000"]),
    ("delquota", "delquota /cli", [r"!xception"]),
    ("listquota none", "listquota /cli", [r"quota for /cli does not exist"]),
    ("get -w", "get -w /cli", [r"^x$"]),
    ("watch fires", "set /cli y", [r"WATCHER::", r"type:NodeDataChanged path:/cli\b"]),
    ("ls -w", "ls -w /cli", [r"mine"]),
    ("child watch fires", "create /cli/new", [r"type:NodeChildrenChanged path:/cli\b"]),
    ("stat -w", "stat -w /cli/new", [r"cZxid"]),
    ("deletion watch fires", "delete /cli/new", [r"type:NodeDeleted path:/cli/new\b"]),
    ("addWatch", "addWatch -m PERSISTENT_RECURSIVE /cli", [r"!xception"]),
    ("recursive watch fires", "create /cli/deep", [r"type:NodeCreated path:/cli/deep\b"]),
    ("and again", "set /cli/deep x", [r"type:NodeDataChanged path:/cli/deep\b"]),
    ("removewatches", "removewatches /cli", [r"type:PersistentWatchRemoved path:/cli\b"]),
    ("printwatches", "printwatches", [r"printwatches is on"]),
    ("sync", "sync /cli", [r"Sync is OK"]),
    ("config", "config", [r"!xception"]),
    ("reconfig alone", "reconfig -remove 3", [r"Reconfig is not supported|standalone|disabled|xception"]),
    ("deleteall", "deleteall /cli", [r"!Failed"]),
    ("it is gone", "ls /", [r"^\[zookeeper\]$"]),
    ("unknown command", "nonsense", [r"Command not found: Command not found nonsense"]),
    ("history", "history", [r"\d+ - nonsense"]),
    ("close", "close", [r"!rror"]),
    ("closed", "ls /", [r"Not connected"]),
    ("connect", "connect {server}", [r"!rror"]),
    ("connected again", "ls /", [r"^\[zookeeper\]$"]),
]


class Terminal:
    """The running client."""

    def __init__(self, ctx, server):
        # without jline it reads standard input plainly
        command = java_command(ctx, MAIN, "-server", server.address)
        at = command.index("-cp") + 1
        folder = os.path.join(ctx.compat, "java")
        jars = [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if "jline" not in n]
        command[at] = os.pathsep.join(jars)
        self.process = spawn(
            command,
            env=ctx.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines = queue.Queue()
        self.count = 0
        threading.Thread(target=self._read, args=(ctx.log,), daemon=True).start()

    def _read(self, log_path):
        with open(log_path, "ab") as log:
            for raw in self.process.stdout:
                log.write(raw)
                log.flush()
                self.lines.put(raw.decode("utf-8", "replace").rstrip("\r\n"))
        self.lines.put(None)

    def ask(self, command, wanted):
        """The lines of the answer; waits a little for lines that come by themselves."""
        self.count += 1
        mark = "/mark-%d" % self.count
        # `ls` would say nothing of the node when the client is not connected
        self.process.stdin.write(("%s\nls %s\n" % (command, mark)).encode())
        self.process.stdin.flush()
        answer, marked = [], False
        while True:
            if marked and all(found(pattern, answer) for pattern in wanted):
                return answer
            try:
                line = self.lines.get(timeout=3 if marked else LIMIT)
            except queue.Empty:
                return answer
            if line is None:
                return answer + ["(the client ended)"]
            if mark in line or (marked is False and line.startswith("Not connected") and answer):
                marked = True
            else:
                answer.append(line)
                marked = marked or line == "Not connected"

    def close(self):
        kill_group(self.process)


def found(pattern, lines):
    return any(re.search(pattern, line) for line in lines)


def judge(lines, patterns):
    """What is wrong with an answer."""
    wrong = []
    for pattern in patterns:
        if pattern.startswith("!"):
            if found(pattern[1:], lines):
                wrong.append("has " + pattern[1:])
        elif not found(pattern, lines):
            wrong.append("has not " + pattern)
    return wrong


def run(ctx):
    with ctx.server(properties=["zookeeper.extendedTypesEnabled=true"]) as server:
        interactive(ctx, server)
        one_command(ctx, server)


def interactive(ctx, server):
    terminal = Terminal(ctx, server)
    try:
        for name, command, patterns in SESSION:
            wanted = [p for p in patterns if not p.startswith("!")]
            lines = terminal.ask(command.format(server=server.address), wanted)
            wrong = judge(lines, patterns)
            detail = "%s\n%s\nanswer:\n%s" % (command, "\n".join(wrong), "\n".join(lines))
            ctx.report.add(name, "fail" if wrong else "pass", detail)
    finally:
        terminal.close()


# (name, words, exit status, patterns)
COMMANDS = [
    ("command: create", ["create", "/one", "data"], 0, [r"^Created /one$"]),
    ("command: get", ["get", "/one"], 0, [r"^data$"]),
    ("command: missing node", ["get", "/none"], 1, [r"Node does not exist: /none"]),
    ("command: ephemeral", ["create", "-e", "/two", "x"], 0, [r"^Created /two$"]),
    # the client ends without closing its session
    ("command: ephemeral stays", ["ls", "/"], 0, [r"^\[one, two, zookeeper\]$"]),
    ("command: deleteall", ["deleteall", "/one"], 0, []),
]


def one_command(ctx, server):
    for name, words, status, patterns in COMMANDS:
        lines = []
        got = ctx.run(
            java_command(ctx, MAIN, "-server", server.address, *words), 60, on_line=lines.append
        )
        wrong = judge(lines, patterns)
        if got != status:
            wrong.append("ended with %s, not %s" % (got, status))
        detail = "%s\n%s" % ("\n".join(wrong), "\n".join(lines))
        ctx.report.add(name, "fail" if wrong else "pass", detail)
