"""Benchmark items from local files in place of the hub: which files a task needs, and the YAML that makes lm-eval read them.

A file is one JSON object a line, in the hub's record schema, gzip or not. For the task T with the hub data set H (its
last part) and configuration C, the file of a split S is the first there is of

    DIR/F/S.jsonl   DIR/F/C/S.jsonl   DIR/F/C.jsonl   DIR/T.jsonl   DIR/C.jsonl       (or .jsonl.gz)

F is one of T, T without `_chat`, H, C. DIR/C.jsonl is for our own tasks, which have no H. The last three hold one split only,
the one that is scored. A file of all subjects (MMLU) is cut down to those records whose `subject` is C.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import EvalError
from gra.fileio import open_maybe_gzip, write_text

_SPLITS = ("test_split", "validation_split", "training_split", "fewshot_split")


@dataclass(frozen=True)
class LocalTask:
    """A task and its local files. `dropped`: split keys of the YAML that have no file here, and are not needed."""

    name: str
    yaml: Path
    files: dict[str, Path]
    dropped: tuple[str, ...] = ()
    subject: str | None = None


def locate(name: str, yaml: Path, spec: dict[str, Any], folders: Sequence[Path], shots: int | None) -> tuple[LocalTask, list[str]]:
    """Find the files of task `name` in `folders` (the first that has one wins); `shots` overrides the task's own number.

    Returns the task and, for every split that is needed and has no file, a text that names what was looked for.
    """
    test = next((spec[key] for key in _SPLITS if spec.get(key)), "test")
    default = spec.get("num_fewshot") or 0
    count = shots if shots is not None and spec.get("num_fewshot") != 0 else default  # lm-eval keeps a 0 in the YAML
    fewshot = spec.get("fewshot_config") or {}
    example = fewshot.get("split") or spec.get("fewshot_split") or spec.get("training_split") or spec.get("validation_split")
    needed = {test} | ({example or test} if count > 0 and not fewshot.get("samples") else set())

    files: dict[str, Path] = {}
    missing: list[str] = []
    for split in dict.fromkeys([test, *(spec[key] for key in _SPLITS if spec.get(key))]):
        wanted = _candidates(name, spec, split, scored=split == test)
        found = next((folder / path for folder in folders for path in wanted if (folder / path).is_file()), None)
        if found is not None:
            files[split] = found
        elif split in needed:
            missing.append(f"{name}: no file of split `{split}`: looked for {_listed(wanted)} in {_listed(folders)}")
    dropped = tuple(key for key in _SPLITS if spec.get(key) and spec[key] not in files)
    subject = spec.get("dataset_name") if _slug(spec.get("dataset_path")) == "mmlu" else None
    return LocalTask(name, yaml, files, dropped, subject), missing


def write_yaml(task: LocalTask, folder: Path) -> None:
    """Write `folder`/<task>.yaml: the task's own YAML, included, with its data read by `load` below."""
    text: dict[str, Any] = {"include": str(task.yaml.resolve()), "task": task.name}
    text |= dict.fromkeys(task.dropped)
    text["dataset_kwargs"] = {"files": {split: str(path.resolve()) for split, path in task.files.items()}, "subject": task.subject}
    lines = [f"{key}: {json.dumps(value)}" for key, value in text.items()]  # JSON is YAML
    write_text(folder / f"{task.name}.yaml", "\n".join([*lines, "custom_dataset: !function eval.local_data.load", ""]))


def load(files: dict[str, str], subject: str | None = None, **_: Any) -> Any:
    """lm-eval's `custom_dataset`: {split: path} -> datasets.DatasetDict. Other keywords are the task's `metadata`.

    Not `datasets.load_dataset("json")`: that turns columns of dates into timestamps, and writes a cache into the home folder.
    """
    from datasets import Dataset, DatasetDict

    return DatasetDict({split: Dataset.from_list(records(Path(path), subject)) for split, path in files.items()})


def records(path: Path, subject: str | None = None) -> list[dict[str, Any]]:
    """The records of a file, of one `subject` if it is given. Raises EvalError naming file and line of one that is no object."""
    kept = []
    try:
        with open_maybe_gzip(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise EvalError(f"{path}, line {number}: not a JSON object: mend or remove the line")
                if subject is None or record.get("subject") == subject:
                    kept.append(record)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise EvalError(f"{path}, line {number}: not JSON ({error}): mend or remove the line") from error
    if not kept:
        raise EvalError(f"{path}: holds no records{f' of subject {subject}' if subject else ''}: put the benchmark's items there")
    return kept


def _candidates(name: str, spec: dict[str, Any], split: str, scored: bool) -> list[str]:
    data, part = _slug(spec.get("dataset_path")), spec.get("dataset_name")
    names = (name, name.removesuffix("_chat"), data, _slug(part))
    folders = list(dict.fromkeys(f for f in names if f and f != "json"))
    paths = [f"{folder}/{split}" for folder in folders]
    paths += [f"{folder}/{part}/{split}" for folder in folders if part]
    if scored:
        paths += [*(f"{folder}/{part}" for folder in folders if part), name]
        paths += [part] if part and data == "json" else []
    return [path + end for path in paths for end in (".jsonl", ".jsonl.gz")]


def _slug(hub_name: str | None) -> str | None:
    """`allenai/ai2_arc` -> `ai2_arc`, `ARC-Challenge` -> `arc_challenge`."""
    return hub_name.rpartition("/")[2].lower().replace("-", "_") if hub_name else None


def _listed(paths: Sequence[object]) -> str:
    return ", ".join(str(path) for path in paths)
