"""Finds the data set to refine: the config's `seeds`, which can be any data set or a data folder of this project."""

from __future__ import annotations

from pathlib import Path

from gra.synthesis.seeds.columns import Columns
from gra.synthesis.seeds.folders import TRAIN, train_file
from gra.synthesis.seeds.load import SeedSettings, resolve

# With these columns a sample keeps its id, domain, keywords and summary, so no model is asked for them.
OURS = Columns(
    **{name: name for name in ("instruction", "response", "domain", "keywords", "summary", "id")},
)


def source(settings: SeedSettings, base: Path | None) -> SeedSettings:
    """Return the settings with which the data set is read. If the path in `settings` leads to a data folder of this
    project, and `settings` name neither columns nor a format, return `settings` with the column names of such a folder.
    Otherwise, return `settings` unchanged."""
    if settings.columns.given or settings.format != "auto" or data_folder(settings, base) is None:
        return settings
    return settings.model_copy(update={"columns": OURS})


def data_folder(settings: SeedSettings, base: Path | None) -> Path | None:
    """Return the data folder of this project to which the path in `settings` leads. The path can be the folder or its
    data/train.parquet. Return None if the path leads to other data."""
    if settings.path is None or settings.hub is not None:
        return None
    path = resolve(settings.path, base)
    folder = path.parent.parent if path.parts[-2:] == TRAIN.parts else path
    return None if train_file(folder) is None else folder
