"""Supervised fine-tuning with TRL on samples that are already tokenised and masked (train/data.py).

A killed run goes on from its newest whole checkpoint and ends with the weights and the log of an unbroken one: the order of the
data depends on the seed alone, the random states are in the checkpoint, and so is the count of tokens (train/checkpoints.py).
On a CPU in float32 that holds to the byte, for the same number of threads.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gra.errors import TrainError
from gra.fileio import read_json, write_text
from gra.labels import MARK, QUANTIZED
from train import (
    card,
    checkpoints,
    deterministic,
    endings,
    fitting,
    meter,
    model,
    preempt,
    report,
    sampling,
    sharding,
    templates,
    tokens,
)
from train.arguments import CHECKPOINTS, arguments
from train.new_tokens import require_trained
from train.out_of_memory import told
from train.settings import TrainSettings
from train.trainer import trainer_class
from train.watch import attach

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTTrainer

log = logging.getLogger(__name__)


@preempt.stoppable
def train(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Load, tokenise, train, publish; returns the flat metrics of `train.stage.run`. Raises TrainError, or after a signal Preempted
    or Interrupted."""
    if (done := finished(output)) is not None:
        return done
    started = time.monotonic()
    with deterministic.kernels(settings.runtime.threads), told(settings) as a_pass:
        resume = checkpoints.newest(_folder(output), remove_torn=int(os.environ.get("RANK") or 0) == 0)
        begun = checkpoints.facts(resume) or {} if resume is not None else {}
        trainer, tokenizer, account = build_trainer(settings, inputs, output, begun)
        a_pass.rows, a_pass.checkpointing = trainer.args.per_device_train_batch_size, bool(trainer.args.activation_checkpointing)
        tracker = attach(trainer, settings, inputs, output)
        if resume is not None:
            sharding.refuse_other(begun, sharding.facts(settings.sft, trainer.args.world_size), resume)
            checkpoints.go_on(trainer, resume)
        before = trainer._total_train_tokens
        loop = time.monotonic()
        with deterministic.trained_positions_only(), preempt.steps(trainer):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        loop = time.monotonic() - loop
        seen = trainer._total_train_tokens - before
        history = trainer.state.log_history
        metrics: dict[str, Any] = {
            **report.losses(report.rows(history)),
            "steps": trainer.state.global_step,
            "samples": account["samples"],
            "tokens": trainer._total_train_tokens,
            **_parameters(trainer.model),
        }
        whole = sharding.whole_model(trainer)
        if trainer.is_world_process_zero():
            base = model.location(settings.student, inputs)
            model.publish(whole, tokenizer, settings.sft, output, card.card(settings, base, inputs, account, metrics))
            if settings.sft.check_ends is not None:
                metrics |= _ends(trainer, settings, output)
                write_text(output / "model" / "README.md", card.card(settings, base, inputs, account, metrics))
            if (label := card.simulated(settings, inputs)) is not None:
                write_text(output / MARK, label + "\n")
            if (few_bits := card.few_bits(settings, inputs)) is not None:
                write_text(output / "model" / QUANTIZED, few_bits + "\n")
            times = {"seconds": time.monotonic() - started, "loop_seconds": loop, "tokens_per_second": seen / loop if loop else 0.0}
            times |= {"per_device_batch": trainer.args.per_device_train_batch_size, **meter.summary(trainer)}
            tracker.log_model(output)
            tracker.finish({f"train/{key}": float(value) for key, value in _numbers(metrics).items()})
            report.write(output, history, {**metrics, "data": account, "runtime": times})
            shutil.rmtree(_folder(output), ignore_errors=True)
            tokens.discard(output)
        if trainer.args.world_size > 1:
            trainer.accelerator.end_training()
    return {key: float(value) for key, value in _numbers(metrics).items()}


def _ends(trainer: Any, settings: TrainSettings, output: Path) -> dict[str, Any]:
    """What is reported of replies that end by themselves; nothing where no prompt could be asked."""
    found = endings.check(output / "model", trainer.eval_dataset, settings, trainer.args.device)
    return {"ends_by_itself": found["ended"] / found["asked"], "ends": found} if found["asked"] else {}


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if isinstance(value, int | float)}


def build_trainer(
    settings: TrainSettings, inputs: dict[str, Path], output: Path, begun: dict[str, Any] | None = None
) -> tuple[SFTTrainer, PreTrainedTokenizerBase, dict[str, Any]]:
    """The trainer, ready to start, the tokenizer with its template, and the account of the data. `begun`: the mark of the
    checkpoint that the run goes on from."""
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
    dataset, held_out, account = tokens.read(tokens.ensure(settings, inputs, output))
    where = model.location(settings.student, inputs)
    rows = fitting.rows(settings, where, dataset, begun)
    args = arguments(settings, output, rows)  # makes the process group, and zero3 divides the weights while they are loaded
    fitting.refuse_unequal(args)
    transformers.set_seed(settings.seed)
    student, tokenizer = model.load(settings.student, sft, where)
    _refuse_long(student, sft.cutoff_length)
    require_trained(student, templates.install(tokenizer, sft.template), sft)
    model.fit_vocabulary(student, len(tokenizer), sft)
    model.set_stop_tokens(student, tokenizer, templates.end_token_ids(tokenizer, templates.special_tokens(tokenizer)))
    if sft.packing:
        with sharding.gathering(student):
            model.refuse_leak(student)
    if args.world_size > 1:
        dataset = sampling.with_blank(dataset)
    trainer = trainer_class({**sharding.facts(sft, args.world_size), fitting.FACT: args.per_device_train_batch_size})(
        model=student,
        args=args,
        train_dataset=dataset,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=model.lora_config(sft, student),
    )
    trainer.remove_callback(PrinterCallback)
    meter.attach(trainer, settings)
    return trainer, tokenizer, account


def _parameters(student: Any) -> dict[str, int]:
    """How many weights there are, adapters included, and how many of them are trained."""
    sizes = [(sharding.size(p), p.requires_grad) for p in student.parameters()]
    return {"parameters": sum(n for n, _ in sizes), "trained_parameters": sum(n for n, trained in sizes if trained)}


def _refuse_long(student: PreTrainedModel, cutoff: int) -> None:
    positions = getattr(student.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and cutoff > positions:
        raise TrainError(
            f"sft.cutoff_length={cutoff} is above the student's {positions} positions\n    -> set sft.cutoff_length={positions}"
        )


def finished(output: Path) -> dict[str, float] | None:
    """The metrics of a run that ended in this folder but was killed before it could say so. metrics.json is written last."""
    if not ((output / "metrics.json").is_file() and (output / "model").is_dir()):
        return None
    shutil.rmtree(_folder(output), ignore_errors=True)
    tokens.discard(output)
    metrics = read_json(output / "metrics.json")
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def _folder(output: Path) -> Path:
    return output / CHECKPOINTS
