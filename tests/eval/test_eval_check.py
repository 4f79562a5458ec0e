from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gra.config_reference.tables import written
from gra.errors import ConfigError
from gra.eval import stage
from gra.eval.suite import catalogue
from gra.paths import conf_dir


def config(*tasks: str, model: str | None = None, **suite: Any) -> dict[str, Any]:
    given = {"model": {"path": model}} if model else {}
    return {"seed": 0, "suite": {"name": "s", "tasks": list(tasks), "apply_chat_template": False} | suite} | given


@pytest.fixture
def step(tmp_path: Path) -> Path:
    (tmp_path / "step" / "model").mkdir(parents=True)
    (tmp_path / "step" / "model" / "config.json").write_text("{}", encoding="utf-8")
    return tmp_path / "step"


def texts(found: list[Any]) -> str:
    return "\n".join(map(str, found))


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    faults = config("world_codin", "gsmk8", "humaneval", "world_language", model=str(tmp_path / "none"))
    found = texts(stage.check(faults, {"benchmarks": tmp_path}))
    assert "there is no task world_codin" in found
    assert "world_coding" in found
    assert "did you mean gsm8k" in found
    assert "humaneval runs model-written code" in found
    assert f"no such folder: {tmp_path / 'none'}" in found
    assert "world_language.jsonl" in found
    assert str(tmp_path / "benchmarks") in found
    with pytest.raises(ConfigError, match="5 problems"):
        stage.run(faults, {"benchmarks": tmp_path}, tmp_path)


def test_unknown_keys_and_values_are_named() -> None:
    wrong = {"suite": {"name": "s", "tasks": ["gsm8k", "gsm8k"], "limitt": 3}, "runtime": {"batch_size": 0}}
    found = texts(stage.check(wrong, {}))
    assert "suite.limitt" in found
    assert "did you mean `limit`" in found
    assert "runtime.batch_size" in found
    assert "more than once" in texts(stage.check(config("gsm8k", "gsm8k"), {}))
    twice = {"math": ["gsm8k"], "all": ["gsm8k"]}
    assert "in more than one group" in texts(stage.check(config("gsm8k", groups=twice), {}))
    strange = texts(stage.check(config("gsm8k", groups={"math": ["gsm8k", "arc_chalenge"]}), {}))
    assert "suite.groups: there is no task arc_chalenge" in strange
    assert "suite.tasks" in texts(stage.check(config("../../etc/passwd"), {}))


def test_the_model_comes_from_one_place(step: Path, tmp_path: Path) -> None:
    assert "no model to evaluate" in texts(stage.check(config("gsm8k"), {}))
    assert "remove one of the two" in texts(stage.check(config("gsm8k", model="owner/name"), {"model": step}))
    assert stage.check(config("gsm8k", model="owner/name"), {}) == []
    assert stage.check(config("gsm8k"), {"model": None}) == []
    assert stage.check(config("gsm8k"), {"model": step}) == []
    assert "not a model folder" in texts(stage.check(config("gsm8k"), {"model": tmp_path}))
    assert "no chat template" in texts(stage.check(config("gsm8k", apply_chat_template=True), {"model": step}))


def test_what_earlier_steps_will_make_is_not_missed(step: Path, tmp_path: Path) -> None:
    assert stage.check(config("world_coding"), {"model": step, "benchmarks": None}) == []
    # one fault, named once for all tasks
    (fault,) = stage.check(config("world_coding", "world_language"), {"model": step})
    assert "world_coding, world_language: neither the input `benchmarks` nor suite.data_dir" in str(fault)
    found = texts(stage.check(config("bbh_cot_zeroshot", data_dir=str(tmp_path)), {"model": step}))
    assert "bbh_cot_zeroshot: 27 files are missing for its 27 tasks" in found
    assert "no such folder: nowhere" in texts(stage.check(config("gsm8k", data_dir="nowhere"), {"model": step}))


def test_files_named_by_the_config_are_hashed(step: Path, tmp_path: Path) -> None:
    file = tmp_path / "arc_challenge" / "test.jsonl"
    file.parent.mkdir()
    file.write_text("{}\n", encoding="utf-8")
    given = config("arc_challenge", model=str(step / "model"), data_dir=str(tmp_path))
    assert stage.external_files(given) == {"model.path": step / "model", "suite.data_dir:arc_challenge:test": file}


def test_the_world_stage_and_the_suites_agree(step: Path, tmp_path: Path) -> None:
    from gra.simulation import world_stage

    world_stage.run({"seed": 0, "world": {"seeds": 7, "test_per_task": 2, "corpus_pairs": 100}}, {}, tmp_path)
    suite = yaml.safe_load((conf_dir() / "suite" / "world.yaml").read_text(encoding="utf-8"))
    suite["apply_chat_template"] = False
    assert stage.check({"seed": 0, "suite": suite}, {"model": step, "benchmarks": tmp_path}) == []
    assert stage.check({"seed": 0, "suite": suite | {"data_dir": str(tmp_path)}}, {"model": step}) == []


def test_every_suite_can_be_checked_and_names_its_command() -> None:
    paths = sorted((conf_dir() / "suite").glob("*.yaml"))
    assert {path.stem for path in paths} == {
        "own",
        "world",
        "small",
        "smoke",
        "paper",
        "paper_loglikelihood",
        "paper_pairing",
    }
    for path in paths:
        text = path.read_text(encoding="utf-8")
        chosen = "'suite.tasks=[gsm8k]'" if path.stem == "own" else f"suite={path.stem}"
        assert text.startswith(f"# gra eval {chosen} ")
        suite = written(path)
        suite["tasks"] = suite["tasks"] or ["gsm8k"]
        assert stage.check({"seed": 0, "suite": suite}, {"model": None, "benchmarks": None}) == [], path.name
        assert suite["skip_missing"] is False  # a key that the command line can set
        grouped = [task for members in (suite["groups"] or {}).values() for task in members]
        assert sorted(grouped) == (sorted(suite["tasks"]) if path.stem[:5] in ("paper", "smoke") else [])


def test_the_papers_suite_has_its_ten_benchmarks_in_four_groups() -> None:
    suite = yaml.safe_load((conf_dir() / "suite" / "paper.yaml").read_text(encoding="utf-8"))
    assert {group: len(tasks) for group, tasks in suite["groups"].items()} == {
        "math": 2,
        "coding": 2,
        "reasoning": 4,
        "general": 2,
    }
    assert (suite["max_new_tokens"], suite["apply_chat_template"], suite["limit"]) == (4096, True, None)
    for task in suite["tasks"]:
        members = catalogue.members(task)
        assert members is not None
        assert {catalogue.read(path)["output_type"] for path in members.tasks.values()} == {"generate_until"}
        assert all(not catalogue.read(path)["generation_kwargs"].get("do_sample") for path in members.tasks.values())


def test_names_come_to_their_tasks() -> None:
    found = catalogue.members("math_word_problems")  # a tag, which a template hands on
    assert found is not None
    assert {"gsm8k", "hendrycks_math_algebra", "hendrycks_math500"} <= set(found.tasks)
    assert found.groups == {}
    group = catalogue.members("mmlu_generative")  # its groups are written out in its own text, and hold tags
    assert group is not None
    assert (len(group.tasks), list(group.groups)) == (57, ["mmlu_generative"])
    assert catalogue.members("no_such_name") is None


def test_every_task_of_ours_is_named_like_its_file() -> None:
    for name, path in catalogue.own().items():
        assert catalogue.read(path)["task"] == name


def test_the_stage_is_imported_and_checked_without_the_heavy_libraries() -> None:
    code = (
        "import sys; from gra.eval import stage; from pathlib import Path\n"
        "stage.check({'suite': {'name': 's', 'tasks': ['gsm8k', 'nope']}, 'model': {'path': 'a/b'}}, {})\n"
        "heavy = {'torch', 'transformers', 'datasets', 'lm_eval', 'pyarrow', 'hydra', 'numpy'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
