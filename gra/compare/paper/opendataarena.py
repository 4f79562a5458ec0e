"""Reads OpenDataArena's leaderboard (results/paper/opendataarena.csv) and finds the entries that correspond to the
paper's rows.

Source: OpenDataArena, arXiv 2512.14051, leaderboard data of 27 July 2025 in its site's repository. For each of the
paper's two base models, the leaderboard has scores of the base model, of the model that its makers tuned, and of 89
models that OpenDataArena tuned, each on one public data set. Its recipe differs from the paper's (three epochs, other
prompts, a verifier model for some benchmarks), so its scores are evidence, not proof.
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
    """One model of the leaderboard, with its scores.

    `kind`: "base" if the model is not fine-tuned, "instruct" if its makers fine-tuned it, and otherwise the domain of
    its training data. `scores`: column of the leaderboard -> score in percent. A column without a score is absent.
    """

    base: str
    data: str
    size: str
    kind: str
    scores: Mapping[str, float]


def load(path: Path) -> list[Entry]:
    """Return the models of the leaderboard in the file `path`. Raises StoreError, which names the line, if the file is
    damaged."""
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
    """Return the entry of the base model without fine-tuning, or None."""
    return next((one for one in entries if one.base == base and one.kind == "base"), None)


def tuned(entries: Sequence[Entry], base: str) -> list[Entry]:
    """Return the entries of the models that were tuned on public data sets, for one base model."""
    return [one for one in entries if one.base == base and one.kind not in ("base", "instruct")]


def counterpart(entries: Sequence[Entry], key: RowKey) -> Entry | None:
    """Return the leaderboard's model that corresponds to the row `key` of the paper's tables. Return None if there is
    none.

    A row names its base model and its training data. If the data are `base`, the result is the base model without
    fine-tuning. If they are `vanilla`, the result is the base model tuned on the same seed data. For all other training
    data, the result is None.
    """
    if key.data == "base":
        return untrained(entries, key.base)
    wanted = SAME.get(key.seed) if key.data == "vanilla" else None
    return next((one for one in tuned(entries, key.base) if one.data == wanted), None)


def score(entry: Entry | None, benchmark: Benchmark) -> float | None:
    """Return a model's score on a benchmark, in percent. Return None if the leaderboard does not have this score."""
    return entry.scores.get(benchmark.opendataarena) if entry is not None and benchmark.opendataarena else None


def known(entries: Sequence[Entry], base: str, benchmark: Benchmark) -> list[float]:
    """Return the scores of all tuned models on a benchmark, in ascending order."""
    return sorted(value for one in tuned(entries, base) if (value := score(one, benchmark)) is not None)


def has_seeds(entries: Sequence[Entry], base: str) -> list[str]:
    """Return those seed sets of the paper on which a model of the leaderboard was tuned. `base`: the base model of this
    model."""
    return [seed for seed in SEEDS if counterpart(entries, RowKey(base, seed, "vanilla")) is not None]
