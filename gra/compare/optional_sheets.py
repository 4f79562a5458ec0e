"""Makes the sheets that a comparison shows besides its table, if its options ask for them, and the texts of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gra.compare.best import best
from gra.compare.contrast_sheet import contrasts
from gra.compare.options import Options
from gra.compare.paper.sheets import papers
from gra.compare.power_sheet import measured
from gra.compare.reading.evaluated import REREAD, Evaluated
from gra.compare.readings_sheet import readings
from gra.compare.tables.sheet import SUFFIX, WRITTEN, Sheet, render


def optional_sheets(evaluated: Evaluated, reference: str, options: Options) -> dict[str, list[Sheet]]:
    """Return the further tables (sheets) of a comparison, as a mapping from file name to list of tables.

    The file names have no extension. `options` says which tables are wanted. If there is nothing to show in a table, it
    is left out. Raises ConfigError for contrasts or rows that do not exist, and EvalError if arms were evaluated on
    different items.
    """
    labels = {name: group[0].label for name, group in evaluated.groups.items()}
    found: dict[str, list[Sheet]] = {}
    if options.contrasts:
        found["contrasts"] = [contrasts(evaluated, options)]
    if options.best:
        found["best"] = [best(evaluated, options)]
    if any(scored[reading] for reading in REREAD for scored in evaluated.scored.values()):
        found["readings"] = [readings(evaluated, reference, options, labels)]
    if options.power is not None:
        found["power"] = [measured(evaluated, reference, options.power / 100, options.level)]
    if options.paper is not None:
        found |= papers(evaluated, options, options.paper, labels)
    return {
        name: [replace(sheet, name=name if not place else f"{name}-{place + 1}") for place, sheet in enumerate(sheets)]
        for name, sheets in found.items()
    }


def texts(further: Mapping[str, list[Sheet]]) -> dict[str, str]:
    """Return a mapping from file name to content, with a Markdown, a LaTeX and a CSV file for each list of tables.

    The CSV file holds only the last table of the list.
    `further`: file name without its ending -> the list of tables.
    """
    return {
        f"{name}.{SUFFIX[form]}": render(sheets[-1:] if form == "csv" else sheets, form)
        for name, sheets in further.items()
        for form in WRITTEN
    }
