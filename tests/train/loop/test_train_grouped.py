"""Global batches of samples of about one length: a permutation by the seed, little padding, and the same bytes after a stop."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gra.fileio import sha256_file
from gra.train import stage
from gra.train.data import order
from gra.train.loop import checkpoints, sft
from gra.train.settings import TrainSettings
from tests.train.conftest import talk


def padded(rows: list[int], lengths: list[int], batch: int) -> int:
    """Positions that batches of these rows take."""
    pieces = [rows[at : at + batch] for at in range(0, len(rows), batch)]
    return sum(max(lengths[row] for row in piece) * len(piece) for piece in pieces)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=90), st.integers(0, 99), st.integers(1, 9), st.integers(1, 3))
def test_order(lengths: list[int], seed: int, batch: int, processes: int) -> None:
    """Every row once; by the seed alone, on any number of processes, blank rows last."""
    one = order.order(len(lengths), seed, 1, lengths, batch)
    assert sorted(one) == list(range(len(lengths)))
    several = order.order(len(lengths), seed, batch * processes, [*lengths, 1], batch)
    assert several[: len(one)] == one
    assert set(several[len(one) :]) <= {len(lengths)}
    assert len(several) % (batch * processes) == 0


def test_padding() -> None:
    draw = random.Random(0)
    lengths = [min(256, 8 + int(draw.lognormvariate(3.7, 0.9))) for _ in range(1500)]
    grouped, other, next_epoch = (order.order(1500, seed, 1, lengths, 8) for seed in (0, 0, 1))
    assert grouped == other != next_epoch
    assert padded(grouped, lengths, 8) < 1.05 * sum(lengths)
    assert padded(order.order(1500, 0, 1), lengths, 8) > 1.6 * sum(lengths)
    means = [sum(lengths[row] for row in grouped[at : at + 80]) / 80 for at in range(0, 1500 - 80, 80)]
    assert max(means) < 3 * min(means)  # no epoch that begins with long samples and ends with short ones


def test_stopped_in_an_epoch_it_ends_as_an_unbroken_run(
    student_folder: Path, write_data: Any, config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data([talk(f"What follows {n}?", f"{n}" + " it is" * (n * 7 % 12)) for n in range(37)])
    inputs = {"data": data, "student": student_folder}
    recipe = config(epochs=3, save_steps=3, group_by_length=True)  # 5 steps an epoch
    unbroken, broken, other = (tmp_path / name for name in ("unbroken", "broken", "other"))
    for folder in (unbroken, broken, other):
        folder.mkdir()
    whole = stage.run(recipe, inputs, unbroken)

    trainer, _, _ = sft.build_trainer(TrainSettings.model_validate(recipe), inputs, other)
    lengths = order.lengths(trainer.train_dataset)
    assert list(trainer._get_train_sampler()) == order.order(37, 0, 1, lengths, 8)

    class Stopped(Exception):
        pass

    mark = checkpoints.mark

    def stop(folder: Path, **facts: Any) -> None:
        mark(folder, **facts)
        raise Stopped

    for _ in range(3):  # at steps 3, 6 and 9: in the midst of each epoch
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "mark", stop)
            with pytest.raises(Stopped):
                stage.run(recipe, inputs, broken)
    assert stage.run(recipe, inputs, broken) == whole
    for file in ("model", "log.csv"):
        assert sha256_file(broken / file) == sha256_file(unbroken / file)
