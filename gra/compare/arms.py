"""Defines `Arm`, which stands for one training run of a comparison and the store folders of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gra.errors import Problem
from gra.labels import simulated

STEPS = (
    "data",
    "audit",
    "model",
    "scores",
    "opencompass",
    "verified",
)  # steps that the comparison reads; others are only listed as provenance


@dataclass(frozen=True)
class Arm:
    """One training run of a comparison. Arms with the same `name` are replicates, which form one row of the table.

    `folders`: name of a step (see STEPS) -> its finished folder in the store. If a step is not finished, it is absent.
    `manifests`: name of a step -> the content of its manifest.json, if there is one.
    `metric`: the metric that gives the score in a log of lm-eval (lm_eval_log.py). None: the log's first metric.

    The folder of the step `scores` holds the replies of the evaluated model. Two further steps score the same replies
    again. The step `opencompass` uses OpenCompass's rules (`gra rescore --reading opencompass`), and the step
    `verified` uses the verdicts of a verifier model.
    """

    name: str
    label: str
    replicate: int | None = None
    folders: dict[str, Path] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    metric: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether a manifest or the label file of a folder says that simulated models made it."""
        by_manifest = any(m.get("simulated") is True for m in self.manifests.values())
        return by_manifest or simulated(self.folders.values())

    def file(self, step: str, *parts: str) -> Path | None:
        """Return the path of a file in the folder of `step`. If the step or the file is missing, return None.

        `parts`: the parts of the path below the folder.
        """
        folder = self.folders.get(step)
        path = folder.joinpath(*parts) if folder is not None else None
        return path if path is not None and path.exists() else None

    @property
    def where(self) -> str:
        """The arm's name and replicate, for messages."""
        return self.name if self.replicate is None else f"{self.name} (replicate {self.replicate})"


def by_name(arms: Sequence[Arm]) -> dict[str, list[Arm]]:
    """Return a mapping from each name to the arms with this name, sorted by replicate number.

    The names are in the order in which they first appear in `arms`.
    """
    rows: dict[str, list[Arm]] = {}
    for arm in arms:
        rows.setdefault(arm.name, []).append(arm)
    return {name: sorted(row, key=_replicate) for name, row in rows.items()}


def check_arms(arms: Sequence[Arm], reference: str) -> list[Problem]:
    """Return the faults of the arms of a comparison.

    It is a fault if there is no arm, or if no arm has the name that `reference` gives. It is also a fault if two arms
    have the same name and the same replicate number, or if arms of the same name have different labels.
    """
    rows = by_name(arms)
    problems = []
    if not arms:
        problems.append(
            Problem("arms", "a comparison needs at least one arm", "list the arms in the experiment's YAML")
        )
    elif reference not in rows:
        problems.append(
            Problem("reference", f"`{reference}` is not the name of an arm", f"use one of: {', '.join(rows)}")
        )
    for name, row in rows.items():
        replicates = [_replicate(arm) for arm in row]
        if len(set(replicates)) != len(row):
            problems.append(
                Problem(f"arms.{name}", f"replicates {replicates} are not distinct", "number them 0, 1, 2, ...")
            )
        if len({arm.label for arm in row}) > 1:
            problems.append(Problem(f"arms.{name}", "its replicates have different labels", "give them one label"))
    return problems


def _replicate(arm: Arm) -> int:
    return -1 if arm.replicate is None else arm.replicate
