"""Builds the committee's funnel: how many proposals passed each stage, and why the others were dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gra.compare.arms import Arm
from gra.compare.reading import data
from gra.reasons import REASONS, STAGES, at

JUDGED = {"check": {"check"}, "gate": {"review", "adjudicate"}}  # stage -> the kinds of calls that judge there
WORDS = {name: reason.text for name, reason in REASONS.items()}


@dataclass(frozen=True)
class Stage:
    """A stage through which generated samples (proposals) pass before they are kept. `count`: the number of proposals
    that passed the stage. `share`: the fraction of all proposals that passed the stage. `lost`: why proposals were
    dropped at this stage, as pairs of a reason in words and a number of proposals. The most frequent reason comes
    first."""

    name: str
    count: int
    share: float
    lost: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Funnel:
    """The number of generated samples (proposals) of one arm that passed each stage of the synthesis.

    `accepted`: the number of proposals that the reviewers and the adjudicator accepted. `adjudicated`: the number of
    proposals that were sent to the adjudicator. `adjudicated_kept`: the number of proposals that the adjudicator kept.
    Each of these three is None if it is unknown.
    """

    stages: tuple[Stage, ...]
    accepted: int | None
    adjudicated: int | None
    adjudicated_kept: int | None


def funnel(arm: Arm) -> Funnel | None:
    """Return the funnel of the arm's data: how many generated samples (proposals) passed each stage of the synthesis.
    Return None if the arm has no stats.json, or if no model wrote the data (seed data)."""
    stats = data.read_object(arm.file("data", "stats.json"))
    proposals = None if stats is None else stats.get("proposals")
    if stats is None or not isinstance(proposals, int) or proposals < 1 or stats.get("calls") == 0:
        return None
    return from_counts(proposals, _reasons(arm, stats), stats)


def from_counts(proposals: int, reasons: Mapping[str, int], stats: Mapping[str, Any]) -> Funnel:
    """Return the funnel of a data set: how many generated samples (proposals) passed each stage of the synthesis.
    `proposals`: the number of all proposals. `reasons`: reason -> number of proposals dropped for this reason. `stats`:
    the content of stats.json.

    A reason that this version of GRA does not know is counted at the last stage. A stage in which models judge is left
    out if no model judged and nothing was dropped there. For example, data without reviews have no stage "Passed the
    gate".
    """
    left = proposals
    asked = _asked(stats)
    stages = [Stage("Proposals", proposals, 1.0, ())]
    for number, (stage, name) in enumerate(STAGES.items()):
        words = at(stage)
        here = {words[reason]: count for reason, count in reasons.items() if reason in words and count}
        if number == len(STAGES) - 1:
            here |= {reason: count for reason, count in reasons.items() if reason not in REASONS and count}
        if not here and asked is not None and stage in JUDGED and not asked & JUDGED[stage]:
            continue
        left -= sum(here.values())
        lost = tuple(sorted(here.items(), key=lambda item: (-item[1], item[0])))
        stages.append(Stage(name, left, left / proposals, lost))
    counts = [
        value if isinstance(value := stats.get(k), int) else None
        for k in ("accepted", "adjudicated", "adjudicated_kept")
    ]
    return Funnel(tuple(stages), *counts)


def reviewed(stats: Mapping[str, Any]) -> bool:
    """Return whether a model judged the proposals. `stats`: the content of stats.json. If stats.json does not say which
    kinds of model calls were made, return True."""
    asked = _asked(stats)
    return asked is None or any(asked & calls for calls in JUDGED.values())


def _asked(stats: Mapping[str, Any]) -> set[str] | None:
    """The kinds of calls of the run; None where its statistics do not say."""
    replies = stats.get("replies")
    if not isinstance(replies, Mapping) or not replies:
        return None
    return {str(step) for steps in replies.values() if isinstance(steps, Mapping) for step in steps}


def _reasons(arm: Arm, stats: Mapping[str, Any]) -> dict[str, int]:
    reasons = stats.get("reasons")
    if isinstance(reasons, dict) and all(isinstance(count, int) for count in reasons.values()):
        return reasons
    table = data.read_table(arm.file("data", "rejected.parquet"), ["reason"])
    return dict(Counter(str(reason) for reason in table["reason"].to_pylist())) if table is not None else {}
