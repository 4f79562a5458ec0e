"""Benchmarks of the user's own (suite.task_dir): found first, checked, and part of what decides whether a step is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gra.eval import stage
from gra.eval.suite import catalogue

TASK = "task: {name}\ndataset_path: json\noutput_type: generate_until\ntest_split: test\ndoc_to_text: '{text}'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "data").mkdir()
    for name in ("mine", "other"):
        (tmp_path / "tasks" / f"{name}.yaml").write_text(TASK.format(name=name, text="{{q}}"))
        (tmp_path / "data" / f"{name}.jsonl").write_text('{"q": "1 + 1", "answer": "2"}\n')
    return tmp_path


def config(folder: Path, *tasks: str, **suite: Any) -> dict[str, Any]:
    places = {"data_dir": str(folder / "data"), "task_dir": str(folder / "tasks")}
    model = {"backend": "server", "name": "m", "base_url": "http://127.0.0.1:1/v1"}
    return {"suite": {"name": "own", "tasks": tasks, **places, **suite}, "model": model}


def faults(config: dict[str, Any]) -> list[str]:
    return [problem.message for problem in stage.check(config, {}) if problem.key.startswith("suite")]


def test_a_task_of_ones_own_is_found_and_only_with_its_folder(folder: Path) -> None:
    assert faults(config(folder, "mine")) == []
    assert faults(config(folder, "mine", task_dir=None)) == ["there is no task mine"]
    with catalogue.with_tasks_of(str(folder / "tasks")):
        assert catalogue.known("mine")
    assert not catalogue.known("mine")


def test_a_task_of_ones_own_precedes_one_of_that_name(folder: Path) -> None:
    (folder / "tasks" / "gsm8k.yaml").write_text(TASK.format(name="gsm8k", text="{{q}}"))
    with catalogue.with_tasks_of(str(folder / "tasks")):
        assert catalogue.find("gsm8k") == folder / "tasks" / "gsm8k.yaml"
    assert catalogue.find("gsm8k") != folder / "tasks" / "gsm8k.yaml"


def test_a_missing_folder_is_named_with_the_other_faults(folder: Path) -> None:
    found = faults(config(folder, "mine", task_dir=str(folder / "nowhere"), data_dir=str(folder / "none")))
    assert found == [f"no such folder: {folder / 'none'}", f"no such folder: {folder / 'nowhere'}"]


def test_the_files_of_a_task_decide_whether_a_step_is_up_to_date(folder: Path) -> None:
    tasks = folder / "tasks"
    (tasks / "_base.yaml").write_text("process_results: !function judge.verdict\n")
    (tasks / "judge.py").write_text("def verdict(doc, results):\n    return {'acc': 1.0}\n")
    (tasks / "mine.yaml").write_text("include: _base.yaml\n" + TASK.format(name="mine", text="{{q}}"))
    found = stage.external_files(config(folder, "mine"))
    assert {path.name for path in found.values()} == {"mine.jsonl", "mine.yaml", "_base.yaml", "judge.py"}
    assert set(stage.external_files(config(folder, "mine", task_dir=str(folder / "tasks")))) == set(found)
    assert "suite.task_dir" in stage.NOT_HASHED  # where the folder lies decides nothing
