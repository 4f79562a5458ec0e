"""The order in which samples are fed, the same for any number of processes that train together.

Epoch e (from 0) goes through `torch.randperm(n)` under a generator seeded with `seed + e`, cut into batches of
`per_device_batch` that the processes take in turn; so a step's global batch holds the same samples on 1 process and on 64.
Under `sft.group_by_length` the samples of a global batch are about equally long, so that little is padded: the permutation is cut
into stretches of up to 50 global batches (transformers' `get_length_grouped_indices`), each is sorted by length, and the global
batches, which would come long ones first, are shuffled. transformers' own sampler draws from torch's global random state, which a
resumed epoch would not find as it was; here the generator is seeded with `seed + e`, too.

Where the last batch of an epoch does not divide, accelerate feeds samples of the epoch's beginning a second time, to give
every process as much; that would make the result depend on the number of processes. Blank rows, none of whose tokens is
trained, are fed in their place: they add nothing to a loss that is a sum over trained tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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


def order(samples: int, seed: int, multiple: int, lengths: Sequence[int] | None = None, batch: int = 1) -> list[int]:
    """A permutation of `samples` row numbers by `seed`, and then the blank row (number `samples`) until `multiple` divides it.
    `lengths` of the rows, in tokens: each `batch` of rows, the last one aside, is of about one length."""
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
    """Tokens of each row, in order."""
    import pyarrow.compute as pc

    counted: list[int] = pc.list_value_length(dataset.data.column("input_ids")).to_pylist()
    return counted


def sampler(
    samples: int, seed: int, multiple: int, epoch: Callable[[], int], lengths: Sequence[int] | None = None, batch: int = 1
) -> Sampler[int]:
    """Rows by `order`, for a data set of `samples` rows and, unless `multiple` is 1, a blank one. `epoch` is asked whenever an
    epoch begins: what accelerate tells its own sampler is not told after a resume with several processes (accelerate 1.15,
    SkipBatchSampler)."""
    from torch.utils.data import Sampler

    class Even(Sampler[int]):
        def __len__(self) -> int:
            return samples + -samples % multiple

        def __iter__(self) -> Iterator[int]:
            yield from order(samples, seed + epoch(), multiple, lengths, batch)

    return Even()


def epoch_of(state: Any) -> int:
    """The epoch that begins, of a trainer's state: its `epoch` is a whole number then, but in an epoch that is resumed."""
    return int(state.epoch or 0)
