"""`gra compare`: from an experiment's arms to table.md, table.csv and report.html. Reads folders, imports no stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare import report, sheet, table
from gra.compare.arms import Arm, check_arms
from gra.compare.options import Options
from gra.compare.rows import build
from gra.errors import ConfigError
from gra.fileio import write_text
from gra.settings import parse


def compare(arms: Sequence[Arm], *, title: str, reference: str, output: Path, options: Mapping[str, Any]) -> str:
    """Compare `arms` with the one named `reference`; write table.md, table.csv and report.html to the folder `output`.

    Arms of one name are replicates of one row, each with its own `replicate`. Steps that an arm has not done show as "-".
    `options` are those of `gra.compare.options.Options`. Returns the table as terminal text.

    Raises ConfigError for wrong arms or options, EvalError where arms were evaluated on different items or a scores folder
    contradicts itself, StoreError for a folder that cannot be read.
    """
    settings, problems = parse(Options, options, "compare")
    problems += check_arms(arms, reference)
    if settings is None or problems:
        raise ConfigError(problems)
    comparison = build(
        arms, title=title, reference=reference, resamples=settings.resamples, level=settings.level, seed=settings.seed,
        items_only=settings.items_only,
    )  # fmt: skip
    page = report.render(comparison, arms, settings.samples)
    write_text(output / "table.md", table.markdown(comparison))
    write_text(output / "table.csv", sheet.csv_text(comparison))
    write_text(output / "report.html", page)
    return table.terminal(comparison, settings.width)
