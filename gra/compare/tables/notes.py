"""Writes the notes under the table: how its numbers were computed, and which sources of error its intervals include."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.compare.statistics.bootstrap import Difference, Range, with_noise
from gra.compare.tables.numbers import count
from gra.compare.tables.rows import Comparison, TableRow
from gra.labels import before_training

NOISES = (0.01, 0.02)  # training noise whose effect on an interval over items is reported
TOKENS = (
    "Tokens are input plus output, over all models and all calls for proposals that were kept or dropped. Proposals that were "
    "started but not needed are left out (run.json in the data folder counts them)."
)
NO_NOISE = "They do not cover training noise: what another training would give."
CLUSTERS = "Benchmarks sampled by whole clusters of items, with the number of clusters"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def notes(comparison: Comparison) -> list[str]:
    """Return the notes under the table, one per line. They say what a reader needs to know about the numbers."""
    lines = [
        "Scores are percent correct; the mean is the unweighted mean over benchmarks. A missing value is shown as -."
    ]
    if partly := [row for row in comparison.rows if 0 < row.replicates < row.planned]:
        listed = "; ".join(f"{label(row, comparison)}: {row.replicates} of {row.planned}" for row in partly)
        lines.append(f"Not all training runs of an arm are finished; its row shows those that are ({listed}).")
    lines += _on_differences(comparison)
    if any(row.spread is not None for row in comparison.rows):
        lines.append("± is the standard deviation over training runs.")
    lines += [plain(line) for line in comparison.caveats]
    if any(row.tolerant is not None for row in comparison.rows):
        lines.append(
            "Strict scores count answers in the form that the task asks for; tolerant scores count them in any clear form; form is "
            "strict minus tolerant. A difference in strict scores is the sum of the differences in tolerant scores and in form. "
            "Extracted is the share of replies with an answer in the requested form."
        )
    if any(row.facts.wrong_share is not None for row in comparison.rows):
        lines.append(
            "Wrong is the true share of wrong answers among the training samples that have an answer, flawed the share of samples "
            "whose task has none; both are known only in a simulated world."
        )
    if has_data(comparison):
        lines.append(TOKENS)
    if uneven := _uneven(comparison):
        lines.append(uneven)
    if any(row.facts.flops for row in comparison.rows):
        sizes = " The sizes of the simulated models are made up." if comparison.simulated else ""
        lines.append(
            f"FLOPs are estimated as 2 x parameters x tokens over the same calls (T = 10^12, P = 10^15).{sizes}"
        )
    lines += few_bits(
        [(label(row, comparison), words) for row in comparison.rows for words in row.quantized], len(comparison.rows)
    )
    if comparison.simulated:
        lines.append(
            "Simulated: the models and benchmarks belong to a simulated world; the numbers say nothing about real models."
        )
    return lines


def _on_differences(comparison: Comparison) -> list[str]:
    """Notes on how the intervals were made and what they leave out. If no arm was compared, the notes are only on the
    arms' own intervals."""
    differing = [(row, found) for row in comparison.rows if (found := row.difference)]
    if not differing:
        return [*_no_reference(comparison), *_on_own(comparison)]
    over_items = [(row, found) for row, found in differing if not found.over_trainings]
    trained = [(row, found) for row, found in differing if found.over_trainings]
    lines = []
    level = f"{100 * comparison.level:g} %"
    if trained:
        lines.append(
            f"Differences are reference minus arm in points, with {level} intervals over items and training runs: they allow for "
            "training both arms again and for testing on other questions of the same kind. They use Student's t; the standard "
            "error combines the spread of each arm's training runs with the item-by-item differences between the arms."
        )
    if over_items:
        which = "Differences are reference minus arm in points, with"
        if trained:
            which = f"The differences of {_listed(over_items, comparison)} have"
        lines.append(
            f"{which} {level} intervals over items, for these {'two ' if _once(over_items) else ''}trained models: a paired "
            f"bootstrap over test items with {comparison.resamples:,} resamples. {NO_NOISE}"
        )
        lines += noise_note([row.mean_difference("strict") for row, _ in over_items], comparison.level)
    if not comparison.items_only and over_items:
        lines.append(
            "Scores are starred only where both arms were trained at least twice (--items-only stars differences over items)."
        )
    if once := [(row, found) for row, found in trained if not found.claims]:
        lines.append(
            f"{_listed(once, comparison)} against the reference: one of the two was trained once. Its training noise is assumed to "
            "equal the other's, and no score is starred."
        )
    lines.append(
        "Detectable: the smallest true difference in the mean at which such an interval excludes 0 four times in five."
    )
    lines += _on_own(comparison)
    clustered = {task: number for _, found in differing for task, number in found.clustered.items()}
    if clustered:
        listed = ", ".join(f"{task} ({number})" for task, number in clustered.items())
        lines.append(f"{CLUSTERS}: {listed}.")
    if any(starred(row, task, comparison) for row, _ in differing for task in row.cells):
        lines.append(
            f"* marks a score that differs from the reference's at the {100 * (1 - comparison.level):g} % level after Holm's "
            f"correction over the arm's benchmarks{', for these trained models' if comparison.items_only else ''}."
        )
    return lines


def noise_note(differences: Sequence[Range | None], level: float) -> list[str]:
    """Return a list with a note on training noise, for intervals that are over items only. The note says how wide the
    widest interval of `differences` would become if it included training noise. The list is empty if there is no
    interval."""
    known = [(one.high - one.low) / 2 for one in differences if one is not None]
    if not known:
        return []
    reach = max(known)
    small, large = (100 * with_noise(reach, noise, level) for noise in NOISES)
    return [
        f"If each mean varied by 1 point between training runs (standard deviation), an interval of ±{100 * reach:.1f} points "
        f"would widen to ±{small:.1f}; by 2 points, to ±{large:.1f}."
    ]


def few_bits(labelled: Sequence[tuple[str, str]], arms: int) -> list[str]:
    """Return notes on models whose weights were quantised. Each distinct quantisation label gets one note, which names
    the arms with this label. `labelled`: pairs of an arm's name and its quantisation label. `arms`: the number of all
    arms in the comparison."""
    owners: dict[str, list[str]] = {}
    for name, words in labelled:
        owners.setdefault(words, []).append(name)
    shown = {
        words: "all arms" if arms > 1 and len(names) == arms else ", ".join(names) for words, names in owners.items()
    }
    return [
        plain(f"In {names}: {before_training(words)}; these are not the weights of the model's authors.")
        for words, names in shown.items()
    ]


def has_data(comparison: Comparison) -> bool:
    """Return whether at least one fact on the training data of at least one arm is known."""
    return any(value is not None for row in comparison.rows for value in row.facts.values.values())


def over(row: TableRow) -> str:
    """Return words that say what the interval of the arm's difference covers, such as "over items and training runs".
    Return "" if the arm has no difference."""
    if row.difference is None:
        return ""
    if row.difference.over_trainings:
        return "over items and training runs"
    return f"over items, for these {'two ' if row.difference.replicates == (1, 1) else ''}trained models"


def label(row: TableRow, comparison: Comparison) -> str:
    """Return the arm's label for the table. If this arm is simulated and another arm is not, "(simulated)" is added to
    the label. If all arms are simulated, only the table's heading says so."""
    own = row.simulated and not all(other.simulated for other in comparison.rows)
    return plain(f"{row.label} (simulated)" if own else row.label)


def plain(text: str) -> str:
    """Return `text` on one line and without control characters, so that a label cannot move a terminal's cursor."""
    return _CONTROL.sub(" ", text)


def starred(row: TableRow, task: str, comparison: Comparison) -> bool:
    """Return whether the arm's strict score on the benchmark `task` gets a star. Two conditions must hold. The score
    must differ significantly from the reference's after Holm's correction over the benchmarks. The attribute `claims`
    of the arm's Difference must also be true: stars are allowed only if training noise was estimated and both arms were
    trained at least twice, or if the user set `items_only`."""
    if row.difference is None or not row.difference.claims:
        return False
    return row.adjusted.get("strict", {}).get(task, 1.0) <= 1 - comparison.level


def _uneven(comparison: Comparison) -> str | None:
    """The note that the arms have different numbers of training samples; None where the known numbers are equal."""
    shown = [
        (label(row, comparison), count(row.facts.samples)) for row in comparison.rows if row.facts.samples is not None
    ]
    if len({number for _, number in shown}) < 2:
        return None
    listed = "; ".join(f"{name}: {number}" for name, number in shown)
    return f"The arms have different numbers of training samples ({listed}), which affects their scores."


def _on_own(comparison: Comparison) -> list[str]:
    """A note on whether the arms' own intervals cover training runs too; [] if all cover items only."""
    shown = [row for row in comparison.rows if row.interval is not None]
    if not any(row.trainings for row in shown):
        return []
    if all(row.trainings for row in shown):
        return ["An arm's own interval is over items and its training runs."]
    return ["An arm's own interval is over items, and also over its training runs where there are at least three."]


def _no_reference(comparison: Comparison) -> list[str]:
    """A note that the reference has no scores, if other arms have some; else []."""
    without = [row for row in comparison.rows if row.reference and not row.cells]
    if not without or not comparison.scored:
        return []
    return [f"No differences are shown, because the reference ({label(without[0], comparison)}) has no scores."]


def _listed(differing: Sequence[tuple[TableRow, Difference]], comparison: Comparison) -> str:
    return ", ".join(label(row, comparison) for row, _ in differing)


def _once(differing: Sequence[tuple[TableRow, Difference]]) -> bool:
    return all(found.replicates == (1, 1) for _, found in differing)
