"""The recipes and students that are published parse, fit each other, and open with the command that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.paths import conf_dir
from gra.train import stage, student_stage
from gra.train.distributed import hardware

RECIPES = sorted((conf_dir() / "sft").glob("*.yaml"))
STUDENTS = sorted((conf_dir() / "student").glob("*.yaml"))


def load(path: Path) -> Any:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    bases = [name for name in found.pop("defaults", []) if name != "_self_"]
    return {key: value for name in bases for key, value in load(path.with_name(f"{name}.yaml")).items()} | found


@pytest.mark.parametrize("path", RECIPES + STUDENTS, ids=lambda path: path.stem)
def test_opens_with_its_command_and_parses(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # wherever this runs
    machine = hardware.Machine((hardware.Gpu("NVIDIA H100", (9, 0)),), frozenset(hardware.PACKAGES))
    monkeypatch.setattr(hardware, "here", lambda: machine)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert path.stem in first
    sft = load(path) if path in RECIPES else load(conf_dir() / "sft" / "paper.yaml")
    config = {"seed": 0, "sft": sft, "student": load(path) if path in STUDENTS else {"model": "owner/name"}}
    if path.stem == "any" or "${" in str(config["student"].get("model")):  # a folder that `gra fetch students` makes
        config["student"]["model"] = "owner/name"
    if path.stem == "tiny":
        assert student_stage.check({"seed": 0, "student": load(path)}, {"corpus": None}) == []
        config["sft"] = load(conf_dir() / "sft" / "cpu_tiny.yaml")
    inputs: dict[str, Path | None] = {"data": None, **({"student": None} if path.stem == "tiny" else {})}
    assert stage.check(config, inputs) == []


def test_paper_recipe_is_the_papers() -> None:
    paper = load(conf_dir() / "sft" / "paper.yaml")
    stated = {
        "method": "full",
        "epochs": 1,
        "learning_rate": 5e-6,
        "schedule": "cosine",
        "warmup_ratio": 0.03,
        "weight_decay": 0,
        "global_batch": 256,
        "cutoff_length": 4096,
        "precision": "bf16",
        "template": "default",
        "resize_vocab": True,
        "save_steps": 400,
        "sharding": "zero2",
    }
    assert {key: paper[key] for key in stated} == stated
