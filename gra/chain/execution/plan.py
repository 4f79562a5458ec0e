"""Plans an experiment's steps against a run store: each step's fingerprint, folder and state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gra.chain.config.experiment import Experiment, Step
from gra.chain.config.origin import from_root
from gra.chain.execution.display import status_line
from gra.chain.execution.runner import identify
from gra.chain.stage import Stage, load_stage
from gra.chain.store import manifest
from gra.chain.store.fingerprint import fingerprint
from gra.chain.store.store import Store
from gra.chain.store.working import worth_of
from gra.errors import ConfigError, Problem
from gra.locks import holder


@dataclass(frozen=True)
class Planned:
    """A step with its state.

    `digest`: the step's fingerprint. If a fault of the config prevents computing it, it is None.
    `folder`: the step's finished folder in the store, or None.
    """

    step: Step
    stage: Stage
    digest: str | None
    hashes: dict[str, str | None]  # input name -> fingerprint
    folder: Path | None


@dataclass(frozen=True)
class Plan:
    """All steps by id. Each step comes after its inputs."""

    experiment: Experiment
    store: Store
    steps: dict[str, Planned]

    def input_folders(self, planned: Planned) -> dict[str, Path | None]:
        """Return a mapping from each input of a step to the folder of the input.

        If the step that makes the input is not finished or has a fault, the folder is None.
        """
        folders: dict[str, Path | None] = {}
        for name, source in planned.step.inputs.items():
            made = self.steps.get(source) if isinstance(source, str) else None
            folders[name] = source if isinstance(source, Path) else made.folder if made else None
        return folders

    def twins(self) -> dict[str, str]:
        """Return a mapping from each step to the first step with the same fingerprint. For most steps, this is the step
        itself.

        If steps of several arms have the same fingerprint, only the first of them runs.
        """
        first: dict[str, str] = {}
        return {name: first.setdefault(item.digest or name, name) for name, item in self.steps.items()}

    def may_keep_nothing(self, name: str) -> bool:
        """Return whether the step `name` succeeds even if it keeps no sample. Its arm's key `may_keep_nothing` says so.
        A step that several arms share must keep samples."""
        arm = self.steps[name].step.arm
        return any(row.arm == arm and row.may_keep_nothing for row in self.experiment.rows)

    def state(self, planned: Planned) -> str:
        """Return the state of a step as text: `done`, `running` (followed by the process that runs the step), `partly
        done`, `would run` or `unknown`.

        The state is `unknown` if a fault prevents computing the fingerprint.
        """
        if planned.folder or planned.digest is None:
            return "done" if planned.folder else "unknown"
        running = holder(self.store.lock(planned.stage.name, planned.digest))
        partial = self.store.find_partial(planned.stage.name, planned.digest)
        if running:
            line = status_line(partial) if partial else ""
            return f"running ({running})" + (f": {line}" if line else "")
        if partial is None:
            return "would run"
        worth = worth_of(planned.stage, partial)
        return "partly done" + (f" ({worth})" if worth else "")


def make_plan(experiment: Experiment, store: Store) -> tuple[Plan, list[Problem]]:
    """Return the plan of an experiment, and the faults that prevent planning a step, such as an unknown stage or a
    missing file.

    Raises StoreError if a finished folder of the experiment is broken.
    """
    planned: dict[str, Planned] = {}
    problems: list[Problem] = []
    refused: set[str] = set()
    for step in experiment.steps.values():
        try:
            stage = load_stage(step.target, f"{step.id}._target_")
        except ConfigError as error:
            problems += () if step.target in refused else error.problems
            refused.add(step.target)
            continue
        hashes, faults = _input_hashes(step, planned)
        problems += faults
        digest = None
        try:
            known = {name: value for name, value in hashes.items() if value is not None}
            identity = identify(stage, step.config, known)
            digest = fingerprint(identity) if len(known) == len(hashes) else None
        except ConfigError as error:
            problems += (from_root(problem, step.root, step.places) for problem in error.problems)
        folder = store.find(stage.name, digest) if digest else None
        planned[step.id] = Planned(step, stage, digest, hashes, folder)
    return Plan(experiment, store, planned), problems + _same_names(planned)


def benchmark_items(plan: Plan) -> dict[str, int]:
    """Return a mapping from benchmark to number of items (questions), for the benchmarks that the experiment makes.

    Some steps write benchmarks, on which other steps evaluate models. Benchmarks on which no step evaluates a model are
    left out.
    """
    makers = {item.step.inputs.get("benchmarks") for item in plan.steps.values() if "suite" in item.step.config}
    steps = [item for name, item in plan.steps.items() if name in makers]
    return {task: items for one in steps for task, items in one.stage.benchmark_items(one.step.config).items()}


def _input_hashes(step: Step, planned: dict[str, Planned]) -> tuple[dict[str, str | None], list[Problem]]:
    hashes: dict[str, str | None] = {}
    problems = []
    for name, source in step.inputs.items():
        hashes[name] = None
        if isinstance(source, str):
            hashes[name] = planned[source].digest if source in planned else None
        elif source.exists():
            hashes[name] = manifest.outside_hash(source)
        else:
            problems.append(Problem(f"{step.id}.inputs.{name}", f"{source}: no such folder", "correct the path"))
    return hashes, problems


def _same_names(planned: dict[str, Planned]) -> list[Problem]:
    """Return the faults of different stages with the same NAME: the store would give each the other's results."""
    targets: dict[str, str] = {}
    problems = []
    for item in planned.values():
        first = targets.setdefault(item.stage.name, item.stage.target)
        if first != item.stage.target:
            message = f"{first} and {item.stage.target} both have the NAME {item.stage.name!r}"
            problems.append(Problem(f"{item.step.id}._target_", message, "give each stage's module its own NAME"))
    return problems
