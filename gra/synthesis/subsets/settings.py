"""The settings of the stage `subset`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gra.settings import Settings


class SubsetSettings(Settings):
    """Which samples of the data folders are kept, and how many."""

    choose: Literal["all", "random", "first", "length_matched"] = Field(
        "random",
        description="all: the folders together; random: drawn by the run's seed; first: in the folders' order; length_matched: for "
        "each sample of the input `like` the nearest in length that is left (characters of the response), in random order.",
    )
    samples: int | None = Field(None, ge=1, description="Samples to keep; null: as `budget` says.")
    budget: Literal["samples", "tokens"] = Field(
        "samples",
        description="samples=null: as many samples as the input `like` has, or as many as the tokens spent on it would have bought "
        "here (tokens of both folders' stats.json, with those of the data that they were made from).",
    )


class SubsetStageSettings(Settings):
    """The stage's config."""

    seed: int = Field(description="Draws the samples.")
    subset: SubsetSettings = Field(description="Which samples are kept.")
    license: str | None = Field(None, description="Licence id of the data, for the card; null: unknown.")
    runtime: dict[str, Any] = Field(default_factory=dict, description="No effect.")
