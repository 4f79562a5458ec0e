"""PURE: compares the committee's scores with each reviewer's (the paper's Figure 7 and its 87.3 % of agreeing reviews).

A single reviewer would accept every sample to which it gives a score of at least the setting tau. The committee accepts
samples by its own rule, in which the adjudicator settles disputes between reviewers. Each reviewer is compared with the
committee on the samples that this reviewer reviewed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from markupsafe import Markup

from gra.compare.report import charts
from gra.compare.report.judgements import LEAST, Judged
from gra.compare.statistics.bootstrap import Range
from gra.compare.tables.numbers import count, percent, span
from gra.intervals import normal, wilson

COMMITTEE = "Committee (mean)"
LOW, HIGH = 0.5, 9.5  # scores within half a point of the ends of the scale, 0 and 10
PAPER_DELTA, PAPER_AGREE = (
    1.5,
    0.873,
)  # "over 87.3 % of samples get strongly agreeing reviews"; the paper does not define "strongly agreeing"
HEADINGS = (
    *("Who judges", "Would accept, %", "The committee accepts, %", "Samples", "Mean", "SD", "Different scores"),
    *(f"{LOW:g} or less, %", f"{HIGH:g} or more, %"),
)


@dataclass(frozen=True)
class Shape:
    """The scores that one judge gave, in ascending order. A judge is a reviewer or the committee. The committee's score
    of a sample is the mean of the reviewers' scores.

    `alone`: the fraction of the scored samples whose score is at least tau, the least score for acceptance. None means
    that tau is unknown. `together`: the fraction of the scored samples that the committee accepted. It is None if the
    committee's decision on any of these samples is unknown.
    """

    name: str
    scores: tuple[float, ...]
    alone: float | None
    together: float | None


def shapes(found: Sequence[Judged], tau: float | None) -> list[Shape]:
    """Return the distribution of the committee's mean scores, and then that of each reviewer's scores, in alphabetical
    order of the reviewers. The committee's distribution covers only samples with two reviews or more. Return [] if
    there are fewer than two reviewers."""
    names = sorted({name for one in found for name in one.scores})
    if len(names) < 2:
        return []
    several = [one for one in found if len(one.scores) > 1]
    rows = [(COMMITTEE, [(fmean(one.scores.values()), one.accepted) for one in several])]
    rows += [(name, [(one.scores[name], one.accepted) for one in found if name in one.scores]) for name in names]
    return [_shape(name, pairs, tau) for name, pairs in rows if pairs]


def _shape(name: str, pairs: Sequence[tuple[float, bool | None]], tau: float | None) -> Shape:
    known = [accepted for _, accepted in pairs if accepted is not None]
    return Shape(
        name,
        tuple(sorted(score for score, _ in pairs)),
        None if tau is None else fmean(score >= tau for score, _ in pairs),
        fmean(known) if len(known) == len(pairs) else None,
    )


def agreeing(found: Sequence[Judged], delta: float) -> tuple[Range, int] | None:
    """Return the fraction of samples on which reviewers agree, with Wilson's 95 % interval, and the number of samples
    counted. Return None if this number is below LEAST.

    Reviewers agree if the standard deviation of their scores, as the synthesis recorded it, is at most `delta`. Only
    samples with two reviews or more are counted.
    """
    spread = [one.std for one in found if one.std is not None and len(one.scores) > 1]
    if len(spread) < LEAST:
        return None
    share = fmean(value <= delta for value in spread)
    return Range(share, *wilson(share, len(spread), normal(0.95))), len(spread)


def chart(found: Sequence[Shape], tau: float | None) -> Markup:
    """Draw the cumulative distribution of each judge's scores. The height of a judge's curve at x is the percentage of
    the judge's scores that are at most x. A judge is a reviewer or the whole committee."""
    return charts.cumulative(
        [(one.name, one.scores) for one in found],
        ends=(0, 10),
        mark=tau,
        mark_name=f"tau = {tau}",
        axis="score; share of samples up to it, %",
    )


def cells(one: Shape) -> tuple[str, ...]:
    """Return one judge's cells in the table, in the order of HEADINGS."""
    n = len(one.scores)
    ends = (sum(score <= LOW for score in one.scores) / n, sum(score >= HIGH for score in one.scores) / n)
    return (
        *(one.name, percent(one.alone), percent(one.together), count(n)),
        *(f"{fmean(one.scores):.1f}", f"{pstdev(one.scores):.1f}", count(len(set(one.scores)))),
        *map(percent, ends),
    )


def sentence(found: Sequence[Judged]) -> str:
    """Return a sentence that states the fraction of samples on which reviewers agree, in the data of `found` and in the
    paper. Return "" if this fraction is unknown for `found`."""
    ours = agreeing(found, PAPER_DELTA)
    if ours is None:
        return ""
    return (
        f"Reviewers agree (standard deviation at most {PAPER_DELTA:g}) on {span(ours[0])} % of {count(ours[1])} samples with two "
        f"reviews or more. The paper says {percent(PAPER_AGREE)} %; by what rule and of which samples, it does not say."
    )


def data(found: Sequence[Judged], tau: float | None) -> dict[str, Any]:
    """Return the numbers behind the chart, the table and the sentence, for a JSON file. They are statistics of each
    judge's scores (e.g. mean and standard deviation), how often each judge gives each score, and the fraction of
    samples on which reviewers agree. A judge is a reviewer or the whole committee."""
    ours = agreeing(found, PAPER_DELTA)
    return {
        "tau": tau,
        "judges": {
            one.name: {
                "samples": len(one.scores),
                "mean": fmean(one.scores),
                "sd": pstdev(one.scores),
                "low_end": sum(score <= LOW for score in one.scores) / len(one.scores),
                "high_end": sum(score >= HIGH for score in one.scores) / len(one.scores),
                "would_accept": one.alone,
                "committee_accepts": one.together,
                "scores": _frequencies(one.scores),
            }
            for one in shapes(found, tau)
        },
        "agreeing": None
        if ours is None
        else {
            "delta": PAPER_DELTA,
            "samples": ours[1],
            "share": ours[0].value,
            "low": ours[0].low,
            "high": ours[0].high,
        },
        "paper_agreeing": PAPER_AGREE,
    }


def _frequencies(scores: Sequence[float]) -> dict[str, int]:
    seen: dict[str, int] = {}
    for score in scores:
        seen[f"{score:.3g}"] = seen.get(f"{score:.3g}", 0) + 1
    return seen
