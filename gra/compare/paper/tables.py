"""Reads the paper's tables as published (results/paper/table*.csv), recomputes the means of the rows and marks
misprints.

A row is named MODEL/SEED_DATA/DATA, for example `Qwen2.5-7B/Alpaca/gra`. DATA is one of

    vanilla  gra  distilled_32b  distilled_72b     Table 1
    refined  synthetic  integrated                 Table 2, which prints averages only
    gra_10k ... gra_50k                            Table 3
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from gra.errors import ConfigError, Problem, StoreError
from gra.spelling import near

BENCHMARKS = ("gsm8k", "math", "humaneval", "mbpp", "hellaswag", "arc_c", "gpqa", "bbh", "mmlu", "ifeval")
BASES = ("Qwen2.5-7B", "Llama-3.1-8B")
SEEDS = ("Alpaca", "WizardLM", "Condor")
ROUNDING = Decimal("0.005")  # an average printed with two decimals is at most this far from the mean of its row
VARIANTS = {"GRA-Refined": "refined", "GRA Synthetic": "synthetic", "GRA Integrated": "integrated"}
ARMS = ("no_review", "single_reviewer", "no_adjudicator", "fixed_roles", "single", "base")  # without printed numbers
DATA = (
    *("vanilla", "gra", "distilled_32b", "distilled_72b"),
    *VARIANTS.values(),
    *(f"gra_{size}k" for size in (10, 20, 30, 40, 50)),
    *ARMS,
)


class RowKey(NamedTuple):
    """The name of a row of the paper's tables: MODEL/SEED_DATA/DATA."""

    base: str
    seed: str
    data: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's tables, in percent.

    `scores`: the printed scores by benchmark. It is empty if the paper prints only an average. `printed`: the printed
    average. `mean`: the exact mean of `scores`. If there are no scores, it is equal to `printed`. `misprint`: whether
    `printed` differs from `mean` by more than rounding explains. If they differ by more, the average or a score must be
    a misprint.
    """

    key: RowKey
    table: int
    scores: Mapping[str, Decimal]
    printed: Decimal
    mean: Decimal
    misprint: bool


Table = dict[RowKey, PaperRow]


def load(folder: Path) -> Table:
    """Return the rows of the paper's Tables 1, 2 and 3 from the files in `folder`. If a file is damaged, StoreError is
    raised. Its message names the file and the line."""
    found: Table = {}
    readers = {"table1_main.csv": main_table, "table2_data_variants.csv": variants, "table3_iterations.csv": iterations}
    for name, reader in readers.items():
        try:
            text = (folder / name).read_text(encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{folder / name} cannot be read ({error})\n    -> restore the file") from error
        found |= {row.key: row for row in reader(text, str(folder / name))}
    return found


def main_table(text: str, where: str = "table1_main.csv") -> list[PaperRow]:
    """Return the rows of Table 1. Raises StoreError, which names the line, if a column or number is missing. `text`:
    the content of the table's CSV file. `where`: the name of this file, for errors."""
    return [_whole(row, 1, _kind(row, place), place) for place, row in _lines(text, where)]


def iterations(text: str, where: str = "table3_iterations.csv") -> list[PaperRow]:
    """Return the rows of Table 3. Raises StoreError like `main_table`."""
    return [
        _whole(row, 3, f"gra_{_cell(row, 'cumulative_size', place).lower()}", place)
        for place, row in _lines(text, where)
    ]


def variants(text: str, where: str = "table2_data_variants.csv") -> list[PaperRow]:
    """Return the rows of Table 2, which have an average but no scores. Rows whose training data are `vanilla` are left
    out, because Table 1 has them. Raises StoreError like `main_table`."""
    found = []
    for place, row in _lines(text, where):
        data = next(
            (key for words, key in VARIANTS.items() if _cell(row, "data_variant", place).startswith(words)), None
        )
        if data is None:
            continue
        for seed in SEEDS:
            printed = _number(row, f"{seed.lower()}_avg", place)
            found.append(PaperRow(RowKey(_cell(row, "base_model", place), seed, data), 2, {}, printed, printed, False))
    return found


def row_key(text: str, known: Iterable[RowKey] = (), block: str = "") -> RowKey:
    """Return the key of the row whose name is `text`. Upper and lower case are not distinguished. A row's name is
    MODEL/SEED_DATA/DATA. If `block` is MODEL/SEED_DATA, `text` is either this full name or DATA alone.

    `known`: further valid rows. Raises ConfigError if the name is unknown. The error suggests the most similar name.
    """
    words = text if text.count("/") == 2 or not block or block == "all" else f"{block}/{text}"
    names = {str(key).lower(): key for key in (*all_keys(), *known)}
    if (key := names.get(words.lower())) is not None:
        return key
    found = near(words.lower(), names)
    remedy = (
        f"did you mean {names[found[0]]}?"
        if found
        else f"MODEL/SEED_DATA/DATA, e.g. {RowKey(BASES[0], SEEDS[0], 'gra')}"
    )
    data = f"; DATA is one of {', '.join(DATA)}"
    raise ConfigError([Problem("paper", f"`{words}` names no row of the paper's tables", remedy + data)])


def all_keys() -> list[RowKey]:
    """Return the keys of all valid rows. Some of them belong to arms for which the paper prints no number."""
    return [RowKey(base, seed, data) for base in BASES for seed in SEEDS for data in DATA]


def _kind(row: Mapping[str, str], place: str) -> str:
    words = _cell(row, "train_data", place)
    for sign, kind in (("vanilla", "vanilla"), ("32B", "distilled_32b"), ("72B", "distilled_72b"), ("GRA", "gra")):
        if sign in words:
            return kind
    raise StoreError(f"{place}: unknown training data {words!r}\n    -> restore the file")


def _whole(row: Mapping[str, str], table: int, data: str, place: str) -> PaperRow:
    scores = {name: _number(row, name, place) for name in BENCHMARKS}
    printed = _number(row, "avg", place)
    mean = sum(scores.values(), Decimal(0)) / len(scores)
    key = RowKey(_cell(row, "base_model", place), _cell(row, "seed_dataset", place), data)
    return PaperRow(key, table, scores, printed, mean, abs(printed - mean) > ROUNDING)


def _lines(text: str, where: str) -> list[tuple[str, dict[str, str]]]:
    return [(f"{where}, line {line}", row) for line, row in enumerate(csv.DictReader(text.splitlines()), 2)]


def _cell(row: Mapping[str, str], name: str, place: str) -> str:
    value = row.get(name)
    if not value:
        raise StoreError(f"{place}: a column or number is missing ({name!r})\n    -> restore the file")
    return value


def _number(row: Mapping[str, str], name: str, place: str) -> Decimal:
    try:
        return Decimal(_cell(row, name, place))
    except InvalidOperation as error:
        raise StoreError(f"{place}: a column or number is missing ({name!r})\n    -> restore the file") from error
