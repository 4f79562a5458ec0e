"""PURE: selects the items of a benchmark for `suite.limit`: a seeded sample, stratified by subject or sub-task.

lm-eval's `limit` takes the first items of each task. The first hundred of MMLU's 14,042 items are all of one subject,
and BBH gets as many items from a task with 146 items as from a task with 250. Here all items are put into one sampling
order, and the limit takes the first items of that order. A larger limit therefore includes all items of a smaller
limit, so a run can be extended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("id", "task_id", "key", "question_id")  # columns with an item's id
# Columns with an item's kind, by priority; `type` is last: it is MATH's subject, but often something else in other benchmarks.
KINDS = ("subject", "category", "Subdomain", "High-level domain", "domain", "skill", "activity_label", "topic", "type")


def names(docs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a name for each item: its id, or its position in the split.

    The ids are used only if all items have one and the ids are unique.
    """
    for key in NAMES:
        found = [doc.get(key) for doc in docs]
        if None not in found and len(set(map(str, found))) == len(found):
            return [str(name) for name in found]
    return [str(place) for place in range(len(docs))]


def kinds(docs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the kind of each item, such as its subject; "" if no kind is known.

    The kinds are the values in the first column of KINDS that is usable. A column is usable if it has a text for every
    item and at least two different values, with two or more items per value on average.
    """
    for key in KINDS:
        found = [doc.get(key) for doc in docs]
        if all(isinstance(value, str) for value in found) and 1 < len(set(found)) <= len(found) // 2:
            return [str(value) for value in found]
    return [""] * len(docs)


def order(items: Sequence[tuple[str, str]], seed: int) -> list[int]:
    """Return the positions of all items in sampling order. The first N of them are the sample of size N.

    `items`: (stratum, name) of each item. Names are unique within a stratum.

    A sample contains items of each stratum in proportion to the stratum's size, to within about one item. From two
    strata of equal size, it contains equal numbers of items, or numbers that differ by one. The result does not depend
    on the order of `items`.
    """
    strata: dict[str, list[int]] = {}
    for place, (stratum, _) in enumerate(items):
        strata.setdefault(stratum, []).append(place)
    due: list[tuple[float, str, int]] = []
    for stratum, places in strata.items():
        start = _unit(seed, stratum)  # a random offset, so that not all strata come first
        drawn = sorted(places, key=lambda place: (_digest(seed, stratum, items[place][1]), place))
        due += [((rank + start) / len(places), stratum, place) for rank, place in enumerate(drawn)]
    return [place for _, _, place in sorted(due)]


def taken(leaves: Mapping[str, Sequence[Mapping[str, Any]]], limit: int, seed: int) -> dict[str, list[int]]:
    """Return, for each leaf task of a benchmark, the positions of the items that `limit` selects, in ascending order.

    `leaves`: the items of each leaf task.

    In total, `limit` items are selected, or all if there are fewer. But each leaf task gets at least one item, even if
    the total then exceeds `limit` (BBH has 27 leaf tasks). The reason: a mean over fewer tasks would be another
    benchmark.
    """
    where: list[tuple[str, int]] = []
    items: list[tuple[str, str]] = []
    for leaf, docs in leaves.items():
        where += [(leaf, place) for place in range(len(docs))]
        items += [(f"{leaf}\0{kind}", name) for kind, name in zip(kinds(docs), names(docs), strict=True)]
    drawn = [where[place] for place in order(items, seed)]
    first = dict(reversed(drawn))
    chosen = {*drawn[:limit], *first.items()}
    return {leaf: sorted(place for name, place in chosen if name == leaf) for leaf in leaves}


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()


def _unit(*parts: object) -> float:
    """Return a number in [0, 1)."""
    return int.from_bytes(_digest(*parts)[:6]) / (1 << 48)
