"""What stands under the table: how its numbers were made, what its intervals say and what they leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gra.compare.bootstrap import Difference, Range, with_noise
from gra.compare.numbers import count
from gra.compare.rows import Comparison, Row
from gra.labels import before_training

NOISES = (0.01, 0.02)  # of training, whose effect on an interval over items is told
TOKENS = (
    "Tokens are in and out together, over all models and all calls for proposals that were decided on, kept or discarded; "
    "proposals begun but in the end not needed are left out (run.json in the data folder has them)."
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def notes(comparison: Comparison) -> list[str]:
    """What a reader needs to know to read the numbers, one sentence a line."""
    lines = ["Scores are percent correct; the mean is the plain mean over benchmarks. A missing value is -."]
    lines += _on_differences(comparison)
    if any(row.spread is not None for row in comparison.rows):
        lines.append("± is the standard deviation over trainings.")
    lines += [plain(line) for line in comparison.asked_unlike]
    if any(row.tolerant is not None for row in comparison.rows):
        lines.append(
            "Strict scores take an answer in the form that the task asks for, tolerant ones however it is put, and form is strict "
            "minus tolerant: a difference in strict scores is that in tolerant ones and that in form together. Extracted is the "
            "share of replies with an answer in the asked form."
        )
    if any(row.facts.wrong_share is not None for row in comparison.rows):
        lines.append("Wrong is the true share of wrong samples in the training data, which is known in the simulated world.")
    lines.append(TOKENS)
    if uneven := _uneven(comparison):
        lines.append(uneven)
    if any(row.facts.flops for row in comparison.rows):
        sizes = " The sizes of simulated models are made up." if comparison.simulated else ""
        lines.append(f"FLOPs are estimated as 2 x parameters x tokens, over the same calls (T = 10^12, P = 10^15).{sizes}")
    lines += few_bits([(label(row, comparison), words) for row in comparison.rows for words in row.quantized], len(comparison.rows))
    if comparison.simulated:
        lines.append("Simulated: these models and benchmarks belong to a simulated world; nothing here is about real models.")
    return lines


def _on_differences(comparison: Comparison) -> list[str]:
    """How the intervals were made, and what they leave out; nothing where no arm was compared."""
    differing = [(row, found) for row in comparison.rows if (found := row.difference)]
    if not differing:
        return _on_own(comparison)
    over_items = [(row, found) for row, found in differing if not found.over_trainings]
    trained = [(row, found) for row, found in differing if found.over_trainings]
    lines = []
    level = f"{100 * comparison.level:g} %"
    if trained:
        lines.append(
            f"Differences are reference minus arm in points, with {level} intervals over items and trainings: what training both "
            "arms again and asking other questions of the same kind might give. Student's t; the standard error joins how far "
            "apart the trainings of each arm are and how the same items differ between the arms."
        )
    if over_items:
        which = f" of {_listed(over_items, comparison)}" if trained else ""
        lines.append(
            f"Differences{which}{'' if trained else ' are reference minus arm in points,'} with {level} intervals over items, for "
            f"{'these two trained models' if _once(over_items) else 'these trained models'}: a paired bootstrap over test items, "
            f"{comparison.resamples:,} resamples. They do not say what another training would give."
        )
        lines += noise_note([row.mean_difference("strict") for row, _ in over_items], comparison.level)
    if not comparison.items_only and over_items:
        lines.append(f"Without several trainings of both arms no score is starred{' there' if trained else ''} (--items-only stars "
                     "what differs over items).")  # fmt: skip
    if once := [(row, found) for row, found in trained if not found.claims]:
        lines.append(
            f"Of {_listed(once, comparison)} and the reference one was trained once: its noise of training is taken to be that of "
            "the other, and no score is starred."
        )
    lines += _on_own(comparison)
    clustered = {task: number for _, found in differing for task, number in found.clustered.items()}
    if clustered:
        listed = ", ".join(f"{task} ({number})" for task, number in clustered.items())
        lines.append(f"Whole clusters of items count, not single ones, in: {listed}.")
    if any(clear(row, task, comparison) for row, _ in differing for task in row.cells):
        lines.append(
            f"* marks a score that differs from the reference's at the {100 * (1 - comparison.level):g} % level, after Holm's "
            f"correction over the benchmarks of the arm{', for these trained models' if comparison.items_only else ''}."
        )
    return lines


def noise_note(differences: Sequence[Range | None], level: float) -> list[str]:
    """What the noise of training would do to the widest of these intervals over items; nothing where there is none."""
    known = [(one.high - one.low) / 2 for one in differences if one is not None]
    if not known:
        return []
    reach = max(known)
    small, large = (100 * with_noise(reach, noise, level) for noise in NOISES)
    return [
        f"If training again moved each mean by 1 point (standard deviation), an interval of ±{100 * reach:.1f} points would be "
        f"±{small:.1f}; by 2 points, ±{large:.1f}."
    ]


def few_bits(labelled: Sequence[tuple[str, str]], arms: int) -> list[str]:
    """A footnote for each label of weights that were rounded to few bits once; `labelled`: (arm, label), of so many `arms`."""
    owners: dict[str, list[str]] = {}
    for name, words in labelled:
        owners.setdefault(words, []).append(name)
    shown = {words: "all arms" if arms > 1 and len(names) == arms else ", ".join(names) for words, names in owners.items()}
    return [plain(f"Of {names}: {before_training(words)}; not those of the model's authors.") for words, names in shown.items()]


def over(row: Row) -> str:
    """What the arm's difference from the reference is over."""
    if row.difference is None:
        return ""
    if row.difference.over_trainings:
        return "over items and trainings"
    return f"over items, for these {'two ' if row.difference.replicates == (1, 1) else ''}trained models"


def label(row: Row, comparison: Comparison) -> str:
    """The arm's label; where only some arms are simulated, each says so itself (else the heading says it for all)."""
    own = row.simulated and not all(other.simulated for other in comparison.rows)
    return plain(f"{row.label} (simulated)" if own else row.label)


def plain(text: str) -> str:
    """`text` on one line and without control characters (a label must not move the cursor)."""
    return _CONTROL.sub(" ", text)


def clear(row: Row, task: str, comparison: Comparison) -> bool:
    """Whether a star marks the arm's strict score: it differs from the reference's after Holm's correction over the benchmarks, and
    the intervals are of a kind that may claim so."""
    if row.difference is None or not row.difference.claims:
        return False
    return row.adjusted.get("strict", {}).get(task, 1.0) <= 1 - comparison.level


def _uneven(comparison: Comparison) -> str | None:
    """That the arms were not trained on equally many samples, with their numbers; None where they were, as far as known."""
    shown = [(label(row, comparison), count(row.facts.samples)) for row in comparison.rows if row.facts.samples is not None]
    if len({number for _, number in shown}) < 2:
        return None
    listed = "; ".join(f"{name}: {number}" for name, number in shown)
    return f"The arms differ in their number of training samples ({listed}), which bears on their scores."


def _on_own(comparison: Comparison) -> list[str]:
    """What the arms' own intervals are over."""
    shown = [row for row in comparison.rows if row.interval is not None]
    if not any(row.trainings for row in shown):
        return []
    if all(row.trainings for row in shown):
        return ["An arm's own interval is over items and its trainings."]
    return ["An arm's own interval is over items, and over its trainings where there are three or more."]


def _listed(differing: Sequence[tuple[Row, Difference]], comparison: Comparison) -> str:
    return ", ".join(label(row, comparison) for row, _ in differing)


def _once(differing: Sequence[tuple[Row, Difference]]) -> bool:
    return all(found.replicates == (1, 1) for _, found in differing)
