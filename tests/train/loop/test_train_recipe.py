"""The paper's recipe against plain_loop.py, an independent loop: the same loss, rate and weights after every step."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_loop
import pytest
import yaml

from gra.paths import conf_dir
from gra.train import stage

RANKS, PER_DEVICE, ACCUMULATION = 8, 1, 4  # simulated: one process accumulates what eight would share
BATCH = RANKS * PER_DEVICE * ACCUMULATION
RATE = 2e-3  # the paper's 5e-6 moves a new-born student too little for a difference to show


def talks() -> list[plain_loop.Talk]:
    """Of very unequal lengths, some of two turns; a number that the global batch does not divide."""
    made = []
    for n in range(4 * BATCH + 9):
        talk = [("user", f"What follows {n}?"), ("assistant", f"After {n}" + " comes it" * (1 if n % 4 else 18) + ".")]
        if n % 5 == 0:
            talk += [("user", "And then?"), ("assistant", f"{n + 2}.")]
        made.append([{"role": role, "content": content} for role, content in talk])
    return made


@pytest.fixture
def recipe() -> dict[str, Any]:
    """conf/sft/paper.yaml in float32 and at the tiny model's size."""
    paper = yaml.safe_load((conf_dir() / "sft" / "paper.yaml").read_text(encoding="utf-8"))
    return paper | {
        "precision": "fp32",
        "save_dtype": None,
        "global_batch": BATCH,
        "cutoff_length": 128,
        "learning_rate": RATE,
    }


def test_the_papers_recipe_is_the_plain_loop(
    student_folder: Path, write_data: Callable[..., Path], recipe: dict[str, Any], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = tmp_path / "out"
    output.mkdir()
    runtime = {"threads": 1, "per_device_batch": PER_DEVICE, "tracking": {"mode": "none"}}
    config = {"seed": 0, "student": {"name": "tiny"}, "sft": recipe, "runtime": runtime}
    stage.run(config, {"data": write_data(talks()), "student": student_folder}, output)
    with (output / "log.csv").open() as file:
        rows = list(csv.DictReader(file))

    model = AutoModelForCausalLM.from_pretrained(student_folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(student_folder / "model")
    history = plain_loop.train(model, tokenizer, talks(), BATCH, RATE, recipe["warmup_ratio"], seed=0)

    assert len(rows) == len(history) == 5
    for row, step in zip(rows, history, strict=True):
        assert float(row["loss"]) == pytest.approx(step["loss"], abs=1e-4)
        assert float(row["lr"]) == pytest.approx(step["lr"], abs=1e-12)
        assert abs(step["loss"] - step["mean_of_means"]) > 5e-3, (
            "the lengths are too alike to tell the normalisations apart"
        )
    trained = AutoModelForCausalLM.from_pretrained(output / "model")
    start = dict(AutoModelForCausalLM.from_pretrained(student_folder / "model").named_parameters())
    for (name, ours), (_, theirs) in zip(trained.named_parameters(), model.named_parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
        assert (ours - start[name]).abs().max() > 1e-3, f"{name} was not trained"
