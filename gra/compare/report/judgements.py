"""Computes from the reviewers' scores how far pairs of reviewers agree and which generators they prefer, and counts the
kept samples of each domain.

A reviewer's preference for a generator is the difference between two means (gra/severity.py). The first is the mean,
over the generator's samples, of the reviewer's score minus the other reviewers' mean score. The second is the same mean
over the samples of all other generators. No sample is reviewed by the model that generated it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from gra.compare.arms import Arm
from gra.compare.reading import data
from gra.compare.report.browse import FEW, number, text
from gra.compare.report.samples import WINDOW
from gra.compare.tables.numbers import MISSING, count, percent
from gra.correlation import pearson
from gra.model_names import family_of
from gra.reasons import REASONS
from gra.severity import below_others, preference

LEAST = 20  # least number of common samples for a figure on a pair
MOST_MODELS, MOST_DOMAINS = 12, 40


@dataclass(frozen=True)
class Judged:
    """One proposal, with the reviewers' scores and the committee's decision.

    `scores`: reviewer -> score. It is empty if nobody scored the proposal. `std`: the standard deviation of the scores,
    as the synthesis recorded it. `accepted`: whether the committee accepted the proposal. None means unknown. An
    accepted proposal can still be dropped, e.g. as a duplicate.
    """

    domain: str
    generator: str
    scores: Mapping[str, float]
    kept: bool
    std: float | None = None
    accepted: bool | None = None


def judged(arm: Arm) -> list[Judged]:
    """Return the kept and the dropped proposals in the arm's data folder. If a table has more than WINDOW rows, only
    evenly spaced groups of rows are read."""
    found: list[Judged] = []
    for parts, kept in ((("data", "train.parquet"), True), (("rejected.parquet",), False)):
        path = arm.file("data", *parts)
        file = data.open_table(path)
        if file is None:
            continue
        step = max(1, -(-file.metadata.num_rows // WINDOW))
        names = [name for name in ("domain", "generator", "scores", "std", "reason") if name in file.schema_arrow.names]
        rows = data.read_groups(path, file, range(0, file.num_row_groups, step), names).to_pylist()
        for row in rows:
            scores = {
                text(one.get("model"), FEW): value
                for one in row.get("scores") or ()
                if (value := number(one.get("score"))) is not None
            }
            accepted = True if kept else reason.accepted if (reason := REASONS.get(str(row.get("reason")))) else None
            names_of = (text(row.get("domain"), FEW), text(row.get("generator"), FEW))
            found.append(Judged(*names_of, scores, kept, number(row.get("std")), accepted))
    return found


def gate(arm: Arm) -> tuple[float | None, float | None]:
    """Return the settings tau and delta of the arm's synthesis, from the data folder's manifest. A setting that the
    manifest lacks is None.

    A sample is accepted if its mean score is at least tau. It is disputed if the standard deviation of its scores is
    above delta.
    """
    settings = arm.manifests.get("data", {}).get("config", {}).get("synthesis")
    settings = settings if isinstance(settings, Mapping) else {}
    tau, delta = (settings.get(key) for key in ("tau", "delta"))
    return (tau if isinstance(tau, int | float) else None, delta if isinstance(delta, int | float) else None)


def pairs(found: Sequence[Judged]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return a mapping from each pair of reviewers to their scores for the samples that both reviewed. A key is the
    pair of their names in alphabetical order. Its value has one pair of scores for each sample that both reviewed."""
    seen: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for one in found:
        for first, second in combinations(sorted(one.scores), 2):
            seen[first, second].append((one.scores[first], one.scores[second]))
    return seen


def below(found: Sequence[Judged]) -> dict[str, dict[str, list[float]]]:
    """Return how far each reviewer's scores lie below those of the other reviewers. The result maps reviewer ->
    generator -> one number for each of the generator's samples.

    The number is the mean of the other reviewers' scores minus this reviewer's score. Only samples with two reviews or
    more are counted.
    """
    seen: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        for model, gap in zip(one.scores, below_others(list(one.scores.values())), strict=True):
            if gap is not None:
                seen[model][one.generator].append(gap)
    return seen


def agreement(found: Sequence[Judged]) -> dict[str, Any] | None:
    """Return a table of the correlations between the scores of every two reviewers. It has a line and a column for each
    reviewer. Return None if no correlation can be computed."""
    models = _models(name for one in found for name in one.scores)
    every = pairs(found)
    if all(correlation(both) is None for both in every.values()):
        return None
    lines = []
    for row in models:
        cells = []
        for column in models:
            both = every.get((min(row, column), max(row, column)), [])
            value = correlation(both) if row != column else None
            cells.append(_cell(value, len(both), "{:.2f}") if row != column else {"text": "", "shade": "", "title": ""})
        lines.append((row, cells))
    return {"models": models, "lines": lines}


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Pearson's correlation between the first and the second values of `pairs`. Return None if there are fewer
    than LEAST pairs, or if the first or the second values are all equal."""
    return pearson(pairs) if len(pairs) >= LEAST else None


def preferences(found: Sequence[Judged]) -> dict[str, Any] | None:
    """Return a table that shows how much each reviewer prefers each generator. It has a line per reviewer and a column
    per generator. The surplus of a sample is the reviewer's score minus the mean score of the other reviewers. The
    preference is the mean surplus of the generator's samples minus the mean surplus of all other generators' samples.

    If the models belong to several families and one family has several models, a last column shows the preference for
    the reviewer's own family. Return None if no sample has two reviews, or if there are fewer than two generators.
    """
    gaps = below(found)
    models, writers = _models(gaps), _models(one.generator for one in found if one.generator and one.scores)
    if not models or len(writers) < 2:
        return None
    shared = {name for name, seen in Counter(map(family_of, {*models, *writers})).items() if seen > 1}
    several = bool(shared) and len({family_of(name) for name in (*models, *writers)}) > 1
    lines = []
    for model in models:
        kin = [writer for writer in gaps[model] if family_of(writer) == family_of(model)]
        sides = [*([writer] for writer in writers), *([kin] if several else [])]
        lines.append((model, [_preferred(gaps[model], side) for side in sides]))
    return {"writers": [*writers, *(["its own family"] if several else [])], "lines": lines}


def _preferred(seen: Mapping[str, Sequence[float]], writers: Sequence[str]) -> dict[str, str]:
    common = sum(len(seen.get(writer, ())) for writer in writers)
    return _cell(preference(seen, writers, LEAST), common, "{:+.1f}", scale=1.5)


def _cell(value: float | None, n: int, form: str, scale: float = 1.0) -> dict[str, str]:
    """A cell's text, its shade (`plus-4` to `minus-4`, by sign and size) and, as its title, the number of samples
    behind it."""
    if value is None:
        return {"text": MISSING, "shade": "", "title": f"{n:,} common samples"}
    step = min(4, round(4 * abs(value) / scale))
    sign = "plus" if value >= 0 else "minus"
    shown = form.format(value)
    return {
        "text": "0.0" if shown in ("+0.0", "-0.0") else shown,
        "shade": f"{sign}-{step}" if step else "",
        "title": f"{n:,} common samples",
    }


def domains(found: Sequence[Judged]) -> list[tuple[str, str, str, str, float]]:
    """Return a row of five values for each domain. The domain with the most kept samples comes first.

    The first four values are texts: the domain's name, the number of its kept samples, the percentage of all kept
    samples that are in the domain, and the percentage of the domain's proposals that were kept. The fifth value states
    the same share as the third, but as a number from 0 to 1.
    """
    kept, every = (Counter(one.domain for one in found if one.domain and (one.kept or rest)) for rest in (False, True))
    total = sum(kept.values())
    return [
        (name, count(kept[name]), percent(kept[name] / total), percent(kept[name] / every[name]), kept[name] / total)
        for name in sorted(every, key=lambda name: (-kept[name], name))[:MOST_DOMAINS]
        if total
    ]


def _models(names: Iterable[str]) -> list[str]:
    return sorted(set(names))[:MOST_MODELS]
