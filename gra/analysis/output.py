"""Writes what `gra analyze` found: a JSON file, and beside it the map (SVG, CSV) and the scores of each set's reviewers (SVG)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gra.compare.coverage import picture, words
from gra.compare.coverage.measure import Coverage
from gra.compare.report import score_shapes
from gra.compare.report.judgements import Judged
from gra.compare.report.svg_file import chart_file
from gra.compare.tables.numbers import MISSING
from gra.fileio import write_json, write_text

Reviewed = Mapping[str, tuple[Sequence[Judged], float | None]]  # set -> its proposals and its gate's tau


def write(path: Path, told: dict[str, Any], drawn: Coverage | str, reviewed: Reviewed, simulated: bool) -> list[Path]:
    """Write the analysis as JSON to `path`, and its pictures to files beside `path`. Return the paths of all files.

    The name of a picture starts with the name of the JSON file. For example, the map of analysis.json is
    analysis-map.svg.

    `drawn`: the map, which shows where the instructions lie in embedding space. If there is no map, it is a sentence
        that says why.
    `told`: all other results of the analysis, as they are written to the JSON file.
    `reviewed`: data set -> (proposals, threshold). The proposals are the generated samples of the data set, both kept
        and dropped, with their review scores. The threshold is the smallest mean review score with which a proposal is
        accepted (None: unknown).
    """
    write_json(path, told | {"coverage": words.data(drawn) if isinstance(drawn, Coverage) else {"absent": drawn}})
    files, stem = [path], path.with_suffix("")
    label = "; simulated" if simulated else ""
    if isinstance(drawn, Coverage):
        note = f"In colour: the instructions of one set; grey: of all{label}"
        files += [
            _text(f"{stem}-map.svg", picture.standalone(drawn, note)),
            _text(f"{stem}-map.csv", words.csv_text(drawn)),
        ]
    for name, (found, tau) in reviewed.items():
        if shown := score_shapes.shapes(found, tau):
            title = f"Share of samples by score, {name}{label}"
            picture_of = chart_file(score_shapes.chart(shown, tau), [one.name for one in shown], title)
            files.append(_text(f"{stem}-scores-{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.svg", picture_of))
    return files


def _text(path: str, text: str) -> Path:
    write_text(Path(path), text)
    return Path(path)


def spoken(drawn: Coverage | str, reviewed: Reviewed) -> str:
    """Return the results of the analysis as Markdown tables, for the terminal.

    The first table has the statistics of the map, which shows where the instructions lie in embedding space. For each
    data set, a further table summarises the scores that each reviewer gave.

    `drawn`: the map, or a sentence that says why there is no map. Such a sentence replaces the first table.
    `reviewed`: data set -> (proposals, threshold). The proposals are the generated samples of the data set, both kept
        and dropped, with their review scores. The threshold is the smallest mean review score with which a proposal is
        accepted (None: unknown).
    """
    parts = [
        drawn if isinstance(drawn, str) else _table(words.HEADINGS, words.lines(drawn)) + f"\n\n{words.method(drawn)}"
    ]
    for name, (found, tau) in reviewed.items():
        if shown := score_shapes.shapes(found, tau):
            rows = [score_shapes.cells(one) for one in shown]
            gate = MISSING if tau is None else f"{tau:g}"
            parts.append(f"Reviewers of {name} (tau {gate}):\n\n{_table(score_shapes.HEADINGS, rows)}")
            parts += [said] if (said := score_shapes.sentence(found)) else []
    return "\n\n".join(parts)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"| --- |{' ---: |' * (len(headings) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
