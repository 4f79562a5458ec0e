"""Two runs item by item: the command, its numbers against the bootstrap's own, and runs that cannot or need not be compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from altered_scores import edit, skip

from gra import cli
from gra.compare.options import Options
from gra.compare.pair import compare_runs
from gra.compare.reading.scores import load, outcomes
from gra.compare.statistics.bootstrap import paired_bootstrap
from gra.compare.statistics.multiple_testing import holm
from gra.errors import EvalError

TASKS = {"gsm8k": 60, "math_chat": 60, "mmlu_chat": 120}
FAST = Options(resamples=400)


def folder(make_arm: Any, name: str, skill: float, tasks: dict[str, int] = TASKS) -> Path:
    found: Path = make_arm(name, skill=skill, seed=len(name), steps=("scores",), tasks=tasks).folders["scores"]
    return found


def test_its_numbers_are_the_bootstraps(make_arm: Any) -> None:
    one, other = load(folder(make_arm, "a", 0.1)), load(folder(make_arm, "bb", -0.1))
    found = compare_runs(one, other, FAST)
    strict = [{task: outcomes([run], [0], task, "strict", "") for task in TASKS} for run in (one, other)]
    expected = paired_bootstrap(*strict, resamples=400)  # type: ignore[arg-type]
    adjusted = holm(expected.family)
    for task, interval in expected.tasks.items():
        cell = found["tasks"][task]["strict"]
        assert cell["difference"] == [interval.value, interval.low, interval.high]
        assert (cell["p"], cell["p_holm"]) == (interval.p, adjusted[task])
        assert cell["first"][0] == one.tasks[task].value
        assert cell["first"][1] <= cell["first"][0] <= cell["first"][2]
        kinds = found["tasks"][task]
        assert kinds["form"]["difference"][0] == pytest.approx(
            cell["difference"][0] - kinds["tolerant"]["difference"][0]
        )
        assert kinds["extraction"]["first"][0] == one.tasks[task].extraction
    assert found["mean"]["strict"]["difference"][0] == expected.mean.value
    assert compare_runs(one, other, FAST) == found  # seeded
    back = compare_runs(other, one, FAST)["mean"]["tolerant"]
    assert back["difference"] == pytest.approx([-found["mean"]["tolerant"]["difference"][place] for place in (0, 2, 1)])
    same = compare_runs(one, one, FAST)["mean"]["strict"]
    assert (same["difference"][0], same["p"]) == (0, 1)
    assert same["difference"][1] == -same["difference"][2] < 0  # answering alike does not prove two models to be alike


def test_groups_and_what_is_in_one_run_only(make_arm: Any) -> None:
    one, other = folder(make_arm, "a", 0.1), folder(make_arm, "bb", 0.0, TASKS | {"extra": 10})
    scores = json.loads((one / "scores.json").read_text())
    for task, group in zip(TASKS, ("math", "math", "general"), strict=True):
        scores["tasks"][task]["group"] = group
    (one / "scores.json").write_text(json.dumps(scores))
    skip(other, "extra")
    found = compare_runs(load(one), load(other), FAST)
    assert found["left_out"] == ["extra"]
    assert set(found["groups"]) == {"math"}
    means = [found["tasks"][task]["strict"]["difference"][0] for task in ("gsm8k", "math_chat")]
    assert found["groups"]["math"]["strict"]["difference"][0] == pytest.approx(sum(means) / 2)


def test_without_tolerant_scores_the_strict_ones_stand_alone(make_arm: Any) -> None:
    one, other = folder(make_arm, "a", 0.1), folder(make_arm, "bb", 0.0)
    edit(one, tolerant=None, extraction=None)
    found = compare_runs(load(one), load(other), FAST)
    assert found["mean"]["strict"] is not None
    assert [found["mean"][kind] for kind in ("tolerant", "form", "extraction")] == [None] * 3
    assert found["tasks"]["gsm8k"]["tolerant"] is None


def test_runs_that_cannot_be_compared(make_arm: Any) -> None:
    one = load(folder(make_arm, "a", 0.1))
    with pytest.raises(EvalError, match=r"Benchmark gsm8k: .* 60 items in the first, 50 in the second, 50 shared"):
        compare_runs(one, load(folder(make_arm, "fewer", 0.1, {"gsm8k": 50})), FAST)
    with pytest.raises(
        EvalError, match=r"share no benchmark: gsm8k, math_chat, mmlu_chat in the first, quiz in the second"
    ):
        compare_runs(one, load(folder(make_arm, "other", 0.1, {"quiz": 50})), FAST)


def test_the_run_that_is_simulated_is_marked_and_no_other(
    make_arm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = folder(make_arm, "a", 0.3), folder(make_arm, "bb", -0.1)
    for name in ("scores.json", "manifest.json"):
        if (path := other / name).is_file():
            path.write_text(path.read_text().replace('"simulated": true', '"simulated": false'))
    for pair, marks in (((one, other), [True, False]), ((other, one), [False, True])):
        monkeypatch.setattr(sys, "argv", ["gra", "compare", *map(str, pair), "--resamples", "400"])
        assert cli.main() == 0
        heads = capsys.readouterr().out.splitlines()[:2]
        assert [line.endswith("(simulated)") for line in heads] == marks


def test_the_command(make_arm: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = folder(make_arm, "a", 0.3), folder(make_arm, "bb", -0.1)

    def gra(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gra", "compare", *words])
        code = cli.main()
        return code, *capsys.readouterr()

    code, text, _ = gra(str(one), str(other), "--resamples", "400")
    assert code == 0
    assert all(len(line) <= 120 for line in text.splitlines()[2:])
    for words in (
        "(simulated)",
        "mmlu_chat",
        "mean",
        "A - B",
        "tolerant",
        "extracted",
        "400 resamples",
        "two trained models",
    ):
        assert words in text.replace("\n", " ")
    assert "If each mean varied by 1 point between training runs" in text
    assert "(Holm)" not in text
    code, text, _ = gra(str(one), str(other), "--resamples", "400", "--items-only")
    assert "(Holm)" in text
    code, text, said = gra(str(one), str(other), "--resamples", "118")
    assert (code, text) == (2, "")
    assert "compare.resamples" in said
    assert "at least 119" in said
    code, text, _ = gra(str(one), str(other), "--resamples", "400", "--json")
    found = json.loads(text)
    assert (found["first"], found["second"], found["simulated"]) == (str(one), str(other), True)
    assert found["mean"]["strict"]["difference"][1] > 0
    code, text, said = gra(str(one), str(other), "--level", "2")
    assert (code, text) == (2, "")
    assert "level" in said
    code, text, said = gra(str(one.parent), str(other))
    assert (code, text) == (1, "")
    assert "scores.json cannot be read" in said
    (one / "scores.json").write_text(json.dumps({"tasks": {"gsm8k": {"value": 0.5, "n": 60, "no_answer": 0.1}}}))
    code, _, said = gra(str(one), str(other))
    assert code == 1
    assert "has no extraction, tolerant: an earlier version wrote it" in said


def test_items_that_only_share_their_place_are_refused(make_arm: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    one, other = folder(make_arm, "a", 0.1), folder(make_arm, "bb", 0.0)
    table = pq.ParquetFile(other / "samples.parquet").read()
    place, column = table.schema.get_field_index("answer"), table["answer"].to_pylist()
    column[:2] = column[1::-1]  # the same file in another order
    pq.write_table(table.set_column(place, "answer", pa.array(column)), other / "samples.parquet")
    with pytest.raises(EvalError, match=r"gsm8k: 2 of 60 items have the same name in both.*another order"):
        compare_runs(load(one), load(other), FAST)


def test_benchmarks_that_were_not_asked_alike_are_named(
    make_arm: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = folder(make_arm, "a", 0.1), folder(make_arm, "bb", 0.0)
    edit(one, how={"shots": 5, "max_new_tokens": 4096})
    edit(other, how={"shots": 5, "max_new_tokens": 256})
    found = compare_runs(load(one), load(other), FAST)
    assert found["asked_unlike"][0].startswith(
        "gsm8k was evaluated under different conditions: max_new_tokens 4096 / 256."
    )
    monkeypatch.setattr(sys, "argv", ["gra", "compare", str(one), str(other), "--resamples", "200"])
    assert cli.main() == 0
    assert "mmlu_chat was evaluated under different conditions" in capsys.readouterr().out.replace("\n", " ")
    edit(other, how={"shots": 5, "max_new_tokens": 4096})
    assert compare_runs(load(one), load(other), FAST)["asked_unlike"] == []


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_the_command_on_terminals_that_lack_signs(make_arm: Any, tmp_path: Path, encoding: str) -> None:
    one = folder(make_arm, "a", 0.1).rename(tmp_path / "日本 é")
    other = folder(make_arm, "bb", 0.0).rename(tmp_path / "caf\udce9")  # a name that is no UTF-8
    command = [sys.executable, "-m", "gra.cli", "compare", str(one), str(other), "--resamples", "200"]

    def gra(*words: str) -> bytes:
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        run = subprocess.run([*command, *words], env=environment, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
        assert run.stderr == b""
        return run.stdout

    table = gra()
    assert ("─".encode() if encoding == "utf-8" else b"-----") in table
    assert b"Benchmark" in table
    assert json.loads(gra("--json").decode(encoding))["first"] == str(one)
