"""Reads OpenDataArena's leaderboard (results/paper/opendataarena.csv) and sets the paper's rows beside it.

Source: OpenDataArena, arXiv 2512.14051, leaderboard data of 27 July 2025 in its site's repository. For each of the
paper's two base models, it has the base model, the makers' own tuned model, and a model tuned on each of 89 public data
sets. Its recipe differs from the paper's (three epochs, other prompts, a verifier model for some benchmarks), so it is
evidence, not proof.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gra.compare.paper.benchmarks import Benchmark
from gra.compare.paper.tables import SEEDS, RowKey
from gra.errors import StoreError

SAME = {
    "Alpaca": "Alpaca",
    "WizardLM": "WizardLM_evol_instruct_70k",
}  # the paper's seed set -> the leaderboard's data set


@dataclass(frozen=True)
class Entry:
    """One model of the leaderboard.

    `kind`: base (not fine-tuned), instruct (fine-tuned by its makers) or the domain of its training data. `scores`: in percent, by
    the leaderboard's column; columns without a score are absent.
    """

    base: str
    data: str
    size: str
    kind: str
    scores: Mapping[str, float]


def load(path: Path) -> list[Entry]:
    """The leaderboard's entries. Raises StoreError, with the line, for a damaged file."""
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error})\n    -> restore the file") from error
    found = []
    for line, row in enumerate(rows, 2):
        try:
            names = [row[key] for key in ("base_model", "data", "size", "kind")]
            scores = {key: float(value) for key, value in row.items() if key not in _NAMES and value}
        except (KeyError, ValueError, TypeError) as error:
            raise StoreError(f"{path}, line {line}: {error!r}\n    -> restore the file") from error
        found.append(Entry(names[0], names[1], names[2], names[3], scores))
    return found


_NAMES = ("base_model", "data", "size", "kind")


def untrained(entries: Sequence[Entry], base: str) -> Entry | None:
    """The untrained base model."""
    return next((one for one in entries if one.base == base and one.kind == "base"), None)


def tuned(entries: Sequence[Entry], base: str) -> list[Entry]:
    """The models tuned on public data sets."""
    return [one for one in entries if one.base == base and one.kind not in ("base", "instruct")]


def counterpart(entries: Sequence[Entry], key: RowKey) -> Entry | None:
    """Return the leaderboard's model for a row: for `base`, the untrained model; for `vanilla`, the model tuned on the
    same seed data; else None."""
    if key.data == "base":
        return untrained(entries, key.base)
    wanted = SAME.get(key.seed) if key.data == "vanilla" else None
    return next((one for one in tuned(entries, key.base) if one.data == wanted), None)


def score(entry: Entry | None, benchmark: Benchmark) -> float | None:
    """The entry's score on a benchmark in percent; None where the leaderboard does not have it."""
    return entry.scores.get(benchmark.opendataarena) if entry is not None and benchmark.opendataarena else None


def known(entries: Sequence[Entry], base: str, benchmark: Benchmark) -> list[float]:
    """The scores of all tuned models on a benchmark, ascending."""
    return sorted(value for one in tuned(entries, base) if (value := score(one, benchmark)) is not None)


def has_seeds(entries: Sequence[Entry], base: str) -> list[str]:
    """The paper's seed sets that the leaderboard has for a base model."""
    return [seed for seed in SEEDS if counterpart(entries, RowKey(base, seed, "vanilla")) is not None]
