"""lm-eval's own logs, written by lm-eval itself, are compared item by item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gra.compare.options import Options
from gra.compare.pair import compare_runs
from gra.compare.reading.folders import is_run, load
from gra.errors import EvalError

pytestmark = pytest.mark.slow  # lm-eval itself runs twice
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
{more}
"""
CHOICE = """\
doc_to_choice: ["yes", "no"]
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
WRITTEN = """\
generation_kwargs: {until: ["."], max_gen_toks: 4}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
filter_list:
  - {name: strict-match, filter: [{function: take_first}]}
  - {name: flexible-extract, filter: [{function: regex, regex_pattern: "(lol)"}, {function: take_first}]}
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two evaluations of lm-eval's dummy model by lm-eval, logged by lm-eval."""
    import lm_eval
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    place = tmp_path_factory.mktemp("lm_eval")
    (place / "tasks").mkdir()
    for name, kind, more in (
        ("choice_one", "multiple_choice", CHOICE),
        ("choice_two", "multiple_choice", CHOICE),
        ("written", "generate_until", WRITTEN),
    ):
        rows = [{"question": f"{name} {n}?", "answer": "lol" if kind == "generate_until" else n % 2} for n in range(24)]
        data = place / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        (place / "tasks" / f"{name}.yaml").write_text(TASK.format(name=name, kind=kind, data=data, more=more))
    group = (
        "group: choices\ntask: [choice_one, choice_two]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )
    (place / "tasks" / "choices.yaml").write_text(group)
    manager = TaskManager(include_path=str(place / "tasks"), include_defaults=False)
    found = []
    for number in range(2):
        results: Any = lm_eval.simple_evaluate(
            model="dummy",
            tasks=["choices", "written"],
            task_manager=manager,
            log_samples=True,
            bootstrap_iters=0,
            random_seed=number,
        )
        samples = results.pop("samples")
        tracker = EvaluationTracker(output_path=str(place / f"run{number}"))
        tracker.general_config_tracker.log_experiment_args("dummy", "pretrained=dummy", None, None, False)
        tracker.save_results_aggregated(results=results, samples=samples)
        for task in results["configs"]:
            tracker.save_results_samples(task_name=task, samples=samples[task])
        found.append(place / f"run{number}")
    return found


def test_a_log_is_read_as_lm_eval_scored_it(logs: list[Path]) -> None:
    assert all(map(is_run, logs))
    found = load(logs[0])
    (results,) = logs[0].glob("*/results_*.json")
    said = json.loads(results.read_text())["results"]
    assert set(found.tasks) == {"choices", "written"}
    assert found.tasks["choices"].value == pytest.approx(said["choices"]["acc,none"])
    assert found.tasks["written"].value == pytest.approx(said["written"]["exact_match,strict-match"])
    assert found.tasks["written"].tolerant == pytest.approx(said["written"]["exact_match,flexible-extract"])
    assert set(found.items["choices"].clusters or ()) == {"choice_one", "choice_two"}
    assert (found.tasks["choices"].n, found.tasks["choices"].metric) == (48, "acc")
    other = load(logs[0], "acc_norm")
    assert (other.tasks["choices"].metric, other.tasks["written"].metric) == ("acc_norm", "exact_match")
    assert load(results).tasks == found.tasks  # one of its files names the same evaluation


def test_two_logs_are_paired_by_item(logs: list[Path]) -> None:
    one, other = map(load, logs)
    found = compare_runs(one, other, Options(resamples=200))
    gap = one.items["choices"].correct.mean() - other.items["choices"].correct.mean()
    assert found["tasks"]["choices"]["strict"]["difference"][0] == pytest.approx(gap)
    assert found["tasks"]["written"]["strict"]["p"] <= 1


def test_logs_that_cannot_be_compared_say_why(logs: list[Path], tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(next(logs[1].glob("*/")), folder)
    (file,) = folder.glob("samples_choice_one_*")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[3]["doc_hash"] = "another text"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(EvalError, match="1 of 48 items have the same name in both runs but different right answers"):
        compare_runs(load(logs[0]), load(folder), Options(resamples=200))
    file.write_text("".join(json.dumps({**line, "acc": None, "acc_norm": 7}) + "\n" for line in lines))
    with pytest.raises(EvalError, match="no metric gives each item one value from 0 to 1; it has acc, acc_norm"):
        load(folder)
    file.write_text("{broken\n")
    with pytest.raises(EvalError, match=r"samples_choice_one_.*line 1: no logged sample"):
        load(folder)
    shutil.copy(file, folder / "samples_choice_one_2020-01-01T00-00-00.000000.jsonl")
    with pytest.raises(EvalError, match="holds 2 evaluations"):
        load(folder)
    (tmp_path / "empty").mkdir()
    assert not is_run(tmp_path / "empty")
