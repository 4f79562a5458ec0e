"""Chooses the best of several arms, e.g. of the paper's rounds, on a development split, and scores it on the other
items.

The paper chooses the best round by the same scores that it reports. The best of five noisy scores is too high by
chance. So the arm is also chosen in the paper's way, and both results are shown. A hash of benchmark and item decides
which items belong to the development split, so the split is the same for every arm and run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gra.compare.options import Options
from gra.compare.reading.evaluated import Evaluated, Scored
from gra.compare.statistics.bootstrap import level_of
from gra.compare.statistics.item_scores import Outcomes
from gra.compare.tables.numbers import MISSING, percent, span
from gra.compare.tables.sheet import Sheet
from gra.errors import ConfigError, Problem

DEVELOPMENT = 0.2  # share of the items by which the arm is chosen
WAYS = {"development": "development split", "test": "the reported items themselves (the paper's way)"}


def in_development(task: str, item: str) -> bool:
    """Return whether an item (a benchmark question) is in the development split, on which the best arm is chosen."""
    digest = hashlib.sha256(f"{task}\n{item}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < DEVELOPMENT * 2**64


def part(scored: Scored, development: bool) -> dict[str, Outcomes]:
    """Return the outcomes on the development split if `development` is true, else the outcomes on the other items.

    If none of a benchmark's items are in the chosen part, the benchmark is left out.
    """
    found = {}
    for task, one in scored.items():
        places = [at for at, item in enumerate(one.doc_ids) if in_development(task, item) == development]
        if places:
            found[task] = replace(
                one,
                doc_ids=tuple(one.doc_ids[at] for at in places),
                correct=one.correct[:, places],
                clusters=None if one.clusters is None else tuple(one.clusters[at] for at in places),
                answers=None if one.answers is None else tuple(one.answers[at] for at in places),
            )
    return found


def mean(scored: Scored) -> float:
    """Return the unweighted mean of the benchmarks' scores."""
    return sum(float(one.correct.mean()) for one in scored.values()) / len(scored)


def candidates(text: str, evaluated: Evaluated) -> list[str]:
    """Return the names of the arms in a text such as A+B+C. If one of the arms is not evaluated yet, return [].

    Raises ConfigError if an arm does not exist, or if the arms have different benchmarks.
    """
    names = [name.strip() for name in text.split("+")]
    if unknown := [name for name in names if name not in evaluated.groups]:
        known = ", ".join(evaluated.groups)
        raise ConfigError([Problem("compare.best", f"`{unknown[0]}` is not an arm", f"choose from: {known}")])
    scored = {name: evaluated.scored[name]["strict"] for name in names}
    if not all(scored.values()):
        return []
    if len({tuple(sorted(found)) for found in scored.values()}) > 1:
        message = f"{text}: the arms have different benchmarks"
        raise ConfigError([Problem("compare.best", message, "choose among arms with the same benchmarks")])
    return names


def best(evaluated: Evaluated, options: Options) -> Sheet:
    """Return a table that shows which of several arms is best.

    An entry of `options.best` names the arms to choose from, such as A+B+C. The table has two rows for each entry. For
    the first row, the best arm is chosen on the development split and scored on the other items. For the second row, it
    is chosen and scored on all items. If an arm is not evaluated yet, there is only one row, which says so.
    """
    lines, records = [], []
    drawn: Mapping[str, Any] = {name: getattr(options, name) for name in ("resamples", "seed", "level", "items_only")}
    simulated = any(evaluated.simulated(name) for text in options.best for name in candidates(text, evaluated))
    for text in options.best:
        names = candidates(text, evaluated)
        if not names:
            lines.append([text, MISSING, "not all of them are evaluated yet", MISSING, MISSING])
            continue
        strict = {name: evaluated.scored[name]["strict"] for name in names}
        sides = {name: (part(scored, True), part(scored, False)) for name, scored in strict.items()}
        if any(not first or set(first) != set(rest) for first, rest in sides.values()):
            message = f"{text}: a benchmark has too few items to be split"
            raise ConfigError([Problem("compare.best", message, "evaluate more items")])
        for way, words in WAYS.items():
            chosen_by = {name: mean(sides[name][0] if way == "development" else strict[name]) for name in names}
            chosen = max(names, key=lambda name: chosen_by[name])  # if several are equal, the first
            reported = sides[chosen][1] if way == "development" else strict[chosen]
            found = level_of(reported, **drawn).mean
            cells = ", ".join(f"{name} {percent(value)}" for name, value in chosen_by.items())
            lines.append([text, words, cells, chosen, span(found)])
            records.append(
                {
                    "best": text,
                    "selection": way,
                    "chosen": chosen,
                    "mean": found.value,
                    "low": found.low,
                    "high": found.high,
                    "simulated": simulated,
                }
            )
    notes = [
        f"The best of the arms, chosen by {100 * DEVELOPMENT:g} % of the items and scored on the others, or chosen and scored on "
        "all of them, which is too high by chance. Its interval says nothing about the choice."
    ]
    if simulated:
        notes.append("Simulated: the numbers say nothing about real models.")
    headings = ("Best of", "Chosen on", "By", "Chosen", "Its mean")
    return Sheet("Best arm (simulated)" if simulated else "Best arm", headings, lines, notes, records, words=2)
