"""Running a client program of ours that prints its own results.

The program prints `ok NAME` or `not ok NAME: why` for each test.  When it prints `@restart`
or `@kill`, the server is restarted (asked to stop, or killed) and the program gets a line on
its standard input once the server serves again; `@kill leader` and `@kill follower` are for
ensembles.
"""

import signal
import subprocess
import threading

from processes import kill_group, spawn


def run_program(ctx, command, timeout, server, prefix="", **options):
    """`prefix` goes in front of the names of the tests."""
    options.setdefault("env", ctx.environment())
    late = threading.Event()
    with open(ctx.log, "ab") as log:
        process = spawn(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )

        def expire():
            late.set()
            kill_group(process)

        timer = threading.Timer(timeout, expire)
        timer.daemon = True
        timer.start()
        try:
            for raw in process.stdout:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                word, _, which = line.partition(" ")
                if word in ("@restart", "@kill"):
                    how = signal.SIGTERM if word == "@restart" else signal.SIGKILL
                    server.restart(how, *which.split())
                    process.stdin.write(b"serving\n")
                    process.stdin.flush()
                else:
                    report_line(ctx.report, line, prefix)
            status = process.wait()
        except BrokenPipeError:
            status = process.wait()
        finally:
            timer.cancel()
            kill_group(process)
    name = ctx.suite + ": the program"
    if late.is_set():
        ctx.report.add(name, "fail", "killed after %d s\n%s" % (timeout, ctx.log_tail()))
    elif status not in (0, 1):
        ctx.report.add(name, "fail", "ended with %s\n%s" % (status, ctx.log_tail()))


def report_line(report, line, prefix=""):
    if line.startswith("ok "):
        report.add(prefix + line[3:].strip(), "pass")
    elif line.startswith("not ok "):
        name, _, detail = line[7:].partition(": ")
        report.add(prefix + name.strip(), "fail", detail)
