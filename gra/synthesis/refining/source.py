"""The data set that is refined: the seeds of the config, which can also be a data folder of this project."""

from __future__ import annotations

from pathlib import Path

from gra.synthesis.seeds.columns import Columns
from gra.synthesis.seeds.folders import TRAIN, train_file
from gra.synthesis.seeds.load import SeedSettings, resolve

# A sample keeps its id, and its domain, keywords and summary are not asked for again.
OURS = Columns(
    **{name: name for name in ("instruction", "response", "domain", "keywords", "summary", "id")},
)


def source(settings: SeedSettings, base: Path | None) -> SeedSettings:
    """Return the settings with the columns of a data folder of this project, if the path names one and no columns are given."""
    if settings.columns.given or settings.format != "auto" or data_folder(settings, base) is None:
        return settings
    return settings.model_copy(update={"columns": OURS})


def data_folder(settings: SeedSettings, base: Path | None) -> Path | None:
    """Return the data folder of this project that the path names, by itself or by its file of kept samples; None for other data."""
    if settings.path is None or settings.hub is not None:
        return None
    path = resolve(settings.path, base)
    folder = path.parent.parent if path.parts[-2:] == TRAIN.parts else path
    return None if train_file(folder) is None else folder
