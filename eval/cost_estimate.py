"""Estimates the FLOPs and GPU-hours of an evaluation before it starts, for `gra plan`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gra import work
from gra.eval.settings import EvalSettings
from gra.outlook import Cost, Outlook, Upstream

ITEMS = {  # number of items in each task's published test set (eval/MAPPING.md)
    "gsm8k": 1_319,
    "math_chat": 5_000,
    "humaneval_chat": 164,
    "mbpp_chat": 500,
    "hellaswag_chat": 10_042,
    "hellaswag": 10_042,
    "arc_challenge_chat": 1_172,
    "arc_challenge": 1_172,
    "gpqa_diamond_chat": 198,
    "bbh_chat": 6_511,
    "mmlu_chat": 14_042,
    "mmlu": 14_042,
    "ifeval_chat": 541,
}
# Tokens per item: its prompt with the worked examples, and its reply. Average over suite=paper; assumed, not measured.
TOKENS = 900
REPLY_BYTES = 2_000  # bytes per item: the stored reply and the sample's record


def outlook(settings: EvalSettings, inputs: Mapping[str, Path | None], upstream: Upstream) -> Outlook:
    """Return the estimated cost of the evaluation, as text and as numbers.

    `upstream`: the cost estimates of the unfinished earlier steps that will make inputs, by the input's name.
    """
    chosen = settings.suite.only or settings.suite.tasks
    tasks = [task for name in chosen for task in settings.suite.groups.get(name, [name])]
    unknown = [task for task in tasks if task not in ITEMS]
    if unknown:
        return Outlook([f"FLOPs: unknown, since the number of items is not known for {', '.join(unknown)}"])
    limit = settings.suite.limit
    items = sum(ITEMS[task] if limit is None else min(ITEMS[task], limit) for task in tasks)
    tokens, size = items * TOKENS, work.disk(items * REPLY_BYTES)
    assumed = f"assumed: {items:,} items of {TOKENS} tokens, prompt and reply"
    billions = _billions(settings, inputs, upstream)
    if billions is None:
        per = work.in_words(2e9 * tokens, work.GENERATING)
        return Outlook([f"evaluation for each 1 B parameters: {per}; disk: about {size}", assumed])
    flops = 2e9 * billions * tokens
    cost = Cost(
        tokens=tokens, flops=flops, hours=work.gpu_hours(flops, work.GENERATING), disk=float(items * REPLY_BYTES)
    )
    text = f"evaluation: {work.in_words(flops, work.GENERATING)}; disk: about {size}"
    return Outlook([text, f"{assumed}; {billions:g} B parameters"], cost)


def _billions(settings: EvalSettings, inputs: Mapping[str, Path | None], upstream: Upstream) -> float | None:
    """Return the model's parameters in billions; None if unknown.

    If an unfinished step will make the model, the number comes from that step's estimate. Otherwise it comes from the
    size of the model's weights (2 bytes per parameter, as in bfloat16), or else from the model's name.
    """
    if "model" in upstream:
        return upstream["model"].billions
    folder = inputs.get("model")
    weights = sum(path.stat().st_size for path in (folder / "model").glob("*.safetensors")) if folder is not None else 0
    if weights:
        return weights / 2e9
    path = settings.model.path if settings.model is not None else None
    return work.billions_named(Path(path).name) if path else None
