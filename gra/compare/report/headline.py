"""PURE: writes the first sentences of a report. They state the main result and its interval in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gra.compare.report import funnel
from gra.compare.report.charts import Curve
from gra.compare.statistics.bootstrap import Difference, Interval
from gra.compare.tables.notes import label, over
from gra.compare.tables.numbers import count, percent
from gra.compare.tables.rows import Comparison, TableRow


def of_comparison(comparison: Comparison) -> list[str]:
    """Return sentences that compare the reference with the best other arm, and then with all other arms. Return [] if
    no arm was compared with the reference."""
    compared = [(row, found) for row in comparison.rows if (found := row.mean_difference("strict")) is not None]
    if not compared:
        return []
    reference = next(row for row in comparison.rows if row.reference)
    best, found = max(compared, key=lambda pair: pair[0].mean or 0.0)
    among = f", the best of the {len(compared)} other arms" if len(compared) > 1 else ""
    name = label(reference, comparison)
    said = [f"{name} is {_gap(found, label(best, comparison) + among, comparison.level, _unsaid(best.difference))}."]
    if len(compared) > 1:
        said.append(_all_others([found for _, found in compared]))
    said.append(
        f"Intervals are {over(best)}" + (": another training may differ by more." if _unsaid(best.difference) else ".")
    )
    return said


def _all_others(found: Sequence[Interval]) -> str:
    """How many of the other arms lie below the reference, above it, or cannot be told apart."""
    below, above = sum(map(_above, found)), sum(map(_below, found))
    parts = [(below, "below it"), (above, "above it")]
    said = [f"{'all' if n == len(found) else n} {'lies' if n == 1 else 'lie'} {where}" for n, where in parts if n]
    open_ = len(found) - below - above
    said += (
        [f"{'none' if open_ == len(found) else open_} can{'' if open_ == len(found) else 'not'} be told apart"]
        if open_
        else []
    )
    return f"Of the {len(found)} other arms {' and '.join(said)}."


def _gap(found: Interval, other: str, level: float, unsaid: str) -> str:
    """Return words such as "1.9 points above NAME, 95 % interval -1.4 to 5.2: not distinguishable".

    If the difference is negative, the words are "1.9 points below NAME", and the signs of the interval are reversed.
    `other`: NAME; `unsaid`: the reason why the interval holds only for these trained models, which the words then say;
    "" if it also holds for further training runs.
    """
    sign = 1 if found.value >= 0 else -1
    low, high = sorted((100 * sign * found.low, 100 * sign * found.high))
    if not (_above(found) or _below(found)):
        words = "not distinguishable"
    elif unsaid:
        words = f"these trained models differ; {unsaid} cannot show that their data does"
    else:
        words = "distinguishable"
    size = f"{100 * abs(found.value):.1f}"
    where = "level with" if size == "0.0" else f"{size} points {'above' if sign > 0 else 'below'}"
    return f"{where} {other}, {100 * level:g} % interval {low:.1f} to {high:.1f}: {words}"


def _above(found: Interval) -> bool:
    return found.low > 0


def _below(found: Interval) -> bool:
    return found.high < 0


def _unsaid(found: Difference | None) -> str:
    """Return what keeps the interval from speaking of the data: it is over items only. "" if it is over trainings too."""
    if found is None or found.over_trainings:
        return ""
    return "one training each" if found.replicates == (1, 1) else "an interval over items only"


def of_scores(row: TableRow, tasks: int, level: float) -> list[str]:
    """Return a list with a sentence on the mean score of one arm. The list is empty if the arm has no mean score."""
    if row.mean is None or row.interval is None:
        return []
    items = sum(cell.n for cell in row.cells.values())
    what = "its only benchmark" if tasks == 1 else f"{tasks} benchmarks"
    return [
        f"{percent(row.mean)} % over {what}, {100 * level:g} % interval {percent(row.interval.low)} to "
        f"{percent(row.interval.high)} ({items:,} items)."
    ]


def of_data(stats: Mapping[str, Any], audit: Mapping[str, Any]) -> list[str]:
    """Return sentences on an arm's data. They say how many proposals were kept, and whether models reviewed them. If
    the data are simulated and audited, they also say how many kept samples are wrong."""
    kept, proposals, calls = (stats.get(key) for key in ("kept", "proposals", "calls"))
    if not isinstance(kept, int):
        return []
    health, reviewed = stats.get("health"), funnel.reviewed(stats)
    if calls == 0:
        said = [f"{count(kept)} records as they were given: no model wrote or judged them."]
    elif isinstance(proposals, int) and proposals:
        who = "The committee kept" if reviewed else "Kept without a review:"
        rounds = len(stats.get("rounds") or ())
        said = [
            f"{who} {count(kept)} of {count(proposals)} proposals ({percent(kept / proposals)} %)"
            + (f" in {rounds} rounds." if rounds > 1 else ".")
        ]
    else:
        said = [f"{count(kept)} samples."]
    alpha = health.get("alpha") if isinstance(health, Mapping) else None
    if reviewed and isinstance(alpha, float):
        said.append(f"Its reviewers agree with Krippendorff's alpha {alpha:.2f} (1: always, 0: by chance).")
    wrong, judged = audit.get("wrong"), audit.get("n")
    if isinstance(wrong, int) and isinstance(judged, int) and isinstance(audit.get("wrong_share"), float):
        said.append(
            f"According to the simulated world, {percent(audit['wrong_share'])} % of the kept samples are wrong."
        )
    return said


def of_probe(found: Mapping[str, Any]) -> list[str]:
    """Return a list with a sentence that says how many models can tell right answers from wrong ones. A model is
    counted if the confidence interval of its AUC lies wholly above 0.5. `found`: the content of probe.json."""
    models = found.get("models")
    aucs = (
        [one.get("auc") for one in models.values() if isinstance(one, Mapping)] if isinstance(models, Mapping) else []
    )
    known = [low for auc in aucs if isinstance(auc, Mapping) and isinstance(low := auc.get("low"), int | float)]
    able = sum(low > 0.5 for low in known)
    return (
        [f"{able} of {len(aucs)} models tell right answers from wrong ones (the AUC's interval lies above 0.5)."]
        if aucs
        else []
    )


def of_training(curve: Curve, metrics: Mapping[str, float]) -> list[str]:
    """Return a list with a sentence that says how long a student was trained and how its loss changed. The list is
    empty if there is no loss curve."""
    if not curve:
        return []
    tenth = max(1, len(curve) // 10)
    first, last = (sum(loss for _, loss in part) / tenth for part in (curve[:tenth], curve[-tenth:]))
    samples = metrics.get("samples")
    on = f" on {count(samples)} samples" if isinstance(samples, int | float) else ""
    return [
        f"Trained{on} for {curve[-1][0]:,.0f} optimiser steps: the training loss went from {first:.2f} to {last:.2f} "
        "(means of the first and the last tenth)."
    ]


def joined(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the sentences of all `parts` in order, without repetitions."""
    return list(dict.fromkeys(sentence for part in parts for sentence in part))
