"""Joins the configurations into which the hub divides a benchmark (MATH's subjects). Task YAMLs refer to `joined`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def joined(path: str, parts: Sequence[str], **_: Any) -> Any:
    """Return a data set of the hub in which the configurations `parts` are concatenated.

    `path`: the data set's hub id, or a folder with its layout.

    The result is a datasets.DatasetDict with the splits that all configurations have. lm-eval calls this function as
    `custom_dataset` and passes the task's `metadata` as keywords, which are ignored. Raises what datasets.load_dataset
    raises (OSError, ValueError).
    """
    from datasets import DatasetDict, concatenate_datasets, load_dataset

    loaded = [load_dataset(path, part) for part in parts]
    splits = [split for split in loaded[0] if all(split in one for one in loaded)]
    return DatasetDict({split: concatenate_datasets([one[split] for one in loaded]) for split in splits})
