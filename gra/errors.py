"""The errors that users see. Each is named after the part that failed and says what to do.

A bad record, reply or sample is data: it is counted and its reason kept. An exception from here means that the whole run
cannot continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_FAILED = 1  # the run failed; finished work is on disk, the same command resumes
EXIT_CONFIG = 2  # the configuration is wrong; nothing was started
EXIT_MISSING = 3  # what other jobs should have made is missing; running the same again does not help
EXIT_PREEMPTED = 85  # stopped by SIGTERM or SIGUSR1; the same command resumes: batch systems requeue on this code
EXIT_INTERRUPTED = 130  # Ctrl-C: 128 + SIGINT, the shells' convention


ARROW = "\n    -> "  # in the text of an error, between what happened and what to do


@dataclass(frozen=True)
class Problem:
    """One fault of a configuration: the dotted `key`, what is wrong, what to do, and the `file` that set it, if known.

    `passing`: it may be gone when the run gets there (a server that is not up yet). It is reported but does not stop the run.
    """

    key: str
    message: str
    remedy: str
    file: str | None = None
    passing: bool = False

    def __str__(self) -> str:
        place = f"{self.key} ({self.file})" if self.file else self.key
        return f"{place}: {self.message}{ARROW}{self.remedy}"


class GraError(Exception):
    """Base of all errors for users: printed without a traceback; the process exits with `code`. Its text: what happened and where,
    then, after ARROW, what to do."""

    code = EXIT_FAILED


def parts_of(error: Exception | str) -> tuple[str, str]:
    """What an error's text says: what happened, and what to do ('' if it does not say)."""
    what, _, remedy = str(error).partition(ARROW)
    return what, remedy


class ConfigError(GraError):
    """All faults of a configuration, found before any work."""

    code = EXIT_CONFIG

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        head = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))


class SeedError(GraError):
    """A seed file that cannot be read or has more bad records than `seeds.max_bad`."""


class ServerError(GraError):
    """A model server that cannot be used: unreachable, wrong model, key refused. Names the URL and the model."""


class SynthesisError(GraError):
    """A synthesis that cannot produce a data set; says where its proposals were lost."""


class TrainError(GraError):
    """Training data or a student that cannot be used."""


class EvalError(GraError):
    """A benchmark or model that cannot be evaluated."""


class StoreError(GraError):
    """The run store or an output folder cannot be used: locked, read-only, full, or started with another configuration."""


class MissingError(StoreError):
    """What an earlier job should have made is missing, so this one cannot do its work."""

    code = EXIT_MISSING


DRAINED = "interrupted: replies to the calls in flight are in the journal; the same command resumes"
STOPPED_AT_ONCE = "stopped at once; the recorded calls are kept, and the same command resumes from them"


class Interrupted(GraError):
    """Stopped by Ctrl-C: finished work is on disk, the same command resumes."""

    code = EXIT_INTERRUPTED


class Preempted(GraError):
    """A stage or a chain stopped by SIGTERM or SIGUSR1, with which batch systems announce the end of a job: finished work is
    on disk, the same command resumes."""

    code = EXIT_PREEMPTED
