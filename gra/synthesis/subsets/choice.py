"""PURE: chooses samples by their index, from the run's seed and their lengths alone.

Length matching is greedy nearest-neighbour matching without replacement, the targets in random order, as for matched controls
(Rosenbaum 2002, Observational Studies, 10.3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from gra.synthesis.committee.randomness import stream


def at_random(count: int, wanted: int, seed: int) -> list[int]:
    """Return `wanted` of the indices below `count` (all, if there are fewer), ascending. A smaller choice is part of a larger
    one."""
    order = list(range(count))
    stream(seed, "subset", count).shuffle(order)
    return sorted(order[:wanted])


def length_matched(lengths: Sequence[int], targets: Sequence[int], wanted: int, seed: int) -> list[int]:
    """Return indices of `lengths`, ascending: for each of `wanted` targets that of the nearest length still left; of two equally
    near lengths the smaller one. Targets are drawn from `targets`, each as often as any other. If `lengths` has fewer values, all
    its indices are returned."""
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
    """Return how many samples cost `spent_on_other` tokens, if `rows` samples cost `spent_here` tokens. If nothing was spent here,
    return `rows`."""
    return spent_on_other * rows // spent_here if spent_here else rows


class _Left:
    """Sorted values, each of which can be taken once."""

    def __init__(self, values: Sequence[int]):
        self._values = values
        # union-find: `_up` leads to the next free place at or above, and its last entry means none;
        # `_down` leads to one more than the next free place below, and 0 means none
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
