"""From an experiment's YAML to its steps: arms, overrides, replicates, inputs, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gra.chain.config.experiment import resolve
from gra.chain.execution.check import Sources, check_step
from gra.chain.stage import load_stage
from gra.errors import ConfigError


def root(text: str = "", **experiment: Any) -> DictConfig:
    config = OmegaConf.create(
        """
        seed: 7
        arm: null
        pool: {models: [a, b], url: x}
        large: {models: [big]}
        gate: {tau: 8, more: {}}
        experiment:
          name: e
          title: ${.name}
          replicates: null
          reference: null
          compare: {}
          steps: {world: {_target_: w.run, config: {seed: 0}}}
          template:
            data: {_target_: d.run, config: {seed: "${seed}", pool: "${pool}", gate: "${gate}"}, inputs: {seeds: world}}
            model: {_target_: m.run, config: {name: "${arm}-${seed}"}, inputs: {data: data}}
          arms:
            one: {label: One}
            two: {label: Two, override: {gate: {tau: 5, more: {x: 1}}, pool: "${large}"}, steps: {model: {config: {extra: 1}}}}
        """
    )
    config.merge_with(OmegaConf.create({"experiment": experiment}))
    config.merge_with(OmegaConf.create(text or "{}"))
    OmegaConf.set_struct(config, True)
    assert isinstance(config, DictConfig)
    return config


def test_arms_share_steps_and_override_the_root() -> None:
    made, problems = resolve(root())
    assert not problems
    assert made.title == "e"
    assert list(made.steps) == ["world", "one/data", "two/data", "one/model", "two/model"]
    one, two = made.steps["one/data"], made.steps["two/data"]
    assert one.config == {"seed": 7, "pool": {"models": ["a", "b"], "url": "x"}, "gate": {"tau": 8, "more": {}}}
    assert two.config == {"seed": 7, "pool": {"models": ["big"]}, "gate": {"tau": 5, "more": {"x": 1}}}
    assert one.inputs == {"seeds": "world"}
    assert made.steps["two/model"].config == {"name": "two-7", "extra": 1}
    assert [(row.arm, row.replicate, row.steps["data"]) for row in made.rows] == [
        ("one", None, "one/data"),
        ("two", None, "two/data"),
    ]


def test_a_step_overrides_the_root_for_itself_alone_after_its_arm() -> None:
    again = {"_target_": "d.run", "config": {"pool": "${pool}", "gate": "${gate}"}, "inputs": {"data": "data"}}
    steps = {"again": {**again, "override": {"pool": "${large}", "gate": {"more": {"y": 2}}}}}
    arm = {"label": "Both", "override": {"gate": {"tau": 5, "more": {"x": 1}}}, "steps": steps}
    made, problems = resolve(root(arms={"both": arm}))
    assert not problems
    data, own = made.steps["both/data"], made.steps["both/again"]
    assert data.config["pool"] == {"models": ["a", "b"], "url": "x"}
    assert data.config["gate"] == {"tau": 5, "more": {"x": 1}}
    assert own.config == {"pool": {"models": ["big"]}, "gate": {"tau": 5, "more": {"x": 1, "y": 2}}}
    assert own.inputs == {"data": "both/data"}
    assert own.overridden == {"gate.tau", "gate.more.x", "pool", "gate.more.y"}
    assert data.overridden == {"gate.tau", "gate.more.x"}
    steps["again"]["override"] = {"gatte": {}}
    _, problems = resolve(root(arms={"both": arm}))
    assert [problem.key for problem in problems] == ["experiment.arms.both.steps.again.override.gatte"]


def test_replicates_resolve_every_arm_with_their_seed() -> None:
    made, problems = resolve(root(replicates=[0, 3]))
    assert not problems
    assert made.steps["one@3/data"].config["seed"] == 3
    assert made.steps["one@3/model"].inputs == {"data": "one@3/data"}
    assert made.steps["world@0"].config == made.steps["world@3"].config == {"seed": 0}
    assert [(row.arm, row.replicate) for row in made.rows] == [("one", 0), ("two", 0), ("one", 3), ("two", 3)]


def test_an_arm_can_drop_a_step_and_take_an_outside_folder(tmp_path: Path) -> None:
    arms = {
        "short": {"label": "S", "steps": {"data": None, "model": {"inputs": {"data": f"path:{tmp_path / 'later'}"}}}},
        "folder": {"label": "F", "steps": {"data": None, "model": {"inputs": {"data": str(tmp_path)}}}},
    }
    made, problems = resolve(root(arms=arms))
    assert not problems
    assert "short/data" not in made.steps
    assert made.steps["short/model"].inputs == {"data": tmp_path / "later"}
    assert made.steps["folder/model"].inputs == {"data": tmp_path}


def test_faults_are_found_together() -> None:
    arms = {
        "one": {"label": "One", "override": {"gaet": {"tau": 1}}, "steps": {"model": {"inputs": {"data": "dta"}}}},
        "two": {"label": "Two", "override": {"pool": "${nowhere}"}},
    }
    _, problems = resolve(root(arms=arms, reference="zero", replicates=[1, 1]))
    assert {p.key for p in problems} == {
        "experiment.reference",
        "experiment.replicates",
        "experiment.arms.one.override.gaet",
        "experiment.arms.one.steps.model.inputs.data",
        "experiment.arms.two",
    }


@pytest.mark.parametrize(
    ("experiment", "key"),
    [
        ({"nmae": "x"}, "experiment.nmae"),
        ({"arms": {"c": {"labl": "x"}}}, "experiment.arms.c.label"),
        ({"name": "no spaces!"}, "experiment.name"),
    ],
)
def test_an_experiment_that_makes_no_sense_is_refused(experiment: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(root(**experiment))
    assert key in [p.key for p in caught.value.problems]


def test_steps_in_a_circle_and_names_used_twice_are_refused() -> None:
    circle = {"data": {"inputs": {"model": "model"}}}
    _, problems = resolve(root(arms={"one": {"steps": circle}}))
    assert any("form a cycle" in p.message for p in problems)
    _, problems = resolve(root(steps={"data": {"_target_": "d.run"}}))
    assert "both a shared step and a step of an arm" in problems[0].message


@pytest.mark.usefixtures("stages")
def test_unset_values_and_secrets_are_faults_and_secrets_are_not_shown() -> None:
    stage = load_stage("fake_make.run")
    config = {
        "value": 0,
        "seed": "???",
        "pool": {
            "api_key": "sk-hidden",
            "url": "https://me:hidden@host/v1",
            "api_key_env": "NAME",
            "eos_token": "<eos>",
        },
    }
    problems = check_step(stage, config, {})
    assert [p.key for p in problems] == ["seed", "pool.api_key", "pool.url"]
    assert "hidden" not in "".join(map(str, problems))


def test_a_key_is_traced_to_the_file_or_the_command_line() -> None:
    where = Sources(
        {"experiment": "q", "synthesis": "gra", "pool@large": "big"},
        ("synthesis.tau=3", "pool=servers"),
        "conf/chain.yaml",
        frozenset({"seed", "experiment"}),
    )
    assert where.file_of("synthesis.tau") == "command line: synthesis.tau=3"
    assert where.file_of("synthesis.delta") == "conf/synthesis/gra.yaml"
    assert where.file_of("synthesis.delta", {"synthesis.delta"}) == "the arm's override in conf/experiment/q.yaml"
    assert where.file_of("large.models") == "conf/pool/big.yaml"
    assert where.file_of("seed") == "conf/chain.yaml"
    assert where.file_of("experiment.arms.x") == where.file_of("made.value") == "conf/experiment/q.yaml"


@pytest.mark.parametrize("target", ["nowhere.run", "gra.errors.run", "json.loads", "run"])
def test_a_target_that_is_no_stage_is_a_config_error(target: str) -> None:
    with pytest.raises(ConfigError):
        load_stage(target, "a/data._target_")
