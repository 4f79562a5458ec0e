"""Runs inside the sandbox, with the standard library only: `python -I -S -B -c THIS`. Reads a job as JSON from stdin.

The process that gets the job only waits. Its child process drops its rights, sets the limits and runs the program. When
the program has run to its end, the child reads a secret token from the file descriptor `token` and writes it to the
file descriptor `report`. An exit code of 0 would not show that the program ran to its end, because a wrong answer can
call `sys.exit(0)`. A program can still forge the report: the sandbox prevents harm, not cheating.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys
import traceback
import types
from typing import Any

# All imports are above: after the change of user, the process may have no access to the library.


def limit(job: dict[str, Any]) -> None:
    """Set the job's resource limits for this process."""
    for name, value in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))


# System calls that no solution needs: new namespaces (which give new rights), sockets, kernel interfaces, and memory outside the
# limit on address space.
DENIED = {
    "x86_64": {
        "shmget": 29,
        "socket": 41,
        "ptrace": 101,
        "pivot_root": 155,
        "mount": 165,
        "umount2": 166,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "unshare": 272,
        "perf_event_open": 298,
        "setns": 308,
        "process_vm_writev": 311,
        "memfd_create": 319,
        "bpf": 321,
        "userfaultfd": 323,
        "io_uring_setup": 425,
        "memfd_secret": 447,
    },
    "aarch64": {
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "unshare": 97,
        "ptrace": 117,
        "shmget": 194,
        "socket": 198,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "perf_event_open": 241,
        "setns": 268,
        "process_vm_writev": 271,
        "memfd_create": 279,
        "bpf": 280,
        "userfaultfd": 282,
        "io_uring_setup": 425,
        "memfd_secret": 447,
    },
}
ARCHITECTURE = {
    "x86_64": (0xC000003E, 56),
    "aarch64": (0xC00000B7, 220),
}  # seccomp's architecture, and the number of clone
CLONE3, NEWUSER, EPERM, ENOSYS = 435, 0x10000000, 1, 38


def forbid() -> None:
    """Make the system calls in DENIED fail with EPERM, by a seccomp filter (kernel docs, userspace-api/seccomp_filter).

    The system call clone3 fails with ENOSYS, so that the C library uses clone instead. The reason: a filter can see the
    flags of clone, but not those of clone3. DENIED lists the system calls for each architecture.
    Architectures that are not in DENIED get no filter.
    """
    machine = platform.machine()
    if machine not in DENIED:
        return
    arch, clone = ARCHITECTURE[machine]
    load, equal, at_least, any_bit, ret = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, deny, missing = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS
    code = [(load, 0, 0, 4), (equal, 1, 0, arch), (ret, 0, 0, deny), (load, 0, 0, 0)]
    code += [(at_least, 0, 1, 0x40000000), (ret, 0, 0, deny)]  # the x32 calls
    for number in DENIED[machine].values():
        code += [(equal, 0, 1, number), (ret, 0, 0, deny)]
    code += [(equal, 0, 1, CLONE3), (ret, 0, 0, missing)]
    code += [(equal, 0, 3, clone), (load, 0, 0, 16), (any_bit, 0, 1, NEWUSER), (ret, 0, 0, deny), (ret, 0, 0, allow)]
    raw = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(raw, len(raw))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, program, 0, 0):  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP with a filter
        raise OSError(ctypes.get_errno(), "the system call filter cannot be set")


def become(user: int) -> None:
    """Make this process run as the user with the number `user`, without supplementary groups."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def run(job: dict[str, Any]) -> None:
    """Drop rights, set the limits, run the program, and write the token to `report`."""
    if job["user"] is not None:
        become(job["user"])  # a separate user, because the limit on processes does not apply to root
    forbid()
    limit(job)
    os.chdir("/tmp")
    module = sys.modules["program"] = types.ModuleType("program")  # as if imported: skips `if __name__ == "__main__"`
    exec(compile(job["program"], "program.py", "exec"), module.__dict__)
    sys.stdout.flush()
    os.write(job["report"], os.read(job["token"], 64))


def main() -> None:
    """Run the job from stdin in a child process, and exit with the child's exit code.

    If signal N killed the child, exit with 128 - N (a shell would use 128 + N).
    """
    job = json.loads(sys.stdin.buffer.read())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(job)
            code = 0
        except SystemExit:
            print("SystemExit: the program exited before its tests had run")
        except BaseException as error:  # noqa: BLE001 any exception of the program is its failure
            print("".join(traceback.format_exception_only(type(error), error))[-2000:])
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


main()
