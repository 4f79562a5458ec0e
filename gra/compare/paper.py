"""The paper's main table as published (results/paper/table1_main.csv), with its row means recomputed and misprints flagged."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from gra.errors import StoreError

BENCHMARKS = ("gsm8k", "math", "humaneval", "mbpp", "hellaswag", "arc_c", "gpqa", "bbh", "mmlu", "ifeval")
ROUNDING = Decimal("0.005")  # an average printed with two decimals cannot be further from the mean of its row


@dataclass(frozen=True)
class PaperRow:
    """One row of Table 1, in percent. `mean` is the exact mean of the ten scores as printed; `misprint` says that the
    printed average is further from it than rounding allows, so that a score or the average is wrong in print."""

    base_model: str
    seed_dataset: str
    train_data: str
    scores: dict[str, Decimal]
    printed: Decimal
    mean: Decimal
    misprint: bool


def main_table(text: str, where: str = "table1_main.csv") -> list[PaperRow]:
    """The rows of the table in `text` (CSV). Pure. Raises StoreError, naming the line, for a column or number that is missing."""
    result = []
    for line, row in enumerate(csv.DictReader(text.splitlines()), 2):
        try:
            scores = {name: Decimal(row[name]) for name in BENCHMARKS}
            printed = Decimal(row["avg"])
            mean = sum(scores.values(), Decimal(0)) / len(scores)
            misprint = abs(printed - mean) > ROUNDING
            names = (row["base_model"], row["seed_dataset"], row["train_data"])
        except (KeyError, InvalidOperation, TypeError) as error:
            raise StoreError(f"{where}, line {line}: a column or number is missing ({error!r}). Restore the file.") from error
        result.append(PaperRow(*names, scores, printed, mean, misprint))
    return result


def load(path: Path) -> list[PaperRow]:
    """`main_table` of a file."""
    return main_table(path.read_text(encoding="utf-8"), str(path))
