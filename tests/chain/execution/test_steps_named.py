"""How a fault that several steps have names these steps."""

from __future__ import annotations

import pytest

from gra.chain.config.experiment import Step
from gra.chain.execution.check import steps_named


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([("a", None, None)], "step a"),
        ([("data", "gra", None), ("probe", "gra", None)], "steps gra/data, gra/probe"),
        ([("data", "gra", 0)], "step gra/data (replicate 0)"),
        ([("data", "gra", 0), ("data", "gra", 1)], "step gra/data (replicates 0 and 1)"),
        (
            [("model", "a", 0), ("scores", "b", None), ("model", "a", 1), ("model", "a", 2)],
            "steps a/model (replicates 0, 1 and 2), b/scores",
        ),
        ([(name, None, 0) for name in "abcde"], "steps a (replicate 0), b (replicate 0), c (replicate 0) and 2 more"),
    ],
)
def test_replicates_are_named_once_and_long_lists_are_cut(
    steps: list[tuple[str, str | None, int | None]], words: str
) -> None:
    made = [Step(f"step-{i}", *step, "target", {}, {}, frozenset()) for i, step in enumerate(steps)]
    assert steps_named(made) == words
