"""The errors that users see. Each is named after the part that failed; its text says what to do.

A bad record, reply or sample is not an error: it is counted, with its reason. An exception from this module means that
the run cannot continue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_FAILED = 1  # the run failed; finished work is on disk, the same command resumes
EXIT_CONFIG = 2  # the configuration is wrong; nothing was started
EXIT_MISSING = 3  # the output of an earlier job is missing; running the same command again does not help
EXIT_NOTHING_KEPT = 4  # the committee kept no sample; the same settings would keep none again
EXIT_PREEMPTED = 85  # stopped by SIGTERM or SIGUSR1; the same command resumes: batch systems requeue on this code
EXIT_INTERRUPTED = 130  # Ctrl-C: 128 + SIGINT, the shells' convention


ARROW = "\n    -> "  # separates what happened from what to do, in an error's text


@dataclass(frozen=True)
class Problem:
    """One fault of the configuration, with advice for the user.

    `key`: the dotted config key that is at fault. `message`: what is wrong. `remedy`: what the user can do. `file`: the
    file that set the key, if known. `passing`: whether the fault is possibly temporary, such as a server that is not up
    yet. A temporary fault is reported but does not stop the run.
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
    """The base class of all errors that users see. GRA prints such an error without a traceback. The attribute `code`
    is the exit code.

    The error's text says what happened and where. After that, it has an arrow, `->`, on a new line (the constant ARROW)
    and advice on what to do.
    """

    code = EXIT_FAILED


def parts_of(error: Exception | str) -> tuple[str, str]:
    """Return the two parts of an error's text: what happened, and what to do. An arrow, `->`, on a new line (the
    constant ARROW) separates them. If the text has no arrow, the second part is ''."""
    what, _, remedy = str(error).partition(ARROW)
    return what, remedy


class ConfigError(GraError):
    """The configuration has faults. One exception lists all of them, and it is raised before any work begins."""

    code = EXIT_CONFIG

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        head = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))]))


class SeedError(GraError):
    """A seed file cannot be read or has more bad records than `seeds.max_bad`."""


class ServerError(GraError):
    """A model server cannot be used: it is unreachable, serves another model, or refuses the API key. The error's text
    names the URL and the model."""


class SynthesisError(GraError):
    """A synthesis cannot produce a data set. The text says why."""


class NothingKept(SynthesisError):
    """A synthesis ran to its end, but its committee kept no sample. The text says why the proposed samples were
    dropped."""

    code = EXIT_NOTHING_KEPT


class TrainError(GraError):
    """Training data or a student cannot be used."""


class EvalError(GraError):
    """A benchmark or model cannot be evaluated."""


class StoreError(GraError):
    """The run store or an output folder cannot be used. It is locked, read-only or full, or it was started with another
    configuration."""


class MissingError(StoreError):
    """The output of an earlier job is missing, so this job cannot run."""

    code = EXIT_MISSING


DRAINED = "interrupted: replies to the calls in flight are in the journal; the same command resumes"
STOPPED_AT_ONCE = "stopped at once; the recorded calls are kept, and the same command resumes from them"


class Interrupted(GraError):
    """The run was stopped by Ctrl-C. Finished work is on disk; the same command resumes."""

    code = EXIT_INTERRUPTED


class Preempted(GraError):
    """The run was stopped by SIGTERM or SIGUSR1, which batch systems send before a job ends. Finished work is on disk.
    Running the same command again resumes the run."""

    code = EXIT_PREEMPTED
