"""Selects the seed files of a folder: a data folder of this project, a save_to_disk folder, the hub's layout, or plain
data files.

The argument `add_note` is a function that reports a choice to the user. A README (the data set's card) can name data
files; names that lead outside the README's folder are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import SeedError
from gra.fileio import read_json
from gra.synthesis.seeds.containers import ARCHIVES, bare_name
from gra.synthesis.seeds.splits import choose_split, split_of
from gra.synthesis.seeds.text import BadRecord
from gra.typed import to_type
from gra.wellformed import printable

ENDINGS = (
    ".jsonl",
    ".ndjson",
    ".jsonlines",
    ".json",
    ".parquet",
    ".csv",
    ".tsv",
    ".tab",
    ".arrow",
    ".feather",
)
TRAIN = Path("data") / "train.parquet"  # in a data folder of this project
REJECTED = "rejected.parquet"
# Files that tools write next to data files; they hold no seeds.
_NOT_DATA = re.compile(
    r"(dataset_infos?|dataset_dict|state|stats|run|status|manifest|decontamination|config|package|metadata|croissant|tokenizer"
    r"|tokenizer_config|special_tokens_map|added_tokens|generation_config|trainer_state|adapter_config|(all|eval|train)_results)\.json"
    r"|bad_seeds\.jsonl|" + re.escape(REJECTED)
)
_PART = re.compile(r"(?P<stem>.+?)-(?P<part>\d{5,9})-of-(?P<all>\d{5,9})[-.]")
_MAX_README = 1 << 20


@dataclass(frozen=True)
class Selection:
    """The seed files to read. Either `files` lists them in reading order, or `saved` is a folder that was written by
    the function save_to_disk of the library `datasets`."""

    files: tuple[Path, ...] = ()
    saved: Path | None = None


def select(path: Path, split: str, config: str | None, add_note: Callable[[str], None]) -> Selection:
    """Return the files to read for the setting `seeds.path`. Raises SeedError if there is no seed file at `path` that
    can be read. The error's message says what is there instead."""
    if path.is_file():
        if path.name == REJECTED and is_ours(path.parent):
            kept = to_type("seeds.path", str(path.parent / TRAIN))
            raise SeedError(
                f"{path}: these are the samples that the committee rejected\n    -> for the kept ones: {kept}"
            )
        if path.name.lower().endswith(ARCHIVES):
            raise SeedError(
                f"{path}: an archive\n    -> unpack it, and give the folder or one of its files as seeds.path"
            )
        return Selection((path,))
    if not path.is_dir():
        raise SeedError(f"{path}: no such file or folder\n    -> correct seeds.path")
    if (train := train_file(path)) is not None:
        add_note(f"{path.name or path} is a data folder of this project: reading its {TRAIN}, not the rejected samples")
        return Selection((train,))
    if is_ours(path):
        raise SeedError(
            f"{path}: a data folder without {TRAIN}: its synthesis has not finished\n    -> finish it: run its command again"
        )
    if (path / "dataset_dict.json").is_file() or (
        (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    ):
        return Selection(saved=path)
    try:
        files = _of_hub_layout(path, split, config, add_note) or _side_by_side(path, split, add_note)
        for note in missing_parts([file.name for file in files]):
            add_note(note)
        return Selection(tuple(files))
    except BadRecord as error:
        raise SeedError(f"{path}: {error}") from error


def missing_parts(names: list[str]) -> list[str]:
    """Return a note for each incomplete set of part files (NAME-00000-of-00002.parquet)."""
    parts: dict[tuple[str, int], set[int]] = {}
    for found in filter(None, map(_PART.match, names)):
        parts.setdefault((found["stem"], int(found["all"])), set()).add(int(found["part"]))
    return [
        f"only {len(there):,} of the {total:,} parts of `{printable(stem[:60])}` are here: the records of the others are missing"
        for (stem, total), there in parts.items()
        if len(there) < total
    ]


def is_ours(folder: Path) -> bool:
    """Return whether a synthesis of this project wrote the folder or is writing it."""
    if (folder / "journal.sqlite").is_file() or (folder / "shards").is_dir():
        return True
    if not (folder / "stats.json").is_file():
        return False
    try:
        stats = read_json(folder / "stats.json")
    except (OSError, ValueError):
        return False
    return isinstance(stats, dict) and {"proposals", "kept", "rounds"} <= stats.keys()


def train_file(folder: Path) -> Path | None:
    """Return the file with the kept samples if `folder` is a data folder of this project, else None."""
    train = folder / TRAIN
    return train if train.is_file() and is_ours(folder) else None


def _of_hub_layout(folder: Path, split: str, config: str | None, add_note: Callable[[str], None]) -> list[Path]:
    """Return the files that the folder's card, in its `configs`, lists for the split; [] if there is no card or it
    lists none."""
    configs = _configs(folder / "README.md")
    if not configs:
        return []
    names = [_name(entry.get("config_name"), "default") for entry in configs]
    default = next((n for n, entry in enumerate(configs) if entry.get("default") is True or names[n] == "default"), 0)
    if config is not None and config not in names:
        raise BadRecord(
            f"its README names no configuration {config!r}\n    -> set seeds.config to one of: {', '.join(names[:20])}"
        )
    if (
        config is None
        and len(names) > 1
        and names[default] != "default"
        and configs[default].get("default") is not True
    ):
        raise BadRecord(
            f"several configurations: {', '.join(names[:20])}\n    -> choose one, e.g. {to_type('seeds.config', names[0])}"
        )
    chosen = configs[default if config is None else names.index(config)]
    patterns = _patterns(chosen.get("data_files"))
    if len(names) > 1:
        add_note(f"reading configuration `{_name(chosen.get('config_name'), 'default')}` of {', '.join(names[:20])}")
    if not patterns:
        inner = folder / _name(chosen.get("data_dir"), ".")
        return [] if inner == folder or not _inside(inner, folder) else _side_by_side(inner, split, add_note)
    name = choose_split(list(patterns), split, add_note)
    files = sorted({file for pattern in patterns[name] for file in _matches(folder, pattern)})
    if not files:
        raise BadRecord(f"its README names {', '.join(patterns[name][:5])} for split `{name}`, but no such file exists")
    return files


def _side_by_side(folder: Path, split: str, add_note: Callable[[str], None]) -> list[Path]:
    """Return the data files in `folder` or, if it has none, those in its subfolders. Paths can name splits. If some
    paths name `split`, only these files are returned. Otherwise the files whose paths name no split are returned; if
    there are none, `choose_split` chooses. Raises BadRecord if there is no data file, or if files that name no split
    are in several subfolders."""
    top = [file for file in sorted(folder.iterdir()) if _is_data(file)]
    files = top or [file for file in sorted(folder.rglob("*")) if _is_data(file) and not _hidden(file, folder)]
    if not files:
        raise BadRecord(
            f"the folder has no data file ({', '.join(ENDINGS)}; compressed or not)\n    -> set seeds.path to a data file"
        )
    splits: dict[str, list[Path]] = {}
    for file in files:
        splits.setdefault(split_of(file.relative_to(folder).as_posix()) or "", []).append(file)
    unnamed = splits.pop("", [])
    if not unnamed:
        return splits[choose_split(list(splits), split, add_note)]
    if split in splits:
        add_note(f"left out, because other files are named `{split}`: {', '.join(file.name for file in unnamed[:10])}")
        return splits[choose_split(list(splits), split, add_note)]
    if splits:
        left = [file.name for group in splits.values() for file in group]
        add_note(f"left out, because their names say {', '.join(splits)}: {', '.join(left[:10])}")
    places = sorted({file.parent.relative_to(folder).as_posix() for file in unnamed})
    if len(places) > 1:
        raise BadRecord(
            f"data files are in several folders inside it ({', '.join(places[:10])})\n    -> set seeds.path to one of them"
        )
    return unnamed


def _configs(readme: Path) -> list[dict[str, Any]]:
    """Return the `configs` in the header of the card; [] if there is no card or it has none."""
    import yaml

    try:
        with readme.open(encoding="utf-8", errors="replace") as handle:
            head = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", handle.read(_MAX_README), re.DOTALL)
        found = yaml.safe_load(head[1]) if head else None
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return []
    configs = found.get("configs") if isinstance(found, dict) else None
    return [entry for entry in configs if isinstance(entry, dict)] if isinstance(configs, list) else []


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """Return {split: patterns} of a card's `data_files`, which may have any of its three forms."""
    if isinstance(data_files, str):
        return {"train": [data_files]}
    if isinstance(data_files, dict):
        return {_name(split, "train"): _paths(paths) for split, paths in data_files.items()}
    if not isinstance(data_files, list):
        return {}
    if all(isinstance(entry, str) for entry in data_files):
        return {"train": list(data_files)}
    return {
        _name(entry.get("split"), "train"): _paths(entry.get("path")) for entry in data_files if isinstance(entry, dict)
    }


def _name(value: Any, default: str) -> str:
    """Return a name from a README, printable and cut to 200 characters; return `default` if the name is not a text. A
    list or mapping is not converted to text, because with YAML's references the text could become endless."""
    return printable(value[:200]) if isinstance(value, str) else default


def _paths(value: Any) -> list[str]:
    paths = value if isinstance(value, list) else [value]
    return [path for path in paths if isinstance(path, str)]


def _matches(folder: Path, pattern: str) -> list[Path]:
    """Return the files inside the folder that match a card's pattern. Raises BadRecord for a pattern that leads outside."""
    if "://" in pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise BadRecord(
            f"its README names data outside the folder ({pattern[:100]})\n    -> fetch the data and set seeds.path to them"
        )
    return [file for file in folder.glob(pattern) if file.is_file() and _inside(file, folder)]


def _inside(path: Path, folder: Path) -> bool:
    """Return whether `path`, judged by its name, is inside `folder`. Links are not resolved, because the hub's cache
    consists of links."""
    return ".." not in path.relative_to(folder).parts if path.is_relative_to(folder) else False


def _is_data(file: Path) -> bool:
    name = bare_name(file)
    return name.endswith(ENDINGS) and not name.startswith(".") and _NOT_DATA.fullmatch(name) is None and file.is_file()


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
