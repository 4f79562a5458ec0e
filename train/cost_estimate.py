"""FLOPs, GPU-hours and disk of a training before it starts, for `gra plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra import work
from gra.train.data.rows import path_of
from gra.train.settings import BuildSettings, StudentSettings, TrainSettings

TOKENS = 310  # of a sample: an instruction and an answer of Alpaca's length, as in the price of a synthesis
UNKNOWN = 10_000  # samples that the estimate is for where an earlier step has not made the data yet
_CHECKPOINT = (
    14  # bytes of a checkpoint for each trained parameter: bfloat16 weights and AdamW's master weights and moments
)


def lines(settings: TrainSettings, inputs: Mapping[str, Path | None]) -> list[str]:
    """The estimate as text."""
    sft, billions = settings.sft, parameters(settings.student)
    if billions is None:
        return [f"FLOPs: unknown, since the name of the student ({settings.student.model}) does not state its size"]
    samples = _samples(inputs) if sft.limit is None else sft.limit
    passes = (samples or UNKNOWN) * sft.epochs
    if sft.max_steps is not None:
        passes = sft.max_steps * sft.global_batch
    flops = 6e9 * billions * passes * TOKENS
    size = work.disk(2e9 * billions)
    kept = f"disk: {size} of weights in bfloat16"
    if sft.method == "full":
        kept += f", and up to two checkpoints of {work.disk(_CHECKPOINT * 1e9 * billions)} while it trains"
    each = " for each 10,000 samples" if samples is None and sft.max_steps is None else ""
    return [
        f"training{each}: {work.in_words(flops, work.TRAINING)}; {kept}",
        f"assumed: {billions:g} B parameters, {passes:,.0f} samples of {TOKENS} tokens over all epochs",
    ]


def parameters(student: StudentSettings) -> float | None:
    """Billions, as the model's name states them or as it is built."""
    if student.model is not None:
        return work.billions_named(Path(student.model).name)
    return None if student.build is None else _built(student.build) / 1e9


def _built(build: BuildSettings) -> float:
    width, heads = build.hidden_size, build.heads
    attention = 2 * width * width * (1 + (build.kv_heads or heads) / heads)
    tables = build.vocab_size * width * (1 if build.tie_embeddings else 2)
    return tables + build.layers * (attention + 3 * width * build.intermediate_size)


def _samples(inputs: Mapping[str, Path | None]) -> int | None:
    """Rows of all data folders; None if one of them is not made yet."""
    import pyarrow.parquet

    folders = [folder for name, folder in inputs.items() if name == "data" or name.startswith("data_")]
    files = [path_of(folder) for folder in folders if folder is not None]
    if len(files) < len(folders) or not all(file.is_file() for file in files):
        return None
    return sum(int(pyarrow.parquet.read_metadata(file).num_rows) for file in files)
