"""Fetches a suite's benchmarks from the hub once, for machines without a network.

Command: gra fetch suite=paper output=DIR

Afterwards, DIR can be used on any machine: `gra eval suite=paper suite.data_dir=DIR ...` reads the items there, and
`synthesis.decontaminate.data_dir=DIR` compares training data with the scored items. For GPQA, first accept its terms on
the hub and set HF_TOKEN. GPQA's authors ask that its items are not published, so do not publish DIR.

Each file contains one split of one configuration as `.jsonl.gz` in the hub's record schema. The evaluation
(`eval/suite/local_data.py`) and the decontamination find the file by its name. For each task, the command fetches the
split that is scored, the split that the task's YAML names for few-shot examples, and the split from which lm-eval takes
these examples if `suite.num_fewshot` is set. Existing files are kept, so the command can be repeated until all files
are present. A benchmark that cannot be fetched does not stop the others.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gra.errors import ConfigError, EvalError, Problem, StoreError
from gra.eval.settings import Suite
from gra.eval.suite import catalogue, local_data, plan
from gra.fileio import atomic_path, remove_temporaries
from gra.paths import expanded
from gra.settings import Settings, parse
from gra.typed import to_type

if TYPE_CHECKING:
    from omegaconf import DictConfig

_AGAIN = "run the command again; files that are there are kept"
_TERMS = "check the connection to the hub; for a gated data set, accept the terms on its page and set HF_TOKEN"
_JOINED = "gra.eval.suite.hub_data.joined"


@dataclass(frozen=True)
class Wanted:
    """One file to fetch: the source of its items on the hub, and its path in the folder."""

    task: str  # the suite's task that needs the file
    dataset: str
    part: str | None  # the data set's configuration
    split: str
    options: Mapping[str, Any]  # further keywords for datasets.load_dataset
    path: str


def fetch(suite: Suite, output: Path) -> dict[str, int | None]:
    """Fetch the files that `suite` needs into the folder `output`, and print progress.

    Return {path: number of items}. The number is None for a file that existed before.

    If a benchmark cannot be fetched, the function still fetches the others and then raises EvalError, which names all
    missing benchmarks. If a file cannot be written, the function raises StoreError at once.
    """
    done: dict[str, int | None] = {}
    faults: dict[str, str] = {}
    if output.is_dir():
        remove_temporaries(output)
    for task in suite.tasks:
        try:
            for one, there in _missing(task, suite.num_fewshot, output):
                if there is not None and there not in done:
                    done[there] = None
                    _say(f"{there}: exists already, kept")
                elif there is None:
                    done[one.path] = _write(output / one.path, _items(one))
                    _say(f"{one.path}: {done[one.path]} items")
        except EvalError as error:
            faults[task] = str(error)
            _say(f"{task}: NOT fetched")
    local = plan.local(suite.model_copy(update={"data_dir": str(output), "skip_missing": True}), {}).skipped
    faults = {task: text for task, text in local.items() if task not in faults} | faults
    if faults:
        lines = "\n".join(f"{task}: not fetched: {text}" for task, text in faults.items())
        raise EvalError(f"{lines}\n    -> {_TERMS}; then {_AGAIN}")
    return done


def wanted(task: str, yaml: catalogue.Yaml, owner: str, shots: int | None) -> list[Wanted]:
    """Return the files that the single task `task` needs, each with its source on the hub.

    `owner`: the entry of `suite.tasks` that is this task or the group that contains it.
    `shots`: the setting `suite.num_fewshot`.

    Raises EvalError if the task's data are not on the hub, or if a custom function builds them.
    """
    spec = catalogue.read(yaml)
    dataset, options = spec.get("dataset_path"), dict(spec.get("dataset_kwargs") or {})
    if dataset in (None, "json"):
        raise EvalError(
            f"{task} is not on the hub: the step `world` of an experiment writes its items\n    -> leave the task out"
        )
    if spec.get("custom_dataset") not in (None, _JOINED):
        raise EvalError(
            f"{task} builds its items with {spec['custom_dataset']}, so there is no file to fetch\n"
            "    -> evaluate it on a machine that reaches the hub"
        )
    parts = [spec.get("dataset_name")]
    if spec.get("custom_dataset") == _JOINED:
        parts, options = options["parts"], {}
    shown = (spec.get("fewshot_config") or {}).get("split") or spec.get("fewshot_split")
    splits = dict.fromkeys([*local_data.needed_splits(spec, shots), *([shown] if shown else [])])
    return [
        Wanted(owner, dataset, part, split, options, place(dataset, part, split)) for split in splits for part in parts
    ]


def place(dataset: str, part: str | None, split: str) -> str:
    """Return the path that a fetched file gets in the output folder: DATASET/CONFIGURATION/SPLIT.jsonl.gz.

    DATASET is the short name of the data set. If the configuration stands for the whole data set (main, default or
    all), it is left out. The paths for ARC, HumanEval and BBH are shorter.
    """
    folder = str(local_data.slug(dataset))
    names = [part] if part not in local_data.ALL else []
    match folder:
        case "ai2_arc":
            folder, names = str(local_data.slug(part)), []
        case "openai_humaneval":
            folder, names = "humaneval", []
        case "bbh":
            return f"{folder}/{part}.jsonl.gz"
    return "/".join([folder, *map(str, names), f"{split}.jsonl.gz"])


def _missing(name: str, shots: int | None, output: Path) -> Iterator[tuple[Wanted, str | None]]:
    """Yield each file that a task or group needs, and the path of its copy in `output` (None if there is no copy).

    The copy can have any path that `local_data` accepts.
    """
    members = catalogue.members(name)
    if members is None:
        raise EvalError(
            "the YAML of this group contains its tasks, which is not supported\n    -> list its tasks one by one"
        )
    for leaf, yaml in members.tasks.items():
        files = local_data.locate(leaf, yaml, catalogue.read(yaml), [output], shots)[0].files
        for one in wanted(leaf, yaml, name, shots):
            there = files.get(one.split) or files.get(f"{one.split}/{one.part}")
            if there is None and (output / one.path).is_file():  # this part exists, although other parts are missing
                there = output / one.path
            yield one, there.relative_to(output).as_posix() if there is not None else None


def _items(one: Wanted) -> Iterable[Mapping[str, Any]]:
    """Return the records of the file as the hub stores them. Raises EvalError with the library's message."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    name = f"{one.dataset}{f' ({one.part})' if one.part else ''}"
    try:
        loaded = load_dataset(one.dataset, one.part, **one.options)
    except (DatasetsError, OSError, ValueError, KeyError) as error:
        cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ is not None else ""
        raise EvalError(f"{name}: {type(error).__name__}: {error}{cause}") from error
    if one.split not in loaded:
        raise EvalError(
            f"the data set {name} has no split {one.split}, only {', '.join(map(str, loaded))}: its hub copy was changed after the "
            f"task {one.task} was written\n    -> leave the task out, or set a split or revision of the data set in its YAML"
        )
    return loaded[one.split]


def _write(path: Path, items: Iterable[Mapping[str, Any]]) -> int:
    """Write the records atomically and return their number. Equal records give equal bytes."""
    count = 0
    try:
        with (
            atomic_path(path) as temporary,
            temporary.open("wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        ):
            for item in items:
                count += 1
                packed.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")
    except TypeError as error:
        raise EvalError(
            f"{path.name}: item {count} cannot be written as JSON ({error})\n"
            "    -> leave the task out; a machine that reaches the hub can evaluate it without files"
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error})\n    -> free disk space or set another folder; then {_AGAIN}"
        ) from error
    return count


def _say(text: str) -> None:
    print(text, flush=True)


class FetchSettings(Settings):
    """The config that `gra fetch` reads. The group `suite` sets its values."""

    suite: Suite = Field(
        description="The benchmarks to fetch; only the keys `tasks`, `only` and `num_fewshot` are used."
    )


def fetch_from(root: DictConfig, problems: list[Problem]) -> None:
    """Run the command `gra fetch suite=...`.

    `root`: the config that Hydra composed.
    `problems`: the faults already found in the command line.

    Raises GraError.
    """
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(root, "output") or not root.output:
        problems = [
            *problems,
            Problem("output", "required, but not set", "set the folder for the benchmarks: output=DIR"),
        ]
    config = OmegaConf.to_container(root.config, resolve=True)
    assert isinstance(config, dict)
    settings, faults = parse(FetchSettings, {str(key): value for key, value in config.items()})
    problems = [*problems, *faults]
    with catalogue.with_tasks_of(None if settings is None else settings.suite.task_dir):
        if settings is not None:
            problems += plan.unnamed(settings.suite)
            problems += [plan.unknown(task) for task in settings.suite.tasks if not catalogue.known(task)]
        if problems or settings is None:
            raise ConfigError(problems)
        done = fetch(settings.suite, expanded(root.output))
    new = sum(count is not None for count in done.values())
    print(
        f"{root.output}: {len(done)} files, {new} of them new; evaluate with {to_type('suite.data_dir', str(root.output))}"
    )
