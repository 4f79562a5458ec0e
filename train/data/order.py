"""Orders the samples of each epoch, independently of the number of training processes.

Epoch e (from 0) uses `torch.randperm(n)` with a generator seeded with `seed + e`. The permutation is cut into batches
of `per_device_batch`, which the processes take in turn, so a step's global batch has the same samples on 1 process and
on 64.

With `sft.group_by_length` the samples of a global batch have similar lengths, which reduces padding. The permutation is
cut into windows of up to 50 global batches (transformers' `get_length_grouped_indices`), and each window is sorted by
length. The global batches are then shuffled, because the epoch would otherwise start with the longest. The random
numbers come from a generator with the seed `seed + e`. (transformers' own sampler uses torch's global random state,
which a resumed epoch does not restore.)

The last batch of an epoch may not be divisible among the processes. Then accelerate would repeat samples from the start
of the epoch, and the result would depend on the number of processes. Here, blank rows without trained tokens fill the
batch instead. They add nothing to the loss, which is a sum over trained tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from torch.utils.data import Sampler

IGNORED = -100  # the label that the loss ignores


def with_blank(dataset: Dataset) -> Dataset:
    """Return `dataset` with a blank row at its end: a row of one token that is not trained."""
    from datasets import Dataset, concatenate_datasets

    values = {"input_ids": [0], "labels": [IGNORED], "seq_lengths": [1]}
    blank = Dataset.from_dict({name: [values[name]] for name in dataset.column_names}, features=dataset.features)
    return concatenate_datasets([dataset, blank])


def order(samples: int, seed: int, multiple: int, lengths: Sequence[int] | None = None, batch: int = 1) -> list[int]:
    """Return the row indices 0 to `samples` - 1 in a random order, which `seed` decides. Then the index of the blank
    row, which is `samples`, is appended until the length of the list is a multiple of `multiple`. The blank row has a
    single token, which the loss ignores.

    `lengths`: the number of tokens of each row. If it is given, each whole group of `batch` consecutive rows has
    similar lengths.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    if lengths is None:
        shuffled = torch.randperm(samples, generator=generator).tolist()
    else:
        from transformers.trainer_pt_utils import get_length_grouped_indices

        rows = get_length_grouped_indices(lengths[:samples], batch, generator=generator)
        whole = samples // batch
        starts = (torch.randperm(whole, generator=generator) * batch).tolist()
        shuffled = [row for start in starts for row in rows[start : start + batch]] + rows[whole * batch :]
    return shuffled + [samples] * (-samples % multiple)


def lengths(dataset: Dataset) -> list[int]:
    """Return the number of tokens of each row of `dataset`, in order."""
    import pyarrow.compute as pc

    counted: list[int] = pc.list_value_length(dataset.data.column("input_ids")).to_pylist()
    return counted


def sampler(
    samples: int,
    seed: int,
    multiple: int,
    epoch: Callable[[], int],
    lengths: Sequence[int] | None = None,
    batch: int = 1,
) -> Sampler[int]:
    """Return a sampler that yields row indices in the order that the function `order` returns. The data set has
    `samples` rows and, if `multiple` is above 1, a blank row with a single token, which the loss ignores.

    `epoch`: a function that returns the index of the current epoch, from 0. The sampler calls this function at the
    start of each epoch. The sampler cannot get the index from accelerate, because accelerate does not pass it on after
    a resume with several processes (accelerate 1.15, SkipBatchSampler).
    """
    from torch.utils.data import Sampler

    class Even(Sampler[int]):
        def __len__(self) -> int:
            return samples + -samples % multiple

        def __iter__(self) -> Iterator[int]:
            yield from order(samples, seed + epoch(), multiple, lengths, batch)

    return Even()


def epoch_of(state: Any) -> int:
    """Return the index, from 0, of the epoch that is starting or resuming. `state`: the trainer's state.

    At the start of an epoch, `state.epoch` is a whole number. If the run resumes in the middle of an epoch,
    `state.epoch` has a fraction, which is dropped.
    """
    return int(state.epoch or 0)
