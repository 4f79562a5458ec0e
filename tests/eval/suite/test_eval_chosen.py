"""Which tasks a command line chooses, and how they are asked where neither it nor the suite says: as each task wants it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from completions_site import serving
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from gra.errors import ConfigError, EvalError
from gra.eval import fetch, stage
from gra.eval.settings import CHAT_TOKENS, PLAIN_TOKENS, EvalSettings, Suite
from gra.eval.suite import loading, plan
from gra.fileio import read_json
from gra.paths import conf_dir
from gra.settings import parse


def composed(*overrides: str, app: str = "eval_app") -> dict[str, Any]:
    """The stage's config, as the command line makes it: without `+` every key must be there."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_container(compose(app, overrides=["output=x", *overrides]), resolve=True)
    assert isinstance(config, dict)
    return dict(config["config"])


def suite(*overrides: str) -> Suite:
    settings, problems = parse(EvalSettings, composed("model.path=owner/name", *overrides))
    assert settings is not None, problems
    return settings.suite


def records(path: Path, *items: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    items = [{"question": f"{n} + {n}?", "answer": f"#### {2 * n}"} for n in range(30)]
    for split in ("test", "train"):
        records(tmp_path / "data" / "gsm8k" / f"{split}.jsonl", *items)
    return tmp_path / "data"


def decoding(wanted: Suite, scratch: Path) -> dict[str, Any]:
    """How the one task of a suite is generated, as lm-eval gets it before the suite's own settings."""
    scratch.mkdir()
    manager = loading.manager(wanted, plan.local(wanted, {}), scratch)
    (task,), _ = loading.tried(manager, wanted, 0)
    return dict(task.config.generation_kwargs)


def test_a_list_of_ones_own_inherits_nothing_of_another_suite(gsm8k: Path, tmp_path: Path) -> None:
    mine = suite("suite.tasks=[gsm8k]", f"suite.data_dir={gsm8k}")
    assert (mine.name, mine.tasks, mine.limit, mine.max_new_tokens) == ("own", ("gsm8k",), None, None)
    assert decoding(mine, tmp_path / "own") == {
        "until": ["Question:", "</s>", "<|im_end|>"],
        "do_sample": False,
        "temperature": 0.0,
        "max_gen_toks": CHAT_TOKENS,
    }
    over = suite("suite=world", "suite.tasks=[gsm8k]", f"suite.data_dir={gsm8k}")  # nor where another one is named
    assert (over.limit, over.max_new_tokens) == (None, None)


@pytest.mark.slow
def test_the_command_that_gave_nought_now_lets_the_model_finish(
    gsm8k: Path, tiny_chat_model: Path, tmp_path: Path
) -> None:
    with serving() as site:
        command = [
            sys.executable,
            "-m",
            "eval",
            "suite.tasks=[gsm8k]",
            f"suite.data_dir={gsm8k}",
            f"output={tmp_path / 'out'}",
            f"model.path={tiny_chat_model}",
            "model.max_length=8192",
            "model.backend=server",
            f"model.base_url={site.url}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fatal" not in done.stderr  # git's word for a folder outside a repository
    score = read_json(tmp_path / "out" / "scores.json")["tasks"]["gsm8k"]
    assert (score["n"], score["how"]["max_new_tokens"]) == (30, CHAT_TOKENS)
    assert {body["max_tokens"] for body in site.bodies} == {CHAT_TOKENS}


@pytest.mark.parametrize(
    ("text", "chat", "expected"),
    [
        ("", True, {"until": [], "max_gen_toks": CHAT_TOKENS}),
        ("", False, {"until": ["\n\n"], "max_gen_toks": PLAIN_TOKENS}),
        ("generation_kwargs: {until: [END], max_gen_toks: 77}\n", True, {"until": ["END"], "max_gen_toks": 77}),
        ("generation_kwargs: {max_tokens: 77, do_sample: false}\n", True, {"until": [], "max_gen_toks": 77}),
        ("generation_kwargs: {max_new_tokens: 7, max_tokens: 9}\n", False, {"until": ["\n\n"], "max_gen_toks": 7}),
        ("generation_kwargs: {until: []}\n", True, {"until": [], "max_gen_toks": CHAT_TOKENS}),
    ],
)
def test_what_a_tasks_yaml_says_holds_and_what_it_leaves_open_suits_chat_models(
    text: str, chat: bool, expected: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gra.eval.suite import catalogue

    records(tmp_path / "items.jsonl", {"question": "q", "answer": "a"})
    body = "task: made_up\ndataset_path: json\noutput_type: generate_until\ntest_split: test\ndoc_to_text: question\n"
    body += f"doc_to_target: answer\ndataset_kwargs: {{data_files: {{test: {tmp_path / 'items.jsonl'}}}}}\n{text}"
    path = tmp_path / "tasks" / "made_up.yaml"
    path.parent.mkdir()
    path.write_text(body, encoding="utf-8")
    monkeypatch.setattr(catalogue, "own", lambda: {"made_up": path})
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    wanted = Suite(name="s", tasks=("made_up",), apply_chat_template=chat)
    manager = loading.manager(wanted, plan.LocalFiles(), tmp_path / "tasks")
    (task,), _ = loading.tried(manager, wanted, 0)
    assert {key: task.config.generation_kwargs[key] for key in expected} == expected


def test_without_a_suite_or_tasks_nothing_runs_and_the_suites_are_listed() -> None:
    (problem,) = (p for p in stage.check(composed("model.path=owner/name"), {}) if p.key == "suite.tasks")
    assert "no benchmark is chosen" in problem.message
    assert "paper | paper_loglikelihood | paper_pairing | small | smoke | world" in problem.remedy
    (problem,) = plan.unnamed(Suite(name="own"))
    assert "suite.tasks=[gsm8k]" in problem.remedy
    with pytest.raises(ConfigError, match="no benchmark is chosen"):
        stage.run(composed("model.path=owner/name"), {}, Path("nowhere"))


def test_smoke_is_a_drawn_part_of_real_benchmarks_and_the_world_keeps_its_own_suite() -> None:
    smoke, world, paper = suite("suite=smoke"), suite("suite=world", "suite.data_dir=x"), suite("suite=paper")
    assert set(smoke.tasks) <= set(paper.tasks)
    assert smoke.limit is not None
    assert not any(task.startswith("world_") for task in smoke.tasks)
    assert all(task.startswith("world_") for task in world.tasks)
    assert len(world.tasks) == 7


def test_a_part_of_a_suite_is_chosen_by_names_of_tasks_or_groups_and_its_groups_follow() -> None:
    part = suite("suite=paper", "suite.only=[mmlu_chat,gsm8k]")
    assert (part.name, part.tasks, part.max_new_tokens) == ("paper", ("gsm8k", "mmlu_chat"), 4096)
    assert plan.problems_of(part, {}) == []
    assert {plan.groups_of(part)[task] for task in part.tasks} == {"math", "general"}
    assert suite("suite=paper", "suite.only=[math,bbh_chat]").tasks == ("gsm8k", "math_chat", "bbh_chat")
    assert suite("suite=paper_loglikelihood", "suite.only=[mmlu]").tasks == ("mmlu",)  # a group of lm-eval's, whole
    assert suite("suite=paper", "suite.tasks=[gsm8k]").tasks == (
        "gsm8k",
    )  # the groups' other members are in nobody's way
    assert suite("suite=paper", "suite.only=[gsm8k]", "suite.tasks=[math_chat,gsm8k]").tasks == ("gsm8k",)


@pytest.mark.parametrize(("name", "meant"), [("mmlu", "mmlu_chat"), ("codign", "coding"), ("xyzzy", "gsm8k, math")])
def test_a_part_that_is_not_in_the_suite_is_a_fault_that_says_what_was_meant(name: str, meant: str) -> None:
    found = "\n".join(
        map(str, stage.check(composed("suite=paper", f"suite.only=[gsm8k,{name}]", "model.path=a/b"), {}))
    )
    assert f"suite.only: {name} is not in the suite" in found  # the key alone, without what the suite holds besides
    assert meant in found
    assert "got {" not in found


def test_a_part_of_the_wrong_shape_is_told_by_its_field() -> None:
    for only in ("gsm8k", [], [1], [["gsm8k"]], {"gsm8k": 1}):
        faults = stage.check({"suite": {"name": "s", "tasks": ["gsm8k"], "only": only}, "model": {"path": "a/b"}}, {})
        assert any(str(p.key).startswith("suite.only") for p in faults), only


def test_benchmarks_are_fetched_for_the_part_alone(tmp_path: Path) -> None:
    part = Suite(**composed("suite=paper", "suite.only=[gsm8k]", app="fetch_app")["suite"])
    with pytest.raises(EvalError) as caught:  # no network in tests
        fetch.fetch(part, tmp_path / "out")
    assert "gsm8k: not fetched" in str(caught.value)
    assert "mmlu" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "sandbox=none",
        "system_instruction=Be brief.",
        "fewshot_as_multiturn=false",
        "fewshot_seed=7",
        "num_fewshot=0",
        "limit=5",
        "limit_seed=3",
        "skip_missing=true",
        "max_new_tokens=9",
        "apply_chat_template=false",
        "data_dir=x",
        "only=[gsm8k]",
    ],
)
@pytest.mark.parametrize("name", ["own", "paper", "smoke", "world", "paper_loglikelihood"])
def test_every_key_of_a_suite_is_set_without_a_plus(name: str, override: str) -> None:
    key, _, value = override.partition("=")
    found = suite(
        f"suite={name}", "suite.tasks=[gsm8k]", f"suite.{key}={value!r}" if " " in value else f"suite.{override}"
    )
    assert str(getattr(found, key)).lower() == {"only": "('gsm8k',)"}.get(key, value.lower())


def test_families_of_a_list_of_ones_own_are_named_on_the_command_line() -> None:
    assert suite("suite.tasks=[gsm8k]", "suite.groups={mine: [gsm8k]}").groups == {"mine": ("gsm8k",)}
