"""What is seen and sent of an evaluation: bars or lines, the table, W&B; and that nothing of it is lost where writing fails."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb_offline
from rich.console import Console

from gra import tracked_files
from gra.eval.report import display, samples, tracking
from gra.eval.settings import EvalSettings, Model, Runtime, Suite
from gra.fileio import write_json
from gra.tracking import TrackingSettings

SCORE = {
    "value": 0.5,
    "stderr": 0.05,
    "tolerant": 0.75,
    "tolerant_stderr": 0.04,
    "extraction": 0.6,
    "extraction_stderr": 0.03,
}
NOTHING = dict.fromkeys(SCORE)
RESULT = {
    "simulated": True,
    "tasks": {
        "gsm8k": {"metric": "exact_match", "group": "math", "n": 1319, **SCORE},
        "math_chat": {"metric": "math_verify", "group": "math", "n": 5000, **SCORE},
        "hellaswag": {
            "metric": "acc",
            "group": "reasoning",
            "n": 10042,
            **SCORE,
            "tolerant": None,
            "tolerant_stderr": None,
            "extraction": None,
        },
        "gpqa_diamond_chat": {"metric": None, "group": "reasoning", "n": 0, **NOTHING},
    },
    "groups": {"math": SCORE, "reasoning": NOTHING},
    "mean": NOTHING,
}
SOME = "suite.only=[world_mathematics,world_language]"
SECRET = "a-password-that-stands-in-an-address"


def test_the_table_has_a_dash_where_nothing_is_known_and_says_what_is_simulated() -> None:
    text = display.table(RESULT, 100)
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}
    assert text.startswith("Percent correct (simulated)")
    assert lines["gsm8k"] == ["math", "1,319", "50.0", "±5.0", "75.0", "±4.0", "60.0", "-"]
    assert lines["hellaswag"] == ["reasoning", "10,042", "50.0", "±5.0", "-", "-", "-"]
    assert lines["gpqa_diamond_chat"] == ["reasoning", "0", "-", "-", "-", "-"]
    assert lines["(math)"] == ["50.0", "±5.0", "75.0", "±4.0", "60.0", "-"]
    assert (lines["(reasoning)"], lines["mean"]) == (["-"] * 4, ["-"] * 4)
    assert all(len(line) <= 60 for line in display.table(RESULT, 60).splitlines())


def test_replies_that_ended_at_their_limit_are_told_and_warned_of_above_two_in_a_hundred() -> None:
    few, many = {"at_limit": 26, "at_limit_known": 1319}, {"at_limit": 101, "at_limit_known": 5000}
    tasks = {
        "gsm8k": {"group": "math", "n": 1319, "how": {"max_new_tokens": 256}, **SCORE, **few},
        "math_chat": {"group": "math", "n": 5000, "how": {"max_new_tokens": 256}, **SCORE, **many},
        "mmlu": {"group": "general", "n": 9, **SCORE, "macro": {"over": 57, **SCORE}},
    }
    result = {"simulated": False, "tasks": tasks, "groups": {"math": SCORE | few}, "mean": SCORE | many}
    text = display.table(result, 200)
    assert "26 (2.0 %)" in text
    assert "101 (2.0 %)" in text
    assert "mean over 57 parts" in text
    (warning,) = (line for line in text.splitlines() if line.startswith("WARNING"))
    assert warning.startswith(
        "WARNING: math_chat: 101 of 5,000 replies (2.0 %) were truncated at the limit of 256 tokens"
    )
    assert "suite.max_new_tokens=1024" in warning


def test_without_a_terminal_a_line_is_printed_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with display.Progress(["gsm8k", "bbh"], line_s=3600) as progress:
        for done in range(0, 101, 10):
            progress(done, 100, "bbh_sports")
            progress(done // 2, 50, "gsm8k")
    out, said = capsys.readouterr()
    assert (out, said) == ("", "evaluation: 150 of 150 answered\n")
    with display.Progress(["gsm8k"], line_s=0) as progress:
        progress(40, 100, "gsm8k")  # from the run that was killed
        progress(60, 100, "gsm8k")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "evaluation: 40 of 100 answered"
    assert "60 of 100 answered, " in lines[1]
    assert "left: " in lines[1]


def test_on_a_terminal_there_is_a_bar_for_all_and_one_for_each_task_of_the_suite() -> None:
    from tqdm import tqdm

    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    tqdm(disable=True)  # tqdm wraps its own __init__ at the first use
    before = tqdm.__init__
    with display.Progress(["bbh_cot_fewshot", "gsm8k"], console=screen) as progress:
        assert list(tqdm(range(3), file=screen.file, disable=False)) == [0, 1, 2]
        progress(2, 4, "bbh_cot_fewshot_navigate")
        progress(1, 6, "bbh_cot_fewshot_snarks")
        progress(5, 5, "gsm8k")
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for words in ("preparing", "all", "8 of 15", "bbh_cot_fewshot", "3 of 10"):
        assert words in text
    assert "it/s" not in text  # tqdm's bar
    assert "navigate" not in text
    assert tqdm.__init__ is before


def test_no_bar_is_full_while_scores_or_other_replies_are_still_to_come() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with display.Progress(["arc", "gsm8k"], console=screen) as progress:
        for done in range(6):
            progress(done, 5, "gsm8k")
        assert [bar.finished for bar in progress._bars.tasks if bar.visible] == [False]  # type: ignore[union-attr]
        progress(1, 4, "arc")  # of another kind
        assert progress._bars.tasks[-1].total in (4, 9)  # type: ignore[union-attr]
    assert "scoring" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_a_log_line_meanwhile_stands_above_the_bars() -> None:
    screen = io.StringIO()
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(handler)
    try:
        with display.Progress(["gsm8k"], console=Console(file=screen, force_terminal=True, width=80)):
            assert handler.stream is sys.stderr
            logging.getLogger().warning("the server is back")
        assert handler.stream is sys.stderr
    finally:
        logging.getLogger().removeHandler(handler)
    assert "the server is back" in screen.getvalue()


def settings(mode: str, data_dir: Path) -> EvalSettings:
    return EvalSettings(
        suite=Suite(name="test", tasks=("gsm8k",), data_dir=str(data_dir)),
        model=Model(path="owner/name", backend="server", base_url=f"http://user:{SECRET}@127.0.0.1:9/v1"),
        runtime=Runtime(tracking=TrackingSettings(mode=mode, project="tests", name="arm-seed0")),  # type: ignore[arg-type]
    )


def rows(count: int) -> list[dict[str, Any]]:
    row = {
        "task": "gsm8k",
        "subtask": "gsm8k",
        "answer": "4",
        "extracted": None,
        "correct": 0.0,
        "extracted_tolerant": "4",
    }
    return [{**row, "doc_id": str(i), "reply": "\x1b[31m four " * 1000, "correct_tolerant": 1.0} for i in range(count)]


def test_scores_and_samples_go_to_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    output = tmp_path / "scores.partial"
    (tmp_path / "a-model" / "model").mkdir(parents=True)
    (tmp_path / "a-model" / "model" / "weights").write_bytes(b"abc")
    write_json(output / "scores.json", RESULT)
    tracking.record(settings("offline", tmp_path), {"model": tmp_path / "a-model"}, output, RESULT, rows(50))
    found = wandb_offline.read(output)
    assert (found.project, found.name, found.job_type, found.exit_code) == ("tests", "arm-seed0", "eval", 0)
    assert found.summary["eval/gsm8k"] == 0.5
    assert found.summary["eval/gsm8k.tolerant"] == 0.75
    assert "eval/mean" not in found.summary  # not known: never a zero
    assert found.config["suite"]["data_dir"] == tmp_path.name
    assert found.config["inputs"] == {"model": "a-model"}
    tables = {path.name.split("_")[0]: json.loads(path.read_text()) for path in output.rglob("*.table.json")}
    assert tables["scores"]["columns"] == list(tracking.SCORE_COLUMNS)
    assert tables["scores"]["data"][0] == ["gsm8k", "math", 1319, "exact_match", 0.5, 0.05, 0.75, 0.04, 0.6, None]
    assert [line[0] for line in tables["scores"]["data"]] == [*RESULT["tasks"], "(math)", "(reasoning)", "mean"]  # type: ignore[misc]
    assert len(tables["samples"]["data"]) == tracking.PER_TASK
    assert max(len(str(cell)) for line in tables["samples"]["data"] for cell in line) < tracking.TEXT_CAP + 100
    assert {"eval", "test"} == set(found.tags)
    assert list(wandb_offline.files(found.logged["scores-scores"])) == ["scores.json"]
    logged: list[Any] = []
    trained = SimpleNamespace(_log_artifact=lambda artifact, **_: logged.append(artifact))
    tracked_files.log_model(trained, tmp_path / "a-model", upload=False, offline=True)  # what the training had logged
    made = {path: entry.digest for path, entry in logged[0].manifest.entries.items()}
    assert wandb_offline.files(found.used["a-model-model"]) == made
    for file in (path for path in (output / "wandb").rglob("*") if path.is_file()):
        assert SECRET.encode() not in file.read_bytes()
        assert b"0" * 40 not in file.read_bytes()


def test_what_happens_to_wandb_is_said_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    tracking.record(settings("none", tmp_path), {}, tmp_path / "none", RESULT, rows(1))
    assert not (tmp_path / "none").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "wandb").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        tracking.record(settings("offline", tmp_path), {}, tmp_path / "full", RESULT, rows(1))
    assert "W&B" in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode
    ):
        pytest.skip("needs the right to mount a small tmpfs")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_what_cannot_be_written_is_an_error_and_leaves_no_half_file(small_disk: Path) -> None:
    full = [
        {**row, "cluster": None, "prompt_hash": str(i), "reply": os.urandom(1000).hex()}
        for i, row in enumerate(rows(200))
    ]
    writers: list[Callable[[], None]] = [
        lambda: samples.write(small_disk / "samples.parquet", full),  # type: ignore[arg-type]
        lambda: write_json(small_disk / "scores.json", {"x": ["y" * 100] * 1000}),
    ]
    for write in writers:
        with pytest.raises(OSError, match="No space left") as caught:
            write()
        assert caught.value.errno == errno.ENOSPC  # as gra/chain/execution/runner.py knows it
        assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_a_full_disk_is_told_and_after_making_room_the_run_goes_on(
    taught: Any, small_disk: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "eval", "suite=world", SOME, f"model.path={taught.model / 'model'}"]
    words.append(f"suite.data_dir={taught.world}")
    words += [f"output={small_disk / 'out'}", "runtime.device=cpu", "runtime.threads=1"]

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)

    full = start()
    assert full.returncode == 1, (full.stdout, full.stderr)
    assert "Traceback" not in full.stderr
    assert "full" in full.stderr
    assert "same command" in full.stderr
    assert not (small_disk / "out").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    done = start()
    assert done.returncode == 0, done.stderr
    assert "Percent correct (simulated)" in done.stdout
    assert (small_disk / "out" / "scores.json").is_file()
