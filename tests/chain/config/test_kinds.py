"""A value of the wrong kind anywhere in a config is a config error, together with all others: never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from places import Place

from gra.chain.config.experiment import Step, resolve
from gra.chain.config.kinds import wrong_kinds
from gra.chain.config.overrides import check_overrides
from gra.chain.stage import load_stage
from gra.errors import Problem
from gra.paths import conf_dir

WRONG: tuple[Any, ...] = (3, "simulated_large", [1], None, {"a": 1}, True, -0.5, "")


@cache
def steps() -> dict[str, Step]:
    """One step of each stage that the project's experiments use."""
    found: dict[str, Step] = {}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        own = ["experiment=my_seeds", "seeds.path=x", "student.model=x", "pool.models=[a,b,c,d,e]"]
        for given in (["experiment=quickstart"], own):
            for step in resolve(compose("chain", overrides=given))[0].steps.values():
                found.setdefault(f"{step.target}:{'large' if 'large' in step.id else ''}", step)
    return found


def places(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(config, dict):
        for key, value in config.items():
            yield from places(value, (*path, key))


@pytest.mark.parametrize("name", ["student", "data", "model", "scores", "world"])
def test_no_key_of_any_stage_can_crash_its_check(name: str) -> None:
    chosen = [step for step in steps().values() if step.name == name]
    assert chosen
    for step in chosen:
        stage = load_stage(step.target)
        inputs = dict.fromkeys(step.inputs)
        for path in places(step.config):
            for wrong in WRONG if len(path) == 1 else WRONG[:4]:
                config = copy.deepcopy(step.config)
                node = config
                for key in path[:-1]:
                    node = node[key]
                node[path[-1]] = wrong
                try:
                    found = stage.check(config, dict(inputs))
                except Exception as error:
                    raise AssertionError(f"{step.target}: {'.'.join(path)}={json.dumps(wrong)}") from error
                if len(path) == 1 and isinstance(step.config[path[0]], dict) and not isinstance(wrong, dict):
                    assert any(problem.key.split(".")[0] == path[0] for problem in found), (path, wrong)


def problems(*overrides: str) -> list[Problem]:
    return check_overrides("chain", ["experiment=quickstart", *overrides])[0]


def test_a_group_by_its_package_is_answered_with_what_to_type() -> None:
    (problem,) = problems("large_pool=simulated_large")
    assert problem.key == "large_pool"
    assert "did you mean pool@large_pool=simulated_large?" in problem.remedy
    (problem,) = problems("large_pool=null")
    assert "pool@large_pool=" in problem.remedy


def test_every_override_of_a_wrong_kind_is_told() -> None:
    groups = ["synthesis=3", "pool=null", "sft=[1]", "suite={a:1}", "seeds=[alpaca,3]", "tracking=true", "world=1.5"]
    keys = [
        "runtime=3",
        "experiment.arms=5",
        "experiment.steps=[]",
        "experiment.compare=x",
        "results={a:1}",
        "store=[1]",
    ]
    for overrides in (groups, keys):
        told = [problem.key for problem in problems(*overrides)]
        assert set(told) == {override.partition("=")[0] for override in overrides}


def test_values_of_the_right_kind_pass() -> None:
    right = ["pool@large_pool=simulated", "runtime.concurrency=3", "experiment.replicates=[0]", "store=x", "seed=0,1"]
    assert problems(*right) == []


def test_a_wrong_kind_in_a_file_of_the_users_own_is_told_with_that_file(place: Place) -> None:
    experiment = place.folder / "conf" / "experiment"
    text = (experiment / "fake.yaml").read_text()
    (experiment / "odd.yaml").write_text(text.replace("made: {", "runtime: 3\nresults: [a]\nother: five\nmade: {"))
    run = place.gra("plan", "experiment=odd")
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "3 problems" in run.stderr
    for key in ("runtime", "results", "other"):
        assert f"{key} (conf/experiment/odd.yaml)" in run.stderr
    assert "big@other=NAME" in run.stderr


def test_a_stages_own_command_tells_it_too(place: Place) -> None:
    for words in (["inputs=3"], ["config=x"]):
        run = place.app("output=out", *words)
        assert run.returncode == 2, (words, run.stderr)
        assert "Traceback" not in run.stderr
        assert "is expected here" in run.stderr


def test_interpolations_are_left_to_be_resolved() -> None:
    listed = {"runtime": {"a": 1}, "store": "x"}
    assert wrong_kinds({"runtime": "${other}", "store": "${x}"}, {}, listed) == []
    assert [p.key for p in wrong_kinds({"runtime": [], "store": 3}, {"pool@x": "a"}, listed)] == ["runtime", "store"]
