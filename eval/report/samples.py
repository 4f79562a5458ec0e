"""Turns lm-eval's logged samples into the rows of samples.parquet.

A row contains the prompt's hash and the reply. Two sets of rules extract an answer from the reply: the strict reading
and the tolerant reading (answers.py). For each of them, the row contains the answer and its score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from gra.errors import EvalError
from gra.eval.report.clusters import clusters
from gra.eval.scoring import answers
from gra.eval.suite.subset import NAMES
from gra.fileio import atomic_path

_NO_MATCH = "[invalid]"  # lm-eval's regex filters return this when nothing matches
_LOOSE = "prompt_level_loose_acc"  # IFEval's tolerant verdict


class SampleRow(TypedDict):
    """The result of one item (one question of a benchmark). The answer is extracted from every reply
    twice: by strict rules (the task's own) and by tolerant rules (lenient extraction, answers.py).

    - `subtask`: lm-eval's leaf task. It differs from `task` only if `task` is a group.
    - `cluster`: the item's subject (MMLU, MATH) or sub-task (BBH). Results of items in the same cluster are correlated.
      None if the benchmark has no clusters, or only one.
    - `prompt_hash`: the sha256 of the prompt.
    - `extracted`: the answer that the strict rules found; None if they found none.
    - `correct`: the score of the answer in `extracted` (0..1). It is the first metric of the task's first filter in
      lm-eval.
    - `extracted_tolerant`: the answer that the tolerant rules found; None if they found none.
    - `correct_tolerant`: the score of the answer in `extracted_tolerant`; None if tolerant rules do not exist for the
      task.
    - `at_limit`: whether the reply was truncated at its token limit; None if unknown or if nothing was generated.
    """

    task: str
    subtask: str
    cluster: str | None
    doc_id: str
    prompt_hash: str
    reply: str
    answer: str
    extracted: str | None
    correct: float
    extracted_tolerant: str | None
    correct_tolerant: float | None
    at_limit: bool | None


def leaves(task: str, subtasks: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the leaf tasks of a task or group, in the order of lm-eval's `group_subtasks`."""
    children = subtasks.get(task)
    return [task] if not children else [leaf for child in children for leaf in leaves(child, subtasks)]


def rows(task: str, subtask: str, samples: Sequence[Mapping[str, Any]], kind: str | None = None) -> list[SampleRow]:
    """Return the rows of samples.parquet for one leaf task.

    The rows hold the answers that the task's first filter extracted (lm-eval lists the strictest filter first), and the
    scores of the task's first metric.

    `kind`: the kind of the task's answers (see answers.kind_of).

    Raises EvalError if the metric is not one number per item.
    """
    mine = [sample for sample in samples if sample["filter"] == samples[0]["filter"]]
    prefix = "" if subtask == task else f"{subtask}/"
    found = clusters(task, subtask, mine)
    made = [
        _row(task, subtask, cluster, sample, prefix + name, kind)
        for sample, cluster, name in zip(mine, found, _ids(mine), strict=True)
    ]
    if kind is not None:
        _read_tolerantly(made, mine, kind)
    return made


def write(path: Path, items: Sequence[SampleRow], further: Mapping[str, Sequence[str | None]] | None = None) -> None:
    """Write the rows to a parquet file. Equal rows give equal bytes.

    `further`: additional text columns, each with one value per row.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"correct": pa.float64(), "correct_tolerant": pa.float64(), "at_limit": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in SampleRow.__annotations__])
    table = pa.Table.from_pylist([dict(row) for row in items], schema=schema)
    for name, values in (further or {}).items():
        table = table.append_column(name, pa.array(values, pa.string()))
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _ids(samples: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each item's id if all items have one and the ids are unique, or else its position in the split."""
    for key in NAMES:
        found = [sample["doc"].get(key) for sample in samples]
        if None not in found and len(set(map(str, found))) == len(found):
            return [str(name) for name in found]
    return [str(sample["doc_id"]) for sample in samples]


def _read_tolerantly(made: Sequence[SampleRow], samples: Sequence[Mapping[str, Any]], kind: str) -> None:
    """Fill in the tolerant columns. Strictly right answers are copied, not read again."""
    again = []
    for row, sample in zip(made, samples, strict=True):
        row["extracted_tolerant"], row["correct_tolerant"] = row["extracted"], row["correct"]
        if kind == "ifeval":
            row["correct_tolerant"] = float(sample[_LOOSE])
        elif row["correct"] < 1:
            again.append((row, (sample["doc"], row["reply"], row["answer"])))
    read = answers.tolerant_all(kind, [item for _, item in again]) if again else []
    for (row, _), (found, correct) in zip(again, read, strict=True):
        row["extracted_tolerant"], row["correct_tolerant"] = found, correct


def _row(
    task: str, subtask: str, cluster: str | None, sample: Mapping[str, Any], name: str, kind: str | None
) -> SampleRow:
    metric = sample["metrics"][0]
    if not isinstance(sample[metric], int | float):
        raise EvalError(
            f"{subtask}: the first metric, {metric}, is not one number per item and cannot be compared\n    -> leave the task out"
        )
    if _is_choice(sample):
        reply, answer = _choice(sample)
        extracted: str | None = reply
    else:
        reply, answer = str(sample["resps"][0][0]), str(sample["target"])
        extracted = answers.in_form(kind, _extracted(sample["filtered_resps"][0]))
    return SampleRow(
        task=task,
        subtask=subtask,
        cluster=cluster,
        doc_id=name,
        prompt_hash=sample["prompt_hash"],
        reply=reply,
        answer=answer,
        extracted=extracted,
        correct=float(sample[metric]),
        extracted_tolerant=None,
        correct_tolerant=None,
        at_limit=sample.get("at_limit"),
    )


def _extracted(filtered: Any) -> str | None:
    value = filtered[0] if isinstance(filtered, list | tuple) and filtered else filtered
    return None if value is None or str(value) == _NO_MATCH or not str(value).strip() else str(value)


def _is_choice(sample: Mapping[str, Any]) -> bool:
    """Return whether the item was scored by the log-likelihoods of its choices. Its responses are then pairs (value, greedy or
    not).
    """
    return isinstance(sample["resps"][0][0], list | tuple)


def _choice(sample: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text of the likeliest choice and of the right one."""
    choices = [str(arguments[1]).strip() for arguments in sample["arguments"]]
    likelihoods = [response[0][0] for response in sample["resps"]]
    best = choices[max(range(len(choices)), key=likelihoods.__getitem__)]
    target = sample["target"]
    return best, choices[target] if isinstance(target, int) and 0 <= target < len(choices) else str(target)
