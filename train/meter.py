"""How fast a run trains and what it takes: tokens/s, model FLOPs utilisation (MFU) and peak memory, at every log step.

MFU is the floating-point operations that the model needs for the tokens trained on, over what the devices could have done in that
time. After PaLM, appendix B (https://arxiv.org/abs/2204.02311; the same formula is in nanoGPT's estimate_mfu), a token costs

    6 N + 12 L H Q T

N: weights that are multiplied (a lookup table of input embeddings is not; one that is tied to the output layer is), 2 FLOPs each
forward and 4 backward; L layers, H heads of width Q, T tokens that it attends among. Three things are counted more narrowly here,
so that the number never looks better for work that was not done:
- T is the length of the token's own document, not of the packed or padded row: a row costs 12 L H Q (T1^2 + T2^2 + ...). Padding
  counts nothing. As in the paper nothing is taken off for causality, and a sliding window is counted as full attention.
- The output layer is counted at trained positions alone: the trainer projects no others (TRL's fused LM head).
- A frozen weight (LoRA, QLoRA) needs no gradient of its own: 4 N, forward and the gradient of its input; an adapter's weights 6.
Recomputed activations count nothing (that would be *hardware* FLOPs utilisation), and neither does dequantising 4-bit weights.
Mixtures of experts, CPUs, devices that PEAK does not list and float32 have no MFU: None, never 0.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gra.memory import peak_rss_bytes
from train import sharding
from train.settings import TrainSettings

if TYPE_CHECKING:
    from torch import Tensor

# Dense bfloat16 TFLOP/s of one device with float32 sums, by torch.cuda.get_device_name; the makers' data sheets and white papers
# (half of what they state "with sparsity"; SXM unless named). The first pattern that fits counts.
PEAK: tuple[tuple[str, float], ...] = (
    (r"\bGB[23]00\b", 2500), (r"\bB[23]00\b", 2250), (r"\bB100\b", 1750),
    (r"\bH[12]00 NVL\b", 835.5), (r"\bH[18]00 PCIe\b", 756.5), (r"\b(GH200|H200|H100|H800)\b", 989.4), (r"\bH20\b", 148),
    (r"\bA[18]00\b", 312), (r"\bA100X?\b", 312), (r"\bA40\b", 149.7), (r"\bA30\b", 165), (r"\bA10\b", 125),
    (r"\bL40S\b", 362.05), (r"\bL40\b", 181.05), (r"\bL4\b", 121),
    (r"\bRTX 6000 Ada\b", 364.25), (r"\bRTX A6000\b", 154.8),
    (r"\bRTX 5090$", 209.5), (r"\bRTX 4090$", 165.2), (r"\bRTX 3090$", 71),
    (r"\bMI3(00|25)X\b", 1307.4), (r"\bMI250X\b", 191.5),
)  # fmt: skip
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
GIB = 2**30


def peak_tflops(name: str, precision: str) -> float | None:
    """Dense TFLOP/s of the device `name` in `precision`; None where it is not known. TensorFloat-32 runs at half of bfloat16's."""
    share = {"bf16": 1.0, "tf32": 0.5}.get(precision)
    found = next((peak for pattern, peak in PEAK if re.search(pattern, name)), None)
    return None if share is None or found is None else found * share


@dataclass(frozen=True)
class Flops:
    """FLOPs of one optimizer step's parts: `token` for each token, `projected` for each trained position, `attention` for each
    squared token of a document's length."""

    token: int
    projected: int
    attention: int

    def of(self, tokens: float, trained: float, squares: float) -> float:
        """FLOPs for so many tokens, trained positions, and a sum of squared document lengths."""
        return self.token * tokens + self.projected * trained + self.attention * squares


def flops(model: Any) -> Flops | None:
    """What `model` (a causal LM, in adapters or not) needs; None for mixtures of experts and configs that do not tell."""
    config = model.config.get_text_config()
    layers, heads = getattr(config, "num_hidden_layers", None), getattr(config, "num_attention_heads", None)
    if any(getattr(config, name, None) for name in EXPERTS) or not layers or not heads:
        return None
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    head = {id(weight) for weight in model.get_output_embeddings().parameters()}
    looked_up = {id(weight) for weight in model.get_input_embeddings().parameters()} - head
    token = projected = 0
    for name, weight in model.named_parameters():
        if id(weight) in looked_up or "original_module." in name:  # the latter: PEFT trains a copy in its place
            continue
        cost = sharding.size(weight) * (6 if weight.requires_grad else 4)
        projected, token = (projected + cost, token) if id(weight) in head else (projected, token + cost)
    return Flops(token, projected, 12 * layers * heads * width)


class Meter:
    """Counts between two log steps. What it needs of a batch stays on the device until it is read."""

    def __init__(self, cost: Flops | None, tflops: float | None, gather: Any, processes: int = 1):
        """`cost` or `tflops` (of one device) None: no MFU. `gather`: a tensor of shape (4,) -> (processes * 4,), of them all."""
        self._cost, self._tflops, self._gather, self._processes = cost, tflops, gather, processes
        self._sums: Tensor | None = None  # tokens, trained positions, squared lengths
        self._since: float | None = None
        self._total = [0.0, 0.0, 0.0]  # tokens, FLOPs, seconds
        self._peak: float | None = None

    def count(self, inputs: dict[str, Any]) -> None:
        """Take in one batch as TRL's collator makes it: input_ids, labels and either attention_mask or cu_seq_lens_q."""
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
        """tokens_per_second (all processes, without padding), mfu where it can be told, and peak_memory_gib (of the process that
        takes most) since the last reading. Every process has to call it; begins the next interval."""
        if self._sums is None or self._since is None:
            return {}
        import torch

        local = torch.cat([self._sums.double(), torch.tensor([_peak_bytes()], device=self._sums.device, dtype=torch.float64)])
        rows = self._gather(local).view(-1, 4)
        tokens, trained, squares = rows[:, :3].sum(0).tolist()  # waits for the device: the clock is read after it
        self._peak = float(rows[:, 3].max()) / GIB or None
        now = time.perf_counter()
        needed = self._cost.of(tokens, trained, squares) if self._cost is not None else 0.0
        interval = [tokens, needed, now - self._since]
        self._total = [a + b for a, b in zip(self._total, interval, strict=True)]
        self._since, self._sums = now, None
        return {key: value for key, value in self._figures(interval).items() if value is not None}

    def summary(self) -> dict[str, float | None]:
        """The same over the whole run so far (since this process began); None for what is not known."""
        return self._figures(self._total)

    def _figures(self, interval: list[float]) -> dict[str, float | None]:
        tokens, needed, seconds = interval
        mfu = None
        if self._cost is not None and self._tflops is not None and seconds:
            mfu = needed / (seconds * self._processes * self._tflops * 1e12)
        return {"tokens_per_second": tokens / seconds if seconds else None, "mfu": mfu, "peak_memory_gib": self._peak}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave out what is done inside, from the last reading in it on: evaluations and checkpoints are not training."""
        began = time.perf_counter()
        yield
        if self._since is not None:
            self._since += time.perf_counter() - max(began, self._since)


class Metered:
    """For a `transformers.Trainer` to inherit from, before it: every training log has the meter's figures. See `attach`."""

    meter: Meter | None = None

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        if self.meter is not None:
            self.meter.count(inputs)
        return super().training_step(model, inputs, num_items_in_batch)  # type: ignore[misc]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if self.meter is not None and "loss" in logs:
            logs.update(self.meter.read())
        super().log(logs, start_time)  # type: ignore[misc]

    def _maybe_log_save_evaluate(self, *given: Any, **named: Any) -> None:
        control: Any = self.control  # type: ignore[attr-defined]
        if self.meter is None or not (control.should_save or control.should_evaluate):
            super()._maybe_log_save_evaluate(*given, **named)  # type: ignore[misc]
            return
        with self.meter.aside():
            super()._maybe_log_save_evaluate(*given, **named)  # type: ignore[misc]


def attach(trainer: Any, settings: TrainSettings) -> None:
    """Give `trainer` (a Metered one) its meter, for the device that this process trains on."""
    import torch

    peak = settings.runtime.peak_tflops
    if peak is None and torch.cuda.is_available():
        peak = peak_tflops(torch.cuda.get_device_name(), settings.sft.precision)
    gather = trainer.accelerator.gather
    trainer.meter = Meter(flops(trainer.model), peak, gather, trainer.accelerator.num_processes)


def summary(trainer: Any) -> dict[str, Any]:
    """The figures of a whole run (since this process began), for metrics.json; nothing where no step was logged."""
    found = trainer.meter.summary() if trainer.meter is not None else {}
    return {} if found.get("tokens_per_second") is None else found


def _peak_bytes() -> float:
    """Largest memory of this process so far: allocated on its GPU since training began, or else resident (VmHWM); 0: not known."""
    import torch

    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    return float(peak_rss_bytes() or 0)
