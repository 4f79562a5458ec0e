"""The cases of `train_throughput.py`, and the student (random weights) and data folder (random words) that a case is run on."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

SEED = 0
WORDS = 2000


@dataclass(frozen=True)
class Shape:
    """A Qwen2 model (transformers.Qwen2Config)."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool = True


@dataclass(frozen=True)
class Case:
    """One comparison. Each contender takes `steps` optimizer steps, the first `warm` of which are left out.

    Ours: `rows` rows (packed or not) a step, `ours_batch` of them a pass. The others: `samples` samples a step, padded, `batch` a
    pass. `words`: (mean, sigma) of the log-normal number of words of an answer.
    """

    name: str
    shape: Shape
    cutoff: int
    packing: bool
    rows: int
    ours_batch: int
    samples: int
    batch: int
    words: tuple[float, float]
    steps: int
    warm: int
    method: str = "full"
    precision: str = "bf16"
    checkpointing: bool = False  # recompute activations
    grouped: bool = False  # ours: samples of about one length in a batch
    optimizer: str = "adamw_torch_fused"
    threads: int | None = None  # on a CPU; None: torch's own choice
    targets: dict[str, str] = field(default_factory=dict)


TINY = Shape(64, 176, 2, 4, 2, 512)
CASES = {
    # 7.1 M parameters; no packing and the same batches for all three, so that what is compared is the loop alone.
    "cpu": Case(
        "cpu",
        Shape(288, 768, 6, 6, 6, 4096),
        256,
        False,
        8,
        8,
        8,
        8,
        (60.0, 0.6),
        40,
        8,
        precision="fp32",
        optimizer="adamw_torch",
        threads=1,
        targets={"of_bare": "<= 1.05"},
    ),
    # The same model on samples of very unequal lengths: the stage's grouped order, beside loops that shuffle and one in its order.
    "cpu-unequal": Case(
        "cpu-unequal",
        Shape(288, 768, 6, 6, 6, 4096),
        256,
        False,
        8,
        8,
        8,
        8,
        (60.0, 0.9),
        40,
        8,
        precision="fp32",
        optimizer="adamw_torch",
        threads=1,
        grouped=True,
        targets={"speed": ">= 0.9", "speed_ordered": ">= 0.9"},
    ),
    "gpu-1.5b": Case(
        "gpu-1.5b",
        Shape(1536, 8960, 28, 12, 2, 151_936),
        4096,
        True,
        8,
        1,
        144,
        8,
        (200.0, 0.8),
        24,
        6,
        targets={"mfu": ">= 0.45", "of_plain": ">= 1.5"},
    ),
    "gpu-7b-lora": Case(
        "gpu-7b-lora",
        Shape(3584, 18_944, 28, 28, 4, 152_064, tied=False),
        4096,
        True,
        8,
        1,
        144,
        8,
        (200.0, 0.8),
        12,
        3,
        method="lora",
        checkpointing=True,
        targets={"memory": "<= 74.5"},
    ),
}


def case(name: str, tiny: bool = False, steps: int | None = None) -> Case:
    """The case `name`; `tiny`: with a model and rows that any CPU can do, to see that it runs."""
    found = CASES[name]
    if tiny:
        found = replace(
            found,
            shape=TINY,
            cutoff=256,
            rows=4 if found.packing else 8,
            ours_batch=1 if found.packing else 4,
            samples=8,
            batch=4,
            words=(30.0, 0.6),
            steps=4,
            warm=1,
            targets={},
        )
    if steps is not None:
        found = replace(found, steps=steps, warm=min(found.warm, steps // 4))
    return found


def save(chosen: Case, path: Path) -> None:
    """The case as JSON, for a contender's process."""
    path.write_text(json.dumps(asdict(chosen)))


def load(path: Path) -> Case:
    """What `save` wrote."""
    raw = json.loads(path.read_text())
    return Case(**{**raw, "shape": Shape(**raw["shape"]), "words": tuple(raw["words"])})


def settings(chosen: Case) -> dict[str, Any]:
    """The stage's config for a case: every contender trains by this recipe."""
    return {
        "seed": SEED,
        "student": {"name": chosen.name, "attention": "auto"},
        "sft": {
            "method": chosen.method,
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "warmup_ratio": 0.03,
            "max_steps": chosen.steps,
            "global_batch": chosen.rows,
            "cutoff_length": chosen.cutoff,
            "packing": chosen.packing,
            "precision": chosen.precision,
            "optimizer": chosen.optimizer,
            "group_by_length": chosen.grouped,
            "save_steps": 100_000,
            "log_steps": 1,
            "template": "default",
        },
        "runtime": {
            "per_device_batch": chosen.ours_batch,
            "activation_checkpointing": chosen.checkpointing,
            "threads": chosen.threads,
            "tracking": {"mode": "none"},
        },
    }


def make(chosen: Case, folder: Path) -> None:
    """`folder`/student/model and `folder`/data: enough samples for every contender's steps."""
    words = _words()
    _student(chosen, words, folder / "student" / "model", folder / "corpus.txt")
    mean = chosen.words[0]
    packed = chosen.rows * chosen.cutoff / mean if chosen.packing else chosen.rows
    count = int(max(packed, chosen.samples) * (chosen.steps + 2))
    _data(chosen, words, count, folder / "data" / "data")


def _words() -> list[str]:
    """So frequent in the corpus that nearly each is one token."""
    draw = random.Random(SEED)
    return ["".join(draw.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(draw.randint(2, 8))) for _ in range(WORDS)]


def _student(chosen: Case, words: list[str], folder: Path, corpus: Path) -> None:
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    from gra.train.settings import BuildSettings
    from gra.train.student_stage import train_tokenizer

    draw, shape = random.Random(SEED), chosen.shape
    folder.mkdir(parents=True)
    corpus.write_text("\n".join(" ".join(draw.choice(words) for _ in range(12)) for _ in range(4000)))
    build = BuildSettings(vocab_size=min(shape.vocabulary, 4096), positions=chosen.cutoff)
    tokenizer = train_tokenizer(corpus, build)
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=chosen.cutoff,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(SEED)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2ForCausalLM(config)
    if chosen.precision == "bf16":
        model = model.bfloat16()
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _data(chosen: Case, words: list[str], count: int, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    draw, (mean, sigma) = random.Random(SEED + 1), chosen.words
    mu = _mu(mean, sigma)
    talks = []
    for _ in range(count):
        question = " ".join(draw.choices(words, k=draw.randint(8, 24)))
        answer = " ".join(draw.choices(words, k=max(2, int(draw.lognormvariate(mu, sigma)))))
        talks.append([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"messages": talks}), folder / "train.parquet")


def _mu(mean: float, sigma: float) -> float:
    """The log-normal's mu for a mean: mean = exp(mu + sigma^2 / 2)."""
    import math

    return math.log(mean) - sigma**2 / 2
