"""One contender of `train_throughput.py` in a process of its own: `python benchmarks/train_contenders.py NAME FOLDER`.

`ours` is the stage's own trainer with all that a run has about it (logs, meter, callbacks); `plain` is transformers.Trainer with
its padding collator; `bare` is a loop in PyTorch. All three read the same tokens and labels, go through them in the same order
(torch.randperm by seed and epoch), and step by the same recipe. The last line printed is JSON: the tokens (padding not counted),
seconds and loss of each step, peak memory in GiB, and the FLOPs that the model needs for those tokens (train/report/throughput.py).
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from harness import peak_mb

sys.path.insert(0, str(Path(__file__).parents[1]))
import train_shapes as shapes

IGNORED = -100


def main(name: str, folder: Path) -> None:
    case = shapes.load(folder / "case.json")
    if case.threads is not None:
        import torch

        torch.set_num_threads(case.threads)
    report = {"ours": ours, "plain": plain, "bare": bare, "ordered": ordered}[name](case, folder)
    print(json.dumps(report))


def ours(case: shapes.Case, folder: Path) -> dict[str, Any]:
    """The stage: what `train.sft.train` does between loading and publishing."""
    from gra.private_api import trl as trl_private
    from gra.train import preempt
    from gra.train.loop import callbacks, deterministic, sft
    from gra.train.settings import TrainSettings

    settings = TrainSettings.model_validate(shapes.settings(case))
    inputs = {"data": folder / "data", "student": folder / "student"}
    output = folder / "ours"
    output.mkdir(exist_ok=True)
    with deterministic.kernels(settings.runtime.threads):
        trainer, _, _ = sft.build_trainer(settings, inputs, output)
        callbacks.attach(trainer, settings, inputs, output)
        clock = _clock(trainer, case)
        with trl_private.trained_positions_only(), preempt.steps(trainer):
            trainer.train()
    return clock()


def plain(case: shapes.Case, folder: Path) -> dict[str, Any]:
    """transformers.Trainer as its documentation has it: padded batches, no packing."""
    import torch
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    model, tokenizer, dataset = _load(case, folder)
    gpu = torch.cuda.is_available()
    sft = shapes.settings(case)["sft"]
    arguments = TrainingArguments(
        output_dir=str(folder / "plain"),
        use_cpu=not gpu,
        bf16=case.precision == "bf16",
        seed=shapes.SEED,
        data_seed=shapes.SEED,
        per_device_train_batch_size=case.batch,
        gradient_accumulation_steps=case.samples // case.batch,
        max_steps=case.steps,
        learning_rate=sft["learning_rate"],
        lr_scheduler_type=sft["schedule"],
        warmup_steps=sft["warmup_ratio"],
        max_grad_norm=1.0,
        weight_decay=0.0,
        optim=case.optimizer,
        gradient_checkpointing=case.checkpointing,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
        remove_unused_columns=False,
    )
    collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORED)
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=collator)
    trainer.remove_callback(PrinterCallback)
    clock = _clock(trainer, case)
    trainer.train()
    return clock()


def ordered(case: shapes.Case, folder: Path) -> dict[str, Any]:
    """The bare loop through the very batches of the stage."""
    return bare(case, folder, grouped=True)


def bare(case: shapes.Case, folder: Path, grouped: bool = False) -> dict[str, Any]:
    """A loop in PyTorch that does nothing else: padded batches, one loss over the trained tokens of the whole step."""
    import torch
    from torch.nn import functional

    model, tokenizer, dataset = _load(case, folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    if case.checkpointing:
        model.gradient_checkpointing_enable()
    weights = [p for p in model.parameters() if p.requires_grad]
    sft = shapes.settings(case)["sft"]
    optimizer = torch.optim.AdamW(weights, lr=sft["learning_rate"], weight_decay=0.0, fused="fused" in case.optimizer)
    warm = math.ceil(sft["warmup_ratio"] * case.steps)
    count = _Count(case, model)
    batches = _batches(case, dataset, tokenizer.pad_token_id, grouped)
    for step in range(case.steps):
        passes = [{k: v.to(device) for k, v in next(batches).items()} for _ in range(case.samples // case.batch)]
        trained = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in passes)
        total = 0.0
        for batch in passes:
            labels = batch["labels"][:, 1:]
            with torch.autocast(device.type, torch.bfloat16, enabled=case.precision == "bf16"):
                logits = model(
                    input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
                ).logits[:, :-1]
            loss = functional.cross_entropy(
                logits.reshape(-1, logits.shape[-1]).float(), labels.reshape(-1), reduction="sum"
            )
            loss = loss / trained
            loss.backward()
            total += loss.item()
            count.batch(batch)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        share = step / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (case.steps - warm))) / 2
        for group in optimizer.param_groups:
            group["lr"] = sft["learning_rate"] * share
        optimizer.step()
        optimizer.zero_grad()
        count.step(total)
    return count.report()


def _load(case: shapes.Case, folder: Path) -> tuple[Any, Any, Any]:
    """The student as our stage loads it, its tokenizer, and its tokens, unpacked."""
    import torch
    from peft import get_peft_model

    from gra.train.data import tokenised as tokens
    from gra.train.settings import TrainSettings
    from gra.train.student import load as model

    raw = shapes.settings(case)
    raw["sft"]["packing"] = False
    settings = TrainSettings.model_validate(raw)
    inputs = {"data": folder / "data", "student": folder / "student"}
    output = folder / "unpacked"
    output.mkdir(exist_ok=True)
    dataset, _, _ = tokens.read(tokens.ensure(settings, inputs, output))
    torch.manual_seed(shapes.SEED)
    student, tokenizer = model.load(settings.student, settings.sft, model.location(settings.student, inputs))
    if (lora := model.lora_config(settings.sft, student)) is not None:
        student = get_peft_model(student, lora)
        student.enable_input_require_grads()
    return student, tokenizer, dataset


def _batches(case: shapes.Case, dataset: Any, pad: int, grouped: bool) -> Any:
    import torch

    from gra.train.data import order as sampling

    lengths = sampling.lengths(dataset) if grouped else None

    def fill(rows: list[list[int]], value: int) -> torch.Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    epoch = 0
    while True:
        order = sampling.order(len(dataset), shapes.SEED + epoch, 1, lengths, case.samples)
        for start in range(0, len(order), case.batch):
            rows = [dataset[i] for i in order[start : start + case.batch]]
            ids, labels = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
            mask = [[1] * len(row) for row in ids]
            yield {"input_ids": fill(ids, pad), "labels": fill(labels, IGNORED), "attention_mask": fill(mask, 0)}
        epoch += 1


class _Count:
    """The clock of every contender: real tokens, seconds and loss by step, read when the device has done."""

    def __init__(self, case: shapes.Case, model: Any):
        from gra.train.report import throughput

        self._case, self._cost = case, throughput.flops(model)
        self._sums: list[list[int]] = []
        self._now = [0, 0, 0]
        self._losses: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin the first step now."""
        self._times, self._cpu = [time.perf_counter()], [time.process_time()]

    def batch(self, inputs: dict[str, Any]) -> None:
        bounds = inputs.get("cu_seq_lens_q")
        lengths = inputs["attention_mask"].sum(-1) if bounds is None else bounds.diff().long()
        trained = int((inputs["labels"][:, 1:] != IGNORED).sum())
        self._now = [
            a + b for a, b in zip(self._now, (int(lengths.sum()), trained, int((lengths**2).sum())), strict=True)
        ]

    def step(self, loss: float) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._times.append(time.perf_counter())
        self._cpu.append(time.process_time())
        self._sums.append(self._now)
        self._losses.append(loss)
        self._now = [0, 0, 0]

    def report(self) -> dict[str, Any]:
        import torch

        gpu = torch.cuda.is_available()
        warm = self._case.warm
        tokens, trained, squares = (sum(column) for column in zip(*self._sums[warm:], strict=True))
        seconds, cpu = ([b - a for a, b in itertools.pairwise(clock)] for clock in (self._times, self._cpu))
        peak = torch.cuda.max_memory_allocated() / 2**30 if gpu else (peak_mb() or 0) * 1e6 / 2**30
        return {
            "step_tokens": [sums[0] for sums in self._sums],
            "step_seconds": seconds,
            "step_cpu": cpu,
            "losses": self._losses,
            "warm": warm,
            "tokens": tokens,
            "seconds": sum(seconds[warm:]),
            "peak_gib": peak,
            "flops": self._cost.of(tokens, trained, squares) if self._cost else None,
            "device": torch.cuda.get_device_name() if gpu else "CPU",
            "threads": torch.get_num_threads(),
        }


def _clock(trainer: Any, case: shapes.Case) -> Any:
    """Count a trainer's batches and steps; returns what gives the report."""
    from transformers import TrainerCallback

    count = _Count(case, trainer.model)
    inner = trainer.training_step

    def counted(model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        count.batch(inputs)
        return inner(model, inputs, *rest)

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            count.start()

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
            if "loss" in kwargs["logs"]:
                count.step(kwargs["logs"]["loss"])

    trainer.training_step = counted
    trainer.add_callback(Clock())
    return count.report


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
