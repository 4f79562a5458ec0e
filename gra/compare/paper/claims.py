"""PURE: judges the paper's claims (results/paper/claims.csv) by a written rule, from runs or from the paper's own tables.

A claim is a list of parts. A part has a *contrast* and a *rule*. The contrast is a weighted sum of rows' means, in
points of the average over ten benchmarks or over the benchmarks that the part names. The rule turns the contrast's
interval into a verdict. M is the margin of two points; a smaller difference is treated as none.

    rule         holds if the interval               fails if the interval
    beats        is above 0                          is below 0
    level        is inside -M .. M                   is outside -M .. M
    little       is below M                          is above M
    about        is inside number - M .. number + M  is outside this range
    share        is not below the number             is below the number
    wins         is above 0 on `number` benchmarks   is below 0 on so many that `number` is out of reach

The rule `reproduced` judges the difference "our contrast minus the paper's contrast" as `level` does. Two rules judge
counts, which have no interval: `sizes` holds if every count is within 5 % of the number, and fails otherwise; `seen`
holds if every count is above 0, and fails otherwise. A part with the rule `none` is never judged.

A part that neither holds nor fails is *open*; if a row of its contrast is missing, the part is *not run*. If a part has
several contrasts, separated by `;`, all must hold. The verdict of a claim depends only on its parts with `decides`: it
is "fails" if one of them fails, else "not run" if one is not run, else "open" if one is open, else "holds". For the
verdict "by the numbers", the same rules are applied to the values without their intervals.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gra.compare.paper.evidence import Evidence, Fact, PaperEvidence, Weights
from gra.compare.paper.tables import BASES, SEEDS, RowKey, row_key
from gra.compare.statistics.bootstrap import LEVEL, Range
from gra.errors import ConfigError, StoreError
from gra.intervals import normal, wilson

MARGIN = 0.02  # shares: two points
HOLDS, FAILS, OPEN, NOT_RUN = "holds", "fails", "open", "not run"
_TERM = re.compile(r"([+-])?\s*(?:(\d+(?:\.\d+)?)\s+)?(\S+/\S+/\S+)\s*")


@dataclass(frozen=True)
class Part:
    """A part of one of the paper's claims, read from one line of claims.csv. A part has contrasts (weighted sums of
    mean scores of rows in the paper's tables) and a rule, which turns the values of the contrasts into a verdict.

    `decides`: whether the verdict of the claim depends on this part. `number`: the number with which the rule compares
    the values, in points or percent. For the rules `wins` and `sizes`, it is a count. `of`: the benchmarks over which
    the contrasts are computed. If it is empty, all ten benchmarks of the paper are used. A rule in COUNTS judges a
    statistic of the training data instead of scores. For such a rule, `of` holds the name of the statistic. `stated`:
    the paper's own words or numbers. `needs`: what runs would have to record so that a part with the rule `none` could
    be judged.
    """

    claim: str
    says: str
    decides: bool
    rule: str
    number: float | None
    of: tuple[str, ...]
    contrasts: tuple[Weights, ...]
    stated: str
    needs: str


@dataclass(frozen=True)
class Judged:
    """A part of a claim, with its verdicts and the values that led to them.

    `paper`: the values of the part's contrasts (weighted sums of mean scores), computed from the paper's tables.
    Averages are recomputed from the printed scores. `printed`: the same values without intervals, computed from the
    averages that the paper prints. `ours`: the same values, computed from the evidence that is judged, e.g. the user's
    runs. With the rule `wins`, each of these three has one value per benchmark instead of one per contrast. `verdict`:
    the verdict that the rule gives for the values with their intervals. `by_numbers`: the verdict that the rule gives
    for the values without intervals. `misprints`: the rows whose printed average is not the mean of their scores.
    """

    part: Part
    printed: tuple[Range | Fact | None, ...]
    paper: tuple[Range | Fact | None, ...]
    ours: tuple[Range | Fact | None, ...]
    by_numbers: str
    verdict: str
    misprints: tuple[str, ...]


def load(path: Path, benchmarks: Sequence[str]) -> list[Part]:
    """Return the parts of all claims in the file `path`. Raises StoreError, which names the line, if the file is
    damaged."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read ({error})\n    -> restore the file") from error
    found = []
    for line, row in enumerate(rows, 2):
        try:
            named = tuple(row["of"].split())
            if row["rule"] not in RULES or not set(named) <= set(QUANTITIES if row["rule"] in COUNTS else benchmarks):
                raise ValueError(f"unknown rule {row['rule']!r}, or unknown quantity in {named!r}")
            found.append(
                Part(
                    row["claim"],
                    row["says"],
                    row["decides"] == "yes",
                    row["rule"],
                    float(row["number"]) if row["number"] else None,
                    named,
                    tuple(weights(text) for text in row["contrast"].split(";") if text.strip()),
                    row["stated"],
                    row["needs"],
                )
            )
        except (KeyError, ValueError, AttributeError, ConfigError) as error:
            raise StoreError(f"{path}, line {line}: {error}\n    -> restore the file") from error
    return found


def weights(text: str) -> dict[RowKey, float]:
    """Parse the contrast `text`, a weighted sum of rows of the paper's tables, and return the weight of each row. An
    example is `2 Qwen2.5-7B/*/gra_30k - Qwen2.5-7B/*/gra_10k`.

    `*` means the mean over all base models or all seed sets. Raises ValueError if `text` is not a contrast, and
    ConfigError if a row is unknown.
    """
    found: dict[RowKey, float] = {}
    rest = text.strip()
    while rest:
        if (term := _TERM.match(rest)) is None:
            raise ValueError(f"`{text}` is not a sum of rows")
        sign, factor, name = term.groups()
        keys = _expand(name)
        for key in keys:
            found[key] = found.get(key, 0.0) + (-1 if sign == "-" else 1) * float(factor or 1) / len(keys)
        rest = rest[term.end() :]
    return found


def judge(parts: Sequence[Part], ours: Evidence, paper: PaperEvidence) -> list[Judged]:
    """Judge every part by the evidence `ours`. Return the outcomes in the order of `parts`."""
    return [_judged(part, ours, paper) for part in parts]


def verdicts(judged: Sequence[Judged], numbers: bool = False) -> dict[str, str]:
    """Return the verdict of each claim. Parts whose `decides` is false are ignored. A claim has the worst verdict of
    its other parts, where "fails" is worst, followed by "not run", "open" and "holds". `numbers`: whether to use the
    verdicts `by_numbers` of the parts, which ignore the intervals."""
    found: dict[str, list[str]] = {}
    for one in judged:
        found.setdefault(one.part.claim, [])
        if one.part.decides:
            found[one.part.claim].append(one.by_numbers if numbers else one.verdict)
    return {claim: next((v for v in (FAILS, NOT_RUN, OPEN) if v in own), HOLDS) for claim, own in found.items()}


def decide(
    rule: str, number: float | None, values: Sequence[Range | Fact | None], theirs: Sequence[Range | Fact | None]
) -> str:
    """Return the verdict of one part of a claim.

    `rule`: the name of the part's rule. `number`: the number with which the rule compares the values. `values`: the
    values of the part's contrasts (weighted sums of mean scores). `theirs`: the same values from the paper's tables,
    which only the rule `reproduced` uses.
    """
    if rule == "none" or not values or any(value is None for value in values):
        return NOT_RUN
    known = [value for value in values if value is not None]
    return RULES[rule](known, number, [value for value in theirs if value is not None])


# -- rules ------------------------------------------------------------------------------------------------------------

Values = Sequence[Range | Fact]
Rule = Callable[[Values, float | None, Values], str]


def _all(verdict: Callable[[Range], str]) -> Rule:
    """Return the rule that every contrast must hold. If one fails, the part fails."""

    def rule(values: Values, _number: float | None, _theirs: Values) -> str:
        found = {verdict(value) for value in values if isinstance(value, Range)}
        return next((one for one in (FAILS, OPEN) if one in found), HOLDS)

    return rule


def _inside(value: Range, low: float, high: float) -> str:
    if low < value.low and value.high < high:
        return HOLDS
    return FAILS if value.low > high or value.high < low else OPEN


def _about(values: Values, number: float | None, theirs: Values) -> str:
    middle = (number or 0.0) / 100
    return _all(lambda value: _inside(value, middle - MARGIN, middle + MARGIN))(values, number, theirs)


def _reproduced(values: Values, number: float | None, theirs: Values) -> str:
    if len(theirs) < len(values):
        return NOT_RUN
    return _all(lambda value: _inside(value, -MARGIN, MARGIN))(deltas(values, theirs), number, theirs)


def _wins(values: Values, number: float | None, _theirs: Values) -> str:
    clear = sum(isinstance(value, Range) and value.low > 0 for value in values)
    lost = sum(isinstance(value, Range) and (value.high < 0 or value.low == value.high == 0) for value in values)
    needed = int(number or 0)
    return HOLDS if clear >= needed else FAILS if len(values) - lost < needed else OPEN


def _sizes(values: Values, number: float | None, _theirs: Values) -> str:
    wanted = number or 0.0
    return HOLDS if all(abs(value.value - wanted) <= 0.05 * wanted for value in values) else FAILS


def _share(values: Values, number: float | None, _theirs: Values) -> str:
    found = values[0]
    least = (number or 0.0) / 100
    n = found.n if isinstance(found, Fact) else 0
    low, high = wilson(found.value, n, normal(LEVEL)) if n else (found.value, found.value)
    return HOLDS if low >= least else FAILS if high < least else OPEN


def _seen(values: Values, _number: float | None, _theirs: Values) -> str:
    return HOLDS if all(value.value > 0 for value in values) else FAILS


RULES: Mapping[str, Rule] = {
    "beats": _all(lambda value: HOLDS if value.low > 0 else FAILS if value.high < 0 else OPEN),
    "level": _all(lambda value: _inside(value, -MARGIN, MARGIN)),
    "little": _all(lambda value: HOLDS if value.high < MARGIN else FAILS if value.low > MARGIN else OPEN),
    "about": _about,
    "reproduced": _reproduced,
    "wins": _wins,
    "sizes": _sizes,
    "share": _share,
    "seen": _seen,
    "none": lambda _values, _number, _theirs: NOT_RUN,
}
COUNTS = ("sizes", "share", "seen")  # rules about training data
QUANTITIES = ("samples", "low_std_share", "adjudicated_out", "adjudicated_kept")


def deltas(ours: Sequence[Range | Fact | None], theirs: Sequence[Range | Fact | None]) -> list[Range]:
    """Return our values minus the paper's, with intervals that combine the uncertainty of both. Counts and missing
    values are left out. The method is that of Zou and Donner 2008 (see edges.py)."""
    found = []
    for one, other in zip(ours, theirs, strict=True):
        if not (isinstance(one, Range) and isinstance(other, Range)):
            continue
        value = one.value - other.value
        below = ((one.value - one.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
        above = ((one.high - one.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
        found.append(Range(value, value - below, value + above))
    return found


# -- one part ---------------------------------------------------------------------------------------------------------


def _judged(part: Part, ours: Evidence, paper: PaperEvidence) -> Judged:
    theirs, mine = _values(part, paper), _values(part, ours)
    return Judged(
        part,
        _values(part, replace(paper, printed=True), _alone),
        theirs,
        mine,
        decide(part.rule, part.number, _values(part, ours, _alone), _values(part, paper, _alone)),
        decide(part.rule, part.number, mine, theirs),
        tuple(
            dict.fromkeys(
                str(key)
                for weighted in part.contrasts
                for key in weighted
                if not part.of and part.rule != "wins" and (row := paper.table.get(key)) is not None and row.misprint
            )
        ),
    )


Found = Range | Fact | None


def _values(part: Part, evidence: Evidence, seen: Callable[[Found], Found] = lambda value: value) -> tuple[Found, ...]:
    """Return the value of every contrast, after `seen` was applied to it. For the rule `wins`, return one value per
    benchmark."""
    if part.rule in COUNTS:
        return tuple(seen(_fact(weighted, part.of[0], evidence)) for weighted in part.contrasts)
    every = tuple(evidence.benchmarks)
    if part.rule != "wins":
        return tuple(seen(evidence.contrast(weighted, part.of or every)) for weighted in part.contrasts)
    return tuple(_least([seen(evidence.contrast(weighted, [name])) for weighted in part.contrasts]) for name in every)


def _least(found: Sequence[Found]) -> Range | None:
    """Return the contrast that is furthest from being above 0, because a benchmark is won only if all contrasts are
    above 0. None if a contrast is missing."""
    known = [one for one in found if isinstance(one, Range)]
    return min(known, key=lambda one: (one.low, one.value)) if known and len(known) == len(found) else None


def _fact(weighted: Weights, name: str, evidence: Evidence) -> Fact | None:
    """Return the weighted sum of a number of the rows, e.g. `samples`. `name`: the name of the number.

    If some rows lack the number and all weights are positive (as with `*`), return the mean of the rows that have it.
    If some rows lack it and a weight is negative, return None.
    """
    found = {key: fact for key in weighted if (fact := evidence.fact(key, name)) is not None}
    if len(found) == len(weighted):
        value = round(sum(weight * found[key].value for key, weight in weighted.items()), 12)
        return Fact(value, min(fact.n for fact in found.values()))
    if found and all(weight > 0 for weight in weighted.values()):
        return Fact(
            round(sum(fact.value for fact in found.values()) / len(found), 12), sum(fact.n for fact in found.values())
        )
    return None


def _alone(value: Found) -> Found:
    """The number without its interval."""
    if isinstance(value, Range):
        return Range(value.value, value.value, value.value)
    return Fact(value.value) if value is not None else None


def _expand(name: str) -> list[RowKey]:
    base, seed, data = name.split("/")
    bases = BASES if base == "*" else (base,)
    seeds = SEEDS if seed == "*" else (seed,)
    return [row_key(f"{one}/{other}/{data}") for one in bases for other in seeds]
