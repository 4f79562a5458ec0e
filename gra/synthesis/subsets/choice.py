"""PURE: chooses samples by their index, from the run's seed and their lengths alone.

Length matching is greedy nearest-neighbour matching without replacement, with the targets in random order.
Observational studies choose matched controls in this way (Rosenbaum 2002, Observational Studies, 10.3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from gra.synthesis.committee.randomness import stream


def at_random(count: int, wanted: int, seed: int) -> list[int]:
    """Return `wanted` indices, drawn at random from 0 to `count` - 1, in ascending order (all of them if `wanted` is
    larger than `count`). With the same seed, a smaller choice is a subset of a larger one."""
    order = list(range(count))
    stream(seed, "subset", count).shuffle(order)
    return sorted(order[:wanted])


def length_matched(lengths: Sequence[int], targets: Sequence[int], wanted: int, seed: int) -> list[int]:
    """Return the indices of `wanted` values of `lengths`, in ascending order. For each of `wanted` random targets, the
    nearest length that is not taken yet is taken; of two equally near lengths, the smaller one. The targets are drawn
    from `targets` without replacement; when all have been drawn, drawing begins again with all of them. If `lengths`
    has fewer than `wanted` values, all its indices are returned."""
    rng = stream(seed, "subset", "lengths", len(lengths))
    goals: list[int] = []
    while targets and len(goals) < wanted:
        goals += rng.sample(list(targets), min(wanted - len(goals), len(targets)))
    order = list(range(len(lengths)))
    rng.shuffle(order)  # equal lengths are taken in random order
    order.sort(key=lambda i: lengths[i])
    left = _Left([lengths[i] for i in order])
    return sorted(order[place] for goal in goals[: len(lengths)] for place in [left.take(goal)])


def affordable(spent_on_other: int, spent_here: int, rows: int) -> int:
    """Return how many samples `spent_on_other` tokens pay for, at the price of `spent_here` tokens for `rows` samples.
    If `spent_here` is 0, return `rows`."""
    return spent_on_other * rows // spent_here if spent_here else rows


class _Left:
    """Sorted values, each of which can be taken once."""

    def __init__(self, values: Sequence[int]):
        self._values = values
        # Union-find. `_up` leads from a place to the next free place at or above it; len(values) means that none is
        # free. `_down` leads from a place to the next free place below it, plus one; 0 means that none is free.
        self._up = list(range(len(values) + 1))
        self._down = list(range(len(values) + 1))

    def take(self, goal: int) -> int:
        """Take the value nearest to `goal` and return its place. At least one value must be left."""
        at = bisect_left(self._values, goal)
        above, below = _find(self._up, at), _find(self._down, at) - 1
        none_above, none_below = above == len(self._values), below < 0
        nearer_below = not none_below and (none_above or goal - self._values[below] <= self._values[above] - goal)
        place = below if nearer_below else above
        self._up[place], self._down[place + 1] = place + 1, place
        return place


def _find(parents: list[int], node: int) -> int:
    """Return the root of a node, and shorten the path to it."""
    root = node
    while parents[root] != root:
        root = parents[root]
    while parents[node] != root:
        parents[node], node = root, parents[node]
    return root
