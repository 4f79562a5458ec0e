"""Turns the settings `sft` and `runtime` into TRL's SFTConfig and divides the global batch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gra.errors import TrainError
from gra.private_api.transformers import use_one_gpu
from gra.train.distributed import zero
from gra.train.distributed.batches import world_size
from gra.train.settings import TrainSettings
from gra.train.student import kernels

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"  # folder in the output folder, removed when the run is finished


def arguments(settings: TrainSettings, output: Path, rows: int | None = None) -> Any:
    """Return TRL's SFTConfig for a recipe.

    `rows`: the batch size per device. If `rows` is None, the batch size per device is `runtime.per_device_batch` or, if
    that setting is null, 1. The number of accumulation steps follows from the global batch size, the number of
    processes and the batch size per device. With several processes, this function creates the process group. With
    sft.sharding=zero3, weights that are loaded afterwards are sharded.
    """
    import torch
    from trl import SFTConfig

    sft, runtime = settings.sft, settings.runtime
    gpu = torch.cuda.is_available()
    if sft.precision == "bf16" and gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise TrainError("sft.precision=bf16: this GPU has no bfloat16\n    -> set sft.precision=fp32")
    per_device, accumulation = split_batch(sft.global_batch, world_size(), rows or runtime.per_device_batch or 1)
    checkpointing = gpu if runtime.activation_checkpointing is None else runtime.activation_checkpointing
    kind = zero.active(sft, world_size())
    args = SFTConfig(
        output_dir=str(output / CHECKPOINTS),
        use_cpu=not gpu,
        bf16=sft.precision == "bf16",
        seed=settings.seed,
        data_seed=settings.seed,
        per_device_train_batch_size=per_device,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=sft.epochs,
        max_steps=sft.max_steps or -1,
        learning_rate=sft.learning_rate,
        lr_scheduler_type=sft.schedule,
        warmup_steps=sft.warmup_ratio,  # below 1: a share of all steps
        weight_decay=sft.weight_decay,
        max_grad_norm=sft.max_grad_norm,
        optim=kernels.optimizer(sft, gpu),
        adam_beta1=sft.beta1,
        adam_beta2=sft.beta2,
        loss_type=sft.loss_type,
        max_length=sft.cutoff_length,
        packing=sft.packing,
        packing_strategy="bfd",
        train_sampling_strategy="group_by_length"
        if sft.group_by_length and not sft.packing
        else "random",  # train/data/order.py
        dataset_kwargs={"skip_prepare_dataset": True},  # the samples are tokenised and labelled already
        activation_checkpointing=checkpointing,
        **kernels.arguments(settings),
        deepspeed=zero.start(kind, gpu) if kind else None,
        dataloader_num_workers=runtime.dataloader_workers,
        dataloader_pin_memory=gpu,
        logging_steps=sft.log_steps,
        logging_nan_inf_filter=False,  # the log must show a loss of NaN
        save_strategy="steps",
        save_steps=sft.save_steps,
        save_total_limit=2,  # the newest can be incomplete
        report_to="none",  # train/report/tracking.py logs to W&B
        disable_tqdm=True,
    )
    if args.n_gpu > 1:  # else the trainer would use nn.DataParallel, which enlarges the global batch
        log.warning("%d GPUs are visible, one is used: launch=torchrun nproc=%d uses all", args.n_gpu, args.n_gpu)
        use_one_gpu(args)
    return args


def split_batch(total: int, world: int, per_device: int) -> tuple[int, int]:
    """Return (sequences per forward pass, accumulation steps) for one process. The product of both numbers and `world`
    is `total`.

    Raises TrainError if `total` cannot be divided in this way. `train.stage.check` reports this fault earlier, with the
    nearest batch sizes that fit.
    """
    share, rest = divmod(total, world)
    if rest or share % per_device:
        raise TrainError(
            f"sft.global_batch={total} is not a multiple of {world} process(es) x runtime.per_device_batch={per_device}\n"
            "    -> change one of them"
        )
    return per_device, share // per_device
