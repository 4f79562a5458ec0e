"""PURE: finds the names of splits in file paths and JSON documents, and chooses the split to read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from gra.synthesis.seeds.text import BadRecord
from gra.typed import to_type
from gra.wellformed import printable

# The words by which `datasets` recognises splits in folder and file names (datasets.data_files).
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_SHARD = re.compile(r"^(?P<split>\w[\w.]*?)-\d{5,}-of-\d{5,}(?:-[0-9a-f]+)?\.")


def is_split(name: str) -> bool:
    """Return whether a key of a JSON document names a split: train, test, train_sft, ..."""
    return re.split(r"[^a-z]", name.lower(), maxsplit=1)[0] in _SPLIT_OF


def split_of(path: str) -> str | None:
    """Return the split that a file belongs to, judged by its path; None if the path names no split. `path`: a path
    inside a data folder.

    The hub's rules apply. A file name such as SPLIT-00000-of-00001.parquet names the split SPLIT. In other paths, a
    split is named by a known word (train, validation, test and similar words) between separators in the name of the
    file or of a folder.
    """
    parts = path.split("/")
    if (shard := _SHARD.match(parts[-1])) is not None:
        return _SPLIT_OF.get(shard["split"].lower(), shard["split"])
    for part in reversed(parts):
        words = re.split(r"[^a-z]+", part.lower())
        found = next((_SPLIT_OF[word] for word in words if word in _SPLIT_OF), None)
        if found is not None:
            return found
    return None


def choose_split(names: Sequence[str], wanted: str, add_note: Callable[[str], None]) -> str:
    """Return the name of the split to read, which is one of `names`. It is `wanted` if there is a split of this name.
    If there is only one split, it is that one, whatever its name is. `add_note` gets a message about the choice. Raises
    BadRecord if there are several splits and none of them has the name `wanted`."""
    known = {_SPLIT_OF.get(name.lower(), name): name for name in names}
    shown = [printable(name[:60]) for name in names[:20]]
    chosen = wanted if wanted in names else known.get(wanted, names[0] if len(names) == 1 else None)
    if chosen is None:
        choice = next((name for name in shown if name.lower().startswith("train")), shown[0])
        raise BadRecord(
            f"no split `{wanted}`; splits here: {', '.join(shown)}; choose one, e.g. {to_type('seeds.split', choice)}"
        )
    others = [name for name in shown if name != chosen]
    if others:
        add_note(
            f"reading split `{chosen}`; left out: {', '.join(others)} (to read another: {to_type('seeds.split', others[0])})"
        )
    elif wanted not in (chosen, _SPLIT_OF.get(chosen.lower())):
        add_note(f"reading split `{chosen}`, the only one")
    return chosen
