"""A benchmark that the hub cuts into configurations (MATH's subjects), as one; the task YAMLs name `joined`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def joined(path: str, parts: Sequence[str], **_: Any) -> Any:
    """lm-eval's `custom_dataset`: the configurations `parts` of the hub's data set `path` (or of a folder laid out like one),
    end to end -> datasets.DatasetDict of the splits that all of them have. Other keywords are the task's `metadata`.

    Raises what datasets.load_dataset raises (OSError, ValueError).
    """
    from datasets import DatasetDict, concatenate_datasets, load_dataset

    loaded = [load_dataset(path, part) for part in parts]
    splits = [split for split in loaded[0] if all(split in one for one in loaded)]
    return DatasetDict({split: concatenate_datasets([one[split] for one in loaded]) for split in splits})
