"""PURE: maps each reviewer's scores to a common scale, so that the threshold tau means the same for all reviewers. The
map is computed from the scores that the reviewer gave the items of a probe.

The calibrated score is 10 x the proportion of the probe's wrong answers to which the reviewer gave a lower score (an
equal score counts half). So after calibration every reviewer gives 8 or more to about 20 % of the wrong answers.

Method: neighbouring scores are joined into blocks by isotonic regression (pool adjacent violators) of right (1) and
wrong (0) on the score, with equal weights for the two classes. So the proportion of right answers rises from block to
block. A block with less than a tenth of the items is joined to its neighbour. If a reviewer's scores carry no
information, only few blocks remain, and their calibrated scores differ from 5 only by chance. Each block gives one knot
of the map; the map is linear between knots, and constant below the first and above the last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 10  # minimum items per class (right, wrong) for a map
SHARE = 0.1  # minimum share of the items in a block
Knots = Sequence[Sequence[float]]


@dataclass
class _Block:
    """Neighbouring scores: how many right and wrong answers have them, and the sums of these scores."""

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
        """The raw score of the block's knot. A block is a group of neighbouring scores that isotonic regression has
        joined, and it gives one knot (point) of the calibration map. The knot's raw score is the mean score of the
        block's wrong answers, because wrong answers define the calibrated score. If the block has no wrong answers, the
        knot's raw score is the mean score of the block's right answers."""
        return self.wrong_total / self.wrong if self.wrong else self.right_total / self.right


def calibrate(scores: Sequence[float], right: Sequence[bool]) -> list[list[float]] | None:
    """Return the points (knots) of a reviewer's calibration map in ascending order, as [[raw score, calibrated score],
    ...]. `right`: whether each scored answer is right. Return None if fewer than LEAST answers are right, or fewer than
    LEAST are wrong."""
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
    """Return the calibrated score (0 to 10) for a `raw` score, rounded to 4 digits."""
    place = bisect_right([knot[0] for knot in knots], raw)
    if place == 0:
        return round(float(knots[0][1]), 4)
    if place == len(knots):
        return round(float(knots[-1][1]), 4)
    (x0, y0), (x1, y1) = knots[place - 1], knots[place]
    return round(y0 + (y1 - y0) * (raw - x0) / (x1 - x0), 4)


def _rate(block: _Block, positive: int, negative: int) -> float:
    """Return the proportion of right answers in a block, with equal weights for right and wrong answers."""
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
