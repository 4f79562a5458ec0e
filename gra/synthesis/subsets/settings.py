"""The settings of the stage `subset`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gra.settings import Settings


class SubsetSettings(Settings):
    """Which samples of the input data folders are kept, and how many."""

    choose: Literal["all", "random", "first", "length_matched"] = Field(
        "random",
        description="Which samples are kept. all: those of all folders; random: drawn by `seed`; first: the first ones in the "
        "folders' "
        "order; length_matched: for each sample of the input `like`, in random order, the remaining sample whose response is "
        "nearest in length (characters).",
    )
    samples: int | None = Field(None, ge=1, description="Number of samples to keep; null: `budget` decides.")
    budget: Literal["samples", "tokens"] = Field(
        "samples",
        description="How many samples are kept if `samples` is null. samples: as many as the input `like` has; tokens: as many "
        "as the "
        "tokens spent on `like` would have bought here. The tokens are those in the stats.json of both folders, including the data "
        "that they were made from.",
    )


class SubsetStageSettings(Settings):
    """The whole config of the stage `subset`."""

    seed: int = Field(description="Seed that draws the samples.")
    subset: SubsetSettings = Field(description="Which samples are kept.")
    license: str | None = Field(None, description="Licence id of the data, for the card; null: unknown.")
    runtime: dict[str, Any] = Field(default_factory=dict, description="No effect.")
