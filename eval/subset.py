"""PURE: which items `suite.limit` takes of a benchmark: drawn by a seed, in proportion from each subject or sub-task.

lm-eval's own `limit` takes the first items of each task: of MMLU's file of 14,042 the first hundred are all of one subject, and of
BBH as many items of a task with 146 as of one with 250. Here the items stand in one drawing order, whatever the limit, and the
limit takes the first so many of it: a larger one holds every item of a smaller one, so that a run can be extended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("id", "task_id", "key", "question_id")  # the item's own name in the benchmarks that have one
# The columns that sort a benchmark's items into kinds, in this order; `type` is MATH's subject, but elsewhere often something else.
KINDS = ("subject", "category", "Subdomain", "High-level domain", "domain", "skill", "activity_label", "topic", "type")


def names(docs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each item's own name where all have one and no two the same; else its place in the split."""
    for key in NAMES:
        found = [doc.get(key) for doc in docs]
        if None not in found and len(set(map(str, found))) == len(found):
            return [str(name) for name in found]
    return [str(place) for place in range(len(docs))]


def kinds(docs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each item's kind: its value in the first column of KINDS that all items have and that sorts them, with several of a kind."""
    for key in KINDS:
        found = [doc.get(key) for doc in docs]
        if all(isinstance(value, str) for value in found) and 1 < len(set(found)) <= len(found) // 2:
            return [str(value) for value in found]
    return [""] * len(docs)


def order(items: Sequence[tuple[str, str]], seed: int) -> list[int]:
    """The places of all items in drawing order. `items`: of each its stratum and a name that no other item of the stratum has.

    Of any two strata of the same size, neither is ever ahead by more than one item; of others each has its share of the items
    drawn so far, to within about one. Where an item stands among `items` plays no part.
    """
    strata: dict[str, list[int]] = {}
    for place, (stratum, _) in enumerate(items):
        strata.setdefault(stratum, []).append(place)
    due: list[tuple[float, str, int]] = []
    for stratum, places in strata.items():
        start = _unit(seed, stratum)  # not all strata begin at once: small ones have their turn later, on average
        drawn = sorted(places, key=lambda place: (_digest(seed, stratum, items[place][1]), place))
        due += [((rank + start) / len(places), stratum, place) for rank, place in enumerate(drawn)]
    return [place for _, _, place in sorted(due)]


def taken(leaves: Mapping[str, Sequence[Mapping[str, Any]]], limit: int, seed: int) -> dict[str, list[int]]:
    """Of a benchmark's leaf tasks (name -> items) the places of the items that `limit` takes, ascending.

    `limit` items in all, or all there are; but at least one of each leaf, since a mean over fewer of them would be another
    benchmark: of BBH's 27 tasks never fewer than 27.
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
    """A number from 0 to below 1."""
    return int.from_bytes(_digest(*parts)[:6]) / (1 << 48)
