"""Runs one command and ends all of its processes when the starting process ends: `python guard.py STOP_SECONDS
COMMAND...`

The process that starts the guard holds the write end of the guard's standard input. This pipe closes when the starting
process closes it or dies, even by SIGKILL. The guard then sends SIGTERM to the command's process group and to all of
its descendants, and SIGKILL after STOP_SECONDS. On Linux the signals also reach descendants in other sessions, because
the guard is their subreaper. The guard uses only the standard library and is run by its path, so it starts in about
20 ms in any environment.
Exit code: the command's, or 128 + n if signal n ended the command.
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
        signal.signal(number, lambda *_: None)  # the signal's number is read from the wakeup pipe
    # Standard input reports the end of the starting process. If children of that process keep the pipe open, only this
    # signal reports it.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_guard)
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    if not _exited(child, signalled):
        _signal(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + stop_s
        while _remaining(child) and time.monotonic() < deadline:
            time.sleep(0.05)
    while _remaining(child):
        _signal(child.pid, signal.SIGKILL)
        time.sleep(0.02)
    code = child.returncode
    return code if code >= 0 else 128 - code


def _exited(child: subprocess.Popen[bytes], signalled: int) -> bool:
    """Wait until the command exits (returns True) or must be ended (returns False)."""
    while child.poll() is None:
        readable, _, _ = select.select([0, signalled], [], [])
        if signalled in readable and any(number in _SIGNALS for number in os.read(signalled, 256)):
            return False
        if 0 in readable and not os.read(0, 256):
            return False
    return True


def _remaining(child: subprocess.Popen[bytes]) -> bool:
    """Return whether the command or a descendant still runs. Reaps processes that have ended."""
    child.poll()
    if child.returncode is not None:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[
                0
            ]:  # reap adopted processes, only now: earlier this would take the command's own exit code
                pass
    return child.returncode is None or bool(_descendants())


def _signal(group: int, number: int) -> None:
    for send, targets in ((os.killpg, [group]), (os.kill, _descendants())):
        for target in targets:
            with suppress(ProcessLookupError, PermissionError):
                send(target, number)


def _descendants() -> list[int]:
    """Return the ids of all living descendants; [] on systems without /proc, where only the process group is ended."""
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
