"""Which files of a folder are the seeds: data folders of this project, save_to_disk, hub layout, or files side by side.

The choice is told, never silent. Paths that a README of someone else's names are taken only inside its folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gra.errors import SeedError
from gra.fileio import read_json
from gra.synthesis.seed_containers import ARCHIVES, bare_name
from gra.synthesis.seed_splits import choose_split, split_of
from gra.synthesis.seed_text import BadRecord
from gra.typed import to_type
from gra.wellformed import printable

ENDINGS = (
    ".jsonl", ".ndjson", ".jsonlines", ".json", ".parquet", ".csv", ".tsv", ".tab", ".arrow", ".feather",
)  # fmt: skip
TRAIN = Path("data") / "train.parquet"  # of a data folder of this project
REJECTED = "rejected.parquet"
# What tools write beside data: no seeds.
_NOT_DATA = re.compile(
    r"(dataset_infos?|dataset_dict|state|stats|run|status|manifest|decontamination|config|package|metadata|croissant|tokenizer"
    r"|tokenizer_config|special_tokens_map|added_tokens|generation_config|trainer_state|adapter_config|(all|eval|train)_results)\.json"
    r"|bad_seeds\.jsonl|" + re.escape(REJECTED)
)
_PART = re.compile(r"(?P<stem>.+?)-(?P<part>\d{5,9})-of-(?P<all>\d{5,9})[-.]")
_MAX_README = 1 << 20


@dataclass(frozen=True)
class Selection:
    """What to read: `files` in order, or the folder `saved` of save_to_disk."""

    files: tuple[Path, ...] = ()
    saved: Path | None = None


def select(path: Path, split: str, config: str | None, tell: Callable[[str], None]) -> Selection:
    """What `seeds.path` stands for. Raises SeedError where nothing there can be read, with what is there."""
    if path.is_file():
        if path.name == REJECTED and is_ours(path.parent):
            kept = to_type("seeds.path", str(path.parent / TRAIN))
            raise SeedError(
                f"{path}: the samples that the committee rejected; for those that it kept: {kept}"
            )
        if path.name.lower().endswith(ARCHIVES):
            raise SeedError(f"{path}: an archive: unpack it, and give the folder or one of its files as seeds.path")
        return Selection((path,))
    if not path.is_dir():
        raise SeedError(f"{path}: no such file or folder")
    if (train := train_file(path)) is not None:
        tell(f"{path.name or path} is a data folder of this project: its {TRAIN} is read, not what was rejected")
        return Selection((train,))
    if is_ours(path):
        raise SeedError(f"{path}: a data folder without {TRAIN}: its synthesis has not finished; run it to its end first")
    if (path / "dataset_dict.json").is_file() or ((path / "state.json").is_file() and (path / "dataset_info.json").is_file()):
        return Selection(saved=path)
    try:
        files = _of_hub_layout(path, split, config, tell) or _side_by_side(path, split, tell)
        for note in missing_parts([file.name for file in files]):
            tell(note)
        return Selection(tuple(files))
    except BadRecord as error:
        raise SeedError(f"{path}: {error}") from error


def missing_parts(names: list[str]) -> list[str]:
    """What is missing of files that are parts of a whole by their names (NAME-00000-of-00002.parquet), one note a whole."""
    parts: dict[tuple[str, int], set[int]] = {}
    for found in filter(None, map(_PART.match, names)):
        parts.setdefault((found["stem"], int(found["all"])), set()).add(int(found["part"]))
    return [
        f"only {len(there):,} of the {total:,} parts of `{printable(stem[:60])}` are here: the others' records are missing"
        for (stem, total), there in parts.items()
        if len(there) < total
    ]


def is_ours(folder: Path) -> bool:
    """Whether a synthesis of this project wrote (or is writing) the folder."""
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
    """The kept samples, if this is a data folder of this project."""
    train = folder / TRAIN
    return train if train.is_file() and is_ours(folder) else None


def _of_hub_layout(folder: Path, split: str, config: str | None, tell: Callable[[str], None]) -> list[Path]:
    """The files that the card's `configs` name for the split; none where there is no such card."""
    configs = _configs(folder / "README.md")
    if not configs:
        return []
    names = [_name(entry.get("config_name"), "default") for entry in configs]
    default = next((n for n, entry in enumerate(configs) if entry.get("default") is True or names[n] == "default"), 0)
    if config is not None and config not in names:
        raise BadRecord(f"no configuration {config!r}; its README names: {', '.join(names[:20])}")
    if config is None and len(names) > 1 and names[default] != "default" and configs[default].get("default") is not True:
        raise BadRecord(f"several configurations: {', '.join(names[:20])}. Choose one, e.g. {to_type('seeds.config', names[0])}")
    chosen = configs[default if config is None else names.index(config)]
    patterns = _patterns(chosen.get("data_files"))
    if len(names) > 1:
        tell(f"configuration `{_name(chosen.get('config_name'), 'default')}` is read, of {', '.join(names[:20])}")
    if not patterns:
        inner = folder / _name(chosen.get("data_dir"), ".")
        return [] if inner == folder or not _inside(inner, folder) else _side_by_side(inner, split, tell)
    name = choose_split(list(patterns), split, tell)
    files = sorted({file for pattern in patterns[name] for file in _matches(folder, pattern)})
    if not files:
        raise BadRecord(f"its README names {', '.join(patterns[name][:5])} for split `{name}`, but no such file is here")
    return files


def _side_by_side(folder: Path, split: str, tell: Callable[[str], None]) -> list[Path]:
    """The data files of a folder, or of the one folder inside it that has any; where names tell splits, those of the split."""
    top = [file for file in sorted(folder.iterdir()) if _is_data(file)]
    files = top or [file for file in sorted(folder.rglob("*")) if _is_data(file) and not _hidden(file, folder)]
    if not files:
        raise BadRecord(f"the folder holds no data file ({', '.join(ENDINGS)}; compressed or not); name a file in seeds.path")
    splits: dict[str, list[Path]] = {}
    for file in files:
        splits.setdefault(split_of(file.relative_to(folder).as_posix()) or "", []).append(file)
    unnamed = splits.pop("", [])
    if not unnamed:
        return splits[choose_split(list(splits), split, tell)]
    if split in splits:
        tell(f"left out, as others are named `{split}`: {', '.join(file.name for file in unnamed[:10])}")
        return splits[choose_split(list(splits), split, tell)]
    if splits:
        left = [file.name for group in splits.values() for file in group]
        tell(f"left out, as their names say {', '.join(splits)}: {', '.join(left[:10])}")
    places = sorted({file.parent.relative_to(folder).as_posix() for file in unnamed})
    if len(places) > 1:
        raise BadRecord(f"data files lie in several folders inside it ({', '.join(places[:10])}): name one in seeds.path")
    return unnamed


def _configs(readme: Path) -> list[dict[str, Any]]:
    """The `configs` in the card's header; none where there is no card or it has none."""
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
    """{split: patterns} of a card's `data_files`, in each of its forms."""
    if isinstance(data_files, str):
        return {"train": [data_files]}
    if isinstance(data_files, dict):
        return {_name(split, "train"): _paths(paths) for split, paths in data_files.items()}
    if not isinstance(data_files, list):
        return {}
    if all(isinstance(entry, str) for entry in data_files):
        return {"train": list(data_files)}
    return {_name(entry.get("split"), "train"): _paths(entry.get("path")) for entry in data_files if isinstance(entry, dict)}


def _name(value: Any, default: str) -> str:
    """A name in a card; never the text of a structure, which YAML's references can make endless."""
    return printable(value[:200]) if isinstance(value, str) else default


def _paths(value: Any) -> list[str]:
    paths = value if isinstance(value, list) else [value]
    return [path for path in paths if isinstance(path, str)]


def _matches(folder: Path, pattern: str) -> list[Path]:
    """The files inside the folder that a card's pattern names. Raises BadRecord for one that leads out of it."""
    if "://" in pattern or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise BadRecord(f"its README names data outside the folder ({pattern[:100]}): fetch that, and give it as seeds.path")
    return [file for file in folder.glob(pattern) if file.is_file() and _inside(file, folder)]


def _inside(path: Path, folder: Path) -> bool:
    """Whether the path stays in the folder by its name: links are followed, as the hub's cache consists of them."""
    return ".." not in path.relative_to(folder).parts if path.is_relative_to(folder) else False


def _is_data(file: Path) -> bool:
    name = bare_name(file)
    return name.endswith(ENDINGS) and not name.startswith(".") and _NOT_DATA.fullmatch(name) is None and file.is_file()


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)
