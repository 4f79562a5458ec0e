"""PURE: a reviewer's own scale -> one on which the same score means the same from all, by its scores of probe items.

The calibrated score says how rare such a score is among wrong answers: 10 x (the share of wrong probe answers that score lower,
equal ones counting half). "8 or more" is then given to about 20 % of wrong answers, whoever reviews: tau means the same.

How: scores are put together into blocks by isotonic regression of right (1) and wrong (0) on the score (pool adjacent violators),
classes weighing the same, so that a higher score never stands for less; blocks of less than a tenth of the items join their
neighbour. A reviewer whose scores carry nothing ends up with few blocks, but chance still spreads them about 5. Each
block becomes one knot; between knots the map is linear, beyond the first and the last it is flat.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 10  # items of each class below which no map is made
SHARE = 0.1  # of all items, below which a block joins its neighbour
Knots = Sequence[Sequence[float]]


@dataclass
class _Block:
    """Neighbouring scores: how many right and wrong answers got them, and the sums of these scores."""

    right: int
    wrong: int
    right_total: float
    wrong_total: float

    @property
    def count(self) -> int:
        return self.right + self.wrong

    def join(self, other: _Block) -> None:
        self.right, self.wrong = self.right + other.right, self.wrong + other.wrong
        self.right_total, self.wrong_total = self.right_total + other.right_total, self.wrong_total + other.wrong_total

    @property
    def place(self) -> float:
        """The mean score of its wrong answers, of which the calibrated score speaks; of its right ones where it has no others."""
        return self.wrong_total / self.wrong if self.wrong else self.right_total / self.right


def calibrate(scores: Sequence[float], right: Sequence[bool]) -> list[list[float]] | None:
    """The knots [[raw, calibrated], ...], both ascending; None with fewer than LEAST right or wrong answers."""
    positive, negative = sum(right), len(right) - sum(right)
    if min(positive, negative) < LEAST:
        return None
    found: dict[float, _Block] = {}
    for score, good in zip(scores, right, strict=True):
        one = _Block(1, 0, float(score), 0.0) if good else _Block(0, 1, 0.0, float(score))
        found.setdefault(float(score), _Block(0, 0, 0.0, 0.0)).join(one)
    blocks: list[_Block] = []
    for _, block in sorted(found.items()):
        blocks.append(block)
        while len(blocks) > 1 and _rate(blocks[-2], positive, negative) >= _rate(blocks[-1], positive, negative):
            last = blocks.pop()
            blocks[-1].join(last)
    blocks = _not_too_small(blocks, SHARE * len(scores))
    knots, below = [], 0
    for block in blocks:
        knots.append([round(block.place, 4), round(10 * (below + block.wrong / 2) / negative, 4)])
        below += block.wrong
    return knots


def apply(knots: Knots, raw: float) -> float:
    """The calibrated score of a `raw` one, 0-10, rounded to 4 digits."""
    place = bisect_right([knot[0] for knot in knots], raw)
    if place == 0:
        return round(float(knots[0][1]), 4)
    if place == len(knots):
        return round(float(knots[-1][1]), 4)
    (x0, y0), (x1, y1) = knots[place - 1], knots[place]
    return round(y0 + (y1 - y0) * (raw - x0) / (x1 - x0), 4)


def _rate(block: _Block, positive: int, negative: int) -> float:
    """The share of right answers in a block were there as many right as wrong ones."""
    right, wrong = block.right / positive, block.wrong / negative
    return right / (right + wrong)


def _not_too_small(blocks: list[_Block], least: float) -> list[_Block]:
    kept: list[_Block] = []
    for block in blocks:
        if kept and (block.count < least or kept[-1].count < least):
            kept[-1].join(block)
        else:
            kept.append(block)
    if len(kept) > 1 and kept[-1].count < least:
        last = kept.pop()
        kept[-1].join(last)
    return kept
