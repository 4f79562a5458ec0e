"""Defines the config group `refine`: what the models write for each record, and which of several responses is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from gra.settings import Settings
from gra.synthesis.settings import SynthesisSettings

# Settings of a synthesis that have no effect here: there are no rounds, no pool and no new instructions.
WITHOUT_EFFECT = (
    *("rounds", "samples_per_round", "max_proposals", "shots", "show", "domains", "taken", "thin_domain", "dedup"),
)


class RefineSettings(Settings):
    """What the committee does with each record of the data set."""

    write: Literal["rewrite", "answer", "keep"] = Field(
        "rewrite",
        description="What is written for each record. rewrite: the generator sees instruction and response and writes a better "
        "response; answer: it sees the "
        "instruction alone; keep: nothing is written, the committee judges the response as it is.",
    )
    answers: int = Field(
        1, ge=1, le=1000, description="Number of responses written for each record, all by the same model."
    )
    choose: Literal["best", "vote", "first"] = Field(
        "best",
        description="Which of several accepted responses is kept. first: the first accepted one; no more are written after it. "
        "best: the one with the highest mean score; without review, the first. vote: the first one with the most "
        "frequent final answer, in checkable domains; in other domains only one response is written.",
    )
    agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="With choose=vote: smallest share of votes that the most frequent final answer must have, else the record is "
        "dropped. Each response that states a final answer has one vote.",
    )
    check: bool = Field(
        True,
        description="true: reviewers also check the instructions, as in a synthesis, if `synthesis.review` is true (NS).",
    )
    samples: int | None = Field(
        None,
        ge=1,
        description="Number of samples to keep; records are processed in their order until it is reached; null: all records are "
        "processed.",
    )


def committee(synthesis: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the settings `synthesis` that has an effect in the stage `refine`. The data card shows it."""
    shown = {key: value for key, value in synthesis.items() if key not in WITHOUT_EFFECT}
    return shown | {
        "decoding": {k: v for k, v in synthesis["decoding"].items() if k not in ("keywords", "instruction")}
    }


def needs_domain(refine: RefineSettings, synthesis: SynthesisSettings) -> bool:
    """Return whether a record without a domain must be annotated with one. This is necessary if responses are reviewed,
    because the reviewers' prompts show the domain. It is also necessary with choose=vote, because a vote is taken only
    in domains in which an answer is either right or wrong, such as mathematics."""
    return synthesis.review or refine.choose == "vote"
