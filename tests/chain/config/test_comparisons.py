"""The experiments of the paper and their small twins in the simulated world: all plan, and a pair asks the same question."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gra.chain.config.experiment import Experiment, resolve
from gra.chain.config.unknown import unknown_keys
from gra.chain.execution.plan import make_plan
from gra.chain.stage import load_stage
from gra.chain.store.store import Store
from gra.paths import conf_dir

FOLDER = conf_dir() / "experiment"
NAMES = sorted(path.stem for path in (FOLDER / "paper").glob("*.yaml"))
SIZES = {"rounds", "samples_per_round", "max_proposals"}
OF_THE_SUITE = {"decontaminate"}  # how samples are compared with the suite's items (conf/steps/world.yaml)
OF_THE_WORLD = {"world", "audit"}  # steps that only a simulated world has
SYNTHESIS = "gra.synthesis.stage.run"


@cache
def composed(name: str) -> tuple[dict[str, Any], Experiment]:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        root = compose("chain", overrides=[f"experiment={name}"])
    experiment, faults = resolve(root)
    assert faults == [], name
    plain = OmegaConf.to_container(root, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, experiment


def test_every_experiment_of_the_paper_has_a_twin() -> None:
    assert NAMES
    assert sorted(path.stem for path in (FOLDER / "sim").glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", [f"{kind}/{name}" for kind in ("paper", "sim") for name in NAMES])
def test_every_experiment_plans(name: str, tmp_path: Path) -> None:
    root, experiment = composed(name)
    plan, faults = make_plan(experiment, Store(tmp_path))
    assert faults == []
    assert all(item.digest is not None for item in plan.steps.values())
    assert experiment.reference in {row.arm for row in experiment.rows}
    groups = [path.name for path in conf_dir().iterdir() if path.is_dir()] + ["large_pool", "medium_pool"]
    assert (
        unknown_keys(root, groups, "chain") == []
    )  # as `gra plan` asks, also for steps that only other experiments use
    whole = root["synthesis"]["rounds"] * root["synthesis"]["samples_per_round"]
    assert root.get("samples", whole) == whole  # arms are size-matched
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    head = " ".join(line for line in lines[:7] if line.startswith("#"))
    assert f"gra run experiment={name}" in head
    assert "Cost:" in head
    assert "o expect" in head


@pytest.mark.parametrize("name", NAMES)
def test_a_synthesis_of_a_twin_passes_its_checks(name: str) -> None:
    _, experiment = composed(f"sim/{name}")
    for step in experiment.steps.values():
        if step.target == SYNTHESIS:
            assert load_stage(SYNTHESIS).check(step.config, dict.fromkeys(step.inputs)) == [], step.id


@pytest.mark.parametrize("name", NAMES)
def test_a_twin_differs_only_in_pool_student_suite_seeds_and_sizes(name: str) -> None:
    (paper, real), (sim, small) = composed(f"paper/{name}"), composed(f"sim/{name}")
    for key in ("arms", "reference", "replicates", "compare"):
        assert paper["experiment"][key] == sim["experiment"][key], key
    assert {k: v for k, v in paper["synthesis"].items() if k not in SIZES | OF_THE_SUITE} == {
        k: v for k, v in sim["synthesis"].items() if k not in SIZES | OF_THE_SUITE
    }
    steps = [
        {step.id: step.target for step in one.steps.values() if step.name not in OF_THE_WORLD} for one in (real, small)
    ]
    assert steps[0] == steps[1]


def test_arms_that_share_a_question_differ_in_what_they_say() -> None:
    """Each arm's file states one override of the whole config; no two arms of an experiment are the same run."""
    for name in NAMES:
        _, experiment = composed(f"sim/{name}")
        data = [step.config | {"runtime": None} for step in experiment.steps.values() if step.name == "data"]
        assert len({repr(config) for config in data}) == len(data), name


def test_every_arm_is_one_file_that_any_experiment_can_take() -> None:
    for path in sorted((conf_dir() / "arms").glob("*.yaml")):
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            root = compose("chain", overrides=["experiment=sim/main_table", f"+arms={path.stem}"])
        experiment, faults = resolve(root)
        assert faults == [], path
        assert path.stem in {row.arm for row in experiment.rows} or path.stem == "released_models"  # six in one file
        for step in experiment.steps.values():
            if step.arm == path.stem and step.target.startswith("gra.synthesis."):
                assert load_stage(step.target).check(step.config, dict.fromkeys(step.inputs)) == [], step.id


def test_the_six_released_models_are_six_arms() -> None:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        root = compose("chain", overrides=["experiment=paper/released_data", "+arms=released_models"])
    experiment, faults = resolve(root)
    assert faults == []
    models = {
        step.arm: step.config["student"]["model"] for step in experiment.steps.values() if step.name == "published"
    }
    bases, seeds = ("Qwen-2.5-7B", "Llama-3.1-8B"), ("Alpaca", "WizardLM", "Condor")
    assert list(models.values()) == [f"GX-XinGao/{base}-GRA-{seed}" for base in bases for seed in seeds]
    scored = {step.arm: step.inputs["model"] for step in experiment.steps.values() if step.name == "scores"}
    assert all(scored[arm] == f"{arm}/published" for arm in models)
