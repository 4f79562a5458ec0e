"""Decides how many samples of each data folder are trained on and in which order they are taken.

The inputs `data` and `data_NAME` are the folders, and `sft.mix` sets their weights. All decisions depend only on the
weights, the sizes of the folders and the seed. The counts are computed from the weights by the largest-remainder
method. The seed shuffles each folder once, and samples are taken in that order without replacement. A training set with
a larger `sft.limit` therefore contains the samples of one with a smaller `sft.limit` (in a mixture, up to the rounding
of counts).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from gra.errors import Problem
from gra.train.data import rows as data
from gra.train.settings import SftSettings

PREFIX = "data_"
OTHERS = ("student", "tokens")  # inputs without samples


def is_data(name: str) -> bool:
    """Return whether the input `name` is a data folder."""
    return name == "data" or name.startswith(PREFIX)


def folders(inputs: Mapping[str, Path]) -> dict[str, Path]:
    """Return the data folders among a stage's inputs, sorted by name. A training set contains their samples in this
    order."""
    return {name: inputs[name] for name in sorted(inputs) if is_data(name)}


def weights(sft: SftSettings) -> dict[str, float]:
    """Return the weight of each data folder in the mixture, sorted by name. The keys are the names of the inputs.
    Without `sft.mix`, the result is {"data": 1.0}."""
    return dict(sorted((sft.mix or {"data": 1.0}).items()))


def shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Divide `total` samples in proportion to `weights`, and return a whole number for each name. Samples that are left
    after rounding down go to the names with the largest remainders. If remainders are equal, the alphabetically first
    name gets the sample.

    The division is exact. A weight counts as the decimal number that the user wrote, so 0.1 is one tenth.
    """
    parts = {name: Fraction(str(weight)) for name, weight in sorted(weights.items())}
    whole = sum(parts.values())
    quotas = {name: total * part / whole for name, part in parts.items()}
    counts = {name: int(quota) for name, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda name: (counts[name] - quotas[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def largest(weights: Mapping[str, float], available: Mapping[str, int], at_most: int | None = None) -> int:
    """Return the number of samples in the largest mixture with these weights. It is at most `at_most`, and 0 if the
    folders cannot even fill a mixture of one sample. `available`: the number of samples in each folder."""
    whole = sum(Fraction(str(weight)) for weight in weights.values())
    total = min(int((available[name] + 1) * whole / Fraction(str(weight))) for name, weight in weights.items())
    total = total if at_most is None else min(total, at_most)
    while any(count > available[name] for name, count in shares(total, weights).items()):
        total -= 1  # only a few steps: a quota that a folder can fill is never rounded to more than the folder has
    return total


def held_out_count(sft: SftSettings, rows: Mapping[str, int]) -> int:
    """Return the number of samples to hold out for the validation loss. `rows`: the number of rows in each folder.

    If `sft.held_out` is a number of samples, the result is this number. If it is null, the result is 0. If it is a
    fraction, the result is this fraction of the largest mixture that the weights allow. `sft.limit` does not change the
    result, so training sets of different sizes are validated on the same samples.
    """
    if sft.held_out is None:
        return 0
    return sft.held_out if isinstance(sft.held_out, int) else round(sft.held_out * largest(weights(sft), rows))


def order(name: str, rows: int, seed: int, mixed: bool) -> list[int]:
    """Return the row indices of a folder in the order in which its samples are taken. `rows`: the number of rows of the
    folder. `mixed`: whether the training set is a mixture of several folders.

    In a mixture, each folder has a different order. With the same order for all folders, folders made from the same
    seeds would contribute the same rows.
    """
    numbers = list(range(rows))
    random.Random(f"{seed}/{name}" if mixed else seed).shuffle(numbers)
    return numbers


def held_out_order(name: str, rows: int, seed: int) -> list[int]:
    """Return the row indices of a folder in the order in which samples are held out. This order does not depend on the
    order for training."""
    numbers = list(range(rows))
    random.Random(f"{seed}/{name}/held_out").shuffle(numbers)
    return numbers


def check(sft: SftSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return the faults in the names of the data inputs, in the mixture weights, and in the numbers of samples. Only
    the config and the number of rows in each file are read."""
    names = [name for name in sorted(inputs) if is_data(name)]
    found = [
        Problem(f"inputs.{name}", "this stage has no such input", f"name data folders data or {PREFIX}NAME")
        for name in inputs
        if not is_data(name) and name not in OTHERS
    ]
    if sft.mix is None and len(names) > 1:
        equal = ", ".join(f"{name}: {1 / len(names):.3g}" for name in names)
        message = f"several data folders ({', '.join(names)}), but no weights"
        found.append(Problem("sft.mix", message, f"set e.g. sft.mix={{{equal}}}"))
    for name in sorted(sft.mix or ()):
        if name not in names:
            found.append(
                Problem(
                    f"sft.mix.{name}", "no data folder has this name", f"data folders: {', '.join(names) or 'none'}"
                )
            )
    for name in names:
        if sft.mix is not None and name not in sft.mix:
            found.append(
                Problem(f"inputs.{name}", "has no weight in sft.mix", f"set sft.mix.{name}, or leave the input out")
            )
    return found or _sizes(sft, inputs)


def _sizes(sft: SftSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Return a problem if `sft.held_out` or `sft.limit` needs more rows than the folders have. Unreadable files are
    reported elsewhere."""
    if sft.held_out is None and (sft.mix is None or sft.limit is None):
        return []
    rows = {}
    for name in weights(sft):
        folder = inputs.get(name)
        count = None if folder is None else data.count_rows(folder)
        if not count:  # made by an earlier step; or missing, unreadable or empty, which is reported elsewhere
            return []
        rows[name] = count
    held = shares(held_out_count(sft, rows), weights(sft))
    if any(held[name] >= rows[name] for name in rows):
        message = f"{sft.held_out} leaves nothing to train on: {_listed(rows)} rows"
        return [Problem("sft.held_out", message, "set it lower, or null")]
    left = {name: rows[name] - held[name] for name in rows}
    if sft.mix is not None and sft.limit is not None and sft.limit > (most := largest(weights(sft), left, sft.limit)):
        message = f"{sft.limit} samples with these weights are more than the folders have ({_listed(left)} rows left)"
        return [
            Problem("sft.limit", message, f"set sft.limit={most} or less, other weights, or null (as many as possible)")
        ]
    return []


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
