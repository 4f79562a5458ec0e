"""Joins a benchmark that the hub splits into configurations (MATH's subjects); task YAMLs refer to `joined`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def joined(path: str, parts: Sequence[str], **_: Any) -> Any:
    """lm-eval's `custom_dataset`: concatenates the configurations `parts` of the hub's data set `path` (or of a folder with its
    layout) -> datasets.DatasetDict of the splits that all of them have. Other keywords are the task's `metadata`.

    Raises what datasets.load_dataset raises (OSError, ValueError).
    """
    from datasets import DatasetDict, concatenate_datasets, load_dataset

    loaded = [load_dataset(path, part) for part in parts]
    splits = [split for split in loaded[0] if all(split in one for one in loaded)]
    return DatasetDict({split: concatenate_datasets([one[split] for one in loaded]) for split in splits})
