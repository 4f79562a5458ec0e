"""Fetch a suite's benchmarks from the hub once, for machines that have no network.

Command: python -m eval.fetch suite=paper output=DIR
(then, anywhere: python -m eval suite=paper suite.data_dir=DIR ..., and synthesis.decontaminate.data_dir=DIR, which compares
training data with what is scored. GPQA: accept its terms on the hub first, and set HF_TOKEN; its authors ask that DIR be not
published.)

A file is one split of one configuration, `.jsonl.gz`, in the hub's record schema, named so that `eval/local_data.py` and
`gra/synthesis/benchmark_items.py` both know it. Taken are the split that is scored and that of the worked examples: the one a task
names as such, and another that it needs at `suite.num_fewshot`. What is there stays as it is, so that the command can be repeated
until all is there. One benchmark that cannot be had does not keep the others from being fetched.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import catalogue, local_data, plan
from eval.settings import Suite
from gra.errors import ConfigError, EvalError, Problem, StoreError
from gra.fileio import atomic_path, remove_temporaries
from gra.paths import expanded
from gra.settings import Settings, parse
from gra.typed import to_type

if TYPE_CHECKING:
    from omegaconf import DictConfig

_AGAIN = "run the command again, what is there is kept"
_TERMS = "see that the hub can be reached; where it asks for access, accept the terms on the data set's page and set HF_TOKEN"
_JOINED = "eval.hub_data.joined"


@dataclass(frozen=True)
class Wanted:
    """One file: where the hub has its items, and its path in the folder."""

    task: str  # of the suite
    dataset: str
    part: str | None  # the data set's configuration
    split: str
    options: Mapping[str, Any]  # of datasets.load_dataset
    path: str


def fetch(suite: Suite, output: Path) -> dict[str, int | None]:
    """Bring the files that `suite` reads into `output`: {path in it: number of items, None for what was there}. Says so as it goes.

    Raises EvalError that names every benchmark that is not to be had, after the others are there; StoreError, at once, for a file
    that cannot be written.
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
                    _say(f"{there}: is there, kept")
                elif there is None:
                    done[one.path] = _write(output / one.path, _items(one))
                    _say(f"{one.path}: {done[one.path]} items")
        except EvalError as error:
            faults[task] = str(error)
            _say(f"{task}: NOT fetched")
    local = plan.local(suite.model_copy(update={"data_dir": str(output), "skip_missing": True}), {}).skipped
    faults = {task: text for task, text in local.items() if task not in faults} | faults
    if faults:
        told = "\n".join(f"{task}: not fetched: {text}" for task, text in faults.items())
        raise EvalError(f"{told}\n    -> {_TERMS}; then {_AGAIN}")
    return done


def wanted(task: str, yaml: catalogue.Yaml, owner: str, shots: int | None) -> list[Wanted]:
    """The files of a single task, `owner` its name in the suite. Raises EvalError for a task whose data are not on the hub, or that
    are put together by a function of its own."""
    spec = catalogue.read(yaml)
    dataset, options = spec.get("dataset_path"), dict(spec.get("dataset_kwargs") or {})
    if dataset in (None, "json"):
        raise EvalError(f"{task} is not on the hub: the chain's step `world` makes its items")
    if spec.get("custom_dataset") not in (None, _JOINED):
        raise EvalError(f"{task} puts its items together by {spec['custom_dataset']}: evaluate it with the hub at hand")
    parts = [spec.get("dataset_name")]
    if spec.get("custom_dataset") == _JOINED:
        parts, options = options["parts"], {}
    shown = (spec.get("fewshot_config") or {}).get("split") or spec.get("fewshot_split")
    splits = dict.fromkeys([*local_data.needed_splits(spec, shots), *([shown] if shown else [])])
    return [Wanted(owner, dataset, part, split, options, place(dataset, part, split)) for split in splits for part in parts]


def place(dataset: str, part: str | None, split: str) -> str:
    """The path of a file in the folder: the data set's short name, its configuration if it is not all there is, the split."""
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
    """The files of a task or group, each with what there is for it already, in whatever place it is found by."""
    members = catalogue.members(name)
    if members is None:
        raise EvalError("a group that defines its own tasks: name these one by one")
    for leaf, yaml in members.tasks.items():
        files = local_data.locate(leaf, yaml, catalogue.read(yaml), [output], shots)[0].files
        for one in wanted(leaf, yaml, name, shots):
            there = files.get(one.split) or files.get(f"{one.split}/{one.part}")
            if there is None and (output / one.path).is_file():  # one of several parts
                there = output / one.path
            yield one, there.relative_to(output).as_posix() if there is not None else None


def _items(one: Wanted) -> Iterable[Mapping[str, Any]]:
    """The records of the file, as the hub has them. Raises EvalError with the library's own words."""
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
            f"{name} has no split {one.split}, but {', '.join(map(str, loaded))}: it has changed since the task was written"
        )
    return loaded[one.split]


def _write(path: Path, items: Iterable[Mapping[str, Any]]) -> int:
    """Write the records, whole or not at all; returns their number. Equal records give equal bytes."""
    count = 0
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            for item in items:
                count += 1
                packed.write(json.dumps(item, ensure_ascii=False).encode() + b"\n")
    except TypeError as error:
        raise EvalError(f"{path.name}: item {count} holds what JSON cannot ({error}): evaluate it with the hub at hand") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error}): make room or name another folder; then {_AGAIN}") from error
    return count


def _say(text: str) -> None:
    print(text, flush=True)


class FetchSettings(Settings):
    """The command's config."""

    suite: Suite


def _command(root: DictConfig, problems: list[Problem]) -> None:
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(root, "output") or not root.output:
        problems = [*problems, Problem("output", "required, but not set", "say where the benchmarks go: output=DIR")]
    config = OmegaConf.to_container(root.config, resolve=True)
    assert isinstance(config, dict)
    settings, faults = parse(FetchSettings, {str(key): value for key, value in config.items()})
    problems = [*problems, *faults]
    if settings is not None:
        problems += plan.unnamed(settings.suite)
        problems += [plan.unknown(task) for task in settings.suite.tasks if not catalogue.known(task)]
    if problems or settings is None:
        raise ConfigError(problems)
    done = fetch(settings.suite, expanded(root.output))
    new = sum(count is not None for count in done.values())
    print(f"{root.output}: {len(done)} files, {new} of them new; evaluate with {to_type('suite.data_dir', str(root.output))}")


if __name__ == "__main__":
    from gra.chain.app import hydra_main

    sys.exit(hydra_main(_command, "fetch_app"))
