"""Reads benchmark items from local files instead of the hub: finds the files of a task and writes the task YAML for lm-eval.

A file has one JSON object per line, in the hub's record schema, with or without gzip.
`datasets.load_dataset(...)[split].to_json(file)` writes such a file. Let T be a task, H the last part of its hub data
set's name, and C its configuration. The file of split S is the first of these that exists:

    DIR/F/C/S.jsonl   DIR/F/C.jsonl   DIR/F/S.jsonl   DIR/T.jsonl   DIR/C.jsonl       (or .jsonl.gz)

- F is one of T, T without `_chat`, H, C.
- If C begins with H, the rest of C is tried in place of C, too: for gpqa_diamond also diamond.
- DIR/H/S.jsonl is not used if C is one of several configurations (BBH's tasks), because all of them would read the same
  file. The exception is MMLU's file of all subjects, which is filtered by `subject` = C.
- DIR/C.jsonl is for our own tasks, which have no H.
- DIR/F/C.jsonl, DIR/T.jsonl and DIR/C.jsonl hold only the scored split.
- A task that joins several configurations (MATH's subjects) reads DIR/F/S.jsonl, or else every DIR/F/C/S.jsonl.

`gra fetch` writes such a folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gra.errors import EvalError
from gra.eval.suite.catalogue import Yaml
from gra.fileio import open_maybe_gzip, write_text

_SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")
ALL = (None, "main", "default", "all")  # names of a configuration that is the whole data set or its default
_ENDS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class LocalTask:
    """A task and its local files. The data of a task without local files are read from the hub.

    `files`: the path for each split. If the task joins several configurations, the keys are SPLIT/CONFIGURATION.
    `dropped`: the keys to remove from the task's YAML. They name splits that have no file and that the task does not
    need.
    `subject`: the only subject to read from MMLU's file of all subjects.
    """

    name: str
    yaml: Yaml
    files: dict[str, Path]
    dropped: tuple[str, ...] = ()
    subject: str | None = None


def locate(
    name: str, yaml: Yaml, spec: dict[str, Any], folders: Sequence[Path], shots: int | None
) -> tuple[LocalTask, list[str]]:
    """Find the files of the task `name` in `folders`. Return the task, and a message for each needed split without a
    file.

    If several folders have a file, the first of them counts. A message lists the paths that were tried.

    `spec`: the content of the file `yaml`.
    `shots`: the number of few-shot examples. None means the number in the YAML.
    """
    test, *examples = needed_splits(spec, shots)
    files: dict[str, Path] = {}
    missing: list[str] = []
    splits = list(dict.fromkeys([test, *(spec[key] for key in _SPLITS if spec.get(key))]))
    for split in splits:
        wanted = _candidates(name, spec, split, scored=split == test)
        found = _first(folders, wanted)
        parts = {} if found is not None else _parts(name, spec, split, folders)
        if found is not None or parts:
            files |= {split: found} if found is not None else parts
        elif split in (test, *examples):
            names = _listed(path for path in wanted if path.endswith(_ENDS[0]))
            missing.append(f"{name}: no file for split `{split}`; looked for {names} (or .gz) in {_listed(folders)}")
    have = {key.partition("/")[0] for key in files}
    dropped = tuple(key for key in _SPLITS if spec.get(key) and spec[key] not in have)
    subject = spec.get("dataset_name") if slug(spec.get("dataset_path")) == "mmlu" else None
    return LocalTask(name, yaml, files, dropped, None if subject in ALL else subject), missing


def needed_splits(spec: Mapping[str, Any], shots: int | None) -> list[str]:
    """Return the splits that a task needs.

    The scored split comes first. If few-shot examples come from another split, that split follows.
    """
    test = next((spec[key] for key in _SPLITS if spec.get(key)), "test")
    default = spec.get("num_fewshot") or 0
    count = shots if shots is not None and spec.get("num_fewshot") != 0 else default  # lm-eval keeps a 0 in the YAML
    fewshot = spec.get("fewshot_config") or {}
    example = (
        fewshot.get("split") or spec.get("fewshot_split") or spec.get("training_split") or spec.get("validation_split")
    )
    return list(dict.fromkeys([test, example or test] if count > 0 and not fewshot.get("samples") else [test]))


def write_yaml(task: LocalTask, folder: Path) -> None:
    """Write the YAML from which lm-eval loads the task to `folder`/TASK.yaml. It includes the task's own YAML.

    If the task has local files, the written YAML makes lm-eval read them with the function `load` of this module.
    """
    parts = (task.yaml,) if isinstance(task.yaml, Path) else task.yaml
    text: dict[str, Any] = {"include": [str(path.resolve()) for path in parts], "task": task.name}
    text |= dict.fromkeys(task.dropped)
    if task.files:
        files = {split: str(path.resolve()) for split, path in task.files.items()}
        text["dataset_kwargs"] = {"files": files, "subject": task.subject}
    lines = [f"{key}: {json.dumps(value)}" for key, value in text.items()]  # JSON is YAML
    lines += ["custom_dataset: !function gra.eval.suite.local_data.load"] if task.files else []
    write_text(folder / f"{task.name}.yaml", "\n".join([*lines, ""]))


def write_group(name: str, yaml: Path, folder: Path) -> None:
    """Write `folder`/_group_NAME.yaml, a YAML that includes the YAML of lm-eval's group `name`.

    lm-eval finds the group's tasks by name in the same folder.
    """
    write_text(
        folder / f"_group_{name}.yaml", f"include: {json.dumps(str(yaml.resolve()))}\ngroup: {json.dumps(name)}\n"
    )


def load(files: Mapping[str, str], subject: str | None = None, **_: Any) -> Any:
    """Return the records in local files as a datasets.DatasetDict.

    `files`: the path for each split. If the task joins several configurations, the keys are SPLIT/CONFIGURATION.
    `subject`: the only subject to read; None for all records.

    lm-eval calls this function as `custom_dataset` and passes the task's `metadata` as keywords, which are ignored.
    `datasets.load_dataset("json")` is not used, because it converts date columns to timestamps and writes a cache to
    the home folder.
    """
    from datasets import Dataset, DatasetDict

    splits: dict[str, list[dict[str, Any]]] = {}
    for key, path in files.items():
        splits.setdefault(key.partition("/")[0], []).extend(records(Path(path), subject))
    return DatasetDict({split: Dataset.from_list(items) for split, items in splits.items()})


def records(path: Path, subject: str | None = None) -> list[dict[str, Any]]:
    """Return the records of a file. If `subject` is given, return only the records of that subject.

    Raises EvalError if there are no records, or if a record is not valid. For an invalid record, the message names
    the file and the line.
    """
    everything = _records(path, path.stat().st_mtime_ns)
    kept = [record for record in everything if subject is None or record.get("subject") == subject]
    if not kept:
        raise EvalError(
            f"{path}: has no records{f' of subject {subject}' if subject else ''}\n    -> put the benchmark's items there"
        )
    return kept


@lru_cache(maxsize=1)  # the 57 subjects of MMLU read the same file in turn
def _records(path: Path, changed: int) -> list[dict[str, Any]]:  # noqa: ARG001
    kept = []
    number = 0
    try:
        with open_maybe_gzip(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise EvalError(f"{path}, line {number}: not a JSON object\n    -> fix or remove the line")
                kept.append(record)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"{path}, line {number}: not JSON ({error})\n    -> fix or remove the line") from error
    except (EOFError, OSError) as error:  # gzip: incomplete, or corrupt after its header
        raise EvalError(
            f"{path}, after line {number}: the rest cannot be read ({error})\n    -> fetch the file again"
        ) from error
    return kept


def _candidates(name: str, spec: dict[str, Any], split: str, scored: bool) -> list[str]:
    data, part = slug(spec.get("dataset_path")), spec.get("dataset_name")
    short = part.lower().removeprefix(f"{data}_") if part else None  # gpqa_diamond in gpqa
    parts = list(dict.fromkeys(p for p in (part, short) if p))
    folders = _folders(name, spec)
    whole = [f for f in folders if f != data or part in ALL or data in ("mmlu", name, name.removesuffix("_chat"))]
    paths = [f"{folder}/{p}/{split}" for folder in folders for p in parts]
    paths += [f"{folder}/{p}" for folder in folders for p in parts] if scored else []
    paths += [f"{folder}/{split}" for folder in whole]
    if scored:
        paths += [name]
        paths += [part] if part and data == "json" else []
    return [path + end for path in dict.fromkeys(paths) for end in _ENDS]


def _parts(name: str, spec: dict[str, Any], split: str, folders: Sequence[Path]) -> dict[str, Path]:
    """Return the files of a split for a task that joins configurations, {split/part: path}; {} if any is missing."""
    names = (spec.get("dataset_kwargs") or {}).get("parts") or ()
    found = {
        f"{split}/{part}": _first(folders, [f"{f}/{part}/{split}{end}" for f in _folders(name, spec) for end in _ENDS])
        for part in names
    }
    return {key: path for key, path in found.items() if path is not None} if None not in found.values() else {}


def _folders(name: str, spec: dict[str, Any]) -> list[str]:
    names = (name, name.removesuffix("_chat"), slug(spec.get("dataset_path")), slug(spec.get("dataset_name")))
    return list(dict.fromkeys(f for f in names if f and f != "json"))


def _first(folders: Sequence[Path], paths: Sequence[str]) -> Path | None:
    return next((folder / path for folder in folders for path in paths if (folder / path).is_file()), None)


def slug(hub_name: str | None) -> str | None:
    """Return the last part of a hub name, in lower case with underscores.

    For example, `allenai/ai2_arc` becomes `ai2_arc`, and `ARC-Challenge` becomes `arc_challenge`.
    """
    return hub_name.rpartition("/")[2].lower().replace("-", "_") if hub_name else None


def _listed(paths: Iterable[object]) -> str:
    return ", ".join(str(path) for path in paths)
