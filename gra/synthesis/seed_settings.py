"""The `seeds` config group, and what its path means."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from gra.paths import located
from gra.settings import Settings
from gra.synthesis.seed_columns import Columns
from gra.synthesis.seed_folders import train_file

HUB = "hf:"


class SeedSettings(Settings):
    """The `seeds` config group. "NS" marks a default that no source states."""

    path: str | None = Field(
        None, description="A file, a folder of data files, hf:NAME for a hub data set, or gra:NAME for one of the package's conf."
    )
    format: Literal["auto", "alpaca", "wizardlm", "condor", "self_instruct", "jsonl", "json", "csv", "parquet", "hub"] = Field(
        "auto", description="A known set, or the kind of file (then `columns`, if its column names do not tell)."
    )
    config: str | None = Field(None, description="Data sets of the hub, or copies of them: the configuration's name.")
    split: str = Field("train", description="The split to read where there are several: on the hub, in folders, in documents.")
    revision: str | None = Field(None, description="Hub data sets: a commit; null: the newest, which may change between runs.")
    limit: int | None = Field(1000, ge=2, description="Seeds to use, a random subset drawn by the run's seed; null: all (NS).")
    max_bad: int = Field(50, ge=0, description="Bad records that are skipped; one more is an error.")
    columns: Columns = Columns()
    name: str | None = Field(None, description="What cards and tables call the set; null: the file's name or hub id.")
    license: str | None = Field(None, description="Licence id of the set, as hub cards spell it; null: unknown.")

    @property
    def hub(self) -> str | None:
        """The hub id, or None for files."""
        if self.path is None:
            return None
        return self.path.removeprefix(HUB) if self.format == "hub" or self.path.startswith(HUB) else None


def seed_files(settings: SeedSettings, key: str = "seeds") -> dict[str, Path]:
    """The seed file or folder whose content belongs in a fingerprint, by config key. Empty for hub sets, and for a path
    that is not there yet (it lies in a stage's input, which has a fingerprint of its own). Of a data folder of this project
    that is the kept samples: its journal, its figures and its card do not count."""
    if settings.path is None or settings.hub is not None:
        return {}
    path = located(settings.path)
    return {f"{key}.path": train_file(path) or path} if path.exists() else {}


def resolve(path: str, base: Path | None) -> Path:
    """`path`, in `base` if it is relative and there is one. `gra:NAME` is never relative."""
    given = located(path)
    return given if base is None else base / given
