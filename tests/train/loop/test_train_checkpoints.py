"""The newest whole checkpoint is found; torn ones are named and removed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from gra.train.loop import checkpoints


def make(folder: Path, step: int) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights" * step)
    (path / "trainer_state.json").write_text("{}")
    checkpoints.mark(path, tokens=step * 10)
    return path


def cut(path: Path) -> None:
    with (path / "model.safetensors").open("rb+") as handle:
        handle.truncate(5)


TEARS: dict[str, Callable[[Path], None]] = {
    "no mark": lambda path: (path / checkpoints.MARK).unlink(),
    "cut file": cut,
    "missing file": lambda path: (path / "trainer_state.json").unlink(),
    "cut mark": lambda path: (path / checkpoints.MARK).write_text('{"files": {'),
    "senseless mark": lambda path: (path / checkpoints.MARK).write_text("[]"),
}


@pytest.mark.parametrize("tear", TEARS)
def test_torn_checkpoint_is_skipped_with_a_word(tear: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path, 9)
    whole, torn = make(tmp_path, 20), make(tmp_path, 100)
    TEARS[tear](torn)
    with caplog.at_level(logging.WARNING):
        assert checkpoints.newest(tmp_path, remove_torn=False) == whole
        assert torn.exists()
        assert checkpoints.newest(tmp_path) == whole
    assert "checkpoint-100 is incomplete" in caplog.text
    assert not torn.exists()
    assert (checkpoints.facts(whole) or {})["tokens"] == 200


def test_nothing_to_resume_from(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-final").mkdir()
    assert checkpoints.newest(tmp_path) is None
    assert checkpoints.newest(tmp_path / "missing") is None
