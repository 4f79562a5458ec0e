"""Tokens/s, MFU and peak memory: FLOPs against a count by hand and against what PyTorch counts in a real model."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import pytest

from gra.train import stage
from gra.train.report import throughput


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4),
        ("NVIDIA H100 PCIe", "bf16", 756.5),
        ("NVIDIA H100 NVL", "bf16", 835.5),
        ("NVIDIA H200", "bf16", 989.4),
        ("NVIDIA H20", "bf16", 148),
        ("NVIDIA GH200 480GB", "bf16", 989.4),
        ("NVIDIA A100-SXM4-80GB", "bf16", 312),
        ("NVIDIA A100-SXM4-80GB", "tf32", 156),
        ("NVIDIA A100-SXM4-80GB", "fp32", None),
        ("NVIDIA L40S", "bf16", 362.05),
        ("NVIDIA L4", "bf16", 121),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None),
        ("NVIDIA A10G", "bf16", None),
        ("Tesla V100-SXM2-16GB", "bf16", None),
        ("NVIDIA B200", "bf16", 2250),
        ("NVIDIA GB200", "bf16", 2500),
        ("AMD Instinct MI300X", "bf16", 1307.4),
        ("CPU", "bf16", None),
    ],
)
def test_peaks_are_found_by_the_devices_name(name: str, precision: str, peak: float | None) -> None:
    assert throughput.peak_tflops(name, precision) == peak


def model(tied: bool = True, **other: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "vocab_size": 80,
    }
    return LlamaForCausalLM(LlamaConfig(**{**shape, "tie_word_embeddings": tied, "num_key_value_heads": 2, **other}))


def body(student: Any) -> int:
    return sum(p.numel() for name, p in student.named_parameters() if "embed" not in name and "lm_head" not in name)


@pytest.mark.parametrize("tied", [True, False])
def test_flops_of_full_tuning(tied: bool) -> None:
    """6 a weight and token; the output layer at trained positions; the lookup table nothing; 12 L H Q for a pair of tokens."""
    student = model(tied)
    found = throughput.flops(student)
    assert found == throughput.Flops(token=6 * body(student), projected=6 * 80 * 32, attention=12 * 3 * 32)
    assert found.of(10, 4, 10**2) == 10 * 6 * body(student) + 4 * 6 * 80 * 32 + 100 * 12 * 3 * 32


def test_flops_are_what_pytorch_counts() -> None:
    """A batch of one document, eager attention (the counter does not see into fused kernels), forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    student = model(attn_implementation="eager", num_key_value_heads=4)
    ids = torch.arange(64)[None] % 80
    with FlopCounterMode(display=False) as counter:
        student(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    found = throughput.flops(student)
    assert found is not None
    assert counter.get_total_flops() == pytest.approx(found.of(64, 64, 64**2), rel=0.02)


def test_flops_of_adapters() -> None:
    """A frozen weight costs 4 a token, an adapter's 6; a copy trained in place of a weight counts once."""
    from peft import LoraConfig, get_peft_model

    student = model()
    frozen = body(student)
    adapted = get_peft_model(student, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapters = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    found = throughput.flops(adapted)
    assert found == throughput.Flops(4 * frozen + 6 * adapters, 4 * 80 * 32, 12 * 3 * 32)
    whole = LoraConfig(r=2, modules_to_save=["lm_head"], target_modules=["q_proj"], task_type="CAUSAL_LM")
    found = throughput.flops(get_peft_model(model(False), whole))
    assert found is not None
    assert found.projected == 6 * 80 * 32


def test_experts_have_no_flops() -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
    )
    assert throughput.flops(MixtralForCausalLM(config)) is None


def test_padding_counts_nothing_and_documents_count_by_themselves() -> None:
    """The same three documents padded and packed give the same figures; what is set aside takes no time."""
    import torch

    lengths = [5, 3, 8]
    labels = [torch.tensor([-100, *range(1, n)]) for n in lengths]
    padded = {
        "labels": torch.nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=-100),
        "attention_mask": torch.tensor([[1] * n + [0] * (8 - n) for n in lengths]),
    }
    packed = {"labels": torch.cat(labels)[None], "cu_seq_lens_q": torch.tensor([0, 5, 8, 16], dtype=torch.int32)}
    cost = throughput.Flops(token=2, projected=30, attention=700)
    needed = 2 * 16 + 30 * (4 + 2 + 7) + 700 * (25 + 9 + 64)
    for batch in (padded, packed):
        # two processes that do the same
        two = throughput.ThroughputMeter(cost, 1e-9, lambda local: local.repeat(2), processes=2)
        two.count(batch)
        with two.aside():
            time.sleep(0.3)
        read = two.read()
        seconds = 2 * 16 / read["tokens_per_second"]
        assert seconds < 0.25
        assert read["mfu"] == pytest.approx(2 * needed / (seconds * 2 * 1e3))
        assert two.read() == {}
        assert two.summary()["mfu"] == pytest.approx(read["mfu"])
    unknown = throughput.ThroughputMeter(cost, None, lambda local: local)
    unknown.count(padded)
    assert "mfu" not in unknown.read()
    assert unknown.summary()["mfu"] is None


def test_every_log_step_has_its_figures(data_folder: Path, student_folder: Path, config: Any, tmp_path: Path) -> None:
    """Through the stage, packed: speed.csv by step, the whole run's in metrics.json, and none of it in log.csv."""
    import json

    recipe = config(max_steps=4, log_steps=2, packing=True, save_steps=2)
    recipe["runtime"]["peak_tflops"] = 0.1
    metrics = stage.run(recipe, {"data": data_folder, "student": student_folder}, tmp_path)
    with (tmp_path / "speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    for row in rows:
        assert float(row["tokens_per_second"]) > 0
        assert 0 < float(row["mfu"]) < 10
        assert 0.05 < float(row["peak_memory_gib"]) < 20
    runtime = json.loads((tmp_path / "metrics.json").read_text())["runtime"]
    assert 0 < runtime["mfu"] < 10
    assert metrics["tokens"] / runtime["tokens_per_second"] < runtime["loop_seconds"] + 0.5
    assert "per_second" not in (tmp_path / "log.csv").read_text()
