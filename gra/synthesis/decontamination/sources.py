"""Reads benchmark items from three places: folders of benchmarks as the Hugging Face hub offers them, the user's own
files, and benchmarks that a step of the experiment made.

By default, only the splits with which lm-eval tests models are read. A model may learn from training and few-shot
splits, so samples are compared with these only if `splits` is `all`. For each benchmark, the table gives the split
(*.jsonl: all files are read), the field that is read as the question, and the field that is read as the right answer:

    gsm8k          test        question          answer, with and without its <<calculator>> marks
    humaneval      test        prompt            canonical_solution
    mbpp           test        text or prompt    code                              (mbpp/full and mbpp/sanitized)
    hellaswag      validation  ctx               ctx and the right one of endings  (its test labels are not public)
    arc_challenge  test        question          the right one of choices          (also arc_easy, arc)
    bbh            *.jsonl     input             target
    mmlu           test        question          the right one of choices
    ifeval         train       prompt            -                                 (its only split has this name)
    gpqa           *.jsonl     Question          Correct Answer                    (also gpqa_diamond)
    math           test        problem           solution                          (also hendrycks_math)

Files of the world step (benchmarks/*.jsonl) have the fields question and answer. Files are `.jsonl` or `.jsonl.gz`. The
data of math can be in one file or in one file per subject.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gra.errors import ConfigError, Problem
from gra.fileio import open_maybe_gzip
from gra.paths import expanded
from gra.synthesis.decontamination.settings import DecontaminateSettings

if TYPE_CHECKING:
    from gra.synthesis.decontamination.ngram_index import Item

KEY = "synthesis.decontaminate"
Record: TypeAlias = dict[str, Any]
_CALCULATOR = re.compile(r"<<.*?>>")
_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Schema:
    """How to read the records of a benchmark.

    `scored`: the split with which lm-eval tests models, e.g. `test`. The split's files are named after it, e.g.
    `test.jsonl`. If `scored` is None, all files are used. `question`, `answers` and `id`: functions that return these
    values of a record.
    """

    scored: str | None
    question: Callable[[Record], str]
    answers: Callable[[Record], tuple[str, ...]] | None = None
    id: Callable[[Record], Any] | None = None  # None: the line's number


@dataclass(frozen=True)
class Source:
    """One file with benchmark items. `schema`: how to read its records. `prefix`: the text that is put before the ids
    of its items. `key`: the config key that is given in error messages about this file."""

    key: str
    path: Path
    benchmark: str
    prefix: str
    schema: Schema


def _chosen_choice(record: Record) -> tuple[str, ...]:
    choices = record["choices"]
    return (choices["text"][choices["label"].index(record["answerKey"])],)


_ARC = Schema("test", lambda r: r["question"], _chosen_choice, lambda r: r["id"])
_GPQA = Schema(None, lambda r: r["Question"], lambda r: (r["Correct Answer"],), lambda r: r.get("Record ID"))
_MATH = Schema("test", lambda r: r["problem"], lambda r: (r["solution"],))
SCHEMAS = {
    "gsm8k": Schema("test", lambda r: r["question"], lambda r: (r["answer"], _CALCULATOR.sub("", r["answer"]))),
    "humaneval": Schema("test", lambda r: r["prompt"], lambda r: (r["canonical_solution"],), lambda r: r["task_id"]),
    "mbpp": Schema(
        "test", lambda r: r["text"] if "text" in r else r["prompt"], lambda r: (r["code"],), lambda r: r["task_id"]
    ),
    "hellaswag": Schema("validation", lambda r: r["ctx"], lambda r: (f"{r['ctx']} {r['endings'][int(r['label'])]}",)),
    "arc_challenge": _ARC,
    "arc_easy": _ARC,
    "arc": _ARC,
    "bbh": Schema(None, lambda r: r["input"], lambda r: (r["target"],)),
    "mmlu": Schema("test", lambda r: r["question"], lambda r: (r["choices"][r["answer"]],)),
    "ifeval": Schema("train", lambda r: r["prompt"], id=lambda r: r["key"]),
    "gpqa": _GPQA,
    "gpqa_diamond": _GPQA,
    "math": _MATH,
    "hendrycks_math": _MATH,
}
_PLAIN = Schema(None, lambda r: r["question"], lambda r: (r["answer"],), lambda r: r.get("id"))


def sources(settings: DecontaminateSettings, made: Path | None = None) -> list[Source]:
    """Return the benchmark files to read, in a fixed order. They are the files listed in `settings`, the files in its
    `data_dir`, and the files in the folder `made`. `made`: the output folder of a step that wrote benchmarks, or None.
    The list is empty if there are no benchmark files."""
    found = [] if settings.data_dir is None else _in_data_dir(_path(settings.data_dir), settings)
    for number, file in enumerate(settings.files):
        answers = None if file.answer is None else _as_tuple(_field(file.answer))
        schema = Schema(None, _field(file.question), answers, None if file.id is None else _field(file.id))
        name = file.name or _stem(_path(file.path))
        found.append(Source(f"{KEY}.files.{number}.path", _path(file.path), name, "", schema))
    return found + ([] if made is None else _plain_files(made / "benchmarks", "inputs.benchmarks"))


def unknown_folders(settings: DecontaminateSettings) -> list[str]:
    """Return the names of the folders in data_dir whose format is unknown. Samples are not compared with the benchmarks
    in these folders, and the caller must tell the user so."""
    folder = _path(settings.data_dir) if settings.data_dir is not None else None
    if folder is None or not folder.is_dir() or settings.benchmarks is not None or (folder / "benchmarks").is_dir():
        return []
    return sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name not in SCHEMAS and _files(f))


def check_sources(settings: DecontaminateSettings, inputs: dict[str, Path | None]) -> list[Problem]:
    """Return the faults of the settings and of the benchmark files that can be found without reading the files."""
    if not settings.enabled:
        return []
    problems, folder = [], None if settings.data_dir is None else _path(settings.data_dir)
    there = {s.benchmark.split("/")[0] for s in _in_data_dir(folder, settings)} if folder is not None else set()
    if folder is not None and not folder.is_dir():
        problems.append(
            Problem(f"{KEY}.data_dir", f"no such folder: {folder}", "set it to the benchmarks' folder, or to null")
        )
    elif folder is not None and not there:
        known = ", ".join(f"{name}/" for name in SCHEMAS)
        remedy = f"give a folder with benchmarks/*.jsonl, or with one of the folders {known}"
        problems.append(Problem(f"{KEY}.data_dir", f"no benchmark in {folder}", remedy))
    elif folder is not None:
        for name in sorted(set(settings.benchmarks or ()) - there):
            problems.append(
                Problem(f"{KEY}.benchmarks", f"{name!r} is not in {folder}", f"it has: {', '.join(sorted(there))}")
            )
    if settings.benchmarks is not None and folder is None:
        problems.append(Problem(f"{KEY}.benchmarks", "needs data_dir", f"set {KEY}.data_dir"))
    for number, file in enumerate(settings.files):
        if not _path(file.path).is_file():
            problems.append(Problem(f"{KEY}.files.{number}.path", f"no such file: {file.path}", "fix the path"))
    made = inputs.get("benchmarks")
    if made is not None and not _plain_files(made / "benchmarks", ""):
        problems.append(
            Problem("inputs.benchmarks", f"no benchmarks/*.jsonl in {made}", "give the step that makes the benchmarks")
        )
    return problems


def unreadable(settings: DecontaminateSettings, made: Path | None) -> list[Problem]:
    """Read every benchmark file as the run will read it, and return the faults found."""
    problems: list[Problem] = []
    for source in sources(settings, made) if settings.enabled else ():
        try:
            deque(read_items(source), maxlen=0)
        except ConfigError as error:
            problems += error.problems
    return problems


def benchmark_files(settings: DecontaminateSettings) -> dict[str, Path]:
    """Return the benchmark files to which `settings` refers, as a mapping from config key to path. The result of a run
    depends on the content of these files, because this content decides which samples are dropped. Files that a step of
    the experiment makes are not included."""
    if not settings.enabled:
        return {}
    return {
        source.key
        if source.key.endswith(".path")
        else f"{source.key}/{source.benchmark}/{source.path.name}": source.path
        for source in sources(settings)
        if source.path.is_file()  # `check_sources` reports missing ones
    }


def read_items(source: Source) -> Iterator[Item]:
    """Yield the items of one benchmark file, in the order of the file. Raises ConfigError if the file cannot be read to
    its end, because samples could contain the items that were not read."""
    from gra.synthesis.decontamination.ngram_index import Item

    number = 0
    try:
        with open_maybe_gzip(source.path) as handle:
            for number, line in enumerate(handle, 1):
                if line.strip():
                    record = json.loads(line)
                    schema = source.schema
                    known = None if schema.id is None else schema.id(record)
                    question, answers = (
                        schema.question(record),
                        () if schema.answers is None else schema.answers(record),
                    )
                    if not all(isinstance(text, str) for text in (question, *answers)):
                        raise TypeError("its question or an answer is not text")
                    yield Item(
                        source.benchmark, f"{source.prefix}{number if known is None else known}", question, answers
                    )
    except (OSError, EOFError) as error:
        problem = Problem(source.key, f"{source.path} cannot be read: {error}", "restore the file, or leave it out")
        raise ConfigError([problem]) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        message = f"{source.path}, line {number}: not a record of {source.benchmark} ({type(error).__name__}: {error})"
        raise ConfigError([Problem(source.key, message, "fix the file or its field names, or leave it out")]) from error


def _in_data_dir(folder: Path, settings: DecontaminateSettings) -> list[Source]:
    key = f"{KEY}.data_dir"
    if (folder / "benchmarks").is_dir():  # a folder of the world step; suite.data_dir accepts it too
        found = _plain_files(folder / "benchmarks", key)
        return [s for s in found if settings.benchmarks is None or s.benchmark in settings.benchmarks]
    found = []
    for name, schema in SCHEMAS.items():
        if settings.benchmarks is not None and name not in settings.benchmarks:
            continue
        for path in _files(folder / name):
            parts, stem = path.relative_to(folder).parts[:-1], _stem(path)
            if schema.scored is None:  # one file per task
                found.append(Source(key, path, "/".join((*parts, stem)), "", schema))
            elif settings.splits == "all" or stem == schema.scored:
                found.append(Source(key, path, "/".join(parts), f"{stem}:", schema))
    return found


def _plain_files(folder: Path, key: str) -> list[Source]:
    return [Source(key, path, _stem(path), "", _PLAIN) for path in _files(folder)]


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.name.endswith(_ENDINGS) and p.is_file()) if folder.is_dir() else []


def _path(text: str) -> Path:
    return expanded(text)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _field(name: str) -> Callable[[Record], str]:
    return lambda record: record[name]


def _as_tuple(read: Callable[[Record], str]) -> Callable[[Record], tuple[str, ...]]:
    return lambda record: (read(record),)
