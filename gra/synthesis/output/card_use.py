"""PURE: the parts of the data card for users of the data: how to load it, its columns, one sample, the reviewers.

Of these parts, only the sample contains text of a model or a seed. It is JSON in a code block, and the block's fence is
longer than any run of backticks in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from gra.synthesis.committee.records import DIMENSIONS
from gra.terminal import count
from gra.wellformed import printable, well_formed

CAP = 600  # maximum characters of a text in the example
COLUMNS = {
    "id": "unique; `r2-000017` is proposal 17 of round 2",
    "instruction": "the task",
    "response": "its answer",
    "messages": "both as chat turns, for fine-tuning",
    "domain": "what the annotator or the draw named",
    "keywords": "what the instruction was written from",
    "summary": "of the instruction, by the annotator",
    "round": "of the synthesis; each round draws on the samples of those before it",
    "generator": "model that wrote the sample",
    "reviewers": "models that judged it",
    "adjudicator": "model that decides a dispute",
    "annotator": "model that summarised it",
    "scores": f"by reviewer: {', '.join(DIMENSIONS)} (0 to 10) and their mean, `score`",
    "adjudication": "the adjudicator's scores; null where none were needed",
    "mean": "of the reviewers' scores",
    "std": "their standard deviation: how far the reviewers disagree",
    "decision": "accepted, adjudicated, or unreviewed",
    "parents": "ids of the samples or seeds that it was written from",
    "reviews_json": "the reviews with their remarks, as JSON",
    "checks_json": "the yes/no checks of the instruction, as JSON",
    "adjudication_json": "the adjudicator's review, as JSON",
}
REJECTED = {"reason": "why it was dropped", "detail": "more on it"}
LOADING = """```python
from datasets import load_dataset

data = load_dataset("PATH_OR_REPO", split="train")  # this folder, or USER/NAME on the hub
print(data[0]["messages"])
dropped = load_dataset("PATH_OR_REPO", "rejected", split="rejected")  # with `reason`
good = data.filter(lambda row: row["mean"] is not None and row["mean"] >= 9)
```"""


def columns() -> str:
    """Return the table of the columns of train.parquet and rejected.parquet."""
    lines = ["| column | what it holds |", "| --- | --- |"]
    lines += [f"| `{name}` | {words} |" for name, words in COLUMNS.items()]
    lines += [f"| `{name}` | in `rejected` only: {words} |" for name, words in REJECTED.items()]
    return "\n".join(lines)


def example(row: Mapping[str, Any] | None) -> list[str]:
    """Return the card's section that shows the sample `row` as JSON. Long texts in it are cut. [] if `row` is None."""
    if row is None:
        return []
    shown = {
        name: _short(row.get(name)) for name in ("id", "domain", "instruction", "response", "mean", "std", "decision")
    }
    text = printable(json.dumps(well_formed(shown), indent=1, ensure_ascii=False))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return ["## A sample", f"{fence}json\n{text}\n{fence}"]


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > CAP:
        return f"{value[:CAP]} [...]"
    return round(value, 2) if isinstance(value, float) else value


def reviewers(health: Mapping[str, Any], plain: Any) -> list[str]:
    """Return the lines of the data card's table of reviewers. The table has one row for each reviewer, e.g. with its
    mean score. The result is [] if nothing was reviewed.
    `plain`: a function that escapes a name for Markdown."""
    found: Mapping[str, Any] = health.get("reviewers") or {}
    if not found:
        return []
    lines = [
        "| reviewer | reviews | mean | sd | severity | share of its most frequent score |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, one in found.items():
        numbers = ["-" if one.get(key) is None else f"{one[key]:.1f}" for key in ("mean", "sd", "severity")]
        share = "-" if one.get("constant") is None else f"{one['constant']:.0%}"
        lines.append(f"| {plain(name)} | {count(one.get('reviews'))} | {' | '.join(numbers)} | {share} |")
    return [
        "\n".join(lines),
        "Severity: points that a reviewer gives below the other reviewers of the same samples, on average.",
    ]
