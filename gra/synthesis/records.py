"""The paper's vocabulary as plain data: Record (x, y, d, k, s), Review, Roles, Sample. No behaviour beyond arithmetic.

Sources: arXiv 2504.12322, sections on the data pool, the reviewers and the adjudicator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DOMAINS = ("coding", "mathematics", "question answering", "reasoning", "role-play", "language", "creation")
CHECKABLE = ("coding", "mathematics", "reasoning", "question answering")  # an answer is right or wrong
CRITERIA = ("reasonableness", "completeness", "clarity")  # yes/no, on the instruction
DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")  # 0-10, on the response


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed record before annotation: an instruction with its answer (empty where the source has none).

    `place` names where it stands in its source (a line or index), for messages and provenance.
    """

    id: str
    instruction: str
    response: str
    place: str = ""
    domain: str | None = None  # given by the source (the simulated world does), else written by a model


@dataclass(frozen=True, slots=True)
class Record:
    """An annotated member of the data pool: (x, y, d, k, s) of the paper, with its id."""

    id: str
    instruction: str
    response: str
    domain: str
    keywords: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Roles:
    """Who does what for one sample: model names. Disjoint but for `annotator`, and for `synthesis.roles=single`."""

    generator: str
    reviewers: tuple[str, ...]
    adjudicator: str | None
    annotator: str


@dataclass(frozen=True, slots=True)
class Check:
    """One reviewer's verdict on the instruction; `passed` is None for a missing verdict (the reply could not be used)."""

    model: str
    verdicts: dict[str, bool] | None
    comment: str = ""
    missing: str | None = None  # why there is no verdict

    @property
    def passed(self) -> bool | None:
        return None if self.verdicts is None else all(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Review:
    """One reviewer's (or the adjudicator's) scores of the response; `score` is None for a missing verdict."""

    model: str
    scores: dict[str, float] | None
    strengths: str = ""
    weaknesses: str = ""
    missing: str | None = None
    raw: dict[str, float] | None = None  # of a calibrated review: the scores as its model gave them

    @property
    def score(self) -> float | None:
        """The composite: the plain mean of the scores (six integers, or what synthesis.scoring=probability gives)."""
        return None if self.scores is None else sum(self.scores.values()) / len(self.scores)


Status = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one proposal's life: all that was written, said and decided, with the reason where it was dropped.

    `index` is the proposal's number inside its round. `reason` is empty for accepted samples; else one of the words of
    `gra/synthesis/protocol.py` (REASONS). `mean` and `std` are over the reviewers that gave a verdict.
    """

    id: str
    round: int
    index: int
    domain: str
    roles: Roles
    parents: tuple[str, ...]
    status: Status
    reason: str = ""
    detail: str = ""
    keywords: tuple[str, ...] = ()
    instruction: str = ""
    response: str = ""
    checks: tuple[Check, ...] = ()
    reviews: tuple[Review, ...] = ()
    adjudication: Review | None = None
    adjudicated: bool = False
    mean: float | None = None
    std: float | None = None
    calls: tuple[CallRecord, ...] = ()
    summary: str | None = None  # written at annotation, None until then or where that failed


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One answered call of a proposal: which step and role asked which model, and what it cost. The text is in the journal."""

    key: str
    step: str
    role: str
    model: str
    attempt: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    usable: bool = True
    fault: str | None = field(default=None)
    notes: tuple[str, ...] = ()  # what was remarkable of the reply, used or not (reading.py)
