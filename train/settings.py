"""Defines the settings of the training and student stages: the keys of `conf/sft`, `conf/student` and `runtime`. No
heavy import.

Everything that changes the resulting numbers is in `StudentSettings` and `SftSettings`. `RuntimeSettings` changes only
speed and memory: another `per_device_batch` or number of threads gives the same results up to floating-point noise
(sums in another order). Results are equal to the byte only if both keys have the same values.
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
    raise ValueError("should be a number of samples (1 or more), or a share above 0 and below 1")


class BuildSettings(Settings):
    """Size of a Llama-architecture model with random weights. Its byte-level BPE tokenizer is trained on a text
    file. The paper that this project reproduces tunes pretrained models, so it gives no values for these settings. The
    defaults are therefore the project's own. The project marks such defaults with NS ("not stated")."""

    vocab_size: int = Field(
        default=1024,
        ge=320,
        le=200_000,
        description="Size of the vocabulary, including the 256 bytes and 4 special tokens.",
    )
    hidden_size: int = Field(default=128, ge=16, description="Width of the residual stream.")
    layers: int = Field(default=4, ge=1, description="Number of layers.")
    heads: int = Field(default=4, ge=1, description="Number of attention heads; each is `hidden_size` / `heads` wide.")
    kv_heads: int | None = Field(
        default=None, ge=1, description="Number of key/value heads (grouped-query attention); null: as many as `heads`."
    )
    intermediate_size: int = Field(default=352, ge=16, description="Width of the feed-forward layers.")
    positions: int = Field(
        default=256, ge=16, description="Longest sequence in tokens; must be at least `sft.cutoff_length`."
    )
    tie_embeddings: bool = Field(default=True, description="true: input and output embeddings share their weights.")
    init_std: float = Field(default=0.02, gt=0, description="Standard deviation of the random weights.")
    split_digits: bool = Field(
        default=True, description="true: each digit is a separate token, which makes arithmetic learnable."
    )


class StudentSettings(Settings):
    """The model to tune: a hub id or folder (`model`), or a model that the stage `student` builds from scratch (`build`)."""

    name: str = Field(default="student", description="Name of the student in cards and tables.")
    model: str | None = Field(
        default=None,
        description="Hub id or model folder. It is ignored if the step has a student folder as input; null: that folder, or "
        "`build`.",
    )
    revision: str | None = Field(default=None, description="Commit, tag or branch of the hub id; null: the newest.")
    build: BuildSettings | None = Field(
        default=None,
        description="Size of a model to build from scratch. It is ignored if `model` is set; null: no model is built.",
    )
    dtype: Dtype | None = Field(
        default=None,
        description="dtype in which the student's weights are trained; null: bfloat16 if sft.method is lora or qlora and "
        "sft.precision is bf16, else float32.",
    )
    attention: Attention = Field(
        default="sdpa", description="Attention kernel; auto: flash_attention_2 if it is installed and fits, else sdpa."
    )
    trust_remote_code: bool = Field(default=False, description="true: run the code of the model's repository.")


class LoraSettings(Settings):
    """Low-rank adapters (peft.LoraConfig). The paper uses none."""

    rank: int = Field(default=16, ge=1, description="Rank of the adapters (NS).")
    alpha: float = Field(default=32, gt=0, description="Adapters are scaled by alpha / rank (NS).")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Dropout before the adapters (NS).")
    target_modules: str | list[str] = Field(
        default="all-linear", description="Modules that get adapters: names, or all-linear (as in the QLoRA paper)."
    )
    modules_to_save: list[str] = Field(
        default_factory=list,
        description="Modules whose weights are trained in full, e.g. [embed_tokens, lm_head] if the template adds tokens.",
    )


class SftSettings(Settings):
    """One recipe of supervised fine-tuning.

    The loss of a step is the mean of -log p over all trained tokens (assistant turns and their end token) of the global
    batch, on all processes and accumulation steps. It is one mean over tokens, not a mean of means over samples,
    forward passes or processes. Loss, gradient and order of the samples (train/data/order.py) therefore do not depend
    on how the global batch is divided, except for rounding. The last step of an epoch takes the remaining samples, even
    if they are fewer than a global batch.

    Let S be the number of steps, W = ceil(S x warmup_ratio) the number of warm-up steps, and s the index of a step,
    counted from 0. For s < W the learning rate is learning_rate x s / W, so the first step of a warm-up has rate 0.
    From step W on, for `cosine`, it is learning_rate x (1 + cos(pi (s - W) / (S - W))) / 2.
    """

    name: str = Field(default="sft", description="Name of the recipe in cards.")
    method: Literal["full", "lora", "qlora"] = Field(
        default="full",
        description="full: all weights (the paper's); lora: adapters; qlora: adapters on frozen 4-bit weights, on an NVIDIA GPU.",
    )
    template: TemplateName = Field(
        default="default",
        description="Chat template, saved with the tokenizer. default: plain Human / Assistant text (the paper's); tokenizer: the "
        "student's own.",
    )
    bos: Literal["model", "never", "always"] = Field(
        default="model",
        description="Whether each conversation begins with the beginning-of-text token. model: the template is left as it is; "
        "never, always: the template is changed to omit or write the token, and saved with the model. No effect if the "
        "tokenizer has no such token (Qwen2.5).",
    )
    epochs: float = Field(default=1.0, gt=0, description="Passes over the samples (the paper: 1).")
    max_steps: int | None = Field(
        default=None,
        ge=1,
        description="Number of optimizer steps; overrides `epochs`; null: as many as `epochs` needs.",
    )
    learning_rate: float = Field(gt=0, description="Peak learning rate (the paper: 5e-6).")
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = Field(
        default="cosine", description="Schedule of the learning rate after the warm-up (the paper: cosine)."
    )
    warmup_ratio: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the optimizer steps in which the learning rate rises from 0 (the paper: 0.03).",
    )
    weight_decay: float = Field(default=0.0, ge=0, description="Decoupled weight decay (the paper: 0).")
    max_grad_norm: float = Field(
        default=1.0,
        ge=0,
        description="Gradients are clipped to this norm; 0: not clipped (NS; LLaMA-Factory's default).",
    )
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"] = (
        Field(
            default="adamw_torch",
            description="adamw_torch uses the fused kernel on a GPU; the 8-bit optimizers are bitsandbytes' (NS).",
        )
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Adam's decay of the mean of gradients (NS).")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Adam's decay of the mean of squared gradients (NS).")
    global_batch: int = Field(
        ge=1, description="Sequences (with packing: packed rows) per optimizer step, over all devices (the paper: 256)."
    )
    cutoff_length: int = Field(
        ge=8, description="Longest sequence in tokens; longer samples are truncated (the paper: 4096)."
    )
    packing: bool = Field(
        default=False,
        description="true: pack several samples into one row (best-fit decreasing); they do not attend to each other (NS).",
    )
    group_by_length: bool = Field(
        default=False,
        description="true: each global batch has samples of similar length, and `seed` draws the order of the batches. This "
        "saves padding "
        "if lengths vary. No effect with packing.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="Train on this many samples, selected by `seed`; null: all."
    )
    mix: dict[str, Weight] | None = Field(
        default=None,
        description="Mixture of several data folders: a weight for each input name, e.g. {data: 0.5, data_alpaca: 0.5}. `seed` "
        "draws "
        "the samples from each folder without replacement: `limit` samples in total, or as many as the weights allow "
        "(train/data/mixture.py); null: one folder.",
    )
    held_out: Annotated[int | float | None, BeforeValidator(_count_or_share)] = Field(
        default=None,
        description="Samples kept out of the training for the validation loss: a number, or a share below 1; `seed` draws them; "
        "null: none.",
    )
    save_steps: int = Field(default=200, ge=1, description="Optimizer steps between two checkpoints.")
    log_steps: int = Field(default=1, ge=1, description="Optimizer steps between two rows of log.csv.")
    eval_steps: int | None = Field(
        default=None,
        ge=1,
        description="Optimizer steps between two validation losses on `held_out`; null: only at the end.",
    )
    check_ends: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="After training, the model answers this many prompts, and the replies that end before the token limit are "
        "counted. The prompts are not in the training data: held-out samples, then the dozen in train/loop/prompts.txt. "
        "null: none. Not in the fingerprint.",
    )
    loss_type: Literal["nll", "dft"] = Field(
        default="nll",
        description="nll: negative log-likelihood; dft: the same with each token weighted by its probability (arXiv 2508.05629).",
    )
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        default="bf16",
        description="Number format of the forward and backward pass. tf32: float32 whose products are TensorFloat-32 (10-bit "
        "mantissa), on GPUs only.",
    )
    save_dtype: Dtype | None = Field(
        default=None, description="dtype of the saved weights; null: bfloat16 with precision=bf16, else float32."
    )
    resize_vocab: bool = Field(
        default=True,
        description="true: enlarge the embeddings if the template needs tokens that the tokenizer lacks; false: that is an error.",
    )
    lora: LoraSettings | None = Field(
        default=None, description="The adapters, if method is lora or qlora; null: with method=full."
    )
    sharding: Literal["zero2", "zero3"] | None = Field(
        default=None,
        description="DeepSpeed ZeRO, if several processes train. zero2: shards gradients and optimizer state; zero3: also the "
        "weights; "
        "null: plain DDP. It changes only memory, so it is not in the fingerprint.",
    )


class RuntimeSettings(Settings):
    """Keys that change speed and memory. Results stay the same up to floating-point noise."""

    per_device_batch: int | None = Field(
        default=None,
        ge=1,
        description="Sequences per device in one forward pass; null: 1 on a GPU with packing but without FlashAttention; "
        "else the largest power of two up to 32 that divides the global batch and is estimated to need at most 80 % of the "
        "free memory.",
    )
    tracking: TrackingSettings = Field(
        default=TrackingSettings(), description="Weights & Biases: the keys of the group `tracking`."
    )
    launch: Literal["none", "torchrun"] = Field(
        default="none",
        description="none: one process; torchrun: the stage starts `nproc` processes. On several nodes srun runs the stage once "
        "per node.",
    )
    nproc: int | None = Field(
        default=None, ge=1, description="Number of processes on each node with launch=torchrun; null: one per GPU."
    )
    dataloader_workers: int = Field(
        default=0, ge=0, description="Number of processes that load batches; 0: the training process loads them itself."
    )
    threads: int | None = Field(
        default=None, ge=1, description="Number of torch threads on a CPU; null: torch's default."
    )
    activation_checkpointing: bool | None = Field(
        default=None,
        description="true: recompute activations in the backward pass, which saves memory; null: on GPUs only.",
    )
    liger: bool = Field(
        default=False,
        description="true: use Liger's Triton kernels for norms, rotary embeddings and SwiGLU; needs a GPU.",
    )
    compile: bool = Field(
        default=False,
        description="true: use torch.compile, which takes a minute or more at the start and makes the steps faster.",
    )
    peak_tflops: float | None = Field(
        default=None,
        gt=0,
        description="Peak of one device in TFLOP/s, for the MFU; null: from the table in train/report/throughput.py.",
    )


class TrainSettings(Settings):
    """The whole config of the stage `train`."""

    seed: int = Field(
        ge=0, lt=2**32, description="Seed of all random draws: selection and order of the samples, new weights."
    )
    student: StudentSettings = Field(description="The model to tune.")
    sft: SftSettings = Field(description="The recipe.")
    runtime: RuntimeSettings = Field(
        default=RuntimeSettings(), description="Speed and memory only; not in the fingerprint."
    )


class StudentStageSettings(Settings):
    """The whole config of the stage `student`. The key `runtime` has no effect here. It is accepted so that the
    stages `student` and `train` can share a config."""

    seed: int = Field(ge=0, lt=2**32, description="Seed of the random weights.")
    student: StudentSettings = Field(description="The model to build or copy.")
    runtime: RuntimeSettings = Field(default=RuntimeSettings(), description="No effect.")
