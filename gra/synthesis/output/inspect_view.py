"""PURE: selects and sorts the samples that the terminal browser lists. The user can filter them by search words and by
whether they were kept or dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FATES = ("all", "kept", "dropped")
COLUMNS = ("id", "decision", "reason", "round", "domain", "generator", "mean", "std", "instruction")  # columns to read
_LOWEST = float("-inf")

Row = Mapping[str, Any]


def _number(key: str, sign: int = 1) -> Callable[[Row], float]:
    return lambda row: sign * value if isinstance(value := row.get(key), int | float) else -_LOWEST


ORDERS: dict[str, Callable[[Row], Any]] = {
    "as made": lambda row: (row.get("round") or 0, str(row.get("id"))),
    "highest mean": _number("mean", -1),
    "lowest mean": _number("mean"),
    "most disputed": _number("std", -1),
    "reason": lambda row: (str(row.get("reason") or ""), str(row.get("id"))),
}


@dataclass(frozen=True)
class View:
    """The samples that the terminal browser of `gra inspect` lists, and their order. `rows`: all samples. `search`:
    words that a listed sample must contain. `fate`: one of FATES. It says whether all samples are listed, only kept
    ones or only dropped ones. `order`: one of ORDERS, by which the listed samples are sorted."""

    rows: Sequence[Row]
    search: str = ""
    fate: str = FATES[0]
    order: str = next(iter(ORDERS))

    def listed(self) -> list[Row]:
        """Return the rows to show, in the order in which they are shown."""
        words = self.search.casefold().split()
        found = [row for row in self.rows if self._fits(row, words)]
        return sorted(found, key=ORDERS[self.order])

    def _fits(self, row: Row, words: Sequence[str]) -> bool:
        if self.fate != FATES[0] and (self.fate == "kept") != row["kept"]:
            return False
        if not words:
            return True
        text = " ".join(str(row.get(key) or "") for key in COLUMNS).casefold()
        return all(word in text for word in words)

    def next_fate(self) -> View:
        return replace(self, fate=_after(FATES, self.fate))

    def next_order(self) -> View:
        return replace(self, order=_after(tuple(ORDERS), self.order))

    def status(self, shown: int) -> str:
        """Return the status line of the terminal browser, which lists samples. It gives the number of listed samples
        (`shown`), the number of all samples, the filter, the order and the search words."""
        return f"{shown:,} of {len(self.rows):,} samples; {self.fate}; {self.order}" + (
            f"; with {self.search!r}" if self.search else ""
        )


def fate_of(row: Row) -> str:
    """Return the text that a sample has in the list's column `decision`. For a kept sample, this is its decision
    (accepted, adjudicated or unreviewed). For a dropped sample, it is the reason why it was dropped."""
    return str((row.get("decision") if row["kept"] else row.get("reason")) or "-")


def _after(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]
