"""The losses of a run's log: weighted by steps, and refused where no step was logged."""

from __future__ import annotations

import pytest

from gra.errors import TrainError
from gra.train.report.files import losses, rows


def test_a_row_counts_for_the_steps_that_it_covers() -> None:
    table = rows([{"step": 1, "loss": 4.0}, {"step": 4, "loss": 1.0}])
    assert losses(table, steps=4) == {"train_loss": (4.0 + 3 * 1.0) / 4, "final_loss": 1.0}


def test_a_run_without_a_logged_step_names_the_steps() -> None:
    with pytest.raises(TrainError, match=r"none of the 3 steps was logged\n    -> set sft\.log_steps to at most 3"):
        losses(rows([]), steps=3)
