"""The errors a user can meet, each named after the boundary where the fault arose, each saying what to do about it.

A bad record, reply or sample is data (it is counted and its reason kept), never one of these: an exception here means
that the run as a whole cannot go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_FAILED = 1  # the run could not go on; what was done is on disk, the same command goes on from there
EXIT_CONFIG = 2  # the configuration is wrong; nothing was started
EXIT_PREEMPTED = 85  # asked to leave by SIGTERM or SIGUSR1; the same command goes on: for batch systems to requeue
EXIT_INTERRUPTED = 130  # Ctrl-C, as shells have it (128 + SIGINT)


@dataclass(frozen=True)
class Problem:
    """One fault of a configuration: the dotted `key`, what is wrong, what to do, and the `file` that set it, if known.

    `passing`: it may be gone by the time the run gets there (a server that is not up yet): told, but stops nothing alone.
    """

    key: str
    message: str
    remedy: str
    file: str | None = None
    passing: bool = False

    def __str__(self) -> str:
        place = f"{self.key} ({self.file})" if self.file else self.key
        return f"{place}: {self.message}\n    -> {self.remedy}"


class GraError(Exception):
    """Base of all errors meant for the user: shown without a traceback, with the exit code `code`."""

    code = EXIT_FAILED


class ConfigError(GraError):
    """All faults of a configuration at once, found before any work."""

    code = EXIT_CONFIG

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        head = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))


class SeedError(GraError):
    """A seed file that cannot be read, or holds more bad records than `seeds.max_bad`."""


class ServerError(GraError):
    """A model server that cannot be used: unreachable, wrong model, refused key. Names the URL and the model."""


class SynthesisError(GraError):
    """A synthesis that cannot yield a data set, with the account of where the proposals went."""


class TrainError(GraError):
    """Training data or a student that cannot be used."""


class EvalError(GraError):
    """A benchmark or model that cannot be evaluated."""


class StoreError(GraError):
    """The run store or an output folder: locked, read-only, full, or begun with another configuration."""


DRAINED = "interrupted: what was in flight is in the journal; the same command goes on from there"


class Interrupted(GraError):
    """Stopped by Ctrl-C or SIGTERM: what was done is on disk, the same command goes on from there."""

    code = EXIT_INTERRUPTED


class Preempted(GraError):
    """Training or a chain stopped by SIGTERM or SIGUSR1, as batch systems announce the end of a job: what was done is on disk,
    the same command goes on from there."""

    code = EXIT_PREEMPTED
