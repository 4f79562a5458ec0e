"""Settings of the training and student stages: what `conf/sft`, `conf/student` and `runtime` may hold. No heavy import.

Everything that changes the resulting numbers is in `StudentSettings` and `SftSettings`. `RuntimeSettings` changes speed
alone; a different `per_device_batch` or number of threads gives the same results up to floating-point noise (sums are
taken in another order), the same bytes only with the same values.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gra.settings import Settings
from gra.tracking import TrackingSettings

Attention = Literal["auto", "sdpa", "eager", "flex_attention", "flash_attention_2", "flash_attention_3"]
Dtype = Literal["float32", "bfloat16"]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
TemplateName = Literal["default", "chatml", "llama3", "qwen", "tokenizer"]


def _count_or_share(value: object) -> object:
    if value is None or (type(value) is int and value >= 1) or (type(value) is float and 0 < value < 1):
        return value
    raise ValueError("should be a whole number of samples from 1, or a share above 0 and below 1")


class BuildSettings(Settings):
    """A Llama-architecture model with random weights and a byte-level BPE tokenizer trained on a text."""

    vocab_size: int = Field(default=1024, ge=320, le=200_000, description="tokens, the 256 bytes and 4 special ones included")
    hidden_size: int = Field(default=128, ge=16)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    kv_heads: int | None = Field(default=None, ge=1, description="key/value heads of grouped-query attention; null: as `heads`")
    intermediate_size: int = Field(default=352, ge=16)
    positions: int = Field(default=256, ge=16, description="longest sequence, in tokens")
    tie_embeddings: bool = True
    init_std: float = Field(default=0.02, gt=0, description="standard deviation of the random weights")
    split_digits: bool = Field(default=True, description="every digit is a token of its own, which makes sums learnable")


class StudentSettings(Settings):
    """The model to be tuned: a hub id or folder in `model`, or `build` for one made from scratch by `train.student`."""

    name: str = "student"
    model: str | None = Field(default=None, description="hub id or model folder; not used where a student folder is an input")
    revision: str | None = Field(default=None, description="commit, tag or branch of the hub id")
    build: BuildSettings | None = None
    dtype: Dtype | None = Field(
        default=None, description="of the weights held while training; null: float32, bfloat16 under LoRA + bf16"
    )
    attention: Attention = "sdpa"
    trust_remote_code: bool = False


class LoraSettings(Settings):
    """Low-rank adapters (peft.LoraConfig)."""

    rank: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"
    modules_to_save: list[str] = Field(default_factory=list)


class SftSettings(Settings):
    """One recipe of supervised fine-tuning.

    The loss of a step is the sum of -log p over all trained tokens (assistant turns and their end token) of the global batch,
    on all processes and accumulation steps, divided by their number: a mean by tokens, not a mean of means over samples,
    passes or processes. So the loss, the gradient and the order of the samples (train/sampling.py) are the same however the
    global batch is divided, but for rounding. The learning rate of step s (from 0) of S with W = ceil(S x warmup_ratio) is
    learning_rate x s / W below W, then for `cosine` learning_rate x (1 + cos(pi (s - W) / (S - W))) / 2: the first step of a
    warm-up has rate 0. The last step of an epoch takes what is left, also where that is less than a global batch.
    """

    name: str = "sft"
    method: Literal["full", "lora", "qlora"] = "full"
    template: TemplateName = "default"
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1, description="optimizer steps; takes the place of `epochs`")
    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0, description="0: gradients are not clipped")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = Field(
        default="adamw_torch", description="adamw_torch: by the fused kernel on a GPU; the 8-bit ones are bitsandbytes'"
    )
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    global_batch: int = Field(ge=1, description="sequences (packed rows under packing) a step, over all devices")
    cutoff_length: int = Field(ge=8, description="longest sequence in tokens; the rest of a longer sample is cut off")
    packing: bool = Field(default=False, description="best-fit-decreasing packing; documents do not attend to each other")
    group_by_length: bool = Field(
        default=False,
        description="global batches of samples of about one length, in an order by `seed`: less padding, faster where lengths are "
        "unequal; no effect under packing, whose rows are equally long",
    )
    limit: int | None = Field(default=None, ge=1, description="train on this many samples, drawn by `seed`; null: on all")
    mix: dict[str, Weight] | None = Field(
        default=None,
        description="weights of several data folders by input name, e.g. {data: 0.5, data_alpaca: 0.5}; `limit` samples in all, or "
        "as many as the weights allow, each folder's drawn by `seed` without replacement (train/mixing.py)",
    )
    held_out: Annotated[int | float | None, BeforeValidator(_count_or_share)] = Field(
        default=None, description="samples for the validation loss, a number or a share below 1, drawn by `seed`, never trained on"
    )
    save_steps: int = Field(default=200, ge=1, description="optimizer steps between two checkpoints")
    log_steps: int = Field(default=1, ge=1, description="optimizer steps between two rows of log.csv")
    eval_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps between two validation losses on `held_out`; null: at the end alone"
    )
    check_ends: int | None = Field(
        default=None, ge=1, le=100, description="after training, replies to so many prompts that were not trained on (held-out "
        "samples, then the dozen of train/prompts.txt) tell how many end by themselves; null: not asked. Not in the fingerprint",
    )
    loss_type: Literal["nll", "dft"] = "nll"
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        default="bf16", description="of forward and backward; tf32: float32 with TensorFloat-32 products (10 bits), GPUs alone"
    )
    save_dtype: Dtype | None = Field(
        default=None, description="of the published weights; null: float32, bfloat16 for bf16"
    )
    resize_vocab: bool = Field(default=True, description="enlarge the embeddings where the template needs tokens that are missing")
    lora: LoraSettings | None = None
    sharding: Literal["zero2", "zero3"] | None = Field(
        default=None,
        description="DeepSpeed ZeRO where several processes train (one has nothing to divide): zero2 divides gradients and "
        "optimizer state, zero3 the weights too; memory alone, so no part of the fingerprint",
    )


class RuntimeSettings(Settings):
    """What changes speed and memory, not the result (but for floating-point noise)."""

    per_device_batch: int | None = Field(
        default=None,
        ge=1,
        description="sequences a forward pass; null: the largest power of two, up to 32, that divides the global batch and whose "
        "estimated peak takes 80 % of the free memory at most (1 on a GPU where they are packed and FlashAttention is not there)",
    )
    tracking: TrackingSettings = TrackingSettings()
    launch: Literal["none", "torchrun"] = Field(
        default="none", description="torchrun: the stage starts `nproc` processes of itself, on each node that srun started it on"
    )
    nproc: int | None = Field(default=None, ge=1, description="processes on this node under launch=torchrun; null: one a GPU")
    dataloader_workers: int = Field(default=0, ge=0)
    threads: int | None = Field(default=None, ge=1, description="torch threads on a CPU; null: torch's own choice")
    activation_checkpointing: bool | None = Field(default=None, description="recompute activations; null: on GPUs only")
    liger: bool = Field(default=False, description="Liger's Triton kernels for norms, rotary embeddings and SwiGLU; needs a GPU")
    compile: bool = Field(default=False, description="torch.compile: a minute or more at the start for faster steps after it")
    peak_tflops: float | None = Field(
        default=None, gt=0, description="of one device, for MFU: 10^12 FLOP/s; null: from the table in train/meter.py, if listed"
    )


class TrainSettings(Settings):
    """The whole config of the stage `train`."""

    seed: int = Field(ge=0, lt=2**32)
    student: StudentSettings
    sft: SftSettings
    runtime: RuntimeSettings = RuntimeSettings()


class StudentStageSettings(Settings):
    """The whole config of the stage `student`. `runtime` is accepted, so that both stages can share one mapping."""

    seed: int = Field(ge=0, lt=2**32)
    student: StudentSettings
    runtime: RuntimeSettings = RuntimeSettings()
