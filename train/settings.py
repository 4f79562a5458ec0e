"""Settings of the training and student stages: what `conf/sft`, `conf/student` and `runtime` may hold. No heavy import.

Everything that changes the resulting numbers is in `StudentSettings` and `SftSettings`. `RuntimeSettings` changes speed
alone; a different `per_device_batch` or number of threads gives the same results up to floating-point noise (sums are
taken in another order), the same bytes only with the same values.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gra.settings import Settings

Attention = Literal["auto", "sdpa", "eager", "flex_attention", "flash_attention_2", "flash_attention_3"]
Dtype = Literal["float32", "bfloat16"]
TemplateName = Literal["default", "chatml", "tokenizer"]


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
    """One recipe of supervised fine-tuning. The loss is taken on assistant turns only, normalised by the trained tokens
    of the whole global batch (not a mean of per-device means)."""

    name: str = "sft"
    method: Literal["full", "lora"] = "full"
    template: TemplateName = "default"
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1, description="optimizer steps; takes the place of `epochs`")
    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_ratio: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0, description="0: gradients are not clipped")
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adafactor", "sgd"] = "adamw_torch"
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.999, ge=0, lt=1)
    global_batch: int = Field(ge=1, description="sequences (packed rows under packing) a step, over all devices")
    cutoff_length: int = Field(ge=8, description="longest sequence in tokens; the rest of a longer sample is cut off")
    packing: bool = Field(default=False, description="best-fit-decreasing packing; documents do not attend to each other")
    limit: int | None = Field(default=None, ge=1, description="train on this many samples, drawn by `seed`; null: on all")
    save_steps: int = Field(default=200, ge=1, description="optimizer steps between two checkpoints")
    log_steps: int = Field(default=1, ge=1, description="optimizer steps between two rows of log.csv")
    loss_type: Literal["nll", "dft"] = "nll"
    precision: Literal["fp32", "bf16"] = "bf16"
    save_dtype: Dtype | None = Field(
        default=None, description="of the published weights; null: float32 for fp32, bfloat16 for bf16"
    )
    resize_vocab: bool = Field(default=True, description="enlarge the embeddings where the template needs tokens that are missing")
    lora: LoraSettings | None = None


class TrackingSettings(Settings):
    """Weights & Biases. `offline` writes the run inside the output folder, to be sent later with `wandb sync`."""

    mode: Literal["offline", "online", "none"] = "offline"
    project: str = "gra"
    entity: str | None = None
    group: str | None = None
    name: str | None = None


class RuntimeSettings(Settings):
    """What changes speed and memory, not the result (but for floating-point noise)."""

    per_device_batch: int | None = Field(
        default=None,
        ge=1,
        description="sequences a forward pass; null: the largest that fits the global batch, up to 32 on a CPU and 4 on a GPU",
    )
    tracking: TrackingSettings = TrackingSettings()
    dataloader_workers: int = Field(default=0, ge=0)
    threads: int | None = Field(default=None, ge=1, description="torch threads on a CPU; null: torch's own choice")
    activation_checkpointing: bool | None = Field(default=None, description="recompute activations; null: on GPUs only")


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
