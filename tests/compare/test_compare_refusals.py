"""What a comparison refuses, and how it names it."""

from __future__ import annotations

import json

import pytest
from test_compare_experiment import FEW, run

from gra.compare.experiment import compare
from gra.compare.options import check
from gra.compare.reading.scores import load
from gra.errors import ConfigError, EvalError, StoreError


def test_unequal_items_are_an_error_that_names_arms_and_counts(make_arm, tmp_path):
    arms = [
        make_arm("gra", steps=("scores",), tasks={"quiz": 40}),
        make_arm("b", steps=("scores",), tasks={"quiz": 30}),
    ]
    with pytest.raises(
        EvalError, match=r"Arms gra and b cannot be compared. Benchmark quiz: .* 40 items .* 30 in the second"
    ):
        run(arms, tmp_path / "out")
    replicates = [make_arm("gra", steps=("scores",), tasks={"quiz": n}, replicate=n) for n in (10, 12)]
    with pytest.raises(EvalError, match="its replicates answered different items of quiz"):
        run(replicates, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": 0.123}, "the value of quiz is 0.1230, but its items"),
        ({"n": 41}, "n = 41, but samples.parquet holds 40"),
        ({"value": 47.0}, "from 0 to 1"),
        ({"value": float("nan")}, "from 0 to 1"),
        ({"extraction": "many"}, "extraction must be null or a number"),
        ({"tolerant": 0.123}, "the tolerant of quiz is 0.1230, but its items"),
        ({"n": 0, "value": None, "tolerant": None, "extraction": None}, "n = 0, but samples.parquet holds 40"),
    ],
)
def test_scores_that_contradict_themselves_are_refused(make_arm, change, message):
    folder = make_arm("gra", steps=("scores",), tasks={"quiz": 40}).folders["scores"]
    scores = json.loads((folder / "scores.json").read_text())
    scores["tasks"]["quiz"] |= change
    (folder / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(EvalError, match=message):
        load(folder)


def test_broken_files_are_named(make_arm, tmp_path):
    arm = make_arm("gra", tasks=FEW, kept=8, dropped=6)
    (arm.folders["audit"] / "audit.json").write_text("{")
    with pytest.raises(StoreError, match=r"audit\.json cannot be read"):
        run([arm], tmp_path / "out")
    (arm.folders["scores"] / "samples.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(EvalError, match=r"samples\.parquet cannot be read"):
        run([arm], tmp_path / "out")


def test_wrong_arms_and_options_are_all_reported_together(make_arm, tmp_path):
    twice = [make_arm("b", steps=()), make_arm("b", steps=(), label="another")]
    with pytest.raises(ConfigError) as caught:
        compare(twice, title="x", reference="gra", output=tmp_path, options={"resample": 10, "level": 2})
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for words in (
        "did you mean `resamples`?",
        "compare.level",
        "`gra` is not the name of an arm",
        "not distinct",
        "labels",
    ):
        assert words in text
    assert check({}) == []
