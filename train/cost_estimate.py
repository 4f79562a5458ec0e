"""Estimates the FLOPs, GPU-hours and disk space of a training before it starts, for `gra plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra import work
from gra.outlook import Cost, Outlook, Upstream
from gra.train.data.rows import path_of
from gra.train.settings import BuildSettings, StudentSettings, TrainSettings

TOKENS = 310  # tokens per sample: an instruction and an answer of Alpaca's length, as in the price of a synthesis
UNKNOWN = 10_000  # if the size of the data is unknown, the estimate is for this number of samples
_CHECKPOINT = (
    14  # bytes of a checkpoint for each trained parameter: bfloat16 weights and AdamW's master weights and moments
)


def outlook(settings: TrainSettings, inputs: Mapping[str, Path | None], upstream: Upstream) -> Outlook:
    """Return the estimated cost of a training, as text and as numbers. `upstream`: for each input that an earlier step
    has not made yet, the estimates for that step."""
    sft, billions = settings.sft, parameters(settings.student)
    if billions is None:
        student = settings.student.model
        return Outlook([f"FLOPs: unknown, since the name of the student ({student}) does not state its size"])
    samples = _samples(inputs, upstream) if sft.limit is None else sft.limit
    passes = (samples or UNKNOWN) * sft.epochs
    if sft.max_steps is not None:
        passes = sft.max_steps * sft.global_batch
    flops = 6e9 * billions * passes * TOKENS
    size = work.disk(2e9 * billions)
    kept = f"disk: {size} of weights in bfloat16"
    if sft.method == "full":
        kept += f", and up to two checkpoints of {work.disk(_CHECKPOINT * 1e9 * billions)} while it trains"
    each = " for each 10,000 samples" if samples is None and sft.max_steps is None else ""
    text = [
        f"training{each}: {work.in_words(flops, work.TRAINING)}; {kept}",
        f"assumed: {billions:g} B parameters, {passes:,.0f} samples of {TOKENS} tokens over all epochs",
    ]
    cost = Cost(flops=flops, hours=work.gpu_hours(flops, work.TRAINING), disk=2e9 * billions)
    return Outlook(text, None if each else cost, billions=billions)


def parameters(student: StudentSettings) -> float | None:
    """Return how many billion parameters the student has, judged by its name or by `student.build`. Return None if this
    is unknown."""
    if student.model is not None:
        return work.billions_named(Path(student.model).name)
    return None if student.build is None else _built(student.build) / 1e9


def _built(build: BuildSettings) -> float:
    width, heads = build.hidden_size, build.heads
    attention = 2 * width * width * (1 + (build.kv_heads or heads) / heads)
    tables = build.vocab_size * width * (1 if build.tie_embeddings else 2)
    return tables + build.layers * (attention + 3 * width * build.intermediate_size)


def _samples(inputs: Mapping[str, Path | None], upstream: Upstream) -> float | None:
    """Return the number of rows of all data folders; None if it is unknown for one of them. If a folder is not made
    yet, its expected rows count."""
    import pyarrow.parquet

    rows = 0.0
    for name, folder in inputs.items():
        if name != "data" and not name.startswith("data_"):
            continue
        expected = upstream[name].rows if name in upstream else None
        if folder is not None and path_of(folder).is_file():
            expected = int(pyarrow.parquet.read_metadata(path_of(folder)).num_rows)
        if expected is None:
            return None
        rows += expected
    return rows
