"""Fine-tunes a student with TRL on samples that are already tokenised and masked (train/data/rows.py).

A killed run resumes from its newest complete checkpoint and ends with the weights and the log of an uninterrupted run:
the order of the data depends only on the seed, and the checkpoint contains the random states and the token counts
(train/loop/checkpoints.py). On a CPU in float32, weights and log are equal to the byte if the number of threads is the
same.
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
from gra.private_api import trl
from gra.train import preempt, templates
from gra.train.data import order, tokenised
from gra.train.distributed import zero
from gra.train.loop import checkpoints, deterministic, endings
from gra.train.loop.arguments import CHECKPOINTS, arguments
from gra.train.loop.callbacks import attach
from gra.train.loop.trainer import trainer_class
from gra.train.memory import fitting
from gra.train.memory.out_of_memory import explained
from gra.train.report import card, files, throughput
from gra.train.settings import TrainSettings
from gra.train.student import load
from gra.train.student.new_tokens import require_trained

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTTrainer

log = logging.getLogger(__name__)


@preempt.stoppable
def train(settings: TrainSettings, inputs: dict[str, Path], output: Path) -> dict[str, float]:
    """Load the student, tokenise the data, train, and write the model. Return the metrics of the training.

    Raises TrainError if the training fails, and Preempted or Interrupted after a signal.
    """
    if (done := finished(output)) is not None:
        return done
    started = time.monotonic()
    with deterministic.kernels(settings.runtime.threads), explained(settings) as a_pass:
        resume = checkpoints.newest(_folder(output), remove_torn=int(os.environ.get("RANK") or 0) == 0)
        begun = checkpoints.facts(resume) or {} if resume is not None else {}
        trainer, tokenizer, account = build_trainer(settings, inputs, output, begun)
        a_pass.rows, a_pass.checkpointing = (
            trainer.args.per_device_train_batch_size,
            bool(trainer.args.activation_checkpointing),
        )
        tracker = attach(trainer, settings, inputs, output)
        if resume is not None:
            zero.refuse_other(begun, zero.facts(settings.sft, trainer.args.world_size), resume)
            checkpoints.resume(trainer, resume)
        before = trl.tokens_seen(trainer)
        loop = time.monotonic()
        with trl.trained_positions_only(), preempt.steps(trainer):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        loop = time.monotonic() - loop
        seen = trl.tokens_seen(trainer) - before
        history = trainer.state.log_history
        metrics: dict[str, Any] = {
            **files.losses(files.rows(history), trainer.state.global_step),
            "steps": trainer.state.global_step,
            "samples": account["samples"],
            "tokens": trl.tokens_seen(trainer),
            **_parameters(trainer.model),
        }
        whole = zero.whole_model(trainer)
        if trainer.is_world_process_zero():
            base = load.location(settings.student, inputs)
            load.publish(whole, tokenizer, settings, base, output, card.card(settings, base, inputs, account, metrics))
            if settings.sft.check_ends is not None:
                metrics |= _ends(trainer, settings, output)
                write_text(output / "model" / "README.md", card.card(settings, base, inputs, account, metrics))
            if (label := card.simulated(settings, inputs)) is not None:
                write_text(output / MARK, label + "\n")
            if (few_bits := card.few_bits(settings, inputs)) is not None:
                write_text(output / "model" / QUANTIZED, few_bits + "\n")
            times = {
                "seconds": time.monotonic() - started,
                "loop_seconds": loop,
                "tokens_per_second": seen / loop if loop else 0.0,
            }
            times |= {"per_device_batch": trainer.args.per_device_train_batch_size, **throughput.summary(trainer)}
            tracker.log_model(output)
            tracker.finish({f"train/{key}": float(value) for key, value in _numbers(metrics).items()})
            files.write(output, history, {**metrics, "data": account, "runtime": times})
            shutil.rmtree(_folder(output), ignore_errors=True)
            tokenised.discard(output)
        if trainer.args.world_size > 1:
            trainer.accelerator.end_training()
    return {key: float(value) for key, value in _numbers(metrics).items()}


def _ends(trainer: Any, settings: TrainSettings, output: Path) -> dict[str, Any]:
    """Return the metrics of replies that end before the token limit; {} if no prompt could be used."""
    found = endings.check(output / "model", trainer.eval_dataset, settings, trainer.args.device)
    return {"ends_by_itself": found["ended"] / found["asked"], "ends": found} if found["asked"] else {}


def _numbers(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if isinstance(value, int | float)}


def build_trainer(
    settings: TrainSettings, inputs: dict[str, Path], output: Path, begun: dict[str, Any] | None = None
) -> tuple[SFTTrainer, PreTrainedTokenizerBase, dict[str, Any]]:
    """Return (trainer, tokenizer, account). The trainer is ready to start, and the chat template is installed on the
    tokenizer. The account counts what became of every row of the data.

    `begun`: the content of whole.json, the file that marks a checkpoint as complete, if the run resumes from a
    checkpoint.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, if installed, prints a warning
    import datasets
    import transformers
    from transformers.trainer_callback import PrinterCallback

    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    sft = settings.sft
    dataset, held_out, account = tokenised.read(tokenised.ensure(settings, inputs, output))
    where = load.location(settings.student, inputs)
    rows = fitting.rows(settings, where, dataset, begun)
    args = arguments(settings, output, rows)  # creates the process group; zero3 shards weights loaded after it
    fitting.refuse_unequal(args)
    transformers.set_seed(settings.seed)
    student, tokenizer = load.load(settings.student, sft, where)
    _refuse_long(student, sft.cutoff_length)
    require_trained(student, templates.install(tokenizer, sft.template, sft.bos), sft)
    load.fit_vocabulary(student, len(tokenizer), sft)
    load.set_stop_tokens(student, tokenizer, templates.end_token_ids(tokenizer, templates.special_tokens(tokenizer)))
    if sft.packing:
        with zero.gathering(student):
            load.refuse_leak(student)
    if args.world_size > 1:
        dataset = order.with_blank(dataset)
    trainer = trainer_class({**zero.facts(sft, args.world_size), fitting.FACT: args.per_device_train_batch_size})(
        model=student,
        args=args,
        train_dataset=dataset,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=load.lora_config(sft, student),
    )
    trainer.remove_callback(PrinterCallback)
    throughput.attach(trainer, settings)
    return trainer, tokenizer, account


def _parameters(student: Any) -> dict[str, int]:
    """Return the number of all weights, adapters included, and of those that are trained."""
    sizes = [(zero.size(p), p.requires_grad) for p in student.parameters()]
    return {"parameters": sum(n for n, _ in sizes), "trained_parameters": sum(n for n, trained in sizes if trained)}


def _refuse_long(student: PreTrainedModel, cutoff: int) -> None:
    positions = getattr(student.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and cutoff > positions:
        raise TrainError(
            f"sft.cutoff_length={cutoff} is above the student's {positions} positions\n    -> set sft.cutoff_length={positions}"
        )


def finished(output: Path) -> dict[str, float] | None:
    """Return the metrics if an earlier process has finished this run in the folder `output`, else None.

    An earlier process can have been killed after it wrote metrics.json, its last file, but before it ended. This
    function then removes the checkpoints and the tokenised data that it left in `output`.
    """
    if not ((output / "metrics.json").is_file() and (output / "model").is_dir()):
        return None
    shutil.rmtree(_folder(output), ignore_errors=True)
    tokenised.discard(output)
    metrics = read_json(output / "metrics.json")
    return {key: float(value) for key, value in metrics.items() if isinstance(value, int | float)}


def _folder(output: Path) -> Path:
    return output / CHECKPOINTS
