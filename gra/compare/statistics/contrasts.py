"""PURE: computes contrasts between arms: the difference of two arms, `A-B`, or of the means of several arms,
`A1+A2+A3-B1+B2+B3`.

For means over several arms (such as one arm per seed set), items are drawn jointly: all arms answered the same items,
and a resample takes the same items for all arms. With enough training runs, the interval is over items and training
runs (weighted.py); otherwise it is over items only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gra.compare.statistics import weighted
from gra.compare.statistics.bootstrap import LEVEL, RESAMPLES, Difference, Interval, around, between, paired_bootstrap
from gra.compare.statistics.edges import Edge, edge
from gra.compare.statistics.item_scores import Outcomes, Table, joined, replicates_of
from gra.errors import ConfigError, EvalError, Problem

Scored = Mapping[str, Outcomes]  # benchmark -> outcomes of one arm


@dataclass(frozen=True)
class Contrast:
    """A named contrast and its result. `tasks`: the benchmarks that all its arms have."""

    name: str
    weights: Mapping[str, float]
    difference: Difference
    tasks: tuple[str, ...]


def parse(text: str, names: Sequence[str]) -> dict[str, float]:
    """Return the weight of each arm in the contrast `text`. The contrast A-B is arm A minus arm B. The contrast
    A1+A2-B1+B2 is the mean of A1 and A2 minus the mean of B1 and B2. `names`: the arms. Their names may contain + and
    -.

    Raises ConfigError if `text` contains a name that is not an arm, or if it can be read in two ways.
    """
    found = []
    for place, sign in enumerate(text):
        if sign == "-":
            for plus in _sums(text[:place], names):
                for minus in _sums(text[place + 1 :], names):
                    if not set(plus) & set(minus):
                        found.append({**dict.fromkeys(plus, 1 / len(plus)), **dict.fromkeys(minus, -1 / len(minus))})
    if len(found) == 1:
        return found[0]
    what = f"`{text}` is not a difference of arms" if not found else f"`{text}` can be read in {len(found)} ways"
    remedy = f"A-B, or A1+A2-B1+B2, of the arms {', '.join(names)}"
    raise ConfigError([Problem("contrast", what, remedy if not found else "give the arms names without + and -")])


def contrast(
    arms: Mapping[str, Scored],
    weights: Mapping[str, float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
    groups: Mapping[str, Sequence[str]] | None = None,
    items_only: bool = False,
) -> Difference:
    """Return the weighted sum of the arms' scores, with intervals, on the benchmarks that all these arms have.
    `weights`: the weight of each arm. `groups`: named groups of benchmarks. The result also has, for each group, the
    weighted sum of the arms' means over the group's benchmarks.

    For two arms with the weights 1 and -1, the result is the same as that of `paired_bootstrap`. Raises EvalError if
    the arms have no benchmark in common or have different items.
    """
    names = [name for name, weight in weights.items() if weight]
    tasks = shared(arms, names)
    options = {"resamples": resamples, "seed": seed, "level": level, "groups": groups or {}, "items_only": items_only}
    sides = [{task: arms[name][task] for task in tasks} for name in names]
    if [weights[name] for name in names] in ([1, -1], [-1, 1]):
        first, second = sides if weights[names[0]] > 0 else reversed(sides)
        return paired_bootstrap(first, second, **options)  # type: ignore[arg-type]
    factors = [weights[name] for name in names]
    counts = [len(replicates_of(side)) for side in sides]
    tables = joined(sides)
    alone = {task: _gaps(table, counts, factors) for task, table in tables.items()}
    clustered = {task: drawn for task, one in sides[0].items() if (drawn := one.clusters_drawn) is not None}
    least = tuple(
        min((count for count, factor in zip(counts, factors, strict=True) if factor * sign > 0), default=1)
        for sign in (1, -1)
    )
    if items_only or not weighted.known(counts):
        found = between(alone, (1, 0), **(options | {"items_only": True}))  # type: ignore[arg-type]
        return replace(found, replicates=(least[0], least[1]), claims=items_only, clustered=clustered)
    edges = {task: edge(table, 1, level, share=False) for task, table in alone.items()}
    pieces = {task: _pieces(table, counts, factors, edges[task]) for task, table in tables.items()}
    interval = _estimated(pieces, factors, level)
    return Difference(
        mean=interval(sorted(tables)),
        tasks={task: interval([task]) for task in tables},
        level=level,
        resamples=0,
        replicates=(least[0], least[1]),
        over_trainings=True,
        claims=min(counts) > 1,
        family={task: weighted.estimate(one, factors).tail_p for task, one in pieces.items()},
        groups={name: interval(list(of)) for name, of in (groups or {}).items()},
        clustered=clustered,
    )


def shared(arms: Mapping[str, Scored], names: Sequence[str]) -> list[str]:
    """Return the benchmarks that all arms in `names` have, in the order of the first arm. Raises EvalError if there is
    no such benchmark."""
    found = [task for task in arms[names[0]] if all(task in arms[name] for name in names)]
    if not found:
        listed = "; ".join(f"{name}: {', '.join(arms[name]) or 'none'}" for name in names)
        raise EvalError(f"The arms share no benchmark ({listed})\n    -> evaluate them on the same suite")
    return found


def _gaps(table: Table, counts: Sequence[int], factors: Sequence[float]) -> Table:
    """Each item's weighted sum, as a table of one column."""
    signs = np.concatenate([np.full(count, factor / count) for count, factor in zip(counts, factors, strict=True)])
    return Table(table.doc_ids, np.round(table.outcomes @ signs, 12)[:, None] + 0.0, table.member)


def _pieces(table: Table, counts: Sequence[int], factors: Sequence[float], at: Edge | None) -> weighted.Pieces:
    found = weighted.measure(table, counts, factors)
    return replace(found, items=found.items + (at.extra if at else 0.0))


def _estimated(
    pieces: Mapping[str, weighted.Pieces], factors: Sequence[float], level: float
) -> Callable[[Sequence[str]], Interval]:
    def interval(tasks: Sequence[str]) -> Interval:
        found = weighted.estimate(weighted.mean_of([pieces[task] for task in tasks]), factors)
        return Interval(found.value, *around(found, level, -max(1.0, sum(map(abs, factors)))), found.p, found.df)

    return interval


def _sums(text: str, names: Sequence[str]) -> list[list[str]]:
    """All ways to read `text` as names joined by +."""
    text = text.strip()
    found = [[text]] if text in names else []
    for place, sign in enumerate(text):
        if sign == "+" and text[:place].strip() in names:
            found += [
                [text[:place].strip(), *rest]
                for rest in _sums(text[place + 1 :], names)
                if text[:place].strip() not in rest
            ]
    return found
