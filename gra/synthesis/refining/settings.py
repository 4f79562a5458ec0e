"""The `refine` config group: what the models write for each record, and which of several answers is kept."""

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
    """What happens to each record. "NS" marks a default that no source states."""

    write: Literal["rewrite", "answer", "keep"] = Field(
        "rewrite",
        description="rewrite: the generator sees instruction and response and writes a better response; answer: it sees the "
        "instruction alone; keep: nothing is written, the committee judges the response as it is.",
    )
    answers: int = Field(1, ge=1, le=1000, description="Responses written for each record, all by one model.")
    choose: Literal["best", "vote", "first"] = Field(
        "best",
        description="Of several accepted responses. best: highest mean of the reviewers, without review the first; vote: the first "
        "with the most frequent final answer, in checkable domains (others get one response); first: the first, later ones are "
        "not written.",
    )
    agreement: float = Field(
        0.0, ge=0, le=1, description="choose=vote: least share of the readable final answers that must agree."
    )
    check: bool = Field(
        True, description="Whether reviewers check the instructions too (synthesis.review), as for new ones (NS)."
    )
    samples: int | None = Field(
        None, ge=1, description="Records are taken in their order until so many samples are kept; null: all records."
    )


def committee(synthesis: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the synthesis that have an effect in this stage, for the data card."""
    shown = {key: value for key, value in synthesis.items() if key not in WITHOUT_EFFECT}
    return shown | {
        "decoding": {k: v for k, v in synthesis["decoding"].items() if k not in ("keywords", "instruction")}
    }


def needs_domain(refine: RefineSettings, synthesis: SynthesisSettings) -> bool:
    """Return whether a record without a domain must be annotated: prompts of reviewers show the domain, and votes are counted only
    in checkable domains."""
    return synthesis.review or refine.choose == "vote"
