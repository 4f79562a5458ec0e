"""Supervised fine-tuning with TRL on samples that are already tokenised and masked (train/data.py).

A killed run goes on from its newest whole checkpoint and ends with the weights and the log of an unbroken one: the order of the
data depends on the seed alone, the random states are in the checkpoint, and so is the count of tokens (train/checkpoints.py).
On a CPU in float32 that holds to the byte, for the same number of threads.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.fileio import read_json, write_text
from gra.labels import MARK
from train import checkpoints, data, deterministic, model, report, templates, tracking, watch
from train.settings import TrainSettings
from train.stage import world_size

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTTrainer

log = logging.getLogger(__name__)
CPU_BATCH, GPU_BATCH = 32, 4  # per_device_batch where it is not set, at most


def train(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Load, tokenise, train, publish; returns the flat metrics of `train.stage.run`. Raises TrainError."""
    if (done := _finished(output)) is not None:
        return done
    started = time.monotonic()
    with deterministic.kernels(settings.runtime.threads):
        trainer, tokenizer, account = build_trainer(settings, inputs, output)
        resume = checkpoints.newest(_folder(output), remove_torn=trainer.args.process_index == 0)
        _add_callback(trainer, settings, output)
        if resume is not None:
            log.info("going on from %s", resume.name)
            trainer._total_train_tokens = (checkpoints.facts(resume) or {}).get("tokens", 0)
        before = trainer._total_train_tokens
        loop = time.monotonic()
        with deterministic.trained_positions_only():
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        loop = time.monotonic() - loop
        seen = trainer._total_train_tokens - before
        table = report.rows(trainer.state.log_history)
        loss = report.mean_loss(table)
        metrics: dict[str, Any] = {
            "train_loss": loss,
            "final_loss": table[-1]["loss"],
            "steps": trainer.state.global_step,
            "samples": account["samples"],
            "tokens": trainer._total_train_tokens,
            **_parameters(trainer.model),
        }
        if trainer.is_world_process_zero():
            base = model.location(settings.student, inputs)
            card = report.card(settings, base, inputs, {"data": account, "steps": metrics["steps"]}, loss)
            model.publish(trainer, tokenizer, settings.sft, output, card)
            if (label := report.simulated(settings, inputs)) is not None:
                write_text(output / MARK, label + "\n")
            times = {"seconds": time.monotonic() - started, "loop_seconds": loop, "tokens_per_second": seen / loop if loop else 0.0}
            report.write(output, table, {**metrics, "data": account, "runtime": times})
            shutil.rmtree(_folder(output), ignore_errors=True)
    return {key: float(value) for key, value in metrics.items()}


def build_trainer(
    settings: TrainSettings, inputs: dict[str, Path], output: Path
) -> tuple[SFTTrainer, PreTrainedTokenizerBase, dict[str, Any]]:
    """The trainer, ready to start, the tokenizer with its template, and the account of the data."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, warns of it on the console
    import datasets
    import transformers
    from transformers.trainer_callback import PrinterCallback

    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    sft = settings.sft
    talks = data.load_messages(inputs["data"])
    transformers.set_seed(settings.seed)
    student, tokenizer = model.load(settings.student, sft, model.location(settings.student, inputs))
    _refuse_long(student, sft.cutoff_length)
    templates.install(tokenizer, sft.template)
    model.fit_vocabulary(student, len(tokenizer), sft)
    model.set_stop_tokens(student, tokenizer, templates.end_token_ids(tokenizer, templates.special_tokens(tokenizer)))
    if sft.packing:
        model.refuse_leak(student)
    samples, account = data.tokenise(talks, tokenizer, sft.cutoff_length, settings.seed, sft.limit)
    if sft.limit is not None and len(samples) < sft.limit:
        log.warning("sft.limit=%d, but only %d samples can be trained on", sft.limit, len(samples))
    dataset = data.as_dataset(samples, sft.packing, sft.cutoff_length)
    account["rows_fed"] = len(dataset)
    trainer = _trainer_class()(
        model=student,
        args=arguments(settings, output),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=model.lora_config(sft),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, tokenizer, account


def arguments(settings: TrainSettings, output: Path) -> Any:
    """TRL's SFTConfig for a recipe; accumulation follows from the global batch, the processes and the batch per device."""
    import torch
    from trl import SFTConfig

    sft, runtime = settings.sft, settings.runtime
    gpu = torch.cuda.is_available()
    if sft.precision == "bf16" and gpu and not torch.cuda.is_bf16_supported():
        raise TrainError("sft.precision=bf16: this GPU has no bfloat16\n    -> set sft.precision=fp32")
    per_device, accumulation = split_batch(sft.global_batch, world_size(), runtime.per_device_batch, gpu)
    checkpointing = gpu if runtime.activation_checkpointing is None else runtime.activation_checkpointing
    return SFTConfig(
        output_dir=str(_folder(output)),
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
        optim=sft.optimizer,
        adam_beta1=sft.beta1,
        adam_beta2=sft.beta2,
        loss_type=sft.loss_type,
        max_length=sft.cutoff_length,
        packing=sft.packing,
        packing_strategy="bfd",
        dataset_kwargs={"skip_prepare_dataset": True},  # tokens and labels are ours
        activation_checkpointing=checkpointing,
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


def split_batch(total: int, world: int, per_device: int | None, gpu: bool) -> tuple[int, int]:
    """(sequences a forward pass, accumulation steps) whose product times `world` is `total`.

    Raises TrainError where they do not divide (`train.stage.check` says so before, with the nearest choices).
    """
    share, rest = divmod(total, world)
    if rest == 0 and per_device is None:
        per_device = max(n for n in range(1, min(share, GPU_BATCH if gpu else CPU_BATCH) + 1) if share % n == 0)
    if rest or per_device is None or share % per_device:
        raise TrainError(f"sft.global_batch={total} does not divide by {world} process(es) x runtime.per_device_batch={per_device}")
    return per_device, share // per_device


def _trainer_class() -> type[SFTTrainer]:
    """TRL's trainer, with marked checkpoints, no telemetry and no card of its own. (A function: importing TRL takes seconds.)"""
    from trl import SFTTrainer

    class Trainer(SFTTrainer):
        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                folder = Path(str(self.args.output_dir)) / f"{checkpoints.PREFIX}{self.state.global_step}"
                checkpoints.mark(folder, tokens=self._total_train_tokens)

        def _send_telemetry(self) -> None:
            return

        def create_model_card(self, *_: Any, **__: Any) -> None:
            return

    return Trainer


def _add_callback(trainer: SFTTrainer, settings: TrainSettings, output: Path) -> None:
    config = settings.model_dump()
    same = settings.model_dump(exclude={"runtime": True, "student": {"name"}, "sft": {"name", "save_steps"}})  # under a resume
    run_id = hashlib.sha256(json.dumps([same, str(output.resolve())], sort_keys=True).encode()).hexdigest()[:16]
    options = settings.runtime.tracking
    if not trainer.is_world_process_zero():
        options = options.model_copy(update={"mode": "none"})
    trainer.add_callback(watch.callback(tracking.Tracker(options, output, config, run_id)))


def _parameters(student: Any) -> dict[str, int]:
    """How many weights there are, adapters included, and how many of them are trained."""
    sizes = [(p.numel(), p.requires_grad) for p in student.parameters()]
    return {"parameters": sum(n for n, _ in sizes), "trained_parameters": sum(n for n, trained in sizes if trained)}


def _refuse_long(student: PreTrainedModel, cutoff: int) -> None:
    positions = getattr(student.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and cutoff > positions:
        raise TrainError(
            f"sft.cutoff_length={cutoff} is above the student's {positions} positions\n    -> set sft.cutoff_length={positions}"
        )


def _finished(output: Path) -> dict[str, float] | None:
    """The metrics of a run that ended in this folder but was killed before it could say so. metrics.json is written last."""
    if not ((output / "metrics.json").is_file() and (output / "model").is_dir()):
        return None
    shutil.rmtree(_folder(output), ignore_errors=True)
    metrics = read_json(output / "metrics.json")
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def _folder(output: Path) -> Path:
    return output / "checkpoints"
