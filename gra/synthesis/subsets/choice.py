"""PURE: chooses samples and returns their indices. The choice depends only on the run's seed and the samples' lengths.

To match lengths, each target gets the sample of nearest length that no earlier target got; the targets come in random
order (greedy nearest-neighbour matching without replacement). Observational studies choose matched controls in this way
(Rosenbaum 2002, Observational Studies, 10.3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from gra.synthesis.committee.randomness import stream


def at_random(count: int, wanted: int, seed: int) -> list[int]:
    """Return `wanted` different indices from 0 to `count` - 1, drawn at random, in ascending order. If `wanted` is
    larger than `count`, return all indices. With the same seed, a smaller choice is a subset of a larger one."""
    order = list(range(count))
    stream(seed, "subset", count).shuffle(order)
    return sorted(order[:wanted])


def length_matched(lengths: Sequence[int], targets: Sequence[int], wanted: int, seed: int) -> list[int]:
    """Return the indices of `wanted` samples whose lengths match `targets`, in ascending order. If there are fewer than
    `wanted` samples, return all indices.

    `lengths`: the length of each sample. `targets`: the lengths to match. To choose the samples, targets are drawn at
    random without replacement, as many as samples are wanted. Once all targets have been drawn, drawing begins again
    with all of them. For each drawn target, the sample with the nearest length is chosen from the samples that are
    left. If two lengths are equally near, the sample with the smaller one is chosen.
    """
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
    """Return how many samples can be made for `spent_on_other` tokens, given that it cost `spent_here` tokens to make
    `rows` samples. If `spent_here` is 0, return `rows`."""
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
        """Take the value that is nearest to `goal`, and return its index. At least one value must be left."""
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
