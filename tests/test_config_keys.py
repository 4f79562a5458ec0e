"""Every settings key that a user may set stands in the config file that sets it, so that `key=value` works without Hydra's `+`."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from eval.settings import Model, Runtime, Suite
from gra.paths import conf_dir
from gra.simulation.backend import SimulatedRuntime
from gra.simulation.world_stage import WorldSettings
from gra.synthesis.committee.probe_settings import ProbeSettings
from gra.synthesis.conduct import SynthesisRuntime
from gra.synthesis.seeds import SeedSettings
from gra.synthesis.settings import SynthesisSettings
from gra.tracking import TrackingSettings
from train.settings import RuntimeSettings, SftSettings, StudentSettings

GROUPS: dict[str, type[BaseModel]] = {
    "suite": Suite, "synthesis": SynthesisSettings, "sft": SftSettings, "student": StudentSettings, "seeds": SeedSettings,
    "tracking": TrackingSettings, "world": WorldSettings, "probe": ProbeSettings,
}  # fmt: skip
# Of each app: the settings of a section, and what the app sets by other means than a key of its own.
APPS: dict[str, dict[str, tuple[type[BaseModel], ...]]] = {
    "eval_app": {"model": (Model,), "runtime": (Runtime,)},
    "train_app": {"runtime": (RuntimeSettings,)},
    "synthesis_app": {"runtime": (SynthesisRuntime, SimulatedRuntime)},
}
NOT_THE_USERS = {"earlier": "the chain finds these folders by itself"}
# Keys that a file leaves out on purpose, with the reason.
KNOWN_SET = {"seeds.columns": "the format names its columns"}
LOCAL_SET = {f"seeds.{key}": "a stage wrote this file" for key in ("config", "split", "revision", "columns.id", "columns.messages")}
PACKAGED_SET = dict.fromkeys(LOCAL_SET, "the file comes with the package")
SIMULATED = {"pool.energy": "no electricity is used"}
LEFT_OUT = {
    "starter": PACKAGED_SET,
    "alpaca": KNOWN_SET, "condor": KNOWN_SET, "self_instruct": KNOWN_SET, "wizardlm": KNOWN_SET, "world": LOCAL_SET,
    "simulated": SIMULATED, "simulated_large": SIMULATED,
    "phased_servers": {"pool.base_url": "the servers are started here"},
    "phased_transformers": {"pool.max_loaded": "always one"},
}  # fmt: skip


def files() -> Iterator[tuple[str, Path, type[BaseModel]]]:
    for group, model in GROUPS.items():
        for path in sorted((conf_dir() / group).glob("*.yaml")):
            yield group, path, model
    for path in sorted((conf_dir() / "pool").glob("*.yaml")):
        room = importlib.import_module(str(load(path)["_target_"]).rpartition(".")[0])
        yield "pool", path, room.PoolSettings


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def missing(model: type[BaseModel], given: Any, where: str) -> Iterator[str]:
    """Dotted names of the fields, nested ones too, that have no key."""
    for name, field in model.model_fields.items():
        name = field.alias or name
        key = f"{where}.{name}"
        if name not in given:
            yield key
            continue
        inner = settings_in(field.annotation)
        if inner is not None and isinstance(given[name], dict):
            yield from missing(inner, given[name], key)


def settings_in(annotation: Any) -> type[BaseModel] | None:
    """The settings behind `X` and `X | None`; None for anything else (lists and mappings of settings are the user's to fill)."""
    if get_origin(annotation) in (Union, types.UnionType):
        found = [one for one in map(settings_in, get_args(annotation)) if one is not None]
        return found[0] if len(found) == 1 else None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


@pytest.mark.parametrize(("group", "path", "model"), files(), ids=lambda value: getattr(value, "stem", None))
def test_every_key_of_a_group_stands_in_each_of_its_files(group: str, path: Path, model: type[BaseModel]) -> None:
    left_out = LEFT_OUT.get(path.stem, {})
    found = list(missing(model, load(path), group))
    assert [key for key in found if key not in left_out] == []
    assert path.stem == "world" or set(left_out) <= set(found), "a reason for a key that is there"


@pytest.mark.parametrize("app", APPS)
def test_every_key_of_a_section_stands_in_its_app(app: str) -> None:
    given = load(conf_dir() / f"{app}.yaml")
    for section, models in APPS[app].items():
        known = set().union(*(model.model_fields for model in models))
        assert sorted(known - set(given[section]) - set(NOT_THE_USERS)) == [], section


def test_a_key_that_is_missing_is_found() -> None:
    given = load(conf_dir() / "suite" / "paper.yaml")
    del given["sandbox"]
    assert list(missing(Suite, given, "suite")) == ["suite.sandbox"]
    given = load(conf_dir() / "synthesis" / "gra.yaml")
    del given["dedup"]["tie"]
    assert list(missing(SynthesisSettings, given, "synthesis")) == ["synthesis.dedup.tie"]
