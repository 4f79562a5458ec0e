"""Replaces the strict verdicts on stored replies by a verifier model's verdicts.

Command: gra rescore FOLDER --reading verified ...

The verifier is asked about every generated reply of a benchmark with right answers. Three sorts of items keep the
strict verdict of the evaluation: programs, which are run; items of IFEval, which are checked by rule; and items with an
unknown kind of answer. If the verifier's verdict on an item is missing (unreadable, or refused by the server), the item
gets its tolerant verdict instead. The column `verdict` in samples.parquet and the counts in scores.json record this.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import StoreError
from gra.eval.inference.reply_store import NAME
from gra.eval.inference.verifier import Verifier, verify
from gra.eval.report.samples import SampleRow
from gra.eval.scoring import rereading, verifying
from gra.fileio import read_json, write_json

BEGUN = "verifier.json"  # records which command began the folder, so that the same command can resume it
KEPT = {
    "code": "programs are run: their own verdict is kept",
    "ifeval": "instructions are checked by rule: their own verdict is kept",
}
UNKNOWN = "no right answer that is known to be one: its own verdict is kept"
_LINE_S = 30.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Item:
    """A row of samples.parquet, with the kind of its answer and lm-eval's logged sample."""

    row: SampleRow
    kind: str | None
    sample: Mapping[str, Any]


@dataclass(frozen=True)
class Verified:
    """The result of `gra rescore --reading verified`, in which a verifier model judges stored replies.

    - `tasks`: the counts of verdicts for each task of the suite (see verifying.account).
    - `every`: the counts over all items.
    - `verdicts`: the verifier's verdict for each row of samples.parquet. None stands for a row that keeps the
      verdict of the task's own rules.
    - `kept`: for each leaf task that keeps the verdicts of its own rules, the reason.
    - `simulated`: whether a simulated model gave any of the verdicts.
    """

    verifier: str
    tasks: Mapping[str, Mapping[str, Any]]
    every: Mapping[str, Any]
    verdicts: Sequence[str | None]
    kept: Mapping[str, str]
    simulated: bool

    def how(self, task: str) -> dict[str, str]:
        """Return the conditions to record with a task's scores: that a verifier judged the replies, and which one.

        Return {} for a task whose replies no verifier judged.

        `gra compare` lists the tasks whose conditions differ between two evaluations.
        """
        return {"reading": rereading.VERIFIED, "verifier": self.verifier} if task in self.tasks else {}

    def columns(self) -> dict[str, list[str | None]]:
        """Return the columns that this reading adds to samples.parquet."""
        names = [None if verdict is None else self.verifier for verdict in self.verdicts]
        return {"verdict": list(self.verdicts), "verifier": names}

    def lines(self) -> list[str]:
        """Return the lines that are printed below the scores."""
        found = [_line(task, counts) for task, counts in self.tasks.items()]
        found += [_line("all verified tasks", self.every)] if len(self.tasks) > 1 else []
        return [*found, *(f"{leaf}: not verified; {why}" for leaf, why in self.kept.items())]


def begin(output: Path, folder: Path, verifier: Verifier) -> None:
    """Create the folder `output`, in which a verifier's verdicts are stored, or resume a folder that the same command
    began.

    A folder that was begun with other arguments (evaluation, verifier or token limit) is reused as long as it contains
    no scores. Raises StoreError for any other folder that has files.
    """
    mine = {"from": str(folder.resolve()), "verifier": verifier.model, "max_tokens": verifier.max_tokens}
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        try:
            found = read_json(output / BEGUN)
        except (OSError, ValueError):
            found = None
        unfinished = isinstance(found, dict) and not (output / "scores.json").exists()
        if found != mine and not unfinished:
            what = "not empty" if found is None else "begun by another command"
            raise StoreError(f"{output}: {what}\n    -> give a new folder, or repeat the command that began this one")
    write_json(output / BEGUN, mine)


def read(verifier: Verifier, items: Sequence[Item], output: Path) -> Verified:
    """Replace the score `correct` in the rows of `items` by the verifier's verdicts. Return the verdicts and their
    counts.

    Raises the same errors as verifier.verify.
    """
    prompts = [verifying.prompt(item.kind, item.sample) if item.kind in verifying.KINDS else None for item in items]
    asked = [(item.row["subtask"], prompt) for item, prompt in zip(items, prompts, strict=True) if prompt is not None]
    found = verify(verifier, asked, output / NAME, _Progress())
    verdicts: list[str | None] = []
    pairs: dict[str, list[tuple[str, float]]] = {}
    for item, prompt in zip(items, prompts, strict=True):
        if item.kind not in verifying.KINDS:
            verdicts.append(None)
            continue
        verdict = verifying.BLANK if prompt is None else found.by_prompt[prompt]
        tolerant = item.row["correct_tolerant"]
        assert tolerant is not None  # every one of verifying.KINDS has a tolerant reading
        item.row["correct"] = verifying.SCORES.get(verdict, tolerant)
        verdicts.append(verdict)
        pairs.setdefault(item.row["task"], []).append((verdict, tolerant))
    return Verified(
        verifier.model,
        {task: verifying.account(mine) for task, mine in pairs.items()},
        verifying.account(pair for mine in pairs.values() for pair in mine),
        verdicts,
        {item.row["subtask"]: KEPT.get(item.kind or "", UNKNOWN) for item in items if item.kind not in verifying.KINDS},
        found.simulated,
    )


def _line(name: str, counts: Mapping[str, Any]) -> str:
    agreement = counts["agreement"]
    text = "-" if agreement is None else f"{100 * agreement:.1f} %"
    apart = f"verifier alone right {counts['verifier_only']:,}, tolerant alone {counts['tolerant_only']:,}"
    without = f"; {counts['fell_back']:,} without a verdict keep their tolerant one" if counts["fell_back"] else ""
    return f"{name}: verifier and tolerant reading agree on {text} of {counts['right'] + counts['wrong']:,} ({apart}){without}"


class _Progress:
    """Prints how many verdicts are known, every _LINE_S seconds."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._printed >= _LINE_S:
            self._printed = time.monotonic()
            print(f"verifier: {done:,} of {total:,} answered", file=sys.stderr, flush=True)
