"""Runs one command and sees that nothing of it outlives whoever started the guard: `python guard.py STOP_SECONDS COMMAND...`

The starter holds the write end of the guard's standard input. When that closes, because the starter closed it or died in
whatever way, SIGKILL included, the command's process group gets SIGTERM, after STOP_SECONDS SIGKILL, and with it every
process that descends from it, those that moved into sessions of their own too (Linux: the guard is their subreaper).
Standard library only and run by its path, so that it starts in some 20 ms in any environment. Exit code: the command's,
128 + n where signal n ended it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: list[str]) -> int:
    stop_s, command = float(arguments[0]), arguments[1:]
    signalled, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (*_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # they are read from the pipe
    # The pipe tells of the starter's end; the signal is for a starter whose children, by mistake, hold the pipe open.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_guard)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    if not _ends_by_itself(child, signalled):
        _signal(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + stop_s
        while _remaining(child) and time.monotonic() < deadline:
            time.sleep(0.05)
    while _remaining(child):
        _signal(child.pid, signal.SIGKILL)
        time.sleep(0.02)
    code = child.returncode
    return code if code >= 0 else 128 - code


def _ends_by_itself(child: subprocess.Popen[bytes], signalled: int) -> bool:
    """Wait for the command's end (true) or for a reason to end it (false)."""
    while child.poll() is None:
        readable, _, _ = select.select([0, signalled], [], [])
        if signalled in readable and any(number in _SIGNALS for number in os.read(signalled, 256)):
            return False
        if 0 in readable and not os.read(0, 256):
            return False
    return True


def _remaining(child: subprocess.Popen[bytes]) -> bool:
    """Whether the command or anything that descends from it still runs; buries what has ended."""
    child.poll()
    if child.returncode is not None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # adopted ones: only now, or the command's own exit code would be lost
                pass
    return child.returncode is None or bool(_descendants())


def _signal(group: int, number: int) -> None:
    for send, targets in ((os.killpg, [group]), (os.kill, _descendants())):
        for target in targets:
            with suppress(ProcessLookupError, PermissionError):
                send(target, number)


def _descendants() -> list[int]:
    """All living processes below this one. Elsewhere than on Linux: none, the process group has to do."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_bytes().rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):
                parents[int(stat.parent.name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def _die_with_guard() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
