"""A recipe as TRL's SFTConfig: what the trainer gets of `sft` and `runtime`, and how a global batch is divided."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from gra.errors import TrainError
from train import kernels, sharding
from train.batches import world_size
from train.settings import TrainSettings

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"  # in the output folder, while a run is not finished


def arguments(settings: TrainSettings, output: Path, rows: int | None = None) -> Any:
    """TRL's SFTConfig for a recipe; accumulation follows from the global batch, the processes and `rows`, the batch per device
    (None: the recipe's).

    Where several processes train, this makes their group; under sft.sharding=zero3 weights that are loaded after it are divided.
    """
    import torch
    from trl import SFTConfig

    sft, runtime = settings.sft, settings.runtime
    gpu = torch.cuda.is_available()
    if sft.precision == "bf16" and gpu and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise TrainError("sft.precision=bf16: this GPU has no bfloat16\n    -> set sft.precision=fp32")
    per_device, accumulation = split_batch(sft.global_batch, world_size(), rows or runtime.per_device_batch or 1)
    checkpointing = gpu if runtime.activation_checkpointing is None else runtime.activation_checkpointing
    kind = sharding.active(sft, world_size())
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
        train_sampling_strategy="group_by_length" if sft.group_by_length and not sft.packing else "random",  # train/sampling.py
        dataset_kwargs={"skip_prepare_dataset": True},  # tokens and labels are ours
        activation_checkpointing=checkpointing,
        **kernels.arguments(settings),
        deepspeed=sharding.start(kind, gpu) if kind else None,
        dataloader_num_workers=runtime.dataloader_workers,
        dataloader_pin_memory=gpu,
        logging_steps=sft.log_steps,
        logging_nan_inf_filter=False,  # a diverged run must show
        save_strategy="steps",
        save_steps=sft.save_steps,
        save_total_limit=2,  # the newest may be torn
        report_to="none",  # train/tracking.py does it
        disable_tqdm=True,
    )
    if args.n_gpu > 1:  # else the trainer would split every batch over them (nn.DataParallel), behind the global batch's back
        log.warning("%d GPUs can be seen, one is used: launch=torchrun nproc=%d uses all", args.n_gpu, args.n_gpu)
        args._n_gpu = 1
    return args


def split_batch(total: int, world: int, per_device: int) -> tuple[int, int]:
    """(sequences a forward pass, accumulation steps) whose product times `world` is `total`.

    Raises TrainError where they do not divide (`train.stage.check` says so before, with the nearest choices).
    """
    share, rest = divmod(total, world)
    if rest or share % per_device:
        raise TrainError(f"sft.global_batch={total} does not divide by {world} process(es) x runtime.per_device_batch={per_device}")
    return per_device, share // per_device
