"""FLOPs, GPU-hours and disk of a plan: arithmetic that anyone can redo, and nothing made up where a size is unknown."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from gra import work
from gra.chain.execution import plan_report
from gra.eval import cost_estimate
from gra.eval.settings import EvalSettings
from gra.outlook import Cost, Outlook
from gra.paths import conf_dir
from gra.synthesis.output import price
from gra.synthesis.output.price import work_in_words
from gra.train.cost_estimate import outlook, parameters
from gra.train.settings import BuildSettings, StudentSettings, TrainSettings


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen2.5-7B", 7),
        ("Llama-3.1-8B", 8),
        ("smollm2-135m", 0.135),
        ("Qwen2.5-0.5B-Instruct", 0.5),
        ("Mixtral-8x7B", None),
        ("gemma", None),
        ("7B-distilled-from-72B", None),
    ],
)
def test_a_name_states_its_size_or_nothing_is_assumed(name: str, billions: float | None) -> None:
    assert work.billions_named(name) == (None if billions is None else pytest.approx(billions))


def test_gpu_hours_are_flops_over_the_stated_share_of_the_peak() -> None:
    words = work.in_words(work.PEAK * 0.4 * 3600 * 12, 0.4)  # twelve hours
    assert ", 12 GPU-hours" in words
    assert "40%" in words
    assert "17.1 EFLOPs" in words


def test_a_synthesis_without_sizes_has_no_flops() -> None:
    assert "2.0 TFLOPs" in work_in_words({"a": 1000.0}, {"a": 1.0}, 10, 100)
    assert "parameters` of b" in work_in_words({"a": 1000.0, "b": 1.0}, {"a": 1.0, "b": None}, 10, 100)


RECIPE = {"epochs": 2.0, "learning_rate": 1e-5, "global_batch": 8, "cutoff_length": 512}


def settings(**sft: object) -> TrainSettings:
    student = {"model": "Qwen/Qwen2.5-7B"}
    return TrainSettings.model_validate({"seed": 0, "student": student, "sft": {**RECIPE, **sft}, "runtime": {}})


def test_a_training_counts_its_samples_where_they_are_known(tmp_path: Path) -> None:
    assert "for each 10,000 samples" in outlook(settings(), {"data": None}, {}).lines[0]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"instruction": ["a"] * 50}), tmp_path / "data" / "train.parquet")
    assert "100 samples of 310 tokens" in outlook(settings(), {"data": tmp_path}, {}).lines[1]
    assert "40 samples" in outlook(settings(limit=20), {"data": tmp_path}, {}).lines[1]
    assert f"{6 * 7e9 * 100 * 310 / 1e15:.1f} PFLOPs" in outlook(settings(), {"data": tmp_path}, {}).lines[0]


def test_data_that_is_not_made_yet_counts_as_expected() -> None:
    made = outlook(settings(), {"data": None}, {"data": Outlook(rows=30)})
    assert "60 samples of 310 tokens" in made.lines[1]
    assert made.cost is not None
    assert made.cost.flops == pytest.approx(6 * 7e9 * 60 * 310)
    assert outlook(settings(), {"data": None}, {"data": Outlook()}).cost is None


def evaluation(**given: object) -> EvalSettings:
    suite = yaml.safe_load((conf_dir() / "suite" / "paper.yaml").read_text(encoding="utf-8"))
    return EvalSettings.model_validate({"seed": 0, "suite": {**suite, **given}})


def test_an_evaluation_counts_the_items_of_its_test_sets() -> None:
    whole = cost_estimate.outlook(evaluation(), {"model": None}, {"model": Outlook(billions=7)})
    assert "39,489 items" in whole.lines[1]
    assert whole.cost is not None
    assert whole.cost.flops == pytest.approx(2 * 7e9 * 39_489 * cost_estimate.TOKENS)
    part = cost_estimate.outlook(evaluation(limit=200, only=["coding"]), {"model": None}, {})
    assert f"{164 + 200} items" in part.lines[1]
    assert part.cost is None  # nobody knows the model's size
    assert "for each 1 B parameters" in part.lines[0]


def test_test_sets_have_the_sizes_that_the_comparison_uses() -> None:
    path = Path(__file__).parents[1] / "results" / "paper" / "benchmarks.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for task in row["tasks"].split():
                assert cost_estimate.ITEMS[task] == int(row["own_items"])


def test_costs_add_up_and_unknown_ones_are_not_zero() -> None:
    both = Cost(calls=10, hours=2) + Cost(calls=5, flops=1e15)
    assert both.in_words() == "15 calls, 1.0 PFLOPs, 2 GPU-hours"
    assert Cost().in_words() == "nothing"


def test_calls_and_tokens_count_where_the_models_sizes_are_unknown() -> None:
    cost = price.cost_of({"a": 1000.0}, {"a": None}, 10, 500)
    assert (cost.calls, cost.tokens, cost.flops, cost.unsized) == (10, 1000.0, 0.0, True)
    sized = price.cost_of({"a": 1000.0}, {"a": 2.0}, 10, 500)
    assert (sized.flops, sized.unsized) == (4e12, False)
    (line,) = plan_report.total(
        {"gra/data": Outlook(cost=cost), "model": Outlook(cost=Cost(flops=1e15)), "x": Outlook()}
    )
    assert "in total: about 10 calls, 1,000 tokens, 1.0 PFLOPs" in line
    assert "not counted, since the cost is unknown: x" in line
    assert "without the FLOPs of gra/data" in line


def test_a_built_student_is_counted_as_it_is_built() -> None:
    build = BuildSettings(vocab_size=512, hidden_size=32, layers=2, heads=4, kv_heads=2, intermediate_size=64)
    layer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64  # queries, keys and values, output; gate, up and down
    assert parameters(StudentSettings(build=build)) == pytest.approx((512 * 32 + 2 * layer) / 1e9)
