"""PURE: resolves a composed experiment config into its steps, sorted so that each step comes after its inputs.

    experiment:
      name, title
      replicates: null | [seeds]     every arm runs once per seed; null: once, with the root config's `seed`
      steps:     {step: {...}}       shared: run once for all arms
      template:  {step: {...}}       run once per arm
      arms:      {arm: {label, override: {...}, steps: {...}}}
      reference, compare             for the table

A step is `{_target_, config, inputs: {input: source}, override: {...}}`. A source is a step of the same arm, else a shared
step, else a folder (`path:DIR`, or any path that exists).

The root config is the whole composed config, whose keys the steps refer to with `${...}`. Each arm is resolved with a
copy of it:
- The arm's `override` is merged into the copy first, so it can change everything that a step's config refers to. A
  mapping is merged key by key. An interpolation such as `pool: ${large_pool}` replaces the whole group.
- The arm's `steps` are merged over the template's; null removes a step of the template.
- The keys `arm` and `seed` of the copy are set to the name of the arm and the seed of the replicate.
- The `override` of a step is merged last, for this step only. With it, two steps of an arm can use different pools or
  committees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gra.chain.store.fingerprint import leaves
from gra.errors import ConfigError, Problem
from gra.paths import expanded
from gra.settings import Settings, parse

if TYPE_CHECKING:
    from omegaconf import DictConfig

_SCRATCH = "_steps"  # root key that holds an arm's steps while their interpolations are resolved


class StepSettings(Settings):
    """One step, as it is written in an experiment."""

    target: str = Field(alias="_target_", description="Dotted path of the stage's `run`, e.g. gra.train.stage.run.")
    config: dict[str, Any] = Field(default_factory=dict, description="Config of the stage, which checks the keys.")
    inputs: dict[str, str] = Field(
        default_factory=dict,
        description="Mapping from input name to the step that makes the input (of the same arm, or shared), or to a "
        "folder (path:DIR).",
    )
    override: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the root config that change for this step only; applied after the arm's `override`.",
    )


class ArmSettings(Settings):
    """One arm: one row of the comparison."""

    label: str = Field(description="Name of the arm in the table and the report.")
    override: dict[str, Any] = Field(
        default_factory=dict,
        description="Keys of the root config that change for this arm, e.g. {synthesis: {rounds: 1}}.",
    )
    steps: dict[str, Any] = Field(
        default_factory=dict,
        description="Mapping from step name to the step's keys, merged over those in `template`; null removes the step.",
    )
    may_keep_nothing: bool = Field(
        False,
        description="Whether a committee that keeps no sample is a result of the experiment: the arm then has no student and no "
        "scores, and `gra run` succeeds. Otherwise it is a failure.",
    )


class ExperimentSettings(Settings):
    """Keys of `experiment`. The steps and overrides of each arm are checked separately."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]*$",
        description="Name of the experiment, of its folder of results and of its W&B group.",
    )
    title: str = Field(description="Heading of the table and the report; by default the name.")
    replicates: list[int] | None = Field(
        None,
        description="List of seeds: every arm runs once with each of them in place of `seed`; null: every arm runs once, with "
        "`seed`.",
    )
    steps: dict[str, Any] = Field(
        default_factory=dict,
        description="Steps that run once for all arms: a mapping from step name to the step's keys.",
    )
    template: dict[str, Any] = Field(
        default_factory=dict,
        description="Steps that every arm has in addition to its own: a mapping from step name to the step's keys.",
    )
    arms: dict[str, ArmSettings] = Field(
        min_length=1, description="The arms, which are the rows of the comparison, by name."
    )
    reference: str | None = Field(None, description="The arm that the others are compared with; null: the first.")
    compare: dict[str, Any] = Field(default_factory=dict, description="Options of the comparison.")


@dataclass(frozen=True)
class Step:
    """One run of one stage. `inputs`: input name -> id of the step that makes the input, or a folder made elsewhere."""

    id: str
    name: str
    arm: str | None
    replicate: int | None
    target: str
    config: dict[str, Any]
    inputs: dict[str, str | Path]
    overridden: frozenset[str]  # dotted keys that overrides changed, to name the source of a fault
    # the root config with the overrides merged, before interpolations are resolved
    root: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def places(self) -> list[str]:
        """The dotted keys of the root config at which this step's config is looked up. The first existing key counts. A
        step of an arm has two such keys: one below the arm's own `steps`, then one below the `template` of all arms."""
        own = [f"experiment.arms.{self.arm}.steps", "experiment.template"] if self.arm else ["experiment.steps"]
        return [f"{place}.{self.name}.config" for place in own]


@dataclass(frozen=True)
class ArmRow:
    """One arm, run with one seed. `steps`: step name -> step id, for the arm's own steps and the shared steps."""

    arm: str
    label: str
    replicate: int | None
    steps: dict[str, str]
    may_keep_nothing: bool = False


@dataclass(frozen=True)
class Experiment:
    """A resolved experiment; every step comes after its inputs."""

    name: str
    title: str
    reference: str | None
    compare: dict[str, Any]
    steps: dict[str, Step]
    rows: list[ArmRow]


def resolve(root: DictConfig) -> tuple[Experiment, list[Problem]]:
    """Return the experiment that the composed config `root` describes, and the faults found, such as a wrong `${...}`.

    Raises ConfigError if keys of `experiment` itself are wrong, because then no step can be resolved.
    """
    settings, problems = parse(ExperimentSettings, _own_keys(root), "experiment")
    if settings is None:
        raise ConfigError(problems)
    problems += _own_faults(settings)
    steps: dict[str, Step] = {}
    rows: list[ArmRow] = []
    replicates: list[int | None] = [None] if settings.replicates is None else [*settings.replicates]
    for replicate in replicates:
        shared = _resolve_steps(root, settings, None, replicate, {}, problems)
        steps.update({step.id: step for step in shared.values()})
        for arm in settings.arms:
            own = _resolve_steps(root, settings, arm, replicate, shared, problems)
            steps.update({step.id: step for step in own.values()})
            names = {name: step.id for name, step in {**shared, **own}.items()}
            chosen = settings.arms[arm]
            rows.append(ArmRow(arm, chosen.label, replicate, names, chosen.may_keep_nothing))
    ordered = _ordered(steps, problems)
    made = Experiment(settings.name, settings.title, settings.reference, settings.compare, ordered, rows)
    return made, list(dict.fromkeys(problems))


def _own_keys(root: DictConfig) -> dict[str, Any]:
    """Return the keys of `experiment`, resolved except for steps, template and arms, which are resolved arm by arm."""
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
            remedy = "correct the `${...}` named here"
            raise ConfigError([Problem(f"experiment.{key}", _first_line(error), remedy)]) from error
    return values


def _own_faults(settings: ExperimentSettings) -> list[Problem]:
    problems = []
    if settings.reference is not None and settings.reference not in settings.arms:
        message, remedy = f"`{settings.reference}` is not an arm", f"one of: {', '.join(settings.arms)}"
        problems.append(Problem("experiment.reference", message, remedy))
    seeds = settings.replicates or []
    if settings.replicates == [] or len(set(seeds)) != len(seeds):
        problems.append(
            Problem(
                "experiment.replicates",
                f"{seeds}: the list is empty or repeats a seed",
                "list different seeds, or set null",
            )
        )
    for arm in settings.arms.values():
        names = {*settings.template, *arm.steps} & {*settings.steps}
        problems += [
            Problem(f"experiment.steps.{name}", "is both a shared step and a step of an arm", "rename one of them")
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
    """Return the resolved steps of `arm` (None: the shared steps) by name. Faults are appended to `problems`."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    key = f"experiment.arms.{arm}" if arm else "experiment.steps"
    override = settings.arms[arm].override if arm else {}
    problems += _unknown(override, root, key)
    try:
        own = root.copy()
        OmegaConf.set_struct(own, False)  # allow new keys: the stages check the keys of their configs
        own.merge_with(OmegaConf.create(override))
        OmegaConf.update(own, "arm", arm, force_add=True)
        if replicate is not None:
            own.seed = replicate
        blocks = [settings.template, settings.arms[arm].steps] if arm else [settings.steps]
        OmegaConf.update(own, _SCRATCH, OmegaConf.merge(*blocks), force_add=True)
        plain = OmegaConf.to_container(own[_SCRATCH], resolve=True)
        assert isinstance(plain, dict)
        roots = {str(name): own for name in plain}
        overrides = _own_overrides(own)
        for name, change in overrides.items():
            roots[name] = own.copy()
            roots[name].merge_with(OmegaConf.create(change))
            changed = OmegaConf.to_container(roots[name][_SCRATCH], resolve=True)
            assert isinstance(changed, dict)
            plain[name] = changed[name]
    except OmegaConfBaseException as error:
        problems.append(Problem(key, _first_line(error), "correct the `override` or the `${...}` named here"))
        return {}
    unresolved = {id(place): _unresolved(place) for place in roots.values()}
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
            problems += _unknown(step.override, root, where)
            changed_keys = frozenset(
                dotted for one in (override, overrides.get(name, {})) if one for dotted, _ in leaves(one)
            )
            raw = unresolved[id(roots[name])]
            steps[name] = Step(names[name], name, arm, replicate, step.target, step.config, inputs, changed_keys, raw)
    return steps


def _own_overrides(own: DictConfig) -> dict[str, Any]:
    """Return the `override` of each step that has one, not resolved, so that `pool: ${large_pool}` replaces the whole group."""
    steps = _unresolved(own)[_SCRATCH]
    return {
        str(name): spec["override"]
        for name, spec in steps.items()
        if isinstance(spec, dict) and isinstance(spec.get("override"), dict)
    }


def _unresolved(root: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf

    raw = OmegaConf.to_container(root, resolve=False)
    assert isinstance(raw, dict)
    return {str(name): value for name, value in raw.items()}


def _unknown(override: Mapping[str, Any], root: DictConfig, key: str) -> list[Problem]:
    """Return a fault for each key of an override that the root config does not have."""
    known = ", ".join(str(name) for name in root)
    return [
        Problem(f"{key}.override.{name}", "unknown key", f"one of: {known}") for name in override if name not in root
    ]


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
                Problem(
                    f"{where}.inputs.{name}", f"`{source}` is not a step of this arm, a shared step or a folder", remedy
                )
            )


def _ordered(steps: Mapping[str, Step], problems: list[Problem]) -> dict[str, Step]:
    """Return `steps` in topological order; ties keep the given order."""
    sorter = TopologicalSorter({i: [v for v in s.inputs.values() if isinstance(v, str)] for i, s in steps.items()})
    try:
        return {i: steps[i] for i in sorter.static_order() if i in steps}
    except CycleError as error:
        problems.append(
            Problem(
                "experiment",
                f"the inputs of these steps form a cycle: {' -> '.join(error.args[1])}",
                "remove one of these inputs",
            )
        )
        return {}


def _step_id(name: str, arm: str | None, replicate: int | None) -> str:
    seed = "" if replicate is None else f"@{replicate}"
    return f"{arm}{seed}/{name}" if arm else f"{name}{seed}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
