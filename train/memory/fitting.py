"""Chooses the number of sequences per forward pass if `runtime.per_device_batch` is null, from the memory that is free
when the run starts.

Every checkpoint stores the number, and a resumed run keeps it, because another division of the global batch changes the
result by rounding. To get the same bytes on machines with different memory, set `runtime.per_device_batch`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.train.data import order
from gra.train.distributed import zero
from gra.train.distributed.batches import world_size
from gra.train.memory import estimate, free_memory
from gra.train.settings import LoraSettings, TrainSettings
from gra.train.student import kernels, load

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)
FACT = "per_device_batch"  # the key in a checkpoint's mark


def rows(settings: TrainSettings, where: str, dataset: Dataset, begun: dict[str, Any] | None) -> int | None:
    """Return the number of sequences per forward pass. Return None if the global batch is not a multiple of the number
    of processes, which `loop.arguments.split_batch` reports.

    `where`: the student's folder or hub id (its weights are not loaded). `begun`: the content of whole.json, the file
    that marks a checkpoint as complete, if the run resumes from a checkpoint.
    """
    share, rest = divmod(settings.sft.global_batch, world_size())
    if settings.runtime.per_device_batch is not None or rest:
        return settings.runtime.per_device_batch
    if isinstance(was := (begun or {}).get(FACT), int) and was > 0 and share % was == 0:
        log.info("sequences per forward pass: %d, as at the start of this run", was)
        return was
    import torch

    gpu = torch.cuda.is_available()
    shape, plan = describe(settings, where, _longest(settings, dataset), gpu)
    free = free_memory.gpu() if gpu else free_memory.cpu()
    chosen = estimate.rows(shape, plan, free, share, kernels.most_rows(settings, gpu))
    peak = estimate.peak(shape, plan, chosen)
    log.info(
        "sequences per forward pass: %d of up to %d tokens; estimated peak %s of %.1f GiB free on the %s; to change it: "
        "runtime.per_device_batch=N",
        chosen,
        plan.length,
        peak,
        free / estimate.GIB,
        "GPU" if gpu else "CPU",
    )
    if peak.total > free:
        log.warning(
            "the estimated peak is above the free memory: sft=lora, runtime.activation_checkpointing=true or a smaller "
            "sft.cutoff_length need less"
        )
    return chosen


def refuse_unequal(args: Any) -> None:
    """Raise TrainError if the processes of a run chose different batch sizes. All processes have to call this
    function."""
    if args.world_size == 1:
        return
    from accelerate.utils import gather_object

    if len(found := set(gather_object([args.per_device_train_batch_size]))) > 1:
        listed = " and ".join(map(str, sorted(found)))
        raise TrainError(
            f"the devices differ in free memory: {listed} sequences fit in a forward pass\n"
            f"    -> set runtime.per_device_batch={min(found)}, which fits all of them"
        )


def describe(settings: TrainSettings, where: str, length: int, gpu: bool) -> tuple[estimate.Shape, estimate.Plan]:
    """Return the sizes of the student and the properties of the recipe. Memory is estimated from both.

    `where`: the student's folder or hub id. `length`: the number of tokens per sequence. The model is created without
    memory for its weights (torch's device `meta`).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sft, student, processes = settings.sft, settings.student, world_size()
    with load.readable(where):
        config = AutoConfig.from_pretrained(where, **load.source(student, where))
        with torch.device("meta"):
            empty: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=student.trust_remote_code)
    text = config.get_text_config()
    heads = int(getattr(text, "num_attention_heads", None) or 1)
    table = empty.get_input_embeddings().weight
    hidden = int(table.shape[1])
    inner = int(getattr(text, "moe_intermediate_size", None) or getattr(text, "intermediate_size", None) or 4 * hidden)
    head = empty.get_output_embeddings()
    linear = [m for m in empty.modules() if isinstance(m, torch.nn.Linear) and m is not head]  # adapted by all-linear
    shape = estimate.Shape(
        weights=sum(p.numel() for p in empty.parameters()),
        embeddings=table.numel(),
        vocabulary=int(table.shape[0]),
        hidden=hidden,
        intermediate=inner * int(getattr(text, "num_experts_per_tok", None) or 1),
        layers=int(getattr(text, "num_hidden_layers", None) or 1),
        queries=heads * int(getattr(text, "head_dim", None) or hidden // heads),
        heads=heads,
        linear=sum(m.weight.numel() for m in linear),
    )
    kernel = kernels.attention_name(student, sft)
    trained, whole = shape.weights, True
    if sft.method != "full":
        lora = sft.lora or LoraSettings()
        names = {name.rpartition(".")[2] for name in lora.modules_to_save}
        saved = [m for name, m in empty.named_modules() if name.rpartition(".")[2] in names]
        trained = sum(lora.rank * (m.in_features + m.out_features) for m in linear)
        trained += sum(p.numel() for m in saved for p in m.parameters())
        whole = any(m in (empty.get_input_embeddings(), head) for m in saved)
    recompute = settings.runtime.activation_checkpointing
    plan = estimate.Plan(
        trained=trained,
        length=length,
        method=sft.method,
        frozen=4 if load.weight_dtype(student, sft) == "float32" else 2,
        half=sft.precision == "bf16",
        optimizer=sft.optimizer,
        embeddings_trained=whole,
        checkpointing=gpu if recompute is None else recompute,
        packing=sft.packing,
        dense=not kernel.startswith("flash"),
        eager=kernel == "eager",
        gpu=gpu,
        processes=processes,
        sharding=zero.active(sft, processes),
    )
    return shape, plan


def _longest(settings: TrainSettings, dataset: Dataset) -> int:
    """Return the number of tokens of the longest row. Samples are often far shorter than the recipe's cutoff."""
    if settings.sft.packing:
        return settings.sft.cutoff_length
    return max(order.lengths(dataset), default=1)
