"""Isolates a process: no network, none of the user's files, a separate process tree and a small scratch folder.

`bubblewrap` (https://github.com/containers/bubblewrap; Debian package bubblewrap) is used if it is installed and the kernel
allows it. Otherwise `unshare`, `mount` and `setpriv` of util-linux do the same. The isolated process can read only the
interpreter and the system's programs and libraries (/usr). Both ways work for root and, if the kernel allows user namespaces, for
other users.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_FLAGS = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime")
SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin")
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # `chroot` lies there; Debian leaves them out of a user's PATH
_UTILITIES = ("unshare", "mount", "chroot", "setpriv", "sh")


@dataclass(frozen=True)
class Isolation:
    """A way to isolate a program from the rest of the system.

    - `name`: its name in reports.
    - `wrap`: a function (command, scratch_mb) that returns the command line that runs `command` in isolation. `command`
      and the returned command line are lists of arguments, not shell commands. `scratch_mb` is the size of the scratch
      folder.
    - `own_user`: whether each program runs as a separate user if root starts it.
    """

    name: str
    wrap: Callable[[list[str], int], list[str]]
    own_user: bool = True


def candidates() -> list[Isolation]:
    """Return the ways of isolation whose executables (such as bwrap) are installed on this machine, best first.

    The function does not check whether the kernel allows them. The caller has to try them.
    """
    found = []
    if _program("bwrap"):
        found.append(Isolation("bubblewrap", _bubblewrap))
    if all(map(_program, _UTILITIES)):
        found.append(Isolation("namespaces", _namespaces))
    return found


def search_path() -> str:
    """Return the PATH for finding the sandbox's programs: this process's PATH, followed by the folders in _SBIN."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def absent() -> str:
    """Return an error text for a machine that can isolate no program. It names the programs that are not installed."""
    missing = ", ".join(name for name in _UTILITIES if not _program(name))
    return f"bubblewrap (bwrap) is not installed, nor all of what can replace it: no {missing} in {search_path()}"


def _program(name: str) -> str | None:
    return shutil.which(name, path=search_path())


def interpreter() -> str:
    """Return the path of the Python interpreter.

    In a virtual environment, it is the interpreter from which the environment was made.
    """
    return os.path.realpath(sys.executable)


def _readable() -> list[str]:
    prefix = os.path.realpath(sys.base_prefix)
    return [
        *(path for path in SYSTEM if Path(path).exists()),
        *([] if Path(prefix).is_relative_to("/usr") else [prefix]),
    ]


def _mounts_below(path: str) -> list[tuple[str, str]]:
    """Return the mount points below `path`, each with the mount flags that a user cannot drop (",nosuid,nodev").

    Each has to be made read-only separately.
    """
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, _, _, _, escaped, options, *_ = line.split(" ")
        place = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), escaped)
        if place.startswith(path + "/"):
            found.append((place, "".join(f",{flag}" for flag in options.split(",") if flag in _FLAGS)))
    return found


def _bubblewrap(command: list[str], scratch_mb: int) -> list[str]:
    words = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.getuid() == 0:  # real root needs no user namespace, and could not change the user inside one
        words += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user"]
    for path in _readable():
        for parent in reversed(
            Path(path).parents[:-1]
        ):  # bubblewrap itself would make parents readable by the owner only
            words += ["--perms", "0755", "--dir", str(parent)]
        words += (
            ["--symlink", str(Path(path).readlink()), path] if Path(path).is_symlink() else ["--ro-bind", path, path]
        )
    words += [
        "--ro-bind-try",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--remount-ro",
        "/dev",
    ]
    words += ["--size", str(scratch_mb << 20), "--perms", "1777", "--tmpfs", "/tmp", "--remount-ro", "/"]
    return [*words, "--clearenv", "--die-with-parent", "--new-session", "--", *command]


def _namespaces(command: list[str], scratch_mb: int) -> list[str]:
    root = os.getuid() == 0
    place = "/mnt" if Path("/mnt").is_dir() else "/tmp"  # the new root hides it in this mount namespace only
    lines = [f"mount -t tmpfs -o size={scratch_mb}m,mode=755 none {place}", f"cd {place}"]
    for path in _readable():
        here = shlex.quote("." + path)
        if Path(path).is_symlink():
            lines.append(f"ln -s {shlex.quote(str(Path(path).readlink()))} {here}")
        else:
            lines += [
                f"mkdir -p {here}",
                f"mount --rbind {shlex.quote(path)} {here}",
                f"mount -o remount,bind,ro {here}",
            ]
            lines += [
                f"mount -o remount,bind,ro{kept} {shlex.quote('.' + below)}" for below, kept in _mounts_below(path)
            ]
    lines += [
        "mkdir -p proc dev tmp",
        "chmod 1777 tmp",
        "mount -t proc proc proc",
        "touch dev/null",
        "mount --bind /dev/null dev/null",
        f"mount -t tmpfs -o size={scratch_mb}m,mode=1777 none tmp",
        f"mount -o remount,bind,ro {place}",
    ]
    kept = "-all,+setuid,+setgid" if root else "-all"
    chroot = _program("chroot")
    drop = f"{_program('setpriv')} --bounding-set={kept} --inh-caps=-all --no-new-privs"
    # Because of the `exit`, sh does not replace itself by the program, and a program that kills its parent kills only this shell.
    lines += [f'env -i {chroot} {place} {drop} -- "$@"', "exit $?"]
    words = ["unshare", *([] if root else ["--user", "--map-root-user"]), "--mount", "--net", "--pid", "--ipc", "--uts"]
    return [*words, "--fork", "--kill-child=KILL", "--", "sh", "-euc", "; ".join(lines), "sh", *command]
