"""The committee's funnel: how many proposals came to which stage, and why the others did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gra.compare import data
from gra.compare.arms import Arm

# A stage of a proposal's life and what can end it there. The words are those of rejected.parquet and stats.json.
STAGES: tuple[tuple[str, dict[str, str]], ...] = (
    ("Instruction written", {
        "keywords_missing": "no usable keywords from the generator", "instruction_missing": "no usable instruction from it",
    }),
    ("Passed the instruction check", {
        "instruction_rejected": "failed by a reviewer", "too_few_checks": "too few usable verdicts",
    }),
    ("Response written", {"response_missing": "no complete response from the generator"}),
    ("Passed the gate", {
        "below_tau": "mean score below the threshold", "disputed": "reviewers disagree, no adjudicator",
        "too_few_reviews": "too few usable reviews, no adjudicator", "adjudication_missing": "no usable verdict of the adjudicator",
        "adjudicated_out": "dropped by the adjudicator",
    }),
    ("Distinct", {"duplicate": "too close to a kept sample"}),
    ("Kept", {"surplus": "the round had its samples already", "contaminated": "holds a piece of a benchmark item"}),
)  # fmt: skip
WORDS = {reason: words for _, reasons in STAGES for reason, words in reasons.items()}


@dataclass(frozen=True)
class Stage:
    """`count` proposals reached this stage; `lost` are those that did not, by (words, how many), most frequent first."""

    name: str
    count: int
    share: float
    lost: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Funnel:
    """The stages of one arm's data, and how the accepted ones were accepted (None: not known)."""

    stages: tuple[Stage, ...]
    accepted: int | None
    adjudicated: int | None
    adjudicated_kept: int | None


def funnel(arm: Arm) -> Funnel | None:
    """The funnel of the arm's data; None where nothing was proposed (seed data) or nothing is known."""
    stats = data.read_object(arm.file("data", "stats.json"))
    proposals = None if stats is None else stats.get("proposals")
    if stats is None or not isinstance(proposals, int) or proposals < 1:
        return None
    return from_counts(proposals, _reasons(arm, stats), stats)


def from_counts(proposals: int, reasons: Mapping[str, int], stats: Mapping[str, Any]) -> Funnel:
    """The funnel of `proposals` of which `reasons` (reason -> how many) were dropped. Unknown reasons end the last stage."""
    known = {reason for _, words in STAGES for reason in words}
    left = proposals
    stages = [Stage("Proposals", proposals, 1.0, ())]
    for number, (name, words) in enumerate(STAGES):
        here = {words[reason]: count for reason, count in reasons.items() if reason in words and count}
        if number == len(STAGES) - 1:
            here |= {reason: count for reason, count in reasons.items() if reason not in known and count}
        left -= sum(here.values())
        lost = tuple(sorted(here.items(), key=lambda item: (-item[1], item[0])))
        stages.append(Stage(name, left, left / proposals, lost))
    counts = [value if isinstance(value := stats.get(k), int) else None for k in ("accepted", "adjudicated", "adjudicated_kept")]
    return Funnel(tuple(stages), *counts)


def _reasons(arm: Arm, stats: Mapping[str, Any]) -> dict[str, int]:
    reasons = stats.get("reasons")
    if isinstance(reasons, dict) and all(isinstance(count, int) for count in reasons.values()):
        return reasons
    table = data.read_table(arm.file("data", "rejected.parquet"), ["reason"])
    return dict(Counter(str(reason) for reason in table["reason"].to_pylist())) if table is not None else {}
