"""Benchmarks fetched once, for machines without network: from folders that stand in for the hub, as `datasets` lets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from gra.errors import ConfigError, EvalError, StoreError
from gra.eval import fetch
from gra.eval.settings import Suite
from gra.eval.suite import catalogue, plan
from gra.eval.suite.local_data import load, locate, records
from gra.fileio import write_text
from gra.paths import conf_dir
from gra.synthesis.decontamination.settings import DecontaminateSettings
from gra.synthesis.decontamination.sources import check_sources, read_items, sources, unknown_folders

TEST = [{"question": f"Which is \u2028 {n}?", "options": ["a", "b"], "more": None if n else {"k": n}} for n in range(3)]
TRAIN = [item | {"question": "shown"} for item in TEST]
CARD = """---
configs:
- config_name: algebra
  data_files: [{split: test, path: algebra/test.jsonl}, {split: train, path: algebra/train.jsonl}]
- config_name: geometry
  data_files: [{split: test, path: geometry/test.jsonl}]
---
"""


def lines(items: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folders in place of the hub's data sets, and tasks of our own that name them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "hub" / "Small-Set").mkdir(parents=True)
    for split, items in (("test", TEST), ("train", TRAIN)):
        pq.write_table(pa.Table.from_pylist(items), tmp_path / "hub" / "Small-Set" / f"{split}.parquet")
    # `datasets` makes it a timestamp
    write_text(tmp_path / "hub" / "dates" / "test.jsonl", lines([{"day": "2024-01-05"}]))
    parts = tmp_path / "hub" / "hendrycks_math"
    write_text(parts / "README.md", CARD)
    for split in ("test", "train"):
        write_text(parts / "algebra" / f"{split}.jsonl", lines([{"problem": f"p {split}", "solution": "s"}]))
    write_text(parts / "geometry" / "test.jsonl", lines([{"problem": "q", "solution": "t"}]))
    tasks = {
        "small_chat": f"dataset_path: {tmp_path}/hub/Small-Set\ntest_split: test\nfewshot_split: train\n",
        "parts_chat": f"dataset_path: {parts}\ntest_split: test\ncustom_dataset: !function gra.eval.suite.hub_data.joined\n"
        f"dataset_kwargs: {{path: {parts}, parts: [algebra, geometry]}}\n",
        "gone_chat": f"dataset_path: {tmp_path}/hub/gone\ntest_split: test\n",
        "other_chat": f"dataset_path: {tmp_path}/hub/Small-Set\ntest_split: validation\n",
        "odd_chat": "dataset_path: odd\ntest_split: test\ncustom_dataset: !function gra.eval.suite.choices.gpqa\n",
        "dates_chat": f"dataset_path: {tmp_path}/hub/dates\ntest_split: test\n",
        "world_x": "dataset_path: json\ntest_split: test\n",
    }
    for name, text in tasks.items():
        write_text(tmp_path / "tasks" / f"{name}.yaml", f"task: {name}\nnum_fewshot: 0\n{text}")
    caches = (catalogue._tasks, catalogue.own_groups)
    monkeypatch.setattr(catalogue, "TASKS", tmp_path / "tasks")
    for cached in caches:
        cached.cache_clear()
    yield tmp_path / "hub"
    for cached in caches:
        cached.cache_clear()


def suite(*tasks: str) -> Suite:
    return Suite(name="s", tasks=tasks)


@pytest.mark.usefixtures("hub")
def test_what_was_fetched_is_what_an_evaluation_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    done = fetch.fetch(suite("small_chat", "parts_chat"), out)
    assert done == {
        "small_set/test.jsonl.gz": 3,
        "small_set/train.jsonl.gz": 3,
        "hendrycks_math/algebra/test.jsonl.gz": 1,
        "hendrycks_math/geometry/test.jsonl.gz": 1,
    }
    local = plan.local(Suite(name="s", tasks=("small_chat", "parts_chat"), data_dir=str(out)), {})
    small, parts = ({split: str(path) for split, path in task.files.items()} for task in local.tasks)
    assert local.problems == []
    assert {split: data.to_list() for split, data in load(small).items()} == {"test": TEST, "train": TRAIN}
    assert load(parts)["test"]["problem"] == ["p test", "q"]
    found = DecontaminateSettings(data_dir=str(out))
    assert [item.question for source in sources(found) for item in read_items(source)] == ["p test", "q"]

    first = {path: path.read_bytes() for path in out.rglob("*.gz")}
    (out / "small_set" / "test.jsonl.gz").unlink()
    (out / "small_set" / ".test.jsonl.gz.1.tmp").write_bytes(b"half")  # of a run that was killed
    capsys.readouterr()
    again = fetch.fetch(suite("small_chat", "parts_chat"), out)
    assert [path for path, count in again.items() if count is not None] == ["small_set/test.jsonl.gz"]
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == first
    said = capsys.readouterr().out
    assert "small_set/test.jsonl.gz: 3 items" in said
    assert "small_set/train.jsonl.gz: exists already, kept" in said


def test_one_that_is_not_to_be_had_is_named_and_the_others_are_fetched(hub: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(EvalError) as caught:
        fetch.fetch(suite("gone_chat", "other_chat", "odd_chat", "world_x", "dates_chat", "small_chat"), out)
    text = str(caught.value)
    gone, *rest = text.split("\nother_chat: ")
    assert gone.startswith(f"gone_chat: not fetched: {hub}/gone: ")
    assert "HF_TOKEN" in rest[0]
    for words in (
        "has no split validation, only train, test",
        "builds its items with",
        "step `world` of an experiment writes its items",
        "cannot be written as JSON",
    ):
        assert words in rest[0]
    assert "small_chat" not in text
    assert sorted(path.name for path in out.rglob("*.gz")) == ["test.jsonl.gz", "train.jsonl.gz"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        fetch.fetch(suite("small_chat"), tmp_path / "file" / "below")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), min_size=1, max_size=5))
def test_records_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]) -> None:
    path = tmp_path_factory.mktemp("written") / "test.jsonl.gz"
    assert fetch._write(path, items) == len(items)
    assert records(path) == items


def put_all(tasks: list[str], folder: Path, record: str = "{}") -> tuple[set[Path], set[Path]]:
    """Files of one record where `fetch` would put those of the tasks: the scored ones, and those of worked examples."""
    scored, shown = set(), set()
    for task in tasks:
        members = catalogue.members(task)
        assert members is not None
        for name, path in members.tasks.items():
            spec = catalogue.read(path)
            for one in fetch.wanted(name, path, task, None):
                is_scored = one.split == (spec.get("test_split") or spec["validation_split"])
                (scored if is_scored else shown).add(folder / one.path)
    for path in scored | shown:
        write_text(path, record + "\n")
    return scored, shown


@pytest.mark.parametrize("name", ["paper", "paper_loglikelihood"])
def test_every_file_of_the_papers_suites_is_read_and_what_is_scored_is_compared(name: str, tmp_path: Path) -> None:
    tasks = yaml.safe_load((conf_dir() / "suite" / f"{name}.yaml").read_text(encoding="utf-8"))["tasks"]
    scored, shown = put_all(tasks, tmp_path)
    local = plan.local(Suite(name="s", tasks=tasks, data_dir=str(tmp_path)), {})
    assert local.problems == []
    assert {path for task in local.tasks for path in task.files.values()} == scored | shown
    rules = DecontaminateSettings(data_dir=str(tmp_path))
    assert (unknown_folders(rules), check_sources(rules, {})) == ([], [])
    assert {source.path for source in sources(rules)} == scored
    found = {path.relative_to(tmp_path).as_posix() for path in scored | shown}
    few = {
        "paper": {
            "gsm8k/train.jsonl.gz",
            "gsm8k/test.jsonl.gz",
            "humaneval/test.jsonl.gz",
            "mbpp/full/test.jsonl.gz",
            "bbh/snarks.jsonl.gz",
            "gpqa/gpqa_diamond/train.jsonl.gz",
            "hendrycks_math/algebra/test.jsonl.gz",
        },
        "paper_loglikelihood": {"mmlu/anatomy/test.jsonl.gz", "mmlu/anatomy/dev.jsonl.gz"},
    }
    both = {"arc_challenge/test.jsonl.gz", "hellaswag/validation.jsonl.gz"}
    assert found >= few[name] | both
    assert len(found) == {"paper": 8 + 2 + 27 + 7, "paper_loglikelihood": 3 + 2 * 57}[name]


def test_a_file_in_another_layout_counts_as_there(tmp_path: Path) -> None:
    write_text(tmp_path / "gpqa" / "diamond.jsonl", '{"Question": "made up"}\n')
    assert fetch.fetch(suite("gpqa_diamond_chat"), tmp_path) == {"gpqa/diamond.jsonl": None}
    path = catalogue.find("gpqa_diamond_chat")
    assert path is not None
    assert locate("gpqa_diamond_chat", path, catalogue.read(path), [tmp_path], None)[1] == []


def test_the_command_goes_on_where_it_was_and_fails_for_what_is_missing(tmp_path: Path) -> None:
    put_all(["gsm8k", "ifeval_chat"], tmp_path / "all")
    (tmp_path / "all" / "gsm8k" / "train.jsonl.gz").unlink()
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    words = ["suite=world", "suite.tasks=[gpqa_diamond_chat,gsm8k,ifeval_chat]", f"output={tmp_path / 'all'}"]
    command = [sys.executable, "-m", "gra.cli", "fetch", *words]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.count("exists already, kept") == 2
    assert "gpqa_diamond_chat: NOT fetched" in ran.stdout
    assert "gpqa_diamond_chat: not fetched: Idavidrein/gpqa (gpqa_diamond): " in ran.stderr
    assert "gsm8k: not fetched: openai/gsm8k (main): " in ran.stderr
    assert "HF_TOKEN" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_faults_of_the_command_line_are_told_together() -> None:
    root = OmegaConf.create({"output": "???", "config": {"suite": {"name": "s", "tasks": ["gsm9k"]}}})
    with pytest.raises(ConfigError) as caught:
        fetch.fetch_from(root, [])
    assert [problem.key for problem in caught.value.problems] == ["output", "suite.tasks"]
    assert "gsm8k" in caught.value.problems[1].remedy
