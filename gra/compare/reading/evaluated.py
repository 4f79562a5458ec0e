"""Reads the scores of all arms. They are read only once, and all tables and sheets of a comparison are computed from
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gra.compare.arms import Arm, by_name
from gra.compare.reading.folders import load, load_arm
from gra.compare.reading.scores import KINDS, Scores, outcomes
from gra.compare.statistics.item_scores import Outcomes

Scored = Mapping[str, Outcomes]  # benchmark -> outcomes of one arm

REREAD = ("opencompass", "verified")  # readings of the same replies in folders of their own (`gra rescore --reading`)


@dataclass(frozen=True)
class Evaluated:
    """The scores of all arms of a comparison.

    `groups`: arm -> all its replicates. `runs`: arm -> its evaluated replicates, each with its scores. `tasks`: every
    benchmark on which at least one replicate was evaluated. `scored`: arm -> kind of score -> benchmark -> outcomes. A
    kind of score is an element of `scores.KINDS` or of REREAD. For a kind in REREAD, `gra rescore` scored the same
    replies again, by other rules or with a verifier model. If at least one evaluated replicate of an arm lacks the
    scores of a kind in REREAD, `scored` has no benchmarks for this arm and kind.
    """

    groups: Mapping[str, Sequence[Arm]]
    runs: Mapping[str, Sequence[tuple[Arm, Scores]]]
    tasks: tuple[str, ...]
    scored: Mapping[str, Mapping[str, Scored]]

    def scores(self) -> list[Scores]:
        """Return the scores of every evaluated run, in the order of the arms."""
        return [scores for found in self.runs.values() for _, scores in found]

    def verified(self, name: str) -> bool:
        """Return whether a verifier model's verdicts are the arm's strict scores on at least one benchmark."""
        return any(task.verifier for _, scores in self.runs[name] for task in scores.tasks.values())

    def simulated(self, name: str) -> bool:
        """Return whether an arm's numbers come from simulated models. If no step of this arm is finished, return
        whether the numbers of all arms with a finished step come from simulated models."""
        started = [one for one, group in self.groups.items() if any(arm.folders for arm in group)]
        names = [name] if name in started else started
        return bool(names) and all(self._made_up(one) for one in names)

    def _made_up(self, name: str) -> bool:
        return any(arm.simulated for arm in self.groups[name]) or any(scores.simulated for _, scores in self.runs[name])


def read(arms: Sequence[Arm], reference: str) -> Evaluated:
    """Return the scores of all arms. Raises EvalError if a folder is damaged, or if replicates of an arm have different
    items."""
    groups = by_name(arms)
    runs = {
        name: [(arm, scores) for arm in group if (scores := load_arm(arm)) is not None]
        for name, group in groups.items()
    }
    order = [reference, *(name for name in groups if name != reference)]
    tasks = tuple(dict.fromkeys(task for name in order for _, scores in runs[name] for task in scores.tasks))
    scored: dict[str, dict[str, Scored]] = {}
    for name, found in runs.items():
        scored[name] = {kind: _outcomes(name, found, tasks, kind) for kind in KINDS}
        scored[name] |= {reading: _reread(name, found, tasks, reading) for reading in REREAD}
    return Evaluated(groups, {name: runs[name] for name in order}, tasks, scored)


def _reread(name: str, runs: Sequence[tuple[Arm, Scores]], tasks: Iterable[str], reading: str) -> Scored:
    folders = [arm.folders.get(reading) for arm, _ in runs]
    if not runs or None in folders:
        return {}
    again = [(arm, load(folder)) for (arm, _), folder in zip(runs, folders, strict=True) if folder is not None]
    return _outcomes(name, again, tasks, "strict")


def _outcomes(name: str, runs: Sequence[tuple[Arm, Scores]], tasks: Iterable[str], kind: str) -> dict[str, Outcomes]:
    """By benchmark, the outcomes of an arm's replicates; a benchmark that a replicate lacks is left out."""
    numbers = [0 if arm.replicate is None else arm.replicate for arm, _ in runs]
    scores = [found for _, found in runs]
    found = {task: outcomes(scores, numbers, task, kind, f"Arm {name}") for task in tasks}
    return {task: one for task, one in found.items() if one is not None}
