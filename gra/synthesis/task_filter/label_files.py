"""Reads instructions that people or models labelled as tasks or as other texts (synthesis.task_labels).

A label file has one JSON object per line, with the keys `instruction` (text) and `task` (true, false or null). Sheets
of `gra blind` have this form once they are labelled. Other keys are ignored.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import ConfigError, Problem
from gra.fileio import bounded_lines, open_maybe_gzip
from gra.paths import located

KEY = "synthesis.task_labels"
FEWEST = 20  # of tasks, and of other texts
LONGEST_LINE = 1 << 20  # bytes; longer lines are skipped
LONGEST = 4000  # characters of an instruction that count


@dataclass(frozen=True)
class Labelled:
    """Texts that were labelled as tasks (`tasks`), and texts that were labelled as no tasks (`others`). Each text
    occurs once. `skipped`: reason -> number of lines or texts that were left out."""

    tasks: tuple[str, ...]
    others: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)


def read_labels(paths: Sequence[str]) -> Labelled:
    """Return the labelled instructions of all files. A line without a usable label is skipped and counted, and so is a
    text that has both labels. The order of files and lines does not matter.

    Raises ConfigError if a file cannot be read, or if fewer than `FEWEST` tasks or fewer than `FEWEST` other texts are
    left. The error names each file that cannot be read.
    """
    skipped: Counter[str] = Counter()
    found: dict[str, set[bool]] = {}
    problems = []
    for place, path in enumerate(paths):
        try:
            for text, label in _lines(located(path), skipped):
                found.setdefault(text, set()).add(label)
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            why = (
                f"cannot be read: {path} ({error.strerror if isinstance(error, OSError) and error.strerror else error})"
            )
            problems.append(
                Problem(f"{KEY}[{place}]", why, "give a file of labelled instructions, such as a sheet of gra blind")
            )
    if problems:
        raise ConfigError(problems)
    skipped["labelled both as a task and as none"] = sum(len(labels) == 2 for labels in found.values())
    tasks = tuple(sorted(text for text, labels in found.items() if labels == {True}))
    others = tuple(sorted(text for text, labels in found.items() if labels == {False}))
    if min(len(tasks), len(others)) < FEWEST:
        left_out = "".join(f"; skipped: {count} x {reason}" for reason, count in sorted(skipped.items()) if count)
        what = f"{len(tasks)} tasks and {len(others)} other texts; a classifier needs {FEWEST} of each{left_out}"
        raise ConfigError(
            [Problem(KEY, what, "label more instructions (gra blind; one JSON object per line), or set it to null")]
        )
    return Labelled(tasks, others, {reason: count for reason, count in sorted(skipped.items()) if count})


def files(paths: Any) -> dict[str, Path]:
    """Return the label files: dotted key -> path. `paths`: the value of `synthesis.task_labels`, valid or not."""
    named = [path for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return {f"{KEY}[{place}]": located(path) for place, path in enumerate(named)}


def problems(paths: Sequence[str] | None) -> list[Problem]:
    """Return the faults of the label files, found by reading them."""
    if paths is None:
        return []
    try:
        read_labels(paths)
    except ConfigError as error:
        return list(error.problems)
    return []


def _lines(path: Path, skipped: Counter[str]) -> list[tuple[str, bool]]:
    found = []
    with open_maybe_gzip(path) as file:
        for line in bounded_lines(file, LONGEST_LINE):
            if line is None:
                skipped["a line of more than 1 MiB"] += 1
                continue
            text = line.decode("utf-8").removeprefix("\ufeff").strip()  # some editors begin a file with U+FEFF
            if not text:
                continue
            row = _json(text)
            instruction = row.get("instruction") if isinstance(row, dict) else None
            if not isinstance(instruction, str) or not instruction.strip():
                skipped["no JSON object with an instruction"] += 1
            elif not isinstance(row.get("task"), bool):
                skipped["no label"] += 1
            else:
                found.append((instruction.strip()[:LONGEST], row["task"]))
    return found


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
