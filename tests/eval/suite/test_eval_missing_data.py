"""Data that are missing, of another schema, or at a hub that is out of reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from test_eval_suites import MATH, put, suite

from gra.errors import EvalError
from gra.eval.settings import Suite
from gra.eval.suite import loading, plan


def test_missing_data_are_named_or_skipped(tmp_path: Path) -> None:
    put(tmp_path / "math" / "test.jsonl.gz", MATH)
    put(tmp_path / "bbh" / "navigate.jsonl.gz", [{"input": "i", "target": "t"}])
    wanted = suite("math_chat", "gpqa_diamond_chat", "bbh_chat", folder=tmp_path, groups={"r": ("gpqa_diamond_chat",)})
    gpqa, bbh = plan.local(wanted, {}).problems
    assert "gpqa/gpqa_diamond/train.jsonl" in gpqa.message
    assert str(tmp_path) in gpqa.message
    assert "suite.skip_missing=true" in gpqa.remedy
    assert "26 files are missing for its 27 tasks" in bbh.message
    assert "bbh/boolean_expressions.jsonl" in bbh.message
    local = plan.local(wanted.model_copy(update={"skip_missing": True}), {})
    assert (list(local.skipped), local.problems) == (["gpqa_diamond_chat", "bbh_chat"], [])
    rest = plan.without(wanted, local.skipped)
    assert (rest.tasks, rest.groups) == (("math_chat",), {})
    assert plan.scored(wanted, {"math_chat": "math_chat"}, local.skipped) == list(wanted.tasks)
    (nothing,) = plan.local(suite("gpqa_diamond_chat", folder=tmp_path, skip_missing=True), {}).problems
    assert "nothing is left" in nothing.message
    with pytest.raises(EvalError, match="nothing is left"):
        plan.without(wanted, wanted.tasks)


def test_records_of_another_schema_are_an_error_even_where_missing_data_are_skipped(tmp_path: Path) -> None:
    put(tmp_path / "math" / "test.jsonl.gz", [{"question": "q", "answer": "a"}])
    wanted = suite("math_chat", folder=tmp_path, skip_missing=True)
    (tmp_path / "scratch").mkdir()
    manager = loading.manager(wanted, plan.local(wanted, {}), tmp_path / "scratch")
    with pytest.raises(EvalError, match=r"(?s)could not load math_chat.*'problem' is undefined.*need the columns"):
        loading.tried(manager, wanted, 0)


def test_the_hub_out_of_reach_is_an_error_or_skips_the_task(tmp_path: Path) -> None:
    wanted = Suite(name="s", tasks=("gpqa_diamond_chat",))  # the tests run with HF_HUB_OFFLINE
    manager = loading.manager(wanted, plan.local(wanted, {}), tmp_path)
    with pytest.raises(EvalError, match=r"(?s)could not load gpqa_diamond_chat.*suite\.data_dir.*HF_TOKEN"):
        loading.tried(manager, wanted, 0)
    objects, skipped = loading.tried(manager, wanted.model_copy(update={"skip_missing": True}), 0)
    assert objects == []
    assert "gpqa_diamond_chat" in skipped


def test_a_data_set_in_configurations_is_read_as_one(tmp_path: Path) -> None:
    from gra.eval.suite.hub_data import joined

    configs = []
    for place, part in enumerate(("algebra", "geometry")):
        (tmp_path / "hub" / part).mkdir(parents=True)
        (tmp_path / "hub" / part / "test.jsonl").write_text(json.dumps(MATH[place]) + "\n", encoding="utf-8")
        configs.append({"config_name": part, "data_files": [{"split": "test", "path": f"{part}/test.jsonl"}]})
    (tmp_path / "hub" / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
        found = joined(str(tmp_path / "hub"), ["algebra", "geometry"], version=1)
    assert found["test"].to_list() == MATH[:2]
