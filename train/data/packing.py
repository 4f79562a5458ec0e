"""Packs tokenised samples into rows of at most `sft.cutoff_length` tokens, by TRL's rule "best fit, decreasing"
(https://huggingface.co/docs/trl/reducing_memory_usage#packing). tokenised.py calls it if `sft.packing` is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def packed(window: pa.Table, cutoff: int) -> pa.Table:
    """Return the samples of `window` as packed rows. The column `seq_lengths` holds the lengths of the samples in each
    row. `window`: consecutive samples that are packed together. `cutoff`: the largest number of tokens of a row."""
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    found = pack_dataset(datasets.Dataset(datasets.table.InMemoryTable(window)), cutoff, "bfd")
    return found.with_format("arrow")[:]
