"""The paper's terms as dataclasses: Seed, Record (x, y, d, k, s), Roles, Check, Review, Outcome.

Sources: arXiv 2504.12322, sections on the data pool, the reviewers and the adjudicator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

DOMAINS = ("coding", "mathematics", "question answering", "reasoning", "role-play", "language", "creation")
CHECKABLE = ("coding", "mathematics", "reasoning", "question answering")  # domains whose answers are right or wrong
CRITERIA = ("reasonableness", "completeness", "clarity")  # yes/no verdicts on an instruction
DIMENSIONS = ("correctness", "clarity", "completeness", "relevance", "coherence", "ethicality")  # 0-10, of a response


@dataclass(frozen=True, slots=True)
class Seed:
    """A seed as it is in its source (a file or a data set). `response` is the answer to the instruction. It is empty if
    the source has no answer. `place`: the position of the seed in the source, as text: its line or its index."""

    id: str
    instruction: str
    response: str
    place: str = ""
    # values from the source; a model writes the ones that the source lacks
    domain: str | None = None
    keywords: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A seed or a kept sample that prompts can show as an example. The paper calls it (x, y, d, k, s): instruction,
    response, domain, keywords and summary."""

    id: str
    instruction: str
    response: str
    domain: str
    keywords: tuple[str, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Roles:
    """The models that take part in one sample, by role. Generator, reviewers and adjudicator are different models. The
    annotator can be any of them or another model. With `synthesis.roles=single`, one model has all roles."""

    generator: str
    reviewers: tuple[str, ...]
    adjudicator: str | None
    annotator: str


@dataclass(frozen=True, slots=True)
class Check:
    """One model's verdict on an instruction. If the model's reply was unusable, `verdicts` and `passed` are None."""

    model: str
    verdicts: dict[str, bool] | None
    comment: str = ""
    missing: str | None = None  # why there is no verdict

    @property
    def passed(self) -> bool | None:
        return None if self.verdicts is None else all(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Review:
    """The scores that one reviewer or the adjudicator gave to a response. If the model's reply was unusable, `scores`
    and `score` are None."""

    model: str
    scores: dict[str, float] | None
    strengths: str = ""
    weaknesses: str = ""
    missing: str | None = None
    raw: dict[str, float] | None = None  # the model's own scores, if the review is calibrated

    @property
    def score(self) -> float | None:
        """The mean of the review's scores. None if the review has no scores. The gate does not decide by this mean but
        by the composite score (`gate.composite`). With `synthesis.composite=mean`, both are equal."""
        return None if self.scores is None else sum(self.scores.values()) / len(self.scores)


Status = Literal["accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one proposal: all texts, all verdicts on them, and the decision.

    `index`: the proposal's number in its round. `reason`: why the proposal was dropped, as a key of
    `gra.reasons.REASONS`. It is empty for accepted samples. `mean` and `std`: the mean and standard deviation of the
    reviewers' composite scores. Reviewers without scores do not count.
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
    summary: str | None = None  # None before annotation, or if that failed


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One answered call of a proposal, with its step, role, model and cost. The prompt and the reply are not here but
    in the journal."""

    key: str
    step: str
    role: str
    model: str
    attempt: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    usable: bool = True
    fault: str | None = field(default=None)
    notes: tuple[str, ...] = ()  # remarks on the reply (reading.py), also on a usable one
