"""Child processes that never outlive the run."""

import ctypes
import os
import signal
import subprocess
import threading

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_groups = set()


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, **options):
    """A process in a group of its own, killed by the kernel when this one ends."""
    options.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen(
        command, start_new_session=True, preexec_fn=_die_with_parent, **options
    )
    _groups.add(process.pid)
    return process


def kill_group(process):
    """Ends a process made by `spawn` and everything it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    _groups.discard(process.pid)
    process.wait()


def kill_all():
    """Ends everything made by `spawn`, when this process has to stop."""
    for group in list(_groups):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def run_logged(command, log_path, timeout, env=None, cwd=None, on_line=None):
    """Runs a command with its output in a file, and each line given to `on_line`.

    Returns its exit status, or None when it was killed at the time limit (seconds).
    """
    with open(log_path, "ab") as log:
        process = spawn(
            command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        late = threading.Event()

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
                if on_line:
                    on_line(raw.decode("utf-8", "replace").rstrip("\n"))
            status = process.wait()
        finally:
            timer.cancel()
            kill_group(process)
    return None if late.is_set() else status
