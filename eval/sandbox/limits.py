"""PURE: the limits of a program that runs in the sandbox: time, memory, processes, files and output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a program that runs in the sandbox.

    - `seconds`: the wall-clock time.
    - `memory_mb`: the address space of one process.
    - `processes`: the number of processes and threads together.
    - `scratch_mb`: the total size of the program's files, which are kept in memory.
    - `output_kb`: the size of the printed text.
    """

    seconds: float = 20.0
    memory_mb: int = 1024
    processes: int = 8
    scratch_mb: int = 32
    output_kb: int = 256

    def rlimits(self) -> dict[str, int]:
        """Return the limits that the kernel enforces for a process.

        The keys are names of constants in Python's module `resource`, such as RLIMIT_CPU.
        """
        return {
            "RLIMIT_CPU": int(self.seconds) + 1,
            "RLIMIT_AS": self.memory_mb << 20,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_FSIZE": self.scratch_mb << 20,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_CORE": 0,
        }
