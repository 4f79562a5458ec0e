"""The paper's suite from end to end, against a server whose replies are known, and what an honest reader makes of each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from canned_items import FILES, cut, items, made_up
from canned_server import running
from canned_verdicts import in_scores, judged
from canned_wordings import MODES, TABLE

from gra.eval import stage
from gra.fileio import read_json
from gra.paths import conf_dir

SHARED = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
COUNT, LIMIT, LEAF_COUNT = 33, 30, 3
MISSING = {"math_chat", "gpqa_diamond_chat"}
here = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the benchmarks' files are not beside this repository (../shared/data/benchmarks)"
)


def paper(folder: Path, **more: Any) -> dict[str, Any]:
    """The suite `paper` on the items of `folder`."""
    raw = yaml.safe_load((conf_dir() / "suite" / "paper.yaml").read_text(encoding="utf-8"))
    return dict(raw) | {"data_dir": str(folder), "skip_missing": True} | more


def evaluated(output: Path, folder: Path, model: Path, url: str, name: str, **suite: Any) -> dict[str, float]:
    """... asked of the server's model `name`."""
    output.mkdir()
    server = {"path": str(model), "backend": "server", "base_url": url, "name": name, "max_length": 1 << 16}
    config = {"suite": paper(folder, **suite), "model": server}
    return stage.run(config | {"runtime": {"concurrency": 16, "threads": 1}}, {}, output)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items of the eight benchmarks, and of MATH and GPQA made-up ones."""
    folder = cut(SHARED, tmp_path_factory.mktemp("ten"), COUNT, LEAF_COUNT)
    made_up(folder)
    return folder


@here
@pytest.mark.slow
def test_all_ten_benchmarks_score_what_the_wordings_deserve(data: Path, tiny_chat_model: Path, tmp_path: Path) -> None:
    """The wordings are those of the table; strict, tolerant and extracted, item by item."""
    known = items(data)
    with running(data, tiny_chat_model) as url:
        evaluated(tmp_path / "mixed", data, tiny_chat_model, url, "mixed", limit=LIMIT)
    verdict = judged(tmp_path / "mixed", known, "mixed")
    assert verdict.faults == []
    assert {task: sums.n for task, sums in verdict.sums.items()} == dict.fromkeys(known, LIMIT)
    assert in_scores(verdict.sums, read_json(tmp_path / "mixed" / "scores.json")) == []
    for task, sums in verdict.sums.items():
        assert 0 < sums.strict <= sums.tolerant < sums.n, task


@here
@pytest.mark.slow
def test_a_model_without_the_asked_form_is_extracted_nothing_from_and_scores_tolerantly(
    data: Path, tiny_chat_model: Path, tmp_path: Path
) -> None:
    """... and what has no data is left out, with no score."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in data.iterdir():
        if path.name not in ("math", "gpqa"):
            (bare / path.name).symlink_to(path)
    known = items(bare)
    assert known.keys() == FILES.keys() - MISSING
    with running(bare, tiny_chat_model) as url:
        metrics = evaluated(tmp_path / "unasked", bare, tiny_chat_model, url, "unasked", limit=LEAF_COUNT)
    verdict = judged(tmp_path / "unasked", known, "unasked")
    assert verdict.faults == []
    scores = read_json(tmp_path / "unasked" / "scores.json")
    assert in_scores(verdict.sums, scores) == []
    for task in known.keys() - {"ifeval_chat"}:  # which asks for no form
        assert (metrics[task], metrics[f"{task}.tolerant"], metrics[f"{task}.extraction"]) == (0.0, 1.0, 0.0), task
    for task in MISSING:
        assert (scores["tasks"][task]["n"], scores["tasks"][task]["value"]) == (0, None)
    assert scores["mean"]["value"] is None


@here
@pytest.mark.slow
def test_the_suite_runs_on_a_model_of_random_words(data: Path, tiny_chat_model: Path, tmp_path: Path) -> None:
    output = tmp_path / "tiny"
    output.mkdir()
    model = {"path": str(tiny_chat_model), "max_length": 768}  # prompts are cut to what fits
    config = {"suite": paper(data, limit=1, max_new_tokens=8), "model": model}
    metrics = stage.run(config | {"runtime": {"device": "cpu", "threads": 1}}, {}, output)
    scores = read_json(output / "scores.json")["tasks"]
    assert {task: score["n"] for task, score in scores.items()} == dict.fromkeys(FILES, 1) | {"bbh_chat": 27}
    assert FILES.keys() | {"mean", "mean.tolerant", "mean.extraction"} <= metrics.keys()


def test_the_table_of_wordings_is_consistent() -> None:
    for kind, wordings in TABLE.items():
        assert {w.kind for w in wordings} <= set(MODES["mixed"])
        for word in wordings if kind != "ifeval" else ():
            asked, right = word.kind in MODES["asked"], word.kind in (*MODES["asked"], *MODES["unasked"])
            assert (word.strict, word.tolerant) == (asked, right), word
            assert word.extraction == (asked or word.kind == "wrong"), word
