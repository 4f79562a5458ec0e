"""The stage `audit`: measures which proportion of a data set's samples is wrong. It knows the right answers because the
data come from the simulated world. Writes audit.json.

Only data of the simulated world can be judged: in other data sets, every sample counts as `unknown`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from gra.errors import ConfigError, Problem, StoreError
from gra.fileio import write_json, write_text
from gra.settings import Settings, parse
from gra.simulation.world import judge
from gra.simulation.world import parse as parse_instruction

NAME = "audit"
VERSION = 1
LABEL = "judged by the truth of a simulated world (gra.simulation)\n"
_COLUMNS = ("instruction", "response", "domain")


class AuditSettings(Settings):
    """The stage `audit` has no settings. It accepts `seed`, as every stage does, but ignores it."""

    seed: int = Field(0, description="No effect.")
    runtime: dict[str, Any] = Field(default_factory=dict, description="No effect.")


def check(config: dict[str, Any], inputs: dict[str, Path | None]) -> list[Problem]:
    """Return all faults of the config and the inputs that can be found before the samples are read."""
    problems = parse(AuditSettings, config)[1]
    problems += [
        Problem(f"inputs.{name}", "the stage `audit` takes only `data`", "leave it out")
        for name in inputs
        if name != "data"
    ]
    if "data" not in inputs:
        return [*problems, Problem("inputs.data", "required, but not given", "give a data set's folder")]
    data = inputs["data"]
    if data is not None and not _file(data).is_file():
        problems.append(Problem("inputs.data", f"no file {_file(data)}", "give the output folder of a synthesis stage"))
    return problems


def kept(folder: Path) -> str:  # noqa: ARG001 - the same for all folders
    """Return "", because nothing in the working folder was paid for or took long to compute."""
    return ""


def run(config: dict[str, Any], inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Judge the samples in `inputs["data"]/data/train.parquet`, write audit.json to `output`, and return the numbers in
    audit.json.

    A proportion that is undefined, e.g. because no sample can be judged, is null in audit.json and missing in the
    result. Raises ConfigError for a faulty config, and StoreError if the samples cannot be read.
    """
    problems = check(config, dict(inputs))
    if problems:
        raise ConfigError(problems)
    import pyarrow
    import pyarrow.parquet

    file = _file(inputs["data"])
    try:
        named = [name for name in ("id",) if name in pyarrow.parquet.read_schema(file).names]
        table = pyarrow.parquet.read_table(file, columns=[*_COLUMNS, *named])
    except (pyarrow.ArrowException, OSError) as error:
        raise StoreError(f"{file}: cannot be read: {error}\n    -> generate the data set again") from error
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    result = audit(zip(*columns, strict=True))
    if named:
        result |= _named(zip(*columns[:2], table.column("id").to_pylist(), strict=True))
    write_json(output / "audit.json", result)
    write_text(output / "SIMULATED", LABEL)
    return {key: float(value) for key, value in result.items() if isinstance(value, int | float)}


def _file(data: Path) -> Path:
    return data / "data" / "train.parquet"


def audit(rows: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """Return how many samples are right, wrong or unknown, in total, by domain and by skill (kind of question).

    The simulated world is a set of generated questions with known answers. A sample is unknown if its instruction is
    not a question of the simulated world, or if the question has no right answer. If the data were made from the
    simulated world, such an instruction is flawed. `rows`: one (instruction, response, domain) for each sample.

    In the result, `n` is the number of samples. `wrong_share` is wrong / (n - unknown), or None if all samples are
    unknown. `bad_share` is (wrong + unknown) / n, or None if there are no samples.
    """
    total: Counter[str] = Counter()
    by_domain: dict[str, Counter[str]] = {}
    by_skill: dict[str, Counter[str]] = {}
    texts = set()
    for instruction, response, domain in rows:
        verdict = judge(instruction, response)
        outcome = "unknown" if verdict is None else "right" if verdict else "wrong"
        instance = parse_instruction(instruction)
        total[outcome] += 1
        by_domain.setdefault(domain, Counter())[outcome] += 1
        by_skill.setdefault(instance.name if instance else "(none)", Counter())[outcome] += 1
        texts.add(" ".join(instruction.split()))
    return _account(total) | {
        "by_domain": {name: _account(count) for name, count in sorted(by_domain.items())},
        "by_skill": {name: _account(count) for name, count in sorted(by_skill.items())},
        "distinct_instructions": len(texts),
        "skills_covered": sum(name != "(none)" for name in by_skill),
    }


def _named(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """Return the ids of the wrong samples and of the samples that cannot be judged. The report's browser marks both
    kinds."""
    verdicts = [(sample, judge(instruction, response)) for instruction, response, sample in rows]
    return {
        "wrong_ids": [sample for sample, right in verdicts if right is False],
        "unknown_ids": [sample for sample, right in verdicts if right is None],
    }


def _account(count: Counter[str]) -> dict[str, Any]:
    n, wrong, unknown = count.total(), count["wrong"], count["unknown"]
    return {
        "n": n,
        "wrong": wrong,
        "unknown": unknown,
        "wrong_share": wrong / (n - unknown) if n > unknown else None,
        "bad_share": (wrong + unknown) / n if n else None,
    }
