"""Students from Python: trained with the progress of the command, and refused before anything is made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gra
from gra.errors import ConfigError


def data_folder(path: Path) -> Path:
    """A data folder of one sample, which no stage made."""
    from datasets import Dataset

    messages = [{"role": "user", "content": "Say 1."}, {"role": "assistant", "content": "1"}]
    (path / "data").mkdir(parents=True)
    Dataset.from_list([{"messages": messages}]).to_parquet(path / "data" / "train.parquet")
    return path


@pytest.mark.slow
def test_a_student_is_trained_with_progress_and_its_path_loads(
    tmp_path: Path, tiny_chat_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = data_folder(tmp_path / "data")
    few = {
        "sft.max_steps": 1,
        "sft.precision": "fp32",
        "sft.global_batch": 2,
        "sft.cutoff_length": 128,
        "tracking": "none",
    }
    model = gra.train(data, tiny_chat_model, output=tmp_path / "model", config=few)
    assert "step 1 of 1, loss" in caplog.text
    assert isinstance(gra.load(model), gra.TrainedModel)
    assert (model.path / "adapter_config.json").is_file() or (model.path / "config.json").is_file()


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("", True),
        ("logging.getLogger('gra').setLevel('WARNING')", False),
        ("logging.basicConfig(stream=sys.stdout)", False),
    ],
)
def test_log_lines_of_a_run_are_shown_unless_the_caller_has_logging_of_his_own(before: str, shown: bool) -> None:
    code = (
        "import logging, sys; from gra.api.running import reported\n"
        f"{before}\nlog = logging.getLogger('gra.train')\n"
        "with reported():\n    log.info('step 1 of 3')\nlog.info('afterwards')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("INFO gra.train: step 1 of 3" in done.stderr) == shown
    assert ("step 1 of 3" in done.stdout) == ("stdout" in before)
    assert "afterwards" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("student", "words"),
    [
        (None, ["student (Python): required, but not set"]),
        (7, ["student (Python): neither a text nor a path (got 7)"]),
        ("tiny", ["built from a text by the step `student`", "config={'student_folder': FOLDER}"]),
        ("any", ["'any' names no model"]),
    ],
)
def test_a_student_is_refused_before_anything_is_made(tmp_path: Path, student: Any, words: list[str]) -> None:
    data = data_folder(tmp_path / "data")
    with pytest.raises(ConfigError) as told:
        gra.train(data, student, output=tmp_path / "model")
    for word in words:
        assert word in str(told.value)
    assert str(told.value).startswith("1 problem ")
    assert not list(tmp_path.glob("model*"))
    with pytest.raises(ConfigError, match=r"model \(Python\): required"):
        gra.evaluate(None, output=tmp_path / "scores")  # type: ignore[arg-type]


def test_a_name_of_conf_student_chooses_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder in the cache is named, with the command that fetches it. `./NAME` is a folder."""
    monkeypatch.setenv("GRA_CACHE", str(tmp_path / "cache"))
    data = data_folder(tmp_path / "data")
    with pytest.raises(ConfigError, match="gra fetch students smollm2-135m"):
        gra.train(data, "smollm2-135m", sft="cpu_small", output=tmp_path / "model")
    with pytest.raises(ConfigError, match=r"no such folder: \./smollm2-135m"):
        gra.train(data, "./smollm2-135m", sft="cpu_small", output=tmp_path / "model")
