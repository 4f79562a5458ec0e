"""PURE: a composed experiment config -> its steps in an order in which they can run.

    experiment:
      name, title
      replicates: null | [seeds]     every arm once per seed; null: once, with the root's `seed`
      steps:     {step: {...}}       made once, for all arms
      template:  {step: {...}}       what every arm has
      arms:      {arm: {label, override: {...}, steps: {...}}}
      reference, compare             for the table

A step is `{_target_, config, inputs: {input: where}}`; `where` is a step of the same arm, else a shared step, else a folder
(`path:DIR`, or any path that exists). An arm's `override` is merged over the whole root config before its steps are resolved,
so it can change whatever a step's config points to with `${...}`: a mapping is merged key by key, an interpolation such as
`pool: ${large_pool}` takes the place of the whole group. An arm's `steps` are merged over the template's;
null drops one. While an arm is resolved, the root's `arm` and `seed` are its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gra.chain.fingerprint import leaves
from gra.errors import ConfigError, Problem
from gra.paths import expanded
from gra.settings import Settings, parse

if TYPE_CHECKING:
    from omegaconf import DictConfig

_SCRATCH = "_steps"  # where an arm's steps stand in the root while their interpolations are resolved


class StepSettings(Settings):
    """One step as an experiment gives it."""

    target: str = Field(alias="_target_")
    config: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)


class ArmSettings(Settings):
    """One row of the comparison."""

    label: str
    override: dict[str, Any] = Field(default_factory=dict)
    steps: dict[str, Any] = Field(default_factory=dict)


class ExperimentSettings(Settings):
    """An experiment's own keys; steps and overrides are looked at arm by arm."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$")
    title: str
    replicates: list[int] | None = None
    steps: dict[str, Any] = Field(default_factory=dict)
    template: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, ArmSettings] = Field(min_length=1)
    reference: str | None = None
    compare: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One run of one stage. `inputs`: input name -> id of the step that makes it, or a folder from outside."""

    id: str
    name: str
    arm: str | None
    replicate: int | None
    target: str
    config: dict[str, Any]
    inputs: dict[str, str | Path]
    overridden: frozenset[str]  # dotted keys that the arm's override changed: to say where a fault comes from
    root: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)  # with the arm's override, not resolved

    @property
    def places(self) -> list[str]:
        """Where in `root` the config may stand, the last to be merged first."""
        own = [f"experiment.arms.{self.arm}.steps", "experiment.template"] if self.arm else ["experiment.steps"]
        return [f"{place}.{self.name}.config" for place in own]


@dataclass(frozen=True)
class Row:
    """One arm in one replicate: `steps` maps its own and the shared steps' names to their ids."""

    arm: str
    label: str
    replicate: int | None
    steps: dict[str, str]


@dataclass(frozen=True)
class Experiment:
    """An experiment resolved: `steps` are in an order in which they can run."""

    name: str
    title: str
    reference: str | None
    compare: dict[str, Any]
    steps: dict[str, Step]
    rows: list[Row]


def resolve(root: DictConfig) -> tuple[Experiment, list[Problem]]:
    """The steps of the experiment in the composed config `root`, and every fault of what could not be resolved.

    Raises ConfigError where the experiment's own keys are wrong, so that there are no steps to speak of.
    """
    settings, problems = parse(ExperimentSettings, _own_keys(root), "experiment")
    if settings is None:
        raise ConfigError(problems)
    problems += _own_faults(settings)
    steps: dict[str, Step] = {}
    rows: list[Row] = []
    replicates: list[int | None] = [None] if settings.replicates is None else [*settings.replicates]
    for replicate in replicates:
        shared = _resolve_steps(root, settings, None, replicate, {}, problems)
        steps.update({step.id: step for step in shared.values()})
        for arm in settings.arms:
            own = _resolve_steps(root, settings, arm, replicate, shared, problems)
            steps.update({step.id: step for step in own.values()})
            names = {name: step.id for name, step in {**shared, **own}.items()}
            rows.append(Row(arm, settings.arms[arm].label, replicate, names))
    ordered = _ordered(steps, problems)
    made = Experiment(settings.name, settings.title, settings.reference, settings.compare, ordered, rows)
    return made, list(dict.fromkeys(problems))


def _own_keys(root: DictConfig) -> dict[str, Any]:
    """The experiment's keys; what belongs to steps keeps its interpolations, which are resolved arm by arm."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    raw = OmegaConf.to_container(root.experiment, resolve=False)
    assert isinstance(raw, dict)
    values = {str(key): value for key, value in raw.items()}
    for key in values:
        if key in ("steps", "template", "arms"):
            continue
        try:
            values[key] = OmegaConf.select(root, f"experiment.{key}", throw_on_missing=False)
            if OmegaConf.is_config(values[key]):
                values[key] = OmegaConf.to_container(values[key], resolve=True)
        except OmegaConfBaseException as error:
            remedy = "correct the `${...}` that it names"
            raise ConfigError([Problem(f"experiment.{key}", _first_line(error), remedy)]) from error
    return values


def _own_faults(settings: ExperimentSettings) -> list[Problem]:
    problems = []
    if settings.reference is not None and settings.reference not in settings.arms:
        message, remedy = f"`{settings.reference}` is no arm", f"one of: {', '.join(settings.arms)}"
        problems.append(Problem("experiment.reference", message, remedy))
    seeds = settings.replicates or []
    if settings.replicates == [] or len(set(seeds)) != len(seeds):
        problems.append(Problem("experiment.replicates", f"{seeds}: empty, or a seed twice", "give different seeds, or null"))
    for arm in settings.arms.values():
        names = {*settings.template, *arm.steps} & {*settings.steps}
        problems += [
            Problem(f"experiment.steps.{name}", "is both a shared step and a step of an arm", "rename one")
            for name in sorted(names)
        ]
    return problems


def _resolve_steps(
    root: DictConfig,
    settings: ExperimentSettings,
    arm: str | None,
    replicate: int | None,
    shared: Mapping[str, Step],
    problems: list[Problem],
) -> dict[str, Step]:
    """The steps of `arm` (None: the shared ones), by name, with every interpolation resolved; faults go to `problems`."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    key = f"experiment.arms.{arm}" if arm else "experiment.steps"
    override = settings.arms[arm].override if arm else {}
    unknown = [name for name in override if name not in root]
    problems += [Problem(f"{key}.override.{name}", "unknown key", f"one of: {', '.join(str(k) for k in root)}") for name in unknown]
    try:
        own = root.copy()
        OmegaConf.set_struct(own, False)  # deeper keys are the stages' to judge
        own.merge_with(OmegaConf.create(override))
        OmegaConf.update(own, "arm", arm, force_add=True)
        if replicate is not None:
            own.seed = replicate
        blocks = [settings.template, settings.arms[arm].steps] if arm else [settings.steps]
        OmegaConf.update(own, _SCRATCH, OmegaConf.merge(*blocks), force_add=True)
        plain = OmegaConf.to_container(own[_SCRATCH], resolve=True)
        raw = OmegaConf.to_container(own, resolve=False)
    except OmegaConfBaseException as error:
        problems.append(Problem(key, _first_line(error), "correct the `override` or the `${...}` that it names"))
        return {}
    assert isinstance(plain, dict)
    assert isinstance(raw, dict)
    unresolved = {str(name): value for name, value in raw.items()}
    found = {str(name): spec for name, spec in plain.items() if spec is not None}
    names = {name: _step_id(name, arm, replicate) for name in found}
    steps = {}
    for name, spec in found.items():
        where = f"{key}.steps.{name}" if arm else f"{key}.{name}"
        if not isinstance(spec, dict):
            problems.append(Problem(where, "is not a mapping", "a step is {_target_, config, inputs}"))
            continue
        step, faults = parse(StepSettings, spec, where)
        problems += faults
        if step is not None:
            inputs = dict(_inputs(step, where, names, shared, problems))
            changed = frozenset(changed_key for changed_key, _ in leaves(override))
            steps[name] = Step(names[name], name, arm, replicate, step.target, step.config, inputs, changed, unresolved)
    return steps


def _inputs(
    step: StepSettings, where: str, own: Mapping[str, str], shared: Mapping[str, Step], problems: list[Problem]
) -> Iterator[tuple[str, str | Path]]:
    for name, source in step.inputs.items():
        if source in own:
            yield name, own[source]
        elif source in shared:
            yield name, shared[source].id
        elif source.startswith("path:") or Path(source).exists():
            yield name, expanded(source.removeprefix("path:"))
        else:
            remedy = f"one of: {', '.join([*own, *shared])}; or path:DIR"
            problems.append(
                Problem(f"{where}.inputs.{name}", f"`{source}` is no step of this arm, nor shared, nor a folder", remedy)
            )


def _ordered(steps: Mapping[str, Step], problems: list[Problem]) -> dict[str, Step]:
    """`steps` in topological order, otherwise as they were given."""
    sorter = TopologicalSorter({i: [v for v in s.inputs.values() if isinstance(v, str)] for i, s in steps.items()})
    try:
        return {i: steps[i] for i in sorter.static_order() if i in steps}
    except CycleError as error:
        problems.append(Problem("experiment", f"steps wait for one another: {' -> '.join(error.args[1])}", "break the circle"))
        return {}


def _step_id(name: str, arm: str | None, replicate: int | None) -> str:
    seed = "" if replicate is None else f"@{replicate}"
    return f"{arm}{seed}/{name}" if arm else f"{name}{seed}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
