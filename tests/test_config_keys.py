"""Every settings key that a user may set stands in the config file that sets it, so that `key=value` works without Hydra's `+`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from gra.config_reference.tables import APPS, EXECUTORS, GROUPS, backends, written
from gra.eval.settings import Suite
from gra.paths import conf_dir
from gra.settings import value_at
from gra.synthesis.settings import SynthesisSettings

NOT_THE_USERS = {"earlier": "the chain finds these folders by itself"}
# Keys that a file leaves out on purpose, with the reason.
KNOWN_SET = {"seeds.columns": "the format names its columns"}
LOCAL_SET = {
    f"seeds.{key}": "a stage wrote this file"
    for key in ("config", "split", "revision", "columns.id", "columns.messages")
}
NO_ANNOTATION = dict.fromkeys(("seeds.columns.keywords", "seeds.columns.summary"), "the file has a domain alone")
PACKAGED_SET = dict.fromkeys(LOCAL_SET, "the file comes with the package")
SIMULATED = {"pool.energy": "no electricity is used"}
PROFILES = SIMULATED | {
    "pool.traits": "each model's own numbers; a key here would make the finished quickstarts run again"
}
LEFT_OUT = {
    "starter": PACKAGED_SET,
    "alpaca": KNOWN_SET,
    "condor": KNOWN_SET,
    "self_instruct": KNOWN_SET,
    "wizardlm": KNOWN_SET,
    "world": LOCAL_SET | NO_ANNOTATION,
    "simulated": PROFILES,
    "simulated_large": PROFILES,
    "simulated_alike": SIMULATED,
    "simulated_large_alike": SIMULATED,
    "phased_servers": dict.fromkeys(("pool.base_url", "pool.addresses"), "the servers are started here"),
    "phased_transformers": {"pool.max_loaded": "always one"},
}


def files() -> Iterator[tuple[str, Path, type[BaseModel]]]:
    for group, model in GROUPS.items():
        for path in sorted((conf_dir() / group).glob("*.yaml")):
            yield group, path, model
    for path in sorted((conf_dir() / "pool").glob("*.yaml")):
        yield "pool", path, backends()[written(path)["_target_"]]
    for path in sorted((conf_dir() / "cluster").glob("*.yaml")):
        yield "cluster", path, EXECUTORS[written(path)["executor"]]


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
    found = list(missing(model, written(path), group))
    assert [key for key in found if key not in left_out] == []
    assert path.stem == "world" or set(left_out) <= set(found), "a reason for a key that is there"


@pytest.mark.parametrize("app", APPS)
def test_every_key_of_a_section_stands_in_its_app(app: str) -> None:
    given = written(conf_dir() / f"{app}.yaml")
    for section, models in APPS[app].sections.items():
        known = set().union(*(model.model_fields for model in models))
        assert sorted(known - set(given[section]) - set(NOT_THE_USERS)) == [], section


@pytest.mark.parametrize("app", APPS)
def test_the_reference_names_every_key_of_an_app(app: str) -> None:
    """Its own keys, its sections and its config groups are all that the file has, but for Hydra's."""
    described, given = APPS[app], written(conf_dir() / f"{app}.yaml")
    assert [key for key in described.own if not has(given, key)] == []
    known = {key.split(".")[0] for key in described.own} | set(described.sections) | {*GROUPS, "pool", "cluster"}
    known |= {"hydra", "defaults", "config"}
    known |= (
        {"runtime"} if app in ("probe_app", "refine_app") else set()
    )  # a part of the synthesis's, as the next test shows
    assert set(given) - known == set()
    inputs = {f"inputs.{name}" for name in given.get("inputs", {})}
    assert "inputs" in described.own or inputs <= set(described.own)


def test_the_runtimes_of_apps_share_their_keys() -> None:
    synthesis = {key for model in APPS["synthesis_app"].sections["runtime"] for key in model.model_fields}
    for app in ("probe_app", "refine_app"):
        assert set(written(conf_dir() / f"{app}.yaml")["runtime"]) <= synthesis
    known = {key for app in APPS.values() for model in app.sections.get("runtime", ()) for key in model.model_fields}
    assert set(written(conf_dir() / "chain.yaml")["runtime"]) <= known


def has(config: Any, key: str) -> bool:
    place, _, last = key.rpartition(".")
    return last in (value_at(config, place) if place else config)


def test_a_key_that_is_missing_is_found() -> None:
    given = written(conf_dir() / "suite" / "paper.yaml")
    del given["sandbox"]
    assert list(missing(Suite, given, "suite")) == ["suite.sandbox"]
    given = written(conf_dir() / "synthesis" / "gra.yaml")
    del given["dedup"]["tie"]
    assert list(missing(SynthesisSettings, given, "synthesis")) == ["synthesis.dedup.tie"]
