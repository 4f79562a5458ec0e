"""The order in which samples are fed, the same for any number of processes that train together.

Epoch e (from 0) goes through `torch.randperm(n)` under a generator seeded with `seed + e`, cut into batches of
`per_device_batch` that the processes take in turn; so a step's global batch holds the same samples on 1 process and on 64.
Where the last batch of an epoch does not divide, accelerate feeds samples of the epoch's beginning a second time, to give
every process as much; that would make the result depend on the number of processes. Blank rows, none of whose tokens is
trained, are fed in their place: they add nothing to a loss that is a sum over trained tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset
    from torch.utils.data import Sampler

IGNORED = -100  # a label that the loss leaves out


def with_blank(dataset: Dataset) -> Dataset:
    """`dataset` and, as its last row, one untrained token."""
    from datasets import Dataset, concatenate_datasets

    values = {"input_ids": [0], "labels": [IGNORED], "seq_lengths": [1]}
    blank = Dataset.from_dict({name: [values[name]] for name in dataset.column_names}, features=dataset.features)
    return concatenate_datasets([dataset, blank])


def order(samples: int, seed: int, multiple: int) -> list[int]:
    """A permutation of `samples` row numbers by `seed`, and then the blank row (number `samples`) until `multiple` divides it."""
    import torch

    shuffled = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).tolist()
    return shuffled + [samples] * (-samples % multiple)


def sampler(samples: int, seed: int, multiple: int, epoch: Callable[[], int]) -> Sampler[int]:
    """Rows by `order`, for a data set of `samples` rows and a blank one. `epoch` is asked whenever an epoch begins: what
    accelerate tells its own sampler is not told after a resume with several processes (accelerate 1.15, SkipBatchSampler)."""
    from torch.utils.data import Sampler

    class Even(Sampler[int]):
        def __len__(self) -> int:
            return samples + -samples % multiple

        def __iter__(self) -> Iterator[int]:
            yield from order(samples, seed + epoch(), multiple)

    return Even()


def epoch_of(state: Any) -> int:
    """The epoch that begins, of a trainer's state: its `epoch` is a whole number then, but in an epoch that is resumed."""
    return int(state.epoch or 0)
