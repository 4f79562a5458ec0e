"""Defines the settings of the `seeds` config group and finds the files at `seeds.path`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from gra.paths import located
from gra.settings import Settings
from gra.synthesis.seeds.columns import Columns
from gra.synthesis.seeds.folders import train_file
from gra.synthesis.seeds.known_sets import READERS

HUB = "hf:"


class SeedSettings(Settings):
    """The seeds: where they are and how they are read."""

    path: str | None = Field(
        None,
        description="A file, a folder of data files, hf:NAME for a data set of the hub, or gra:NAME for a file in this "
        "package's conf folder; null: an error if seeds are needed.",
    )
    format: Literal[("auto", *READERS, "jsonl", "json", "csv", "parquet", "hub")] = Field(  # type: ignore[valid-type]
        "auto",
        description="Name of a known data set, or kind of the file (with `columns` if its column names are unusual). auto: "
        "recognised from the content.",
    )
    config: str | None = Field(
        None,
        description="Name of the configuration (subset) to load, for a data set of the hub or a local copy of one; null: its only "
        "configuration.",
    )
    split: str = Field("train", description="The split to read, if the data set has several.")
    revision: str | None = Field(
        None, description="Commit of a hub data set; null: the newest, which can change between runs."
    )
    limit: int | None = Field(
        1000, ge=2, description="Number of seed records, drawn at random by the run's `seed`; null: all (NS)."
    )
    max_bad: int = Field(50, ge=0, description="Limit on skipped bad records; more are an error.")
    columns: Columns = Field(
        Columns(), description="The columns of the records. If all are null, they are recognised by their usual names."
    )
    name: str | None = Field(
        None, description="Name of the data set in cards and tables; null: the file's name or the hub id."
    )
    license: str | None = Field(None, description="Licence id of the data set, as hub cards spell it; null: unknown.")

    @property
    def hub(self) -> str | None:
        """The hub id, or None for files."""
        if self.path is None:
            return None
        return self.path.removeprefix(HUB) if self.format == "hub" or self.path.startswith(HUB) else None


def seed_files(settings: SeedSettings, key: str = "seeds") -> dict[str, Path]:
    """Return {"seeds.path": file or folder}. The content of this file or folder becomes part of the step's fingerprint,
    the hash of everything that decides the step's output.

    `key`: the config key of the seeds, which replaces "seeds" in the result. The result is empty for a hub data set. It
    is also empty if the path does not exist, because the path is then inside an input of the step, and inputs have
    their own fingerprints. If the path is a data folder of this project, only the file with its kept samples is
    returned. The folder's journal, statistics and card do not change the seeds.
    """
    if settings.path is None or settings.hub is not None:
        return {}
    path = located(settings.path)
    return {f"{key}.path": train_file(path) or path} if path.exists() else {}


def resolve(path: str, base: Path | None) -> Path:
    """Return the path of the seeds. If `path` is relative and `base` is given, it is a path inside `base`. A path
    `gra:NAME` names a file in the project's conf folder and is never relative."""
    given = located(path)
    return given if base is None else base / given
