"""Which samples are trained on where there are several data folders, a stated size, or a held-out part: counts and orders.

The inputs `data` and `data_NAME` are the folders, `sft.mix` their weights. Decisions are pure functions of sizes and seed: the
counts follow the weights by largest remainder, and each folder has one order, drawn by the seed, from which samples are taken
one by one without replacement. So a larger `sft.limit` holds the samples of a smaller one (of one folder; under a mixture but
for the rounding of the counts).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from gra.errors import Problem
from train import data
from train.settings import SftSettings

PREFIX = "data_"
OTHERS = ("student", "tokens")  # inputs that hold no samples


def is_data(name: str) -> bool:
    """Whether the input `name` is a data folder."""
    return name == "data" or name.startswith(PREFIX)


def folders(inputs: Mapping[str, Path]) -> dict[str, Path]:
    """The data folders among a stage's inputs, sorted by name: the order in which their samples follow each other."""
    return {name: inputs[name] for name in sorted(inputs) if is_data(name)}


def weights(sft: SftSettings) -> dict[str, float]:
    """Input name -> weight, sorted by name; one folder is a mixture of itself alone."""
    return dict(sorted((sft.mix or {"data": 1.0}).items()))


def shares(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` cut by `weights` into whole numbers by largest remainder; equal remainders: the first name goes first.

    Exact: a weight counts as the decimal number that was written, so 0.1 is a tenth.
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
    """The largest total, `at_most` or less, whose shares `available` can give; 0 where even one sample is too many."""
    whole = sum(Fraction(str(weight)) for weight in weights.values())
    total = min(int((available[name] + 1) * whole / Fraction(str(weight))) for name, weight in weights.items())
    total = total if at_most is None else min(total, at_most)
    while any(count > available[name] for name, count in shares(total, weights).items()):
        total -= 1  # a few steps: a quota that a folder can give is never rounded above what it has
    return total


def held_out_count(sft: SftSettings, rows: Mapping[str, int]) -> int:
    """Samples to be held out: `sft.held_out` itself, or that share of the rows that the weights allow to be drawn at most.

    Not a share of `sft.limit`: training sets of different sizes are validated on the same samples.
    """
    if sft.held_out is None:
        return 0
    return sft.held_out if isinstance(sft.held_out, int) else round(sft.held_out * largest(weights(sft), rows))


def order(name: str, rows: int, seed: int, mixed: bool) -> list[int]:
    """The row numbers of a folder in the order in which samples are taken. Under a mixture every folder has an order of its own:
    folders made from the same seeds would otherwise give the same rows."""
    numbers = list(range(rows))
    random.Random(f"{seed}/{name}" if mixed else seed).shuffle(numbers)
    return numbers


def held_out_order(name: str, rows: int, seed: int) -> list[int]:
    """The same for the held-out part, independent of the order for training."""
    numbers = list(range(rows))
    random.Random(f"{seed}/{name}/held_out").shuffle(numbers)
    return numbers


def check(sft: SftSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Faults of data inputs, weights and stated sizes that show in the config and in the number of rows of the files."""
    names = [name for name in sorted(inputs) if is_data(name)]
    found = [
        Problem(f"inputs.{name}", "this stage has no such input", f"data folders are called data or {PREFIX}NAME")
        for name in inputs
        if not is_data(name) and name not in OTHERS
    ]
    if sft.mix is None and len(names) > 1:
        equal = ", ".join(f"{name}: {1 / len(names):.3g}" for name in names)
        found.append(Problem("sft.mix", f"several data folders ({', '.join(names)}), but no weights", f"e.g. sft.mix={{{equal}}}"))
    for name in sorted(sft.mix or ()):
        if name not in names:
            found.append(
                Problem(f"sft.mix.{name}", "there is no such data folder among the inputs", f"inputs: {', '.join(names) or 'none'}")
            )
    for name in names:
        if sft.mix is not None and name not in sft.mix:
            found.append(Problem(f"inputs.{name}", "has no weight in sft.mix", f"set sft.mix.{name}, or leave the input out"))
    return found or _sizes(sft, inputs)


def _sizes(sft: SftSettings, inputs: Mapping[str, Path | None]) -> list[Problem]:
    """Stated sizes that the folders cannot give, as far as the number of rows tells; unreadable files are another's word."""
    if sft.held_out is None and (sft.mix is None or sft.limit is None):
        return []
    rows = {}
    for name in weights(sft):
        folder = inputs.get(name)
        count = None if folder is None else data.count_rows(folder)
        if not count:  # made by an earlier step, or missing, unreadable, empty: told elsewhere
            return []
        rows[name] = count
    held = shares(held_out_count(sft, rows), weights(sft))
    if any(held[name] >= rows[name] for name in rows):
        message = f"{sft.held_out} leaves nothing to train on: {_listed(rows)} rows"
        return [Problem("sft.held_out", message, "set it lower, or null")]
    left = {name: rows[name] - held[name] for name in rows}
    if sft.mix is not None and sft.limit is not None and sft.limit > (most := largest(weights(sft), left, sft.limit)):
        message = f"{sft.limit} samples mixed by these weights are more than the folders hold ({_listed(left)} rows to train on)"
        return [Problem("sft.limit", message, f"set sft.limit={most} or less, other weights, or null (as many as there are)")]
    return []


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())
