"""Measures a training run at every log step: tokens/s, model FLOPs utilisation (MFU) and peak memory.

MFU is the number of floating-point operations that the model needs for the trained tokens, divided by the number that
the devices could do in that time. After PaLM, appendix B (https://arxiv.org/abs/2204.02311; nanoGPT's estimate_mfu has
the same formula), a token costs

    6 N + 12 L H Q T

N is the number of weights that are multiplied: 2 FLOPs each in the forward and 4 in the backward pass. A lookup table
of input embeddings does not count, unless it is tied to the output layer. L is the number of layers, H the number of
heads, Q the width of a head, T the tokens of context. Three terms are counted more strictly here, so that work that was
not done does not raise the MFU:

- T is the length of the token's document, not of the packed or padded row: a row costs 12 L H Q (T1^2 + T2^2 + ...).
  Padding does not count. As in the paper nothing is subtracted for causality, and a sliding window counts as full
  attention.
- The output layer counts at trained positions only, because the trainer projects no other positions (TRL's fused LM
  head).
- A frozen weight (LoRA, QLoRA) needs no gradient of its own, so it costs 4 FLOPs per token instead of 6: for the
  forward pass and the gradient of its input. An adapter's weight costs 6.

Recomputed activations do not count (that would be *hardware* FLOPs utilisation), nor does dequantising 4-bit weights.
Mixtures of experts, CPUs, devices missing in PEAK and float32 have no MFU: None, never 0.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gra.memory import peak_rss_bytes
from gra.train.distributed import zero
from gra.train.settings import TrainSettings

if TYPE_CHECKING:
    from torch import Tensor

# (pattern for torch.cuda.get_device_name, dense bfloat16 TFLOP/s of one device with float32 accumulation), from the makers' data
# sheets and white papers (half of the figures "with sparsity"; SXM unless named). The first match counts.
PEAK: tuple[tuple[str, float], ...] = (
    (r"\bGB[23]00\b", 2500),
    (r"\bB[23]00\b", 2250),
    (r"\bB100\b", 1750),
    (r"\bH[12]00 NVL\b", 835.5),
    (r"\bH[18]00 PCIe\b", 756.5),
    (r"\b(GH200|H200|H100|H800)\b", 989.4),
    (r"\bH20\b", 148),
    (r"\bA[18]00\b", 312),
    (r"\bA100X?\b", 312),
    (r"\bA40\b", 149.7),
    (r"\bA30\b", 165),
    (r"\bA10\b", 125),
    (r"\bL40S\b", 362.05),
    (r"\bL40\b", 181.05),
    (r"\bL4\b", 121),
    (r"\bRTX 6000 Ada\b", 364.25),
    (r"\bRTX A6000\b", 154.8),
    (r"\bRTX 5090$", 209.5),
    (r"\bRTX 4090$", 165.2),
    (r"\bRTX 3090$", 71),
    (r"\bMI3(00|25)X\b", 1307.4),
    (r"\bMI250X\b", 191.5),
)
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
GIB = 2**30


def peak_tflops(name: str, precision: str) -> float | None:
    """Return the peak TFLOP/s of the device `name` in `precision`, without sparsity. Return None if it is unknown.
    TensorFloat-32 has half the TFLOP/s of bfloat16."""
    share = {"bf16": 1.0, "tf32": 0.5}.get(precision)
    found = next((peak for pattern, peak in PEAK if re.search(pattern, name)), None)
    return None if share is None or found is None else found * share


@dataclass(frozen=True)
class Flops:
    """The FLOPs of training a model, as three factors. Each is multiplied by a count, and the products are added.

    `token`: the FLOPs per token. `projected`: the FLOPs of the output layer per trained position. `attention`: the
    factor by which the sum of the squared document lengths is multiplied.
    """

    token: int
    projected: int
    attention: int

    def of(self, tokens: float, trained: float, squares: float) -> float:
        """Return the FLOPs for a number of tokens, a number of trained positions and a sum of squared document lengths."""
        return self.token * tokens + self.projected * trained + self.attention * squares


def flops(model: Any) -> Flops | None:
    """Return the FLOPs of training `model`, a causal LM with or without adapters.

    Return None for a mixture of experts, and for a model whose config lacks the number of layers or heads.
    """
    config = model.config.get_text_config()
    layers, heads = getattr(config, "num_hidden_layers", None), getattr(config, "num_attention_heads", None)
    if any(getattr(config, name, None) for name in EXPERTS) or not layers or not heads:
        return None
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    looked_up = {id(weight) for weight in model.get_input_embeddings().parameters()} - head
    token = projected = 0
    for name, weight in model.named_parameters():
        if id(weight) in looked_up or "original_module." in name:  # the latter: PEFT trains a copy instead
            continue
        cost = zero.size(weight) * (6 if weight.requires_grad else 4)
        projected, token = (projected + cost, token) if id(weight) in head else (projected, token + cost)
    return Flops(token, projected, 12 * layers * heads * width)


class ThroughputMeter:
    """Counts the tokens between two log steps. The counts stay on the device until the method `read` reads them."""

    def __init__(self, cost: Flops | None, tflops: float | None, gather: Any, processes: int = 1):
        """Set up the meter. `cost`: the FLOPs of the model. `tflops`: the peak of one device. If either is None, no MFU
        is computed.

        `gather`: a function that concatenates one tensor of shape (4,) from each process to one of shape (processes *
        4,).
        """
        self._cost, self._tflops, self._gather, self._processes = cost, tflops, gather, processes
        self._sums: Tensor | None = None  # tokens, trained positions, squared lengths
        self._since: float | None = None
        self._total = [0.0, 0.0, 0.0]  # tokens, FLOPs, seconds
        self._peak: float | None = None

    def count(self, inputs: dict[str, Any]) -> None:
        """Count the tokens of one batch. `inputs`: the batch as TRL's collator makes it, with input_ids, labels and
        either attention_mask or cu_seq_lens_q."""
        import torch

        labels, bounds = inputs["labels"], inputs.get("cu_seq_lens_q")
        if self._since is None:
            self._since = time.perf_counter()
            if labels.is_cuda:
                torch.cuda.reset_peak_memory_stats()
        lengths = inputs["attention_mask"].sum(-1) if bounds is None else bounds.diff().long()
        now = torch.stack([lengths.sum(), labels[..., 1:].ne(-100).sum(), (lengths * lengths).sum()])
        self._sums = now if self._sums is None else self._sums + now

    def read(self) -> dict[str, float]:
        """Return the throughput and the MFU since the last call of this method, and the peak memory since training
        began. Begin the next interval. All processes have to call this method.

        `tokens_per_second` counts the tokens of all processes, without padding. `mfu` is left out if it is not known.
        `peak_memory_gib` is the peak memory of the process that uses most.
        """
        if self._sums is None or self._since is None:
            return {}
        import torch

        local = torch.cat(
            [self._sums.double(), torch.tensor([_peak_bytes()], device=self._sums.device, dtype=torch.float64)]
        )
        rows = self._gather(local).view(-1, 4)
        tokens, trained, squares = rows[:, :3].sum(0).tolist()  # waits for the device, so read the clock afterwards
        self._peak = float(rows[:, 3].max()) / GIB or None
        now = time.perf_counter()
        needed = self._cost.of(tokens, trained, squares) if self._cost is not None else 0.0
        interval = [tokens, needed, now - self._since]
        self._total = [a + b for a, b in zip(self._total, interval, strict=True)]
        self._since, self._sums = now, None
        return {key: value for key, value in self._figures(interval).items() if value is not None}

    def summary(self) -> dict[str, float | None]:
        """Return the figures of the method `read` for all intervals so far. An unknown figure is None."""
        return self._figures(self._total)

    def _figures(self, interval: list[float]) -> dict[str, float | None]:
        tokens, needed, seconds = interval
        mfu = None
        if self._cost is not None and self._tflops is not None and seconds:
            mfu = needed / (seconds * self._processes * self._tflops * 1e12)
        return {"tokens_per_second": tokens / seconds if seconds else None, "mfu": mfu, "peak_memory_gib": self._peak}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Exclude the time inside the context from the throughput. Use it for evaluations and checkpoints, which are
        not training.

        If `read` is called inside the context, only the time after that call is excluded.
        """
        began = time.perf_counter()
        yield
        if self._since is not None:
            self._since += time.perf_counter() - max(began, self._since)


class ThroughputLogging:
    """A mixin that adds the throughput to every training log of a trainer. It must stand before `transformers.Trainer`
    in the list of base classes. The function `attach` gives the trainer the meter that it needs."""

    throughput: ThroughputMeter | None = None

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        if self.throughput is not None:
            self.throughput.count(inputs)
        return super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.throughput is not None and "loss" in logs:
            logs.update(self.throughput.read())
        super().log(logs, start_time)  # type: ignore[misc]

    def _maybe_log_save_evaluate(self, *given: Any, **named: Any) -> None:
        control: Any = self.control  # type: ignore[attr-defined]
        if self.throughput is None or not (control.should_save or control.should_evaluate):
            super()._maybe_log_save_evaluate(*given, **named)  # type: ignore[misc]
            return
        with self.throughput.aside():
            super()._maybe_log_save_evaluate(*given, **named)  # type: ignore[misc]


def attach(trainer: Any, settings: TrainSettings) -> None:
    """Give `trainer` a ThroughputMeter for the device of this process. The trainer's class must have the mixin
    ThroughputLogging."""
    import torch

    peak = settings.runtime.peak_tflops
    if peak is None and torch.cuda.is_available():
        peak = peak_tflops(torch.cuda.get_device_name(), settings.sft.precision)
    gather = trainer.accelerator.gather
    trainer.throughput = ThroughputMeter(flops(trainer.model), peak, gather, trainer.accelerator.num_processes)


def summary(trainer: Any) -> dict[str, Any]:
    """Return the throughput, the MFU and the peak memory for metrics.json. They cover the training steps since this
    process started. Return {} if no step was logged."""
    found = trainer.throughput.summary() if trainer.throughput is not None else {}
    return {} if found.get("tokens_per_second") is None else found


def _peak_bytes() -> float:
    """Return this process's peak memory in bytes; 0 if unknown.

    It is the peak of the memory allocated on its GPU since training began; without a GPU, the peak of its resident
    memory (VmHWM).
    """
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    return float(peak_rss_bytes() or 0)
